// Codes tiles of many sizes and prints what came out, as a hash for each tile: the same lines on every processor.
//
//     tiles MODEL-FILE KERNELS [SIDE]     KERNELS: avx2, neon, ..., or best; SIDE: one square tile, and its time on stderr

#include <time.h>

#include "model_file.h"

static const int sizes[][2] = {{1, 1}, {64, 64}, {1, 130}, {65, 63}, {128, 7}, {190, 129}};  // width, height

static uint64_t hash_of(const uint8_t *p, size_t length) {  // FNV-1a
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < length; i++) hash = (hash ^ p[i]) * 1099511628211u;
  return hash;
}

// A gradient, edges, and noise in one half.
static void paint(uint8_t *pixels, int width, int height, int channels) {
  uint32_t noise = 12345;
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++)
      for (int c = 0; c < channels; c++) {
        noise = noise * 1664525u + 1013904223u;
        int value = 3 * x + (2 - c) * y + ((x / 9 + y / 13) % 3 ? 0 : 90);
        if (x > width / 2) value += (int)(noise >> 25);
        *pixels++ = (uint8_t)value;
      }
}

static double seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

static int code_tile(const PicoModel *model, int width, int height, int channels, int level, int repetitions) {
  const size_t room = pico_most_bytes(model, width, height), pixel_bytes = (size_t)width * height * channels;
  uint8_t *pixels = malloc(pixel_bytes), *payload = malloc(room);
  PicoCoder *coder = pico_coder_new(model, width > height ? width : height);
  if (!coder || !pixels || !payload) return 0;
  paint(pixels, width, height, channels);
  double encoding = 0, decoding = 0;
  int64_t length = 0;
  int result = 0;
  for (int i = 0; i < repetitions; i++) {
    if (i) paint(pixels, width, height, channels);
    const double start = seconds();
    length = pico_encode(coder, pixels, (ptrdiff_t)width * channels, width, height, channels, level, payload, room);
    const double middle = seconds();
    result = length < 0 ? (int)length
                        : pico_decode(coder, payload, (size_t)length, width, height, channels, level, pixels, (ptrdiff_t)width * channels);
    if (i == 0 && repetitions > 1) continue;  // the first time warms up
    encoding += middle - start;
    decoding += seconds() - middle;
  }
  const size_t written = length > 0 ? (size_t)length : 0;
  printf("%dx%dx%d level %d: %d, %lld bytes %016llx, pixels %016llx\n", width, height, channels, level, result, (long long)length,
         (unsigned long long)hash_of(payload, written), (unsigned long long)hash_of(pixels, pixel_bytes));
  if (repetitions > 1)
    fprintf(stderr, "encoding %.1f ms, decoding %.1f ms\n", 1000 * encoding / (repetitions - 1), 1000 * decoding / (repetitions - 1));
  pico_coder_free(coder);
  free(payload);
  free(pixels);
  return 1;
}

int main(int count, char **arguments) {
  static ModelFile file;
  PicoModel *model;
  char why[200] = "";
  if (count < 3 || !read_model_file(arguments[1], &file)) {
    fprintf(stderr, "usage: tiles MODEL-FILE KERNELS [SIDE]\n");
    return 2;
  }
  const char *kernels = strcmp(arguments[2], "best") ? arguments[2] : 0;
  const int result = pico_model_new(file.array, file.count, kernels, &model, why, sizeof why);
  if (result) {
    fprintf(stderr, "%d: %s\n", result, why);
    return 3;
  }
  fprintf(stderr, "kernels: %s\n", pico_model_kernels(model));
  if (count > 3) return code_tile(model, atoi(arguments[3]), atoi(arguments[3]), 3, 6000, 12) ? 0 : 1;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (int channels = 1; channels <= 3; channels += 2)
      for (int level = 0; level <= 8192; level += 2731)
        if (!code_tile(model, sizes[i][0], sizes[i][1], channels, level, 1)) return 1;
  pico_model_free(model);
  free(file.contents);
  return 0;
}
