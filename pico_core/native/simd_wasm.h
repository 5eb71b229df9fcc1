// Vectors of four numbers: WebAssembly with SIMD (128 bits). See simd_portable.h.

#include <stdint.h>
#include <string.h>
#include <wasm_simd128.h>

#define LANES 4
#define ROWS 4
#define VECTORS(outputs) 2
#define WEIGHT_OFFSET 0

// There are no products of bytes: the narrow kind lies in memory as int16.
typedef int16_t Narrow;
typedef int16_t NarrowWeight;

typedef v128_t Ints;
typedef v128_t Floats;

INLINE Ints load_ints(const int32_t *p) { return wasm_v128_load(p); }

INLINE Ints dot_s16(Ints sum, const int16_t *x, const int16_t *w) {
  return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(wasm_v128_load32_splat(x), wasm_v128_load(w)));
}

INLINE Ints dot_narrow(Ints sum, const Narrow *x, const NarrowWeight *w) { return dot_s16(sum, x, w); }

INLINE Floats scaled(Ints v, const float *scale) { return wasm_f32x4_mul(wasm_f32x4_convert_i32x4(v), wasm_v128_load(scale)); }
INLINE Floats leaked(Floats v) { return wasm_f32x4_pmax(v, wasm_f32x4_mul(v, wasm_f32x4_const_splat(0.1f))); }
INLINE Ints nearest(Floats v) { return wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(v)); }
INLINE Ints add_ints(Ints a, Ints b) { return wasm_i32x4_add(a, b); }

INLINE v128_t packed_s16(Ints v) { return wasm_i16x8_narrow_i32x4(v, v); }
INLINE void store_u8(uint8_t *p, Ints v) {
  const v128_t words = packed_s16(v);
  wasm_v128_store32_lane(p, wasm_u8x16_narrow_i16x8(words, words), 0);
}
INLINE void store_s16(int16_t *p, Ints v) { wasm_v128_store64_lane(p, packed_s16(v), 0); }
INLINE v128_t limited_to_byte(v128_t words) {
  return wasm_i16x8_min(wasm_i16x8_max(words, wasm_i16x8_const_splat(0)), wasm_i16x8_const_splat(255));
}
INLINE void store_narrow(Narrow *p, Ints v) { wasm_v128_store64_lane(p, limited_to_byte(packed_s16(v)), 0); }
INLINE void store_floats(float *p, Floats v) { wasm_v128_store(p, v); }
INLINE void add_s16(int16_t *p, Ints v) {
  wasm_v128_store64_lane(p, wasm_i16x8_add_sat(wasm_v128_load64_zero(p), packed_s16(v)), 0);
}

// For the depthwise convolution: 16 channels, which unpacking takes in fours.
typedef struct { v128_t low, high; } Channels;
typedef struct { v128_t at[4]; } ChannelSums;
typedef ChannelSums TapPair;

INLINE Channels load_channels(const int16_t *p) { return (Channels){wasm_v128_load(p), wasm_v128_load(p + 8)}; }
INLINE v128_t low_pairs(v128_t a, v128_t b) { return wasm_i16x8_shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11); }
INLINE v128_t high_pairs(v128_t a, v128_t b) { return wasm_i16x8_shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15); }
INLINE TapPair pair_of_taps(Channels a, Channels b) {
  return (TapPair){{low_pairs(a.low, b.low), high_pairs(a.low, b.low), low_pairs(a.high, b.high), high_pairs(a.high, b.high)}};
}
INLINE ChannelSums load_channel_sums(const int32_t *p) {
  return (ChannelSums){{wasm_v128_load(p), wasm_v128_load(p + 4), wasm_v128_load(p + 8), wasm_v128_load(p + 12)}};
}
INLINE ChannelSums add_taps(ChannelSums s, Channels a, Channels b, TapPair w) {
  const TapPair x = pair_of_taps(a, b);
  for (int i = 0; i < 4; i++) s.at[i] = wasm_i32x4_add(s.at[i], wasm_i32x4_dot_i16x8(x.at[i], w.at[i]));
  return s;
}
INLINE v128_t shifted(Ints a, Ints b, int shift) {
  return wasm_i16x8_narrow_i32x4(wasm_i32x4_shr(a, (uint32_t)shift), wasm_i32x4_shr(b, (uint32_t)shift));
}
INLINE void store_shifted_narrow(Narrow *p, ChannelSums s, int shift) {
  wasm_v128_store(p, limited_to_byte(shifted(s.at[0], s.at[1], shift)));
  wasm_v128_store(p + 8, limited_to_byte(shifted(s.at[2], s.at[3], shift)));
}
INLINE void store_shifted_s16(int16_t *p, ChannelSums s, int shift) {
  wasm_v128_store(p, shifted(s.at[0], s.at[1], shift));
  wasm_v128_store(p + 8, shifted(s.at[2], s.at[3], shift));
}
