// 16 channels of the depthwise convolution at once, for processors with AVX2 or more. See simd_portable.h.

typedef __m256i Channels;
typedef struct { __m256i low, high; } ChannelSums;  // of channels 0-3, 8-11 and 4-7, 12-15: as unpacking leaves them
typedef ChannelSums TapPair;

INLINE Channels load_channels(const int16_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE TapPair pair_of_taps(Channels first, Channels second) {
  return (TapPair){_mm256_unpacklo_epi16(first, second), _mm256_unpackhi_epi16(first, second)};
}
INLINE ChannelSums load_channel_sums(const int32_t *p) {
  __m256i a = _mm256_loadu_si256((const __m256i *)p), b = _mm256_loadu_si256((const __m256i *)(p + 8));
  return (ChannelSums){_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31)};
}
INLINE ChannelSums add_taps(ChannelSums s, Channels a, Channels b, TapPair w) {
  TapPair x = pair_of_taps(a, b);
  return (ChannelSums){_mm256_add_epi32(s.low, _mm256_madd_epi16(x.low, w.low)),
                       _mm256_add_epi32(s.high, _mm256_madd_epi16(x.high, w.high))};
}
INLINE __m256i shifted(ChannelSums s, int shift) {
  __m128i by = _mm_cvtsi32_si128(shift);
  return _mm256_packs_epi32(_mm256_sra_epi32(s.low, by), _mm256_sra_epi32(s.high, by));
}
INLINE void store_shifted_narrow(Narrow *p, ChannelSums s, int shift) {
  __m256i words = shifted(s, shift);
  __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128((__m128i *)p, bytes);
}
INLINE void store_shifted_s16(int16_t *p, ChannelSums s, int shift) {
  _mm256_storeu_si256((__m256i *)p, shifted(s, shift));
}
