// Which kernels this processor runs.

#include <string.h>

#include "kernels.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>

extern const Kernels avx2_kernels, avxvnni_kernels, avx512_kernels;

// The registers that the system saves: bits 1 and 2 for AVX, also 5, 6 and 7 for AVX-512.
static unsigned saved_registers(void) {
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

static int bit(unsigned word, int index) { return (int)(word >> index & 1); }

static int runs(const char *name) {
  unsigned a, b, c, d, leaf1_c;
  if (!__get_cpuid(1, &a, &b, &leaf1_c, &d) || !bit(leaf1_c, 27)) return 0;  // OSXSAVE
  const unsigned saved = saved_registers();
  if ((saved & 6) != 6 || !bit(leaf1_c, 12) || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !bit(b, 5)) return 0;
  if (!strcmp(name, "avx2")) return 1;
  if (!strcmp(name, "avx512"))  // F, DQ, BW, VL and VNNI
    return (saved & 0xe6) == 0xe6 && bit(b, 16) && bit(b, 17) && bit(b, 30) && bit(b, 31) && bit(c, 11);
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && bit(a, 4);  // AVX-VNNI
}

static const Kernels *const fastest_first[] = {&avx512_kernels, &avxvnni_kernels, &avx2_kernels, &portable_kernels};

#elif defined(__aarch64__) || defined(_M_ARM64)
extern const Kernels neon_kernels, dotprod_kernels;
#if defined(__linux__)
#include <sys/auxv.h>
static int has_dot_products(void) { return (int)(getauxval(AT_HWCAP) >> 20 & 1); }  // HWCAP_ASIMDDP
#elif defined(__APPLE__)
static int has_dot_products(void) { return 1; }  // as every Mac with arm64 has
#elif defined(_WIN32)
__declspec(dllimport) int __stdcall IsProcessorFeaturePresent(unsigned long feature);
static int has_dot_products(void) { return IsProcessorFeaturePresent(43); }  // PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE
#else
static int has_dot_products(void) { return 0; }
#endif
static int runs(const char *name) { return strcmp(name, "dotprod") || has_dot_products(); }
static const Kernels *const fastest_first[] = {&dotprod_kernels, &neon_kernels, &portable_kernels};

#elif defined(__wasm_simd128__)
extern const Kernels wasm_kernels;
static int runs(const char *name) { return name != 0; }
static const Kernels *const fastest_first[] = {&wasm_kernels, &portable_kernels};

#else
static int runs(const char *name) { return name != 0; }
static const Kernels *const fastest_first[] = {&portable_kernels};
#endif

const Kernels *choose_kernels(const char *name) {
  for (size_t i = 0; i < sizeof fastest_first / sizeof *fastest_first; i++) {
    const Kernels *kernels = fastest_first[i];
    if (name && strcmp(name, kernels->name)) continue;
    if (kernels == &portable_kernels || runs(kernels->name)) return kernels;
  }
  return 0;
}
