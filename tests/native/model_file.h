// The arrays of a model in one file, for the programs of this folder. tests/small_networks.py writes such files.
//
// The file: the number of arrays (int64); then, for each array, a Record, its name and its numbers, both padded with zeros
// to eight bytes. All numbers are little-endian.

#ifndef MODEL_FILE_H
#define MODEL_FILE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pico.h"

#define MOST_ARRAYS 512

typedef struct {
  int32_t type, dimensions;
  int64_t shape[4], name_bytes, data_bytes;  // bytes without padding
} Record;

typedef struct {
  int count;
  PicoArray array[MOST_ARRAYS];
  size_t bytes[MOST_ARRAYS];  // of each array's numbers
  uint8_t *contents;
} ModelFile;

static uint8_t *read_whole_file(const char *path, size_t *length) {
  FILE *file = fopen(path, "rb");
  if (!file) return 0;
  fseek(file, 0, SEEK_END);
  *length = (size_t)ftell(file);
  rewind(file);
  uint8_t *contents = malloc(*length + 1);
  if (contents && fread(contents, 1, *length, file) != *length) {
    free(contents);
    contents = 0;
  }
  fclose(file);
  return contents;
}

// Returns 0 if there is no such file.
static int read_model_file(const char *path, ModelFile *model) {
  size_t length = 0;
  uint8_t *p = model->contents = read_whole_file(path, &length);
  if (!p) return 0;
  model->count = (int)*(const int64_t *)p;
  p += 8;
  for (int i = 0; i < model->count; i++) {
    Record record;
    memcpy(&record, p, sizeof record);
    p += sizeof record;
    PicoArray *array = &model->array[i];
    array->name = (const char *)p;
    p += (record.name_bytes + 7) / 8 * 8;
    array->type = record.type;
    array->dimensions = record.dimensions;
    memcpy(array->shape, record.shape, sizeof array->shape);
    array->data = p;
    model->bytes[i] = (size_t)record.data_bytes;
    p += (record.data_bytes + 7) / 8 * 8;
  }
  return 1;
}

#endif
