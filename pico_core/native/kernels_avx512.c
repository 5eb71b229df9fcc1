// The layers with AVX-512.
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#include <math.h>
#include <string.h>
#include "kernels.h"
#include "memory.h"
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"))), apply_to = function)
#define NAME "avx512"
#include "simd_avx512.h"
#define KERNELS avx512_kernels
#include "layers.h"
#pragma clang attribute pop
#endif
