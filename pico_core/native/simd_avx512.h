// Vectors of sixteen numbers: AVX-512 with VNNI. See simd_portable.h.

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define LANES 16
#define ROWS 8
#define VECTORS(outputs) ((outputs) % 48 == 0 ? 3 : (outputs) % 32 == 0 ? 2 : 1)
#define WEIGHT_OFFSET 0

typedef uint8_t Narrow;
typedef int8_t NarrowWeight;

typedef __m512i Ints;
typedef __m512 Floats;

INLINE Ints load_ints(const int32_t *p) { return _mm512_loadu_si512(p); }
INLINE Ints repeated(const void *p) { int32_t v; memcpy(&v, p, 4); return _mm512_set1_epi32(v); }
INLINE Ints dot_narrow(Ints sum, const Narrow *x, const NarrowWeight *w) {
  return _mm512_dpbusd_epi32(sum, repeated(x), _mm512_loadu_si512(w));
}
// Named in assembly, because LLVM makes two slower instructions of the intrinsic.
INLINE Ints multiply_add_s16(Ints sum, Ints x, Ints w) {
  __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
  return sum;
}
INLINE Ints dot_s16(Ints sum, const int16_t *x, const int16_t *w) {
  return multiply_add_s16(sum, repeated(x), _mm512_loadu_si512(w));
}
INLINE Floats scaled(Ints v, const float *scale) { return _mm512_mul_ps(_mm512_cvtepi32_ps(v), _mm512_loadu_ps(scale)); }
INLINE Floats leaked(Floats v) { return _mm512_max_ps(v, _mm512_mul_ps(v, _mm512_set1_ps(0.1f))); }
INLINE Ints nearest(Floats v) { return _mm512_cvtps_epi32(v); }
INLINE Ints add_ints(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
INLINE void store_u8(uint8_t *p, Ints v) {
  _mm_storeu_si128((__m128i *)p, _mm512_cvtusepi32_epi8(_mm512_max_epi32(v, _mm512_setzero_si512())));
}
INLINE void store_narrow(Narrow *p, Ints v) { store_u8(p, v); }
INLINE void store_s16(int16_t *p, Ints v) { _mm256_storeu_si256((__m256i *)p, _mm512_cvtsepi32_epi16(v)); }
INLINE void store_floats(float *p, Floats v) { _mm512_storeu_ps(p, v); }
INLINE void add_s16(int16_t *p, Ints v) {
  __m256i *q = (__m256i *)p;
  _mm256_storeu_si256(q, _mm256_adds_epi16(_mm256_loadu_si256(q), _mm512_cvtsepi32_epi16(v)));
}

#include "simd_channels.h"
