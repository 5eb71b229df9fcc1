// A fuzz target over the functions of pico.h, for libFuzzer. `make fuzz` builds and runs it.
//
// PICO_FUZZ_MODELS names model files, with colons between. An input chooses one of four exercises in its first byte: bytes
// as a payload; a whole payload with changes; pixels; weights with changes. What is decoded must be the same with all
// kernels of this processor.

#include "model_file.h"

typedef struct { const uint8_t *next, *end; } Bytes;

static unsigned take(Bytes *bytes, int count) {
  unsigned value = 0;
  for (; count && bytes->next < bytes->end; count--) value = value << 8 | *bytes->next++;
  return value;
}

static size_t left(const Bytes *bytes) { return (size_t)(bytes->end - bytes->next); }

static void demand(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "this does not hold: %s\n", what);
  abort();
}

static const char *const kernel_names[] = {"portable", "avx2", "avxvnni", "avx512", "neon", "dotprod"};
enum { MOST_MODELS = 8, KERNELS = sizeof kernel_names / sizeof *kernel_names };
static ModelFile files[MOST_MODELS];
static PicoModel *models[MOST_MODELS][KERNELS];  // NULL where the processor has no such kernels
static int model_count;

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *count, char ***arguments) {
  (void)count, (void)arguments;
  const char *paths = getenv("PICO_FUZZ_MODELS");
  demand(paths != 0, "PICO_FUZZ_MODELS names model files");
  char *names = strdup(paths);
  for (char *name = strtok(names, ":"); name && model_count < MOST_MODELS; name = strtok(0, ":"), model_count++) {
    demand(read_model_file(name, &files[model_count]), name);
    for (int k = 0; k < KERNELS; k++) {
      char why[200];
      const ModelFile *file = &files[model_count];
      const int result = pico_model_new(file->array, file->count, kernel_names[k], &models[model_count][k], why, sizeof why);
      demand(result == PICO_DONE || result == PICO_WRONG_ARGUMENT, why);
    }
  }
  free(names);
  return 0;
}

typedef struct { int width, height, channels, level; } Tile;

// Most sides are at most 65, so that most inputs take little time.
static int take_side(Bytes *bytes) {
  const unsigned side = take(bytes, 1);
  return (int)(side < 200 ? side % 66 : side % 136);
}

static Tile take_tile(Bytes *bytes) {
  Tile tile;
  tile.width = take_side(bytes);
  tile.height = take_side(bytes);
  tile.channels = take(bytes, 1) % 8 ? 3 : 1;
  tile.level = (int)(take(bytes, 2) % 8300);
  return tile;
}

// A coder that is just large enough, or sometimes too small.
static PicoCoder *new_coder(const PicoModel *model, Tile tile, unsigned choice) {
  const int side = tile.width > tile.height ? tile.width : tile.height;
  return pico_coder_new(model, choice % 16 ? side : side - 1);
}

static size_t latents_of(const ModelFile *file, const char *name) {
  for (int i = 0; i < file->count; i++)
    if (!strcmp(file->array[i].name, name)) return (size_t)file->array[i].shape[0];
  return 0;
}

// The integers of a payload, which come back when they are written and read again. pico_decode returned `result` for it.
static void read_and_write(PicoCoder *coder, const PicoModel *model, const ModelFile *file, Tile tile, const uint8_t *payload,
                           size_t length, int result) {
  const size_t positions = (size_t)((tile.height + 63) / 64) * (size_t)((tile.width + 63) / 64);
  const size_t sizes[2] = {32 * positions * latents_of(file, "encoder.to_latent.weight"),
                           2 * positions * latents_of(file, "encoder.to_hyper.weight")};  // in bytes
  const size_t room = pico_most_bytes(model, tile.width, tile.height);
  int16_t *symbols[2] = {malloc(sizes[0] + 1), malloc(sizes[0] + 1)}, *z[2] = {malloc(sizes[1] + 1), malloc(sizes[1] + 1)};
  uint8_t *written = malloc(room + 1);
  demand(pico_read(coder, payload, length, tile.width, tile.height, tile.level, symbols[0], z[0]) == result,
         "pico_read and pico_decode agree");
  if (result == PICO_DONE) {
    const int64_t bytes = pico_write(coder, symbols[0], z[0], tile.width, tile.height, tile.level, written, room);
    demand(bytes > 0, "integers that were read can be written");
    demand(!pico_read(coder, written, (size_t)bytes, tile.width, tile.height, tile.level, symbols[1], z[1]) &&
               !memcmp(symbols[0], symbols[1], sizes[0]) && !memcmp(z[0], z[1], sizes[1]),
           "integers come back");
  }
  for (int i = 0; i < 2; i++) free(symbols[i]), free(z[i]);
  free(written);
}

// A payload through the kernels of two instruction sets, and through pico_read and pico_write.
static void decode(int model, unsigned choice, Tile tile, const uint8_t *payload, size_t length) {
  const size_t row = (size_t)tile.width * tile.channels + choice % 5, size = row * tile.height + 1;
  uint8_t *exact = malloc(length ? length : 1), *pixels[2] = {calloc(size, 1), calloc(size, 1)};
  memcpy(exact, payload, length);
  int results[2] = {PICO_WRONG_ARGUMENT, PICO_WRONG_ARGUMENT}, compared = 0;
  for (int k = 0; k < KERNELS; k++) {
    if (!models[model][k] || (k && compared && k != (int)(choice % KERNELS))) continue;
    const int which = k ? 1 : 0;
    PicoCoder *coder = new_coder(models[model][k], tile, choice);
    results[which] = pico_decode(coder, exact, length, tile.width, tile.height, tile.channels, tile.level, pixels[which], (ptrdiff_t)row);
    if (!k && coder)
      read_and_write(coder, models[model][k], &files[model], tile, exact, length, results[0]);
    pico_coder_free(coder);
    compared += k > 0;
  }
  if (compared) demand(results[0] == results[1] && !memcmp(pixels[0], pixels[1], size), "kernels decode the same");
  free(pixels[0]);
  free(pixels[1]);
  free(exact);
}

// Pixels of a tile: those of the input, again and again. Rows may lie apart, or upside down.
static int64_t encode(const PicoModel *model, Bytes source, unsigned choice, Tile tile, uint8_t **payload) {
  const ptrdiff_t row = (ptrdiff_t)tile.width * tile.channels + choice % 7;
  const size_t size = (size_t)row * tile.height, room = pico_most_bytes(model, tile.width, tile.height);
  uint8_t *pixels = malloc(size + 1);
  for (size_t i = 0; i < size; i++) pixels[i] = left(&source) ? source.next[i % left(&source)] : (uint8_t)(i * choice >> 7);
  *payload = malloc(room + 1);
  PicoCoder *coder = new_coder(model, tile, choice);
  const int upside_down = choice & 128 && tile.height;
  const int64_t length = pico_encode(coder, upside_down ? pixels + size - row : pixels, upside_down ? -row : row, tile.width,
                                     tile.height, tile.channels, tile.level, *payload, choice & 64 ? room : room / 9);
  demand(length > 0 || length == PICO_WRONG_ARGUMENT || (length == PICO_NO_MEMORY && !(choice & 64)), "a tile can be encoded");
  pico_coder_free(coder);
  free(pixels);
  return length;
}

static void fuzz_payload(Bytes bytes) {
  const int model = (int)take(&bytes, 1) % model_count;
  const unsigned choice = take(&bytes, 1);
  const Tile tile = take_tile(&bytes);
  decode(model, choice, tile, bytes.next, left(&bytes));
}

static void fuzz_whole_payload(Bytes bytes) {
  const int model = (int)take(&bytes, 1) % model_count;
  const unsigned choice = take(&bytes, 1), changes = take(&bytes, 1) % 8;
  const Tile tile = take_tile(&bytes);
  uint8_t *payload = 0;
  int64_t length = encode(models[model][0], bytes, choice | 64, tile, &payload);
  for (unsigned i = 0; length > 0 && i < changes; i++) {
    const unsigned where = take(&bytes, 2), value = take(&bytes, 1);
    if (value == 0) length = (int64_t)(where % (unsigned)length);
    else payload[where % (unsigned)length] ^= (uint8_t)value;
  }
  if (length > 0) decode(model, choice, tile, payload, (size_t)length);
  free(payload);
}

static void fuzz_pixels(Bytes bytes) {
  const int model = (int)take(&bytes, 1) % model_count;
  const unsigned choice = take(&bytes, 1);
  const Tile tile = take_tile(&bytes);
  uint8_t *payload = 0, *other = 0;
  const int k = (int)(choice % KERNELS);
  const int64_t length = encode(models[model][0], bytes, choice, tile, &payload);
  if (models[model][k]) {
    demand(encode(models[model][k], bytes, choice, tile, &other) == length, "kernels encode to the same length");
    demand(length < 0 || !memcmp(payload, other, (size_t)length), "kernels encode the same");
  }
  if (length > 0) decode(model, choice, tile, payload, (size_t)length);
  free(payload);
  free(other);
}

static size_t bytes_of(const PicoArray *array) {
  static const size_t sizes[] = {0, 1, 2, 2, 4, 4};
  if (array->type < 1 || array->type > 5 || array->dimensions < 1 || array->dimensions > 4) return 8;
  uint64_t bytes = sizes[array->type];
  for (int i = 0; i < array->dimensions; i++) {
    if (array->shape[i] < 0 || array->shape[i] > 1 << 16) return 8;  // nothing of this size may be read
    bytes *= (uint64_t)array->shape[i];
    if (bytes > 1 << 22) return 8;
  }
  return bytes;
}

// A change of one array: of its numbers, a size, its type or its name.
static void change_array(ModelFile *model, Bytes *bytes) {
  const int index = (int)(take(bytes, 2) % (unsigned)model->count);
  PicoArray *array = &model->array[index];
  const unsigned what = take(bytes, 1), where = take(bytes, 3), value = take(bytes, 4);
  switch (what % 8) {
    case 0: array->type = (int32_t)(value % 8); break;
    case 1: array->dimensions = (int32_t)(value % 7); break;
    case 2: array->shape[where % 4] = (int32_t)value; break;
    case 3: array->shape[where % 4] = (int64_t)(value % 512); break;
    case 4: array->name = ""; break;
    default:
      if (model->bytes[index] < 4) break;
      memcpy((uint8_t *)array->data + where % (model->bytes[index] / 4) * 4, &value, what % 8 == 7 ? 1 : 4);
  }
}

// Copies of arrays in memory of their sizes, as callers promise; what lies beyond numbers that there were is 0.
static void exact_copies(ModelFile *model) {
  for (int i = 0; i < model->count; i++) {
    PicoArray *array = &model->array[i];
    const size_t size = bytes_of(array);
    uint8_t *copy = calloc(size + !size, 1);
    memcpy(copy, array->data, size < model->bytes[i] ? size : model->bytes[i]);
    array->data = copy;
  }
}

static void fuzz_weights(Bytes bytes) {
  const ModelFile *file = &files[take(&bytes, 1) % model_count];
  const unsigned choice = take(&bytes, 1);
  const Tile tile = take_tile(&bytes);
  static ModelFile changed;
  const size_t size = (size_t)((const uint8_t *)file->array[file->count - 1].data - file->contents) + file->bytes[file->count - 1];
  changed = *file;
  changed.contents = malloc(size);
  memcpy(changed.contents, file->contents, size);
  for (int i = 0; i < file->count; i++)
    changed.array[i].data = changed.contents + ((const uint8_t *)file->array[i].data - file->contents);
  while (left(&bytes) >= 10) change_array(&changed, &bytes);
  exact_copies(&changed);
  free(changed.contents);
  int64_t length[2];
  uint8_t *payload[2] = {0, 0};
  int made = 0;
  for (int k = 0; k < 2; k++) {
    PicoModel *model;
    char why[100];
    const char *name = k ? kernel_names[choice % KERNELS] : "portable";
    if (pico_model_new(changed.array, changed.count, name, &model, why, sizeof why)) continue;
    length[made] = encode(model, bytes, choice | 64, tile, &payload[made]);
    PicoCoder *coder = new_coder(model, tile, choice);
    const size_t row = (size_t)tile.width * tile.channels;
    uint8_t *pixels = malloc(row * tile.height + 1);
    if (length[made] > 0)
      demand(pico_decode(coder, payload[made], (size_t)length[made], tile.width, tile.height, tile.channels, tile.level, pixels,
                         (ptrdiff_t)row) == PICO_DONE, "a model decodes what it encodes");
    made++;
    free(pixels);
    pico_coder_free(coder);
    pico_model_free(model);
  }
  if (made == 2) {
    demand(length[0] == length[1], "kernels encode to the same length");
    demand(length[0] < 0 || !memcmp(payload[0], payload[1], (size_t)length[0]), "kernels encode the same");
  }
  for (int k = 0; k < 2; k++) free(payload[k]);
  for (int i = 0; i < changed.count; i++) free((void *)changed.array[i].data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Bytes bytes = {data, data + size};
  switch (take(&bytes, 1) % 4) {
    case 0: fuzz_payload(bytes); break;
    case 1: fuzz_whole_payload(bytes); break;
    case 2: fuzz_pixels(bytes); break;
    default: fuzz_weights(bytes);
  }
  return 0;
}
