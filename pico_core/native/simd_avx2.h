// Vectors of eight numbers: AVX2, with or without the products of AVX-VNNI. See simd_portable.h.

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define LANES 8
#define ROWS 6
#define VECTORS(outputs) 2
#define WEIGHT_OFFSET 0

typedef uint8_t Narrow;
typedef int8_t NarrowWeight;

typedef __m256i Ints;
typedef __m256 Floats;

INLINE Ints load_ints(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE Ints repeated(const void *p) { int32_t v; memcpy(&v, p, 4); return _mm256_set1_epi32(v); }

#ifdef WITH_VNNI
INLINE Ints multiply_add_u8(Ints sum, Ints x, Ints w) { return _mm256_dpbusd_avx_epi32(sum, x, w); }
// Named in assembly, because LLVM makes two slower instructions of the intrinsic.
INLINE Ints multiply_add_s16(Ints sum, Ints x, Ints w) {
  __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sum) : "x"(x), "x"(w));
  return sum;
}
#else
INLINE Ints multiply_add_u8(Ints sum, Ints x, Ints w) {
  // Weights are at most 63, so that two products fit 16 bits.
  return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), _mm256_set1_epi16(1)));
}
INLINE Ints multiply_add_s16(Ints sum, Ints x, Ints w) { return _mm256_add_epi32(sum, _mm256_madd_epi16(x, w)); }
#endif

INLINE Ints dot_narrow(Ints sum, const Narrow *x, const NarrowWeight *w) {
  return multiply_add_u8(sum, repeated(x), _mm256_loadu_si256((const __m256i *)w));
}
INLINE Ints dot_s16(Ints sum, const int16_t *x, const int16_t *w) {
  return multiply_add_s16(sum, repeated(x), _mm256_loadu_si256((const __m256i *)w));
}

INLINE Floats scaled(Ints v, const float *scale) { return _mm256_mul_ps(_mm256_cvtepi32_ps(v), _mm256_loadu_ps(scale)); }
INLINE Floats leaked(Floats v) { return _mm256_max_ps(v, _mm256_mul_ps(v, _mm256_set1_ps(0.1f))); }
INLINE Ints nearest(Floats v) { return _mm256_cvtps_epi32(v); }
INLINE Ints add_ints(Ints a, Ints b) { return _mm256_add_epi32(a, b); }

INLINE __m128i packed_s16(Ints v) {
  return _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}
INLINE void store_u8(uint8_t *p, Ints v) {
  __m128i words = packed_s16(v);
  _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(words, words));
}
INLINE void store_narrow(Narrow *p, Ints v) { store_u8(p, v); }
INLINE void store_s16(int16_t *p, Ints v) { _mm_storeu_si128((__m128i *)p, packed_s16(v)); }
INLINE void store_floats(float *p, Floats v) { _mm256_storeu_ps(p, v); }
INLINE void add_s16(int16_t *p, Ints v) {
  __m128i *q = (__m128i *)p;
  _mm_storeu_si128(q, _mm_adds_epi16(_mm_loadu_si128(q), packed_s16(v)));
}

#include "simd_channels.h"
