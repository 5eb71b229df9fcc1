// The layers over the vectors of one simd_*.h: each kernels_*.c includes that, and then this.
// It defines KERNELS, the table of functions, under the name that the file chose.

// Bytes of an activation or weight, and how many are multiplied together.
INLINE int bytes_of(Kind kind) { return kind == WIDE ? (int)sizeof(int16_t) : (int)sizeof(Narrow); }
INLINE int group_of(Kind kind) { return 4 / bytes_of(kind); }

// One panel of a product: ROWS positions or fewer, and `vectors` vectors of outputs.

typedef enum { FEATURES, LEAKY_FEATURES, BYTES, LEAKY_NARROW, VALUES, RESIDUAL } Output;

INLINE void store_result(Ints sums, const Layer *layer, const float *scale, int n, Output output, void *start, ptrdiff_t at) {
  Floats values = scaled(sums, scale + n);
  if (output == VALUES) {
    store_floats((float *)start + at, values);
    return;
  }
  if (output == LEAKY_FEATURES || output == LEAKY_NARROW) values = leaked(values);
  Ints rounded = nearest(values);
  if (output == LEAKY_NARROW) rounded = add_ints(rounded, load_ints(layer->zero + n));
  if (output == BYTES) store_u8((uint8_t *)start + at, rounded);
  else if (output == LEAKY_NARROW) store_narrow((Narrow *)start + at, rounded);
  else if (output == RESIDUAL) add_s16((int16_t *)start + at, rounded);
  else store_s16((int16_t *)start + at, rounded);
}

INLINE void panel(const uint8_t *x, ptrdiff_t stride, const uint8_t *weight, const Layer *layer, const float *scale,
                  Kind kind, Output output, Target target, int m, int n, int rows, int vectors) {
  Ints sums[ROWS][4];
  const int groups = layer->inputs / group_of(kind);
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) sums[r][v] = load_ints(layer->bias + n + v * LANES);
  for (int g = 0; g < groups; g++, weight += 4 * LANES * vectors)
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++) {
        const uint8_t *activations = x + r * stride + 4 * g, *w = weight + 4 * LANES * v;
        sums[r][v] = kind == NARROW ? dot_narrow(sums[r][v], (const Narrow *)activations, (const NarrowWeight *)w)
                                    : dot_s16(sums[r][v], (const int16_t *)activations, (const int16_t *)w);
      }
#pragma clang loop unroll(full)
  for (int v = 0; v < vectors; v++) {
    const int k = n + v * LANES, quarter = k / target.inner;
    const ptrdiff_t at = (quarter / 2) * target.below + (quarter % 2) * target.inner + k % target.inner;
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
      store_result(sums[r][v], layer, scale, k, output, target.start, at + (m + r) * target.step);
  }
}

INLINE void panels(const void *x, ptrdiff_t stride, int count, const Layer *layer, const float *scale, Kind kind,
                   Output output, Target target, int vectors) {
  stride *= bytes_of(kind);
  for (int n = 0; n < layer->outputs; n += vectors * LANES) {
    const uint8_t *weight = (const uint8_t *)layer->weight + (ptrdiff_t)n * layer->inputs * bytes_of(kind);
    const uint8_t *p = x;
    int m = 0;
    for (; m + ROWS <= count; m += ROWS, p += ROWS * stride)
      panel(p, stride, weight, layer, scale, kind, output, target, m, n, ROWS, vectors);
    for (; m + 2 <= count; m += 2, p += 2 * stride)
      panel(p, stride, weight, layer, scale, kind, output, target, m, n, 2, vectors);
    for (; m < count; m++, p += stride) panel(p, stride, weight, layer, scale, kind, output, target, m, n, 1, vectors);
  }
}

INLINE void convolve(const void *x, ptrdiff_t stride, int count, const Layer *layer, const float *scale, Kind kind,
                     Output output, Target target) {
  switch (VECTORS(layer->outputs)) {
    case 3: panels(x, stride, count, layer, scale, kind, output, target, 3); break;
    case 2: panels(x, stride, count, layer, scale, kind, output, target, 2); break;
    default: panels(x, stride, count, layer, scale, kind, output, target, 1);
  }
}

static void to_features(const int16_t *x, ptrdiff_t stride, int count, const Layer *layer, const float *scale, Target target) {
  convolve(x, stride, count, layer, scale, WIDE, FEATURES, target);
}
static void to_leaky_features(const int16_t *x, ptrdiff_t stride, int count, const Layer *layer, const float *scale, Target target) {
  convolve(x, stride, count, layer, scale, WIDE, LEAKY_FEATURES, target);
}
static void to_bytes(const int16_t *x, ptrdiff_t stride, int count, const Layer *layer, const float *scale, Target target) {
  convolve(x, stride, count, layer, scale, WIDE, BYTES, target);
}
static void to_values(const int16_t *x, ptrdiff_t stride, int count, const Layer *layer, const float *scale, Target target) {
  convolve(x, stride, count, layer, scale, WIDE, VALUES, target);
}

static int pack(Layer *layer, const void *weight, const int32_t *bias) {
  const int wide = VECTORS(layer->outputs) * LANES, group = group_of(layer->kind), inputs = layer->inputs;
  uint8_t *packed = new_memory((size_t)layer->outputs * inputs * bytes_of(layer->kind));
  layer->bias = new_memory((size_t)layer->outputs * sizeof(int32_t));
  layer->weight = packed;
  if (!packed || !layer->bias) return 0;
  for (int n = 0; n < layer->outputs; n += wide)
    for (int c = 0; c < inputs; c += group)
      for (int i = 0; i < wide; i++, packed += 4)
        for (int k = 0; k < group; k++) {
          const size_t from = (size_t)(n + i) * inputs + c + k;
          if (layer->kind == NARROW) ((NarrowWeight *)packed)[k] = ((const int8_t *)weight)[from];
          else ((int16_t *)packed)[k] = ((const int16_t *)weight)[from];
        }
  for (int n = 0; n < layer->outputs; n++) {
    uint32_t sum = (uint32_t)bias[n];
    if (layer->kind == NARROW)
      for (int c = 0; c < inputs; c++) sum -= (uint32_t)(WEIGHT_OFFSET * ((const int8_t *)weight)[(size_t)n * inputs + c]);
    layer->bias[n] = (int32_t)sum;
  }
  return 1;
}

// The depthwise convolution of one row, as activations of the block's kind. `x` is the row above, one position left.

INLINE void depthwise(const int16_t *x, ptrdiff_t row, int width, const Block *block, Kind kind, void *out) {
  const int channels = block->channels;
  for (int c = 0; c < channels; c += 16) {
    TapPair w[5];
    const int16_t *taps = block->taps + c;
#pragma clang loop unroll(full)
    for (int t = 0; t < 4; t++)
      w[t] = pair_of_taps(load_channels(taps + 2 * t * channels), load_channels(taps + (2 * t + 1) * channels));
    w[4] = pair_of_taps(load_channels(taps + 8 * channels), load_channels(zeros));
    ChannelSums start = load_channel_sums(block->offsets + c);
    const int16_t *p = x + c;
    for (int i = 0; i < width; i++, p += channels) {
      Channels at[9];
#pragma clang loop unroll(full)
      for (int t = 0; t < 9; t++) at[t] = load_channels(p + (t / 3) * row + (t % 3) * channels);
      ChannelSums s = start;
#pragma clang loop unroll(full)
      for (int t = 0; t < 4; t++) s = add_taps(s, at[2 * t], at[2 * t + 1], w[t]);
      s = add_taps(s, at[8], at[8], w[4]);
      if (kind == NARROW) store_shifted_narrow((Narrow *)out + (size_t)i * channels + c, s, block->shift);
      else store_shifted_s16((int16_t *)out + (size_t)i * channels + c, s, block->shift);
    }
  }
}

INLINE void residual_block(const Map *map, const Block *block, Kind kind, uint8_t *work) {
  const int width = map->width, channels = map->channels, hidden = block->expand.outputs;
  const size_t bytes = (size_t)width * channels * bytes_of(kind);
  uint8_t *spatial[2] = {work, work + bytes}, *expanded = work + 2 * bytes;
  const ptrdiff_t row = row_length(map);
  for (int y = 0; y <= map->height; y++) {
    // A row is finished once the depthwise convolution of the next one has read it.
    if (y < map->height) depthwise(map->corner + y * row, row, width, block, kind, spatial[y & 1]);
    if (y == 0) continue;
    Target inside = {expanded, hidden, hidden, 0}, outside = {row_of(map, y - 1), channels, channels, 0};
    convolve(spatial[(y - 1) & 1], channels, width, &block->expand, block->expand.scale, kind,
             kind == NARROW ? LEAKY_NARROW : LEAKY_FEATURES, inside);
    convolve(expanded, hidden, width, &block->project, block->project.scale, kind, RESIDUAL, outside);
  }
}

static void run_block(const Map *map, const Block *block, uint8_t *work) {
  if (block->expand.kind == NARROW) residual_block(map, block, NARROW, work);
  else residual_block(map, block, WIDE, work);
}

// Element by element. The compiler makes vectors of these loops; it must not contract a product and a sum.

INLINE float between(float v, float low, float high) { v = v > low ? v : low; return v < high ? v : high; }

static void gained_features(int16_t *restrict x, int channels, const float *restrict gain) {
  for (int c = 0; c < channels; c++) x[c] = (int16_t)rintf(between((float)x[c] * gain[c], -32768, 32767));
}

static void gained_values(const float *restrict x, int channels, const float *restrict gain, int16_t *restrict out) {
  for (int c = 0; c < channels; c++) out[c] = (int16_t)rintf(between(x[c] * gain[c], -32768, 32767));
}

static void to_latents(const float *restrict values, int channels, const float *restrict steps, int step_count,
                       const int16_t *restrict symbols, float *restrict latents) {
  const float last = (float)(step_count - 1);
  for (int c = 0; c < channels; c++) {
    float step = steps[(int)rintf(between(values[channels + c], 0, last))];
    float offset = (float)symbols[c] * step;
    latents[c] = values[c] + offset;
  }
}

static void to_symbols(const float *restrict values, int channels, const float *restrict steps, int step_count,
                       const float *restrict y, int16_t *restrict symbols, float *restrict latents) {
  const float last = (float)(step_count - 1);
  for (int c = 0; c < channels; c++) {
    float step = steps[(int)rintf(between(values[channels + c], 0, last))];
    float difference = y[c] - values[c];
    float symbol = rintf(between(difference / step, -32767, 32767));
    symbols[c] = (int16_t)symbol;
    float offset = symbol * step;
    latents[c] = values[c] + offset;
  }
}

const Kernels KERNELS = {
    NAME,  pack,  to_features,     to_leaky_features, to_bytes,   to_values,
    run_block, gained_features, gained_values,     to_latents, to_symbols,
};
