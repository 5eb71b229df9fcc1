// The layers of the networks, as each instruction set computes them, bit by bit the same.
// docs/format.md, "Arithmetic", says what they compute.

#ifndef PICO_KERNELS_H
#define PICO_KERNELS_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>

// Each operation on floats is rounded by itself, or results would depend on the processor.
#pragma STDC FP_CONTRACT OFF
_Static_assert(FLT_EVAL_METHOD == 0, "floats must be computed as floats, not as something longer");

#define INLINE static inline __attribute__((always_inline, unused))

// What a layer's activations are: int16 (weights int16), or uint8 (weights int8, at most 63).
typedef enum { WIDE, NARROW } Kind;

// A 1x1 convolution. Weights are packed for one instruction set.
typedef struct {
  int inputs, outputs;
  Kind kind;
  void *weight;          // [outputs / panel][inputs / group][panel][group]; a group of weights has four bytes
  int32_t *bias;         // [outputs]
  const float *scale;    // [outputs]; NULL where it depends on the level
  const int32_t *gain;   // [levels][outputs], binary logarithms in 1/65536; NULL where it does not
  const int32_t *zero;   // [outputs], added to rounded results; NULL: none
} Layer;

// A residual block: depthwise 3x3, 1x1, leaky ReLU, 1x1, added to its input.
typedef struct {
  int channels, shift;
  const int16_t *taps;     // [9][channels]
  const int32_t *offsets;  // [channels], the bias of the depthwise convolution
  Layer expand, project;
} Block;

// A map of int16 features with a border of zeros one position wide.
typedef struct {
  int height, width, channels;
  int16_t *corner;  // of the border
} Map;

INLINE ptrdiff_t row_length(const Map *map) { return (ptrdiff_t)(map->width + 2) * map->channels; }
INLINE int16_t *row_of(const Map *map, int y) { return map->corner + (y + 1) * row_length(map) + map->channels; }

// Where a layer's results for a row of positions go: position m, output n lies at
//     start + (n / inner / 2) * below + m * step + (n / inner % 2) * inner + n % inner
// so that outputs ordered (row, column, channel) are spread over two rows of twice as many positions.
typedef struct {
  void *start;
  int inner;
  ptrdiff_t step, below;
} Target;

typedef struct {
  const char *name;
  // Packs weights (outputs, inputs) and corrects the bias; returns 0 where there is no memory.
  int (*pack)(Layer *layer, const void *weight, const int32_t *bias);
  // One row of `count` positions, `stride` apart, through a layer of the wide kind.
  void (*features)(const int16_t *x, ptrdiff_t stride, int count, const Layer *, const float *scale, Target);  // to int16
  void (*leaky_features)(const int16_t *x, ptrdiff_t stride, int count, const Layer *, const float *scale, Target);
  void (*bytes)(const int16_t *x, ptrdiff_t stride, int count, const Layer *, const float *scale, Target);  // to uint8
  void (*values)(const int16_t *x, ptrdiff_t stride, int count, const Layer *, const float *scale, Target);  // to float32
  // A block, in place. `work` has room for block_work(width, channels, hidden) bytes.
  void (*block)(const Map *, const Block *, uint8_t *work);
  // Numbers times a factor for each channel, rounded, as int16: features in place, and latents.
  void (*gained_features)(int16_t *x, int channels, const float *gain);
  void (*gained_values)(const float *x, int channels, const float *gain, int16_t *out);
  // Mean and step of one position: `values` has `channels` means, then as many places in the table of steps.
  // Decoding: latents of the symbols. Encoding: symbols of y, and their latents.
  void (*latents)(const float *values, int channels, const float *steps, int step_count, const int16_t *symbols, float *latents);
  void (*symbols)(const float *values, int channels, const float *steps, int step_count, const float *y, int16_t *symbols, float *latents);
} Kernels;

INLINE size_t block_work(int width, int channels, int hidden) {
  return (size_t)width * (2 * channels + hidden) * sizeof(int16_t) + 64;
}

extern const Kernels portable_kernels;
// The fastest kernels that this processor runs, or those of a name; NULL if it has none of that name.
const Kernels *choose_kernels(const char *name);

#endif
