// A tile's way: bytes <-> integers <-> latents <-> pixels. The graph of the layers is that of pico_core/graph.py.

#include <math.h>
#include <string.h>

#include "memory.h"
#include "model.h"

typedef struct { uint8_t *base; uint64_t used; } Arena;  // base NULL: only counts, beyond what an address can be

// What a tile of h x w times 64 pixels needs. Sizes in comments.
typedef struct {
  int h, w;
  int16_t *z;                       // (h, w, hyper)
  int16_t *symbols;                 // (4h, 4w, latent)
  uint8_t *indices;                 // (4h, 4w, latent), of the entropy tables
  float *latents, *y;               // (4h, 4w, latent)
  Map scale32, scale16;             // (2h, 2w, C), (4h, 4w, C)
  Map context64, context32, pass;   // (h, w, C), (2h, 2w, C), (2h, 2w, C)
  int16_t *known;                   // (2h, 2w, prior + 3 * latent): the prior and the latents of the passes before
  Map encoder8, encoder16, encoder32, encoder64;
  Map decoder16, decoder8, decoder4;
  int16_t *row;                     // inputs of a row of positions
  float *values;                    // results of a row of positions
  uint8_t *pixels, *work;           // (4, 16w, 48) results of a row; for the blocks
  uint32_t *words;                  // of the entropy coder
  size_t word_count;                // of a lane
  float *gain;                      // [1024 * 4]
} Tile;

struct PicoCoder {
  const PicoModel *model;
  int side;
  uint8_t *memory;
};

static void *take(Arena *arena, size_t bytes) {
  const uint64_t at = arena->used, reserved = ((uint64_t)bytes + 127) / 64 * 64;
  arena->used += reserved;
  if (!arena->base) return 0;
  allow_only(arena->base + at, bytes, (size_t)reserved);
  return arena->base + at;
}

static void clear_border(const Map *map) {
  const size_t position = (size_t)map->channels * sizeof(int16_t), row = position * (size_t)(map->width + 2);
  memset(map->corner, 0, row);
  memset(map->corner + (map->height + 1) * row_length(map), 0, row);
  for (int y = 0; y < map->height; y++) {
    memset(row_of(map, y) - map->channels, 0, position);
    memset(row_of(map, y) + (ptrdiff_t)map->width * map->channels, 0, position);
  }
}

static Map new_map(Arena *arena, int height, int width, int channels) {
  Map map = {height, width, channels, take(arena, (size_t)(height + 2) * (width + 2) * channels * sizeof(int16_t))};
  if (arena->base) clear_border(&map);
  return map;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static size_t work_of(const Blocks *blocks, int width) {
  size_t most = 0;
  for (int i = 0; i < blocks->count; i++)
    most = larger(most, block_work(width, blocks->block[i].channels, blocks->block[i].expand.outputs));
  return most;
}

static size_t most_work(const PicoModel *m, int w) {
  size_t most = work_of(&m->encoder.blocks8, 8 * w);
  most = larger(most, work_of(&m->encoder.blocks16, 4 * w));
  most = larger(most, work_of(&m->encoder.blocks32, 2 * w));
  most = larger(most, work_of(&m->encoder.blocks64, w));
  most = larger(most, work_of(&m->context.blocks64, w));
  most = larger(most, work_of(&m->context.blocks32, 2 * w));
  for (int k = 0; k < PASSES; k++) most = larger(most, work_of(&m->context.pass[k].blocks, 2 * w));
  most = larger(most, work_of(&m->decoder.blocks16, 4 * w));
  most = larger(most, work_of(&m->decoder.blocks8, 8 * w));
  return larger(most, work_of(&m->decoder.block4, 16 * w));
}

static int prior_and_latents(const PicoModel *m) { return m->context.prior.outputs + (PASSES - 1) * m->latent; }

static Tile lay_out(const PicoModel *m, Arena *arena, int h, int w) {
  const size_t latents = (size_t)16 * h * w * m->latent, z = (size_t)h * w * m->hyper;
  Tile t = {.h = h, .w = w};
  t.z = take(arena, z * sizeof *t.z);
  t.symbols = take(arena, latents * sizeof *t.symbols);
  t.indices = take(arena, latents);
  t.latents = take(arena, latents * sizeof *t.latents);
  t.y = take(arena, latents * sizeof *t.y);
  t.scale32 = new_map(arena, 2 * h, 2 * w, m->scale.at64.outputs / 4);
  t.scale16 = new_map(arena, 4 * h, 4 * w, m->scale.at32.outputs / 4);
  t.context64 = new_map(arena, h, w, m->context.input.outputs);
  t.context32 = new_map(arena, 2 * h, 2 * w, m->context.up32.outputs / 4);
  int widest = 0;
  for (int k = 0; k < PASSES; k++)
    if (m->context.pass[k].input.outputs > widest) widest = m->context.pass[k].input.outputs;
  t.pass = new_map(arena, 2 * h, 2 * w, widest);
  t.known = take(arena, (size_t)4 * h * w * prior_and_latents(m) * sizeof *t.known);
  t.encoder8 = new_map(arena, 8 * h, 8 * w, m->encoder.input.outputs);
  t.encoder16 = new_map(arena, 4 * h, 4 * w, m->encoder.down16.outputs);
  t.encoder32 = new_map(arena, 2 * h, 2 * w, m->encoder.down32.outputs);
  t.encoder64 = new_map(arena, h, w, m->encoder.down64.outputs);
  t.decoder16 = new_map(arena, 4 * h, 4 * w, m->decoder.up8.inputs);
  t.decoder8 = new_map(arena, 8 * h, 8 * w, m->decoder.up4.inputs);
  t.decoder4 = new_map(arena, 16 * h, 16 * w, 48);
  t.row = take(arena, (size_t)8 * w * 4096 * sizeof *t.row);
  t.values = take(arena, (size_t)4 * w * 4096 * sizeof *t.values);
  t.pixels = take(arena, (size_t)16 * w * 48);
  t.work = take(arena, most_work(m, w));
  t.word_count = words_for(latents + z);
  t.words = take(arena, 2 * t.word_count * sizeof *t.words);
  t.gain = take(arena, 4096 * sizeof *t.gain);
  return t;
}

PicoCoder *pico_coder_new(const PicoModel *model, int side) {
  if (!model || side < 1 || side > 4096) return 0;
  const int units = (side + 63) / 64;
  Arena count = {0, 0};
  lay_out(model, &count, units, units);
  if (count.used > PTRDIFF_MAX) return 0;
  PicoCoder *coder = new_memory(sizeof *coder);
  uint8_t *memory = new_memory((size_t)count.used);
  if (!coder || !memory) {
    free_memory(coder);
    free_memory(memory);
    return 0;
  }
  *coder = (PicoCoder){model, side, memory};
  return coder;
}

void pico_coder_free(PicoCoder *coder) {
  if (!coder) return;
  free_memory(coder->memory);
  free_memory(coder);
}

// Layers over whole maps

typedef void (*Convolution)(const int16_t *, ptrdiff_t, int, const Layer *, const float *, Target);

static void layer_to_map(Convolution run, const int16_t *x, int channels, const Layer *layer, const float *scale, const Map *out, int y,
                         int count) {
  Target target = {row_of(out, y), out->channels, out->channels, 0};
  run(x, channels, count, layer, scale, target);
}

// A row of half as many positions, whose results become two rows of `out`.
static void layer_to_two_rows(Convolution run, const int16_t *x, int channels, const Layer *layer, const float *scale, const Map *out,
                              int y, int count) {
  Target target = {row_of(out, 2 * y), out->channels, 2 * out->channels, row_length(out)};
  run(x, channels, count, layer, scale, target);
}

static void run_blocks(const Kernels *kernels, const Map *map, const Blocks *blocks, uint8_t *work) {
  for (int i = 0; i < blocks->count; i++) kernels->block(map, &blocks->block[i], work);
}

// Positions (2y, 2x), (2y, 2x + 1), (2y + 1, 2x), (2y + 1, 2x + 1) side by side, for all x.
static void gather(const Map *map, int y, int16_t *row) {
  const int c = map->channels, width = map->width / 2;
  for (int part = 0; part < 2; part++)
    for (int x = 0; x < width; x++)
      memcpy(row + (ptrdiff_t)(4 * x + 2 * part) * c, row_of(map, 2 * y + part) + (ptrdiff_t)2 * x * c, (size_t)(2 * c) * sizeof *row);
}

static void halve(const Kernels *kernels, const Map *map, const Layer *layer, const Map *out, int16_t *row) {
  for (int y = 0; y < out->height; y++) {
    gather(map, y, row);
    layer_to_map(kernels->features, row, 4 * map->channels, layer, layer->scale, out, y, out->width);
  }
}

// The entropy tables

static void choose_tables(const PicoModel *m, Tile *t) {
  const Kernels *k = m->kernels;
  const int channels = m->latent, width = 4 * t->w;
  for (int y = 0; y < t->h; y++)
    layer_to_two_rows(k->leaky_features, t->z + (ptrdiff_t)y * t->w * m->hyper, m->hyper, &m->scale.at64, m->scale.at64.scale,
                      &t->scale32, y, t->w);
  for (int y = 0; y < 2 * t->h; y++)
    layer_to_two_rows(k->leaky_features, row_of(&t->scale32, y), t->scale32.channels, &m->scale.at32, m->scale.at32.scale,
                      &t->scale16, y, 2 * t->w);
  for (int y = 0; y < 4 * t->h; y++) {
    uint8_t *row = t->indices + (ptrdiff_t)y * width * channels;
    Target target = {row, channels, channels, 0};
    k->bytes(row_of(&t->scale16, y), t->scale16.channels, width, &m->scale.at16, m->scale.at16.scale, target);
    for (ptrdiff_t i = 0; i < (ptrdiff_t)width * channels; i++) row[i] = row[i] < TABLES ? row[i] : TABLES - 1;
  }
}

// The context model

static const int pass_row[PASSES] = {0, 1, 0, 1}, pass_column[PASSES] = {0, 1, 1, 0};

static void find_prior(const PicoModel *m, Tile *t) {
  const Kernels *k = m->kernels;
  const int channels = prior_and_latents(m), width = 2 * t->w;
  for (int y = 0; y < t->h; y++)
    layer_to_map(k->features, t->z + (ptrdiff_t)y * t->w * m->hyper, m->hyper, &m->context.input, m->context.input.scale, &t->context64, y,
                 t->w);
  run_blocks(k, &t->context64, &m->context.blocks64, t->work);
  for (int y = 0; y < t->h; y++)
    layer_to_two_rows(k->features, row_of(&t->context64, y), t->context64.channels, &m->context.up32, m->context.up32.scale,
                      &t->context32, y, t->w);
  run_blocks(k, &t->context32, &m->context.blocks32, t->work);
  for (int y = 0; y < 2 * t->h; y++) {
    Target target = {t->known + (ptrdiff_t)y * width * channels, m->context.prior.outputs, channels, 0};
    k->features(row_of(&t->context32, y), t->context32.channels, width, &m->context.prior, m->context.prior.scale, target);
  }
}

// One pass of the four over the 2x2 cells: latents of the symbols or, where they are to be found, symbols and latents of y.
static void run_pass(const PicoModel *m, Tile *t, int k, int find_symbols) {
  const Kernels *kernels = m->kernels;
  const Layer *first = &m->context.pass[k].input, *last = &m->context.pass[k].output;
  const int latent = m->latent, height = 2 * t->h, width = 2 * t->w, channels = prior_and_latents(m);
  const Map map = {height, width, first->outputs, t->pass.corner};
  clear_border(&map);  // the pass before may have had other channels
  for (int y = 0; y < height; y++)
    layer_to_map(kernels->features, t->known + (ptrdiff_t)y * width * channels, channels, first, first->scale, &map, y, width);
  run_blocks(kernels, &map, &m->context.pass[k].blocks, t->work);
  for (int y = 0; y < height; y++) {
    Target target = {t->values, last->outputs, last->outputs, 0};
    kernels->values(row_of(&map, y), map.channels, width, last, last->scale, target);
    for (int x = 0; x < width; x++) {
      const ptrdiff_t at = ((ptrdiff_t)(2 * y + pass_row[k]) * 2 * width + 2 * x + pass_column[k]) * latent;
      const float *values = t->values + (ptrdiff_t)x * last->outputs;
      if (find_symbols) kernels->symbols(values, latent, m->steps, m->step_count, t->y + at, t->symbols + at, t->latents + at);
      else kernels->latents(values, latent, m->steps, m->step_count, t->symbols + at, t->latents + at);
      if (k == PASSES - 1) continue;
      int16_t *known = t->known + ((ptrdiff_t)y * width + x) * channels + m->context.prior.outputs + k * latent;
      kernels->gained_values(t->latents + at, latent, m->context.pass[k].known, known);
    }
  }
}

static void run_context(const PicoModel *m, Tile *t, int find_symbols) {
  find_prior(m, t);
  for (int k = 0; k < PASSES; k++) run_pass(m, t, k, find_symbols);
}

// Decoding

// The whole level whose tables the hyperlatent is coded with.
static int nearest_level(const PicoModel *m, int level) {
  const int nearest = (level + 2048) / 4096;
  return nearest < m->levels ? nearest : m->levels - 1;
}

static int read_integers(const PicoModel *m, Tile *t, const uint8_t *payload, size_t length, int level) {
  Reader reader;
  const int nearest = nearest_level(m, level);
  const size_t z = (size_t)t->h * t->w * m->hyper, symbols = (size_t)16 * t->h * t->w * m->latent;
  if (!open_reader(&reader, payload, length)) return PICO_DAMAGED;
  read_channels(&reader, m->hyper_tables + (ptrdiff_t)nearest * m->hyper, m->hyper, t->z, z);
  choose_tables(m, t);
  if (!read_symbols(&reader, m->latent_tables, t->indices, t->symbols, symbols)) return PICO_DAMAGED;
  return is_exhausted(&reader) ? PICO_DONE : PICO_DAMAGED;
}

// Results (width, 48) of a row at 1/4, channels ordered (row, column, colour), into up to four rows of pixels.
static void put_pixels(const uint8_t *patches, int width, int rows, int channels, uint8_t *pixels, ptrdiff_t row_bytes) {
  for (int r = 0; r < rows; r++, pixels += row_bytes)
    for (int x = 0; x < width; x += 4) {
      const uint8_t *p = patches + 12 * x + 12 * r;
      const int columns = width - x < 4 ? width - x : 4;
      if (channels == 3) memcpy(pixels + 3 * x, p, (size_t)(3 * columns));
      else
        for (int c = 0; c < columns; c++) pixels[x + c] = (uint8_t)((p[3 * c] + p[3 * c + 1] + p[3 * c + 2] + 1) / 3);
    }
}

static void run_decoder(const PicoModel *m, Tile *t, int level, int width, int height, int channels, uint8_t *pixels,
                        ptrdiff_t row_bytes) {
  const Kernels *k = m->kernels;
  const int columns = 4 * t->w, latent = m->latent;
  const Gains *gain = &m->decoder.gain_latent;
  gains_at(gain->logarithms, gain->levels, gain->channels, level, t->gain);
  for (int y = 0; y < 4 * t->h; y++) {
    int16_t *row = m->decoder.from_latent.weight ? t->row : row_of(&t->decoder16, y);
    for (int x = 0; x < columns; x++)
      k->gained_values(t->latents + ((ptrdiff_t)y * columns + x) * latent, latent, t->gain, row + (ptrdiff_t)x * latent);
    if (m->decoder.from_latent.weight)
      layer_to_map(k->features, row, latent, &m->decoder.from_latent, m->decoder.from_latent.scale, &t->decoder16, y, columns);
  }
  run_blocks(k, &t->decoder16, &m->decoder.blocks16, t->work);
  gains_at(m->decoder.up8.gain, m->levels, m->decoder.up8.outputs, level, t->gain);
  for (int y = 0; y < 4 * t->h; y++)
    layer_to_two_rows(k->features, row_of(&t->decoder16, y), t->decoder16.channels, &m->decoder.up8, t->gain, &t->decoder8, y, columns);
  run_blocks(k, &t->decoder8, &m->decoder.blocks8, t->work);
  for (int y = 0; y < 8 * t->h; y++)
    layer_to_two_rows(k->features, row_of(&t->decoder8, y), t->decoder8.channels, &m->decoder.up4, m->decoder.up4.scale, &t->decoder4, y,
                      2 * columns);
  run_blocks(k, &t->decoder4, &m->decoder.block4, t->work);
  for (int y = 0; 4 * y < height; y++) {
    Target target = {t->pixels, 48, 48, 0};
    k->bytes(row_of(&t->decoder4, y), 48, 4 * columns, &m->decoder.output, m->decoder.output.scale, target);
    put_pixels(t->pixels, width, height - 4 * y < 4 ? height - 4 * y : 4, channels, pixels + 4 * y * row_bytes, row_bytes);
  }
}

// The tile of a size, in the coder's memory; 0 where the coder is too small for it.
static int prepare(const PicoCoder *coder, int width, int height, int level, Tile *tile) {
  if (!coder || width < 1 || height < 1 || width > coder->side || height > coder->side) return 0;
  if (level < 0 || level > 4096 * (coder->model->levels - 1)) return 0;
  Arena arena = {coder->memory, 0};
  *tile = lay_out(coder->model, &arena, (height + 63) / 64, (width + 63) / 64);
  return 1;
}

int pico_decode(PicoCoder *coder, const uint8_t *payload, size_t length, int width, int height, int channels, int level, uint8_t *pixels,
                ptrdiff_t row_bytes) {
  Tile tile;
  if (!prepare(coder, width, height, level, &tile) || (channels != 1 && channels != 3)) return PICO_WRONG_ARGUMENT;
  const ptrdiff_t row = (ptrdiff_t)width * channels;
  if (height > 1 && row_bytes < row && row_bytes > -row) return PICO_WRONG_ARGUMENT;  // rows would overlap
  const int result = read_integers(coder->model, &tile, payload, length, level);
  if (result != PICO_DONE) return result;
  run_context(coder->model, &tile, 0);
  run_decoder(coder->model, &tile, level, width, height, channels, pixels, row_bytes);
  return PICO_DONE;
}

int pico_read(PicoCoder *coder, const uint8_t *payload, size_t length, int width, int height, int level, int16_t *symbols,
              int16_t *hyperlatent) {
  Tile tile;
  if (!prepare(coder, width, height, level, &tile)) return PICO_WRONG_ARGUMENT;
  const int result = read_integers(coder->model, &tile, payload, length, level);
  if (result != PICO_DONE) return result;
  const size_t z = (size_t)tile.h * tile.w * coder->model->hyper;
  memcpy(symbols, tile.symbols, (size_t)16 * tile.h * tile.w * coder->model->latent * sizeof *symbols);
  memcpy(hyperlatent, tile.z, z * sizeof *hyperlatent);
  return PICO_DONE;
}

// Encoding

// A row of patches of 8x8 pixels less 128, channels ordered (row, column, colour); the borders are repeated outwards.
static void get_patches(const uint8_t *pixels, ptrdiff_t row_bytes, int width, int height, int channels, int y, int count,
                        int16_t *row) {
  for (int r = 0; r < 8; r++) {
    const int from = 8 * y + r < height ? 8 * y + r : height - 1;
    const uint8_t *line = pixels + from * row_bytes;
    for (int x = 0; x < 8 * count; x++) {
      const uint8_t *p = line + (ptrdiff_t)(x < width ? x : width - 1) * channels;
      int16_t *out = row + (ptrdiff_t)(x / 8) * 192 + 24 * r + 3 * (x % 8);
      for (int c = 0; c < 3; c++) out[c] = (int16_t)(p[channels == 3 ? c : 0] - 128);
    }
  }
}

static void run_encoder(const PicoModel *m, Tile *t, int level, const uint8_t *pixels, ptrdiff_t row_bytes, int width, int height,
                        int channels) {
  const Kernels *k = m->kernels;
  const Layer *last = &m->encoder.to_latent, *hyper = &m->encoder.to_hyper;
  for (int y = 0; y < 8 * t->h; y++) {
    get_patches(pixels, row_bytes, width, height, channels, y, 8 * t->w, t->row);
    layer_to_map(k->features, t->row, 192, &m->encoder.input, m->encoder.input.scale, &t->encoder8, y, 8 * t->w);
  }
  run_blocks(k, &t->encoder8, &m->encoder.blocks8, t->work);
  gains_at(m->encoder.gain8.logarithms, m->levels, m->encoder.gain8.channels, level, t->gain);
  for (int y = 0; y < 8 * t->h; y++)
    for (int x = 0; x < 8 * t->w; x++)
      k->gained_features(row_of(&t->encoder8, y) + (ptrdiff_t)x * t->encoder8.channels, t->encoder8.channels, t->gain);
  halve(k, &t->encoder8, &m->encoder.down16, &t->encoder16, t->row);
  run_blocks(k, &t->encoder16, &m->encoder.blocks16, t->work);
  gains_at(last->gain, m->levels, last->outputs, level, t->gain);
  for (int y = 0; y < 4 * t->h; y++) {
    Target target = {t->y + (ptrdiff_t)y * 4 * t->w * m->latent, m->latent, m->latent, 0};
    k->values(row_of(&t->encoder16, y), t->encoder16.channels, 4 * t->w, last, t->gain, target);
  }
  halve(k, &t->encoder16, &m->encoder.down32, &t->encoder32, t->row);
  run_blocks(k, &t->encoder32, &m->encoder.blocks32, t->work);
  halve(k, &t->encoder32, &m->encoder.down64, &t->encoder64, t->row);
  run_blocks(k, &t->encoder64, &m->encoder.blocks64, t->work);
  gains_at(hyper->gain, m->levels, hyper->outputs, level, t->gain);
  const float limit = (float)m->hyper_tables[0].radius;
  for (int y = 0; y < t->h; y++) {
    Target target = {t->values, m->hyper, m->hyper, 0};
    k->values(row_of(&t->encoder64, y), t->encoder64.channels, t->w, hyper, t->gain, target);
    for (int i = 0; i < t->w * m->hyper; i++) {
      float value = t->values[i] > -limit ? t->values[i] : -limit;
      t->z[(ptrdiff_t)y * t->w * m->hyper + i] = (int16_t)rintf(value < limit ? value : limit);
    }
  }
}

size_t pico_most_bytes(const PicoModel *model, int width, int height) {
  if (!model || width < 1 || height < 1 || width > 4096 || height > 4096) return 0;
  const size_t h = (size_t)(height + 63) / 64, w = (size_t)(width + 63) / 64;
  return 8 * words_for(h * w * (16 * (size_t)model->latent + (size_t)model->hyper)) + 24;
}

static int64_t write_integers(const PicoModel *m, const Tile *t, int level, uint8_t *payload, size_t capacity) {
  Writer writer;
  const int nearest = nearest_level(m, level);
  open_writer(&writer, t->words, t->word_count);
  write_symbols(&writer, m->latent_tables, t->indices, t->symbols, (size_t)16 * t->h * t->w * m->latent);
  write_channels(&writer, m->hyper_tables + (ptrdiff_t)nearest * m->hyper, m->hyper, t->z, (size_t)t->h * t->w * m->hyper);
  const size_t bytes = finish_writer(&writer, payload, capacity);
  return bytes ? (int64_t)bytes : PICO_NO_MEMORY;
}

int64_t pico_encode(PicoCoder *coder, const uint8_t *pixels, ptrdiff_t row_bytes, int width, int height, int channels, int level,
                    uint8_t *payload, size_t capacity) {
  Tile t;
  if (!prepare(coder, width, height, level, &t) || (channels != 1 && channels != 3)) return PICO_WRONG_ARGUMENT;
  run_encoder(coder->model, &t, level, pixels, row_bytes, width, height, channels);
  choose_tables(coder->model, &t);
  run_context(coder->model, &t, 1);
  return write_integers(coder->model, &t, level, payload, capacity);
}

int64_t pico_write(PicoCoder *coder, const int16_t *symbols, const int16_t *hyperlatent, int width, int height, int level,
                   uint8_t *payload, size_t capacity) {
  Tile t;
  if (!prepare(coder, width, height, level, &t)) return PICO_WRONG_ARGUMENT;
  const PicoModel *m = coder->model;
  const int limit = m->hyper_tables[0].radius;
  const size_t z = (size_t)t.h * t.w * m->hyper, count = (size_t)16 * t.h * t.w * m->latent;
  for (size_t i = 0; i < z; i++)
    if (hyperlatent[i] < -limit || hyperlatent[i] > limit) return PICO_WRONG_ARGUMENT;
  for (size_t i = 0; i < count; i++)
    if (symbols[i] < -LARGEST_SYMBOL) return PICO_WRONG_ARGUMENT;
  memcpy(t.z, hyperlatent, z * sizeof *t.z);
  memcpy(t.symbols, symbols, count * sizeof *t.symbols);
  choose_tables(m, &t);
  return write_integers(m, &t, level, payload, capacity);
}
