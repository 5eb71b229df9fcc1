// Vectors of eight numbers: NEON, with or without its dot products. See simd_portable.h.

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#define LANES 8
#define ROWS 4
#define VECTORS(outputs) 2
#define WEIGHT_OFFSET (-128)  // uint8 becomes int8

typedef uint8_t Narrow;
typedef int8_t NarrowWeight;

typedef struct { int32x4_t low, high; } Ints;
typedef struct { float32x4_t low, high; } Floats;

INLINE Ints load_ints(const int32_t *p) { return (Ints){vld1q_s32(p), vld1q_s32(p + 4)}; }

// Four bytes of activations, which lie at multiples of four.
INLINE int32x2_t repeated(const void *p) { return vld1_dup_s32((const int32_t *)p); }
INLINE int8x8_t less_128(const uint8_t *x) { return vreinterpret_s8_u8(veor_u8(vreinterpret_u8_s32(repeated(x)), vdup_n_u8(128))); }

#ifdef WITH_DOT_PRODUCTS
INLINE Ints dot_narrow(Ints sum, const Narrow *x, const NarrowWeight *w) {
  const int8x8_t a = less_128(x);
  return (Ints){vdotq_lane_s32(sum.low, vld1q_s8(w), a, 0), vdotq_lane_s32(sum.high, vld1q_s8(w + 16), a, 0)};
}
#else
INLINE Ints dot_narrow(Ints sum, const Narrow *x, const NarrowWeight *w) {
  // Weights are at most 63, so that four products fit 16 bits.
  const int8x8_t a = less_128(x);
  const int8x8x4_t of = vld4_s8(w);
  int16x8_t four = vmull_s8(of.val[0], vdup_lane_s8(a, 0));
  four = vmlal_s8(four, of.val[1], vdup_lane_s8(a, 1));
  four = vmlal_s8(four, of.val[2], vdup_lane_s8(a, 2));
  four = vmlal_s8(four, of.val[3], vdup_lane_s8(a, 3));
  return (Ints){vaddw_s16(sum.low, vget_low_s16(four)), vaddw_high_s16(sum.high, four)};
}
#endif

INLINE Ints dot_s16(Ints sum, const int16_t *x, const int16_t *w) {
  const int16x4_t a = vreinterpret_s16_s32(repeated(x));
  const int16x8x2_t of = vld2q_s16(w);
  sum.low = vmlal_lane_s16(sum.low, vget_low_s16(of.val[0]), a, 0);
  sum.high = vmlal_high_lane_s16(sum.high, of.val[0], a, 0);
  sum.low = vmlal_lane_s16(sum.low, vget_low_s16(of.val[1]), a, 1);
  sum.high = vmlal_high_lane_s16(sum.high, of.val[1], a, 1);
  return sum;
}

INLINE Floats scaled(Ints v, const float *scale) {
  return (Floats){vmulq_f32(vcvtq_f32_s32(v.low), vld1q_f32(scale)), vmulq_f32(vcvtq_f32_s32(v.high), vld1q_f32(scale + 4))};
}
INLINE Floats leaked(Floats v) {
  return (Floats){vmaxq_f32(v.low, vmulq_n_f32(v.low, 0.1f)), vmaxq_f32(v.high, vmulq_n_f32(v.high, 0.1f))};
}
INLINE Ints nearest(Floats v) { return (Ints){vcvtnq_s32_f32(v.low), vcvtnq_s32_f32(v.high)}; }
INLINE Ints add_ints(Ints a, Ints b) { return (Ints){vaddq_s32(a.low, b.low), vaddq_s32(a.high, b.high)}; }

INLINE int16x8_t packed_s16(Ints v) { return vqmovn_high_s32(vqmovn_s32(v.low), v.high); }
INLINE void store_u8(uint8_t *p, Ints v) { vst1_u8(p, vqmovun_s16(packed_s16(v))); }
INLINE void store_narrow(Narrow *p, Ints v) { store_u8(p, v); }
INLINE void store_s16(int16_t *p, Ints v) { vst1q_s16(p, packed_s16(v)); }
INLINE void store_floats(float *p, Floats v) {
  vst1q_f32(p, v.low);
  vst1q_f32(p + 4, v.high);
}
INLINE void add_s16(int16_t *p, Ints v) { vst1q_s16(p, vqaddq_s16(vld1q_s16(p), packed_s16(v))); }

// For the depthwise convolution: 16 channels.
typedef struct { int16x8_t low, high; } Channels;
typedef struct { Ints low, high; } ChannelSums;
typedef struct { Channels first, second; } TapPair;

INLINE Channels load_channels(const int16_t *p) { return (Channels){vld1q_s16(p), vld1q_s16(p + 8)}; }
INLINE TapPair pair_of_taps(Channels first, Channels second) { return (TapPair){first, second}; }
INLINE ChannelSums load_channel_sums(const int32_t *p) { return (ChannelSums){load_ints(p), load_ints(p + 8)}; }
INLINE Ints multiply_add(Ints sum, int16x8_t x, int16x8_t w) {
  return (Ints){vmlal_s16(sum.low, vget_low_s16(x), vget_low_s16(w)), vmlal_high_s16(sum.high, x, w)};
}
INLINE ChannelSums add_taps(ChannelSums s, Channels a, Channels b, TapPair w) {
  s.low = multiply_add(multiply_add(s.low, a.low, w.first.low), b.low, w.second.low);
  s.high = multiply_add(multiply_add(s.high, a.high, w.first.high), b.high, w.second.high);
  return s;
}
INLINE Ints shifted(Ints v, int shift) {
  const int32x4_t by = vdupq_n_s32(-shift);  // to the right
  return (Ints){vshlq_s32(v.low, by), vshlq_s32(v.high, by)};
}
INLINE void store_shifted_narrow(Narrow *p, ChannelSums s, int shift) {
  store_u8(p, shifted(s.low, shift));
  store_u8(p + 8, shifted(s.high, shift));
}
INLINE void store_shifted_s16(int16_t *p, ChannelSums s, int shift) {
  store_s16(p, shifted(s.low, shift));
  store_s16(p + 8, shifted(s.high, shift));
}
