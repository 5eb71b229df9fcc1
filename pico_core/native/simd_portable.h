// Vectors of four numbers in plain C, for processors without a file of their own. What each function computes is
// explained here; the other simd_*.h compute the same, bit by bit.

#include <math.h>
#include <stdint.h>
#include <string.h>

#define NAME "portable"
#define LANES 4          // numbers in a vector
#define ROWS 4           // positions that a product takes at once
#define VECTORS(outputs) 1  // vectors of outputs that a product takes at once
#define WEIGHT_OFFSET 0  // is added to activations of 8 bits before they are multiplied, and taken off the bias

// Activations and weights of the narrow kind, as they lie in memory.
typedef uint8_t Narrow;
typedef int8_t NarrowWeight;

typedef struct { int32_t at[LANES]; } Ints;
typedef struct { float at[LANES]; } Floats;

// LANES sums from memory.
INLINE Ints load_ints(const int32_t *p) { Ints v; memcpy(v.at, p, sizeof v.at); return v; }

// Sums of products of four activations (0 to 255, the same for all lanes) with weights [LANES][4].
INLINE Ints dot_narrow(Ints sum, const Narrow *x, const NarrowWeight *w) {
  for (int i = 0; i < LANES; i++)
    for (int k = 0; k < 4; k++) sum.at[i] = (int32_t)((uint32_t)sum.at[i] + (uint32_t)(x[k] * w[4 * i + k]));
  return sum;
}

// Sums of products of two activations (int16, the same for all lanes) with weights [LANES][2] of int16.
INLINE Ints dot_s16(Ints sum, const int16_t *x, const int16_t *w) {
  for (int i = 0; i < LANES; i++)
    for (int k = 0; k < 2; k++) sum.at[i] = (int32_t)((uint32_t)sum.at[i] + (uint32_t)(x[k] * w[2 * i + k]));
  return sum;
}

// Sums as float32, times a factor for each lane.
INLINE Floats scaled(Ints v, const float *scale) {
  Floats f;
  for (int i = 0; i < LANES; i++) f.at[i] = (float)v.at[i] * scale[i];
  return f;
}

// Leaky ReLU.
INLINE Floats leaked(Floats v) {
  for (int i = 0; i < LANES; i++) { float leak = v.at[i] * 0.1f; v.at[i] = v.at[i] > leak ? v.at[i] : leak; }
  return v;
}

// The nearest integers, halves to even. Callers see to it that they fit 32 bits.
INLINE Ints nearest(Floats v) {
  Ints n;
  for (int i = 0; i < LANES; i++) n.at[i] = (int32_t)rintf(v.at[i]);
  return n;
}

INLINE Ints add_ints(Ints a, Ints b) {
  for (int i = 0; i < LANES; i++) a.at[i] += b.at[i];
  return a;
}

INLINE int32_t limited(int32_t v, int32_t low, int32_t high) { return v < low ? low : v > high ? high : v; }

// Stores, each number moved to the nearest that its type holds.
INLINE void store_u8(uint8_t *p, Ints v) { for (int i = 0; i < LANES; i++) p[i] = (uint8_t)limited(v.at[i], 0, 255); }
INLINE void store_narrow(Narrow *p, Ints v) { store_u8(p, v); }
INLINE void store_s16(int16_t *p, Ints v) {
  for (int i = 0; i < LANES; i++) p[i] = (int16_t)limited(v.at[i], -32768, 32767);
}
INLINE void store_floats(float *p, Floats v) { memcpy(p, v.at, sizeof v.at); }

// Adds v, limited to int16, to numbers of int16 in memory; the result is limited again.
INLINE void add_s16(int16_t *p, Ints v) {
  for (int i = 0; i < LANES; i++) p[i] = (int16_t)limited(p[i] + limited(v.at[i], -32768, 32767), -32768, 32767);
}

// For the depthwise convolution: 16 channels at once. Two of its nine taps are taken together.
typedef struct { int16_t at[16]; } Channels;
typedef struct { int32_t at[16]; } ChannelSums;
typedef struct { Channels first, second; } TapPair;

INLINE Channels load_channels(const int16_t *p) { Channels c; memcpy(c.at, p, sizeof c.at); return c; }
INLINE TapPair pair_of_taps(Channels first, Channels second) { return (TapPair){first, second}; }
INLINE ChannelSums load_channel_sums(const int32_t *p) { ChannelSums s; memcpy(s.at, p, sizeof s.at); return s; }
INLINE ChannelSums add_taps(ChannelSums s, Channels a, Channels b, TapPair w) {
  for (int i = 0; i < 16; i++)
    s.at[i] = (int32_t)((uint32_t)s.at[i] + (uint32_t)(a.at[i] * w.first.at[i]) + (uint32_t)(b.at[i] * w.second.at[i]));
  return s;
}
INLINE void store_shifted_narrow(Narrow *p, ChannelSums s, int shift) {
  for (int i = 0; i < 16; i++) p[i] = (uint8_t)limited(s.at[i] >> shift, 0, 255);
}
INLINE void store_shifted_s16(int16_t *p, ChannelSums s, int shift) {
  for (int i = 0; i < 16; i++) p[i] = (int16_t)limited(s.at[i] >> shift, -32768, 32767);
}
