// Makes a model of the arrays of a weights file, and refuses what does not fit together.

#include "model.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "memory.h"

#define MOST_NUMBERS ((int64_t)1 << 28)  // in an array

typedef struct {
  const PicoArray *arrays;
  int count, result;
  PicoModel *model;
  char *why;
  size_t room;
} Loader;

static void refuse(Loader *loader, int result, const char *format, ...) {
  if (loader->result) return;  // the first reason counts
  loader->result = result;
  va_list values;
  va_start(values, format);
  if (loader->room) vsnprintf(loader->why, loader->room, format, values);
  va_end(values);
}

static void *own(Loader *loader, void *memory) {
  PicoModel *model = loader->model;
  const int room = (int)(sizeof model->owned / sizeof *model->owned);
  if (!memory || model->owned_count == room) {
    refuse(loader, PICO_NO_MEMORY, "there is no memory for the weights");
    free_memory(memory);
    return 0;
  }
  return model->owned[model->owned_count++] = memory;
}

static const PicoArray *find(const Loader *loader, const char *name, const char *part) {
  const size_t length = strlen(name);
  for (int i = 0; i < loader->count; i++) {
    const char *given = loader->arrays[i].name;
    if (!strncmp(given, name, length) && !strcmp(given + length, part)) return &loader->arrays[i];
  }
  return 0;
}

static size_t size_of(int type) { return type == PICO_INT8 ? 1 : type == PICO_INT32 || type == PICO_FLOAT32 ? 4 : 2; }

static int64_t numbers_in(const PicoArray *array) {
  int64_t numbers = 1;
  for (int i = 0; i < array->dimensions; i++) numbers *= array->shape[i];
  return numbers;
}

// Whether an array can be read as what it says it is.
static int is_sound(const PicoArray *array) {
  if (!array->name || array->type < PICO_INT8 || array->type > PICO_FLOAT32) return 0;
  if (array->dimensions < 1 || array->dimensions > 4) return 0;
  int64_t numbers = 1;
  for (int i = 0; i < array->dimensions; i++) {
    if (array->shape[i] < 1 || array->shape[i] > MOST_NUMBERS / numbers) return 0;
    numbers *= array->shape[i];
  }
  return array->data && (uintptr_t)array->data % size_of(array->type) == 0;
}

static void check_arrays(Loader *loader) {
  for (int i = 0; i < loader->count; i++)
    if (!is_sound(&loader->arrays[i])) {
      const char *name = loader->arrays[i].name;
      refuse(loader, PICO_WRONG_WEIGHTS, "array %d (%s) has a wrong type, shape or address", i, name ? name : "no name");
    }
}

// The array of a type, with so many numbers in all. NULL, and the loader refuses, if there is none.
static const PicoArray *need(Loader *loader, const char *name, const char *part, int type, int64_t numbers) {
  const PicoArray *array = find(loader, name, part);
  if (!array) refuse(loader, PICO_WRONG_WEIGHTS, "array %s%s is missing", name, part);
  else if (array->type != type) refuse(loader, PICO_WRONG_WEIGHTS, "array %s%s has numbers of another type", name, part);
  else if (numbers_in(array) != numbers)
    refuse(loader, PICO_WRONG_WEIGHTS, "array %s%s has %lld numbers in place of %lld", name, part,
           (long long)numbers_in(array), (long long)numbers);
  else return array;
  return 0;
}

static void *copy(Loader *loader, const char *name, const char *part, int type, int64_t numbers) {
  const PicoArray *array = need(loader, name, part, type, numbers);
  if (!array) return 0;
  const size_t bytes = (size_t)numbers * size_of(type);
  void *memory = own(loader, new_memory(bytes));
  if (memory) memcpy(memory, array->data, bytes);
  return memory;
}

// Factors within these limits keep every float between 2^-126 and 2^55 or 0: none is infinite, and processors that take
// tiny numbers for 0 give the same bits. Products in 32 bits, times a factor, can also be rounded to 32 bits again: sums
// of a wide layer may be anything, those of a narrow one are below 2^27.
static void check_factors(Loader *loader, const char *name, const float *factors, int64_t count, double most) {
  const double least = ldexp(1, most > 8 ? -40 : -60);
  for (int64_t i = 0; factors && i < count; i++)
    if (!(factors[i] >= least && factors[i] <= most)) refuse(loader, PICO_WRONG_WEIGHTS, "a factor of %s is out of range", name);
}

// Gains lie between 2^-40 and 2^most.
static void check_gains(Loader *loader, const char *name, const int32_t *logarithms, int64_t count, int most) {
  for (int64_t i = 0; logarithms && i < count; i++)
    if (logarithms[i] < -40 * 65536 || logarithms[i] > most * 65536)
      refuse(loader, PICO_WRONG_WEIGHTS, "a gain of %s is out of range", name);
}

enum { ANY = 0 };

// Whether a layer's results are multiplied by factors of its own, or by the gains of a level.
typedef enum { SCALED, GAINED } Factors;

static int is_size(int64_t given, int wanted) {
  return given >= 16 && given <= 4096 && given % 16 == 0 && (wanted == ANY || given == wanted);
}

static void load_factors(Loader *loader, Layer *layer, const char *name, Factors factors) {
  if (factors == GAINED) {
    const int64_t count = (int64_t)loader->model->levels * layer->outputs;
    layer->gain = copy(loader, name, ".gain", PICO_INT32, count);
    check_gains(loader, name, layer->gain, count, -1);
    return;
  }
  layer->scale = copy(loader, name, ".scale", PICO_FLOAT32, layer->outputs);
  check_factors(loader, name, layer->scale, layer->outputs, layer->kind == WIDE ? 0.5 : 8);
}

// Weights of the narrow kind are at most 63, so that two products fit 16 bits. Sums of their products are below 2^24, which
// float32 holds too; their biases are small.
static void check_narrow(Loader *loader, const char *name, const PicoArray *weight, const PicoArray *bias) {
  const int8_t *weights = weight->data;
  const int32_t *biases = bias->data, most = 1 << 26;
  if (weight->shape[1] > 1024) refuse(loader, PICO_WRONG_WEIGHTS, "layer %s has more than 1024 inputs of 8 bits", name);
  for (int64_t i = 0; i < numbers_in(weight); i++)
    if (weights[i] < -63 || weights[i] > 63) refuse(loader, PICO_WRONG_WEIGHTS, "a weight of %s is beyond 63", name);
  for (int64_t i = 0; i < numbers_in(bias); i++)
    if (biases[i] < -most || biases[i] > most) refuse(loader, PICO_WRONG_WEIGHTS, "a bias of %s is out of range", name);
}

// A layer whose kind is that of its weights.
static void load_any_layer(Loader *loader, Layer *layer, const char *name, int inputs, int outputs, Factors factors) {
  const PicoArray *weight = find(loader, name, ".weight");
  if (!weight || weight->dimensions != 2 || (weight->type != PICO_INT8 && weight->type != PICO_INT16)) {
    refuse(loader, PICO_WRONG_WEIGHTS, "layer %s is missing, or its weights are no matrix of integers", name);
    return;
  }
  if (!is_size(weight->shape[0], outputs) || !is_size(weight->shape[1], inputs)) {
    refuse(loader, PICO_WRONG_WEIGHTS, "layer %s has %lld inputs and %lld outputs, which does not fit", name,
           (long long)weight->shape[1], (long long)weight->shape[0]);
    return;
  }
  layer->outputs = (int)weight->shape[0];
  layer->inputs = (int)weight->shape[1];
  layer->kind = weight->type == PICO_INT8 ? NARROW : WIDE;
  load_factors(loader, layer, name, factors);
  const PicoArray *bias = need(loader, name, ".bias", PICO_INT32, layer->outputs);
  if (bias && layer->kind == NARROW) check_narrow(loader, name, weight, bias);
  if (loader->result) return;
  if (!loader->model->kernels->pack(layer, weight->data, bias->data)) refuse(loader, PICO_NO_MEMORY, "there is no memory");
  own(loader, layer->weight);
  own(loader, layer->bias);
}

static void load_layer(Loader *loader, Layer *layer, const char *name, int inputs, int outputs, Factors factors) {
  load_any_layer(loader, layer, name, inputs, outputs, factors);
  if (!loader->result && layer->kind != WIDE) refuse(loader, PICO_WRONG_WEIGHTS, "the weights of %s are not int16", name);
}

// What is added to the hidden features of a block: 0 where they have a sign.
static void load_zeros(Loader *loader, Layer *layer, const char *name) {
  const int32_t most = layer->kind == NARROW ? 255 : 0;
  int32_t *zero = copy(loader, name, ".zero", PICO_INT32, layer->outputs);
  for (int n = 0; zero && n < layer->outputs; n++)
    if (zero[n] < 0 || zero[n] > most) refuse(loader, PICO_WRONG_WEIGHTS, "a zero of %s is out of range", name);
  layer->zero = zero;
}

static void load_block(Loader *loader, Block *block, const char *name, int channels) {
  char part[96];
  block->channels = channels;
  block->taps = copy(loader, name, ".spatial.weight", PICO_INT16, (int64_t)9 * channels);
  block->offsets = copy(loader, name, ".spatial.bias", PICO_INT32, channels);
  const PicoArray *shift = need(loader, name, ".spatial.shift", PICO_INT32, 1);
  if (loader->result) return;
  block->shift = *(const int32_t *)shift->data;
  if (block->shift < 1 || block->shift > 24) refuse(loader, PICO_WRONG_WEIGHTS, "the shift of %s is out of range", name);
  snprintf(part, sizeof part, "%s.expand", name);
  load_any_layer(loader, &block->expand, part, channels, ANY, SCALED);
  if (loader->result) return;
  load_zeros(loader, &block->expand, part);
  snprintf(part, sizeof part, "%s.project", name);
  load_any_layer(loader, &block->project, part, block->expand.outputs, channels, SCALED);
  if (block->project.kind != block->expand.kind) refuse(loader, PICO_WRONG_WEIGHTS, "%s is of another kind", part);
}

static void load_blocks(Loader *loader, Blocks *blocks, const char *name, int channels) {
  char block[96];
  for (blocks->count = 0; !loader->result; blocks->count++) {
    snprintf(block, sizeof block, "%s.%d", name, blocks->count);
    if (!find(loader, block, ".spatial.weight")) return;
    if (blocks->count == MOST_BLOCKS) refuse(loader, PICO_WRONG_WEIGHTS, "%s are more than %d", name, MOST_BLOCKS);
    else load_block(loader, &blocks->block[blocks->count], block, channels);
  }
}

static void load_gains(Loader *loader, Gains *gains, const char *name, int channels) {
  gains->levels = loader->model->levels;
  gains->channels = channels;
  gains->logarithms = copy(loader, name, "", PICO_INT32, (int64_t)gains->levels * channels);
  check_gains(loader, name, gains->logarithms, (int64_t)gains->levels * channels, 40);
}

static void load_encoder(Loader *loader) {
  PicoModel *m = loader->model;
  load_layer(loader, &m->encoder.input, "encoder.input", 192, ANY, SCALED);
  const int wide = m->encoder.input.outputs;
  load_blocks(loader, &m->encoder.blocks8, "encoder.blocks8", wide);
  load_gains(loader, &m->encoder.gain8, "encoder.gain8", wide);
  load_layer(loader, &m->encoder.down16, "encoder.down16", 4 * wide, ANY, SCALED);
  const int deep = m->encoder.down16.outputs;
  load_blocks(loader, &m->encoder.blocks16, "encoder.blocks16", deep);
  load_layer(loader, &m->encoder.to_latent, "encoder.to_latent", deep, m->latent, GAINED);
  load_layer(loader, &m->encoder.down32, "encoder.down32", 4 * deep, ANY, SCALED);
  load_blocks(loader, &m->encoder.blocks32, "encoder.blocks32", m->encoder.down32.outputs);
  load_layer(loader, &m->encoder.down64, "encoder.down64", 4 * m->encoder.down32.outputs, ANY, SCALED);
  load_blocks(loader, &m->encoder.blocks64, "encoder.blocks64", m->encoder.down64.outputs);
  load_layer(loader, &m->encoder.to_hyper, "encoder.to_hyper", m->encoder.down64.outputs, m->hyper, GAINED);
}

static void load_scale_path(Loader *loader) {
  PicoModel *m = loader->model;
  load_layer(loader, &m->scale.at64, "scale.at64", m->hyper, ANY, SCALED);
  load_layer(loader, &m->scale.at32, "scale.at32", m->scale.at64.outputs / 4, ANY, SCALED);
  load_layer(loader, &m->scale.at16, "scale.at16", m->scale.at32.outputs / 4, m->latent, SCALED);
}

static void load_context(Loader *loader) {
  PicoModel *m = loader->model;
  char name[96];
  load_layer(loader, &m->context.input, "context.input", m->hyper, ANY, SCALED);
  load_blocks(loader, &m->context.blocks64, "context.blocks64", m->context.input.outputs);
  load_layer(loader, &m->context.up32, "context.up32", m->context.input.outputs, ANY, SCALED);
  load_blocks(loader, &m->context.blocks32, "context.blocks32", m->context.up32.outputs / 4);
  load_layer(loader, &m->context.prior, "context.prior", m->context.up32.outputs / 4, ANY, SCALED);
  for (int k = 0; k < PASSES && !loader->result; k++) {
    snprintf(name, sizeof name, "context.step%d.input", k);
    load_layer(loader, &m->context.pass[k].input, name, m->context.prior.outputs + k * m->latent, ANY, SCALED);
    snprintf(name, sizeof name, "context.step%d.blocks", k);
    load_blocks(loader, &m->context.pass[k].blocks, name, m->context.pass[k].input.outputs);
    snprintf(name, sizeof name, "context.step%d.output", k);
    load_layer(loader, &m->context.pass[k].output, name, m->context.pass[k].input.outputs, 2 * m->latent, SCALED);
    if (k == PASSES - 1) break;
    snprintf(name, sizeof name, "context.known%d", k);
    m->context.pass[k].known = copy(loader, name, "", PICO_FLOAT32, m->latent);
    check_factors(loader, name, m->context.pass[k].known, m->latent, ldexp(1, 40));
  }
}

static void load_decoder(Loader *loader) {
  PicoModel *m = loader->model;
  int channels = m->latent;
  load_gains(loader, &m->decoder.gain_latent, "decoder.gain_latent", m->latent);
  if (find(loader, "decoder.from_latent", ".weight")) {
    load_layer(loader, &m->decoder.from_latent, "decoder.from_latent", m->latent, ANY, SCALED);
    channels = m->decoder.from_latent.outputs;
    load_blocks(loader, &m->decoder.blocks16, "decoder.blocks16", channels);
  }
  load_layer(loader, &m->decoder.up8, "decoder.up8", channels, ANY, GAINED);
  load_blocks(loader, &m->decoder.blocks8, "decoder.blocks8", m->decoder.up8.outputs / 4);
  load_layer(loader, &m->decoder.up4, "decoder.up4", m->decoder.up8.outputs / 4, 192, SCALED);
  m->decoder.block4.count = 1;
  load_block(loader, &m->decoder.block4.block[0], "decoder.block4", 48);
  load_layer(loader, &m->decoder.output, "decoder.output", 48, 48, SCALED);
}

static void load_tables(Loader *loader) {
  PicoModel *m = loader->model;
  const PicoArray *radii = need(loader, "tables.latent.radius", "", PICO_INT32, TABLES);
  const PicoArray *latent = find(loader, "tables.latent", "");
  const PicoArray *hyper = find(loader, "tables.hyper", "");
  const PicoArray *steps = find(loader, "tables.step", "");
  if (!steps || steps->type != PICO_FLOAT32 || steps->dimensions != 1 || steps->shape[0] < 2 || steps->shape[0] > 1 << 16) {
    refuse(loader, PICO_WRONG_WEIGHTS, "the table of steps is missing");
    return;
  }
  m->step_count = (int)steps->shape[0];
  m->steps = copy(loader, "tables.step", "", PICO_FLOAT32, m->step_count);
  check_factors(loader, "tables.step", m->steps, m->step_count, 1 << 20);
  if (!radii || !latent || latent->type != PICO_UINT16 || !hyper || hyper->type != PICO_UINT16) {
    refuse(loader, PICO_WRONG_WEIGHTS, "an entropy table is missing");
    return;
  }
  int64_t used = 0;
  for (int i = 0; i < TABLES && !loader->result; i++) {
    const int radius = ((const int32_t *)radii->data)[i];
    const int fits = radius >= 1 && radius <= LARGEST_SYMBOL / 2 && used + 2 * radius + 1 <= numbers_in(latent);
    if (fits && make_table(&m->latent_tables[i], (const uint16_t *)latent->data + used, radius)) used += 2 * radius + 1;
    else refuse(loader, PICO_WRONG_WEIGHTS, "entropy table %d of the latents is damaged", i);
  }
  if (loader->result) return;
  const int entries = (int)hyper->shape[2];
  const size_t bytes = (size_t)m->levels * (size_t)m->hyper * sizeof(Table);
  m->hyper_tables = own(loader, new_memory(bytes));
  if (m->hyper_tables) memset(m->hyper_tables, 0, bytes);
  for (int i = 0; i < m->levels * m->hyper && !loader->result; i++)
    if (!make_table(&m->hyper_tables[i], (const uint16_t *)hyper->data + (size_t)i * (size_t)entries, entries / 2))
      refuse(loader, PICO_WRONG_WEIGHTS, "entropy table %d of the hyperlatents is damaged", i);
}

// The numbers of levels and channels, on which everything else depends.
static void load_sizes(Loader *loader) {
  const PicoArray *hyper = find(loader, "tables.hyper", ""), *latent = find(loader, "encoder.to_latent", ".weight");
  const int fits = hyper && hyper->dimensions == 3 && hyper->shape[0] >= 2 && hyper->shape[0] <= 64 && hyper->shape[1] >= 16 &&
                   hyper->shape[1] <= 1024 && hyper->shape[2] % 2 == 1 && hyper->shape[2] <= 255 && latent &&
                   latent->dimensions == 2 && latent->shape[0] >= 16 && latent->shape[0] <= 1024;
  if (!fits) {
    refuse(loader, PICO_WRONG_WEIGHTS, "the weights do not say how many levels and channels there are");
    return;
  }
  loader->model->levels = (int)hyper->shape[0];
  loader->model->hyper = (int)hyper->shape[1];
  loader->model->latent = (int)latent->shape[0];
}

int pico_interface(void) { return PICO_INTERFACE; }

int pico_model_new(const PicoArray *arrays, int count, const char *kernels, PicoModel **model, char *why, size_t room) {
  Loader loader = {arrays, count, PICO_DONE, calloc(1, sizeof(PicoModel)), why, room};
  *model = 0;
  if (!loader.model) return PICO_NO_MEMORY;
  loader.model->kernels = choose_kernels(kernels);
  if (!loader.model->kernels) refuse(&loader, PICO_WRONG_ARGUMENT, "this processor has no kernels of that name");
  void (*const parts[])(Loader *) = {check_arrays,    load_sizes,   load_encoder, load_scale_path,
                                         load_context, load_decoder, load_tables};
  for (size_t i = 0; i < sizeof parts / sizeof *parts && !loader.result; i++) parts[i](&loader);
  if (loader.result) pico_model_free(loader.model);
  else *model = loader.model;
  return loader.result;
}

void pico_model_free(PicoModel *model) {
  if (!model) return;
  for (int i = 0; i < TABLES; i++) free_table(&model->latent_tables[i]);
  for (int i = 0; model->hyper_tables && i < model->levels * model->hyper; i++) free_table(&model->hyper_tables[i]);
  for (int i = 0; i < model->owned_count; i++) free_memory(model->owned[i]);
  free(model);
}

const char *pico_model_kernels(const PicoModel *model) { return model->kernels->name; }

void gains_at(const int32_t *logarithms, int levels, int channels, int level, float *gains) {
  // The coefficients of 2^x, ln(2)^k / k!. Each step is one operation in double precision.
  static const double powers[] = {1.0,
                                  0.6931471805599453,
                                  0.2402265069591007,
                                  0.05550410866482158,
                                  0.009618129107628477,
                                  0.0013333558146428443,
                                  0.00015403530393381608,
                                  1.525273380405984e-05};
  const int low = level / 4096 < levels - 2 ? level / 4096 : levels - 2, part = level - low * 4096;
  const int32_t *below = logarithms + (size_t)low * (size_t)channels, *above = below + channels;
  for (int c = 0; c < channels; c++) {
    const int64_t logarithm = (int64_t)below[c] * (4096 - part) + (int64_t)above[c] * part;
    const int64_t whole = logarithm >> 28;
    const double fraction = (double)(logarithm - whole * (1 << 28)) * (1.0 / (1 << 28));
    double power = powers[7];
    for (int k = 6; k >= 0; k--) power = power * fraction + powers[k];
    gains[c] = (float)ldexp(power, (int)whole);
  }
}
