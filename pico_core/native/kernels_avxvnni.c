// The layers with AVX-VNNI.
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#include <math.h>
#include <string.h>
#include "kernels.h"
#include "memory.h"
#pragma clang attribute push(__attribute__((target("avx2,fma,avxvnni"))), apply_to = function)
#define WITH_VNNI
#define NAME "avxvnni"
#include "simd_avx2.h"
#define KERNELS avxvnni_kernels
#include "layers.h"
#pragma clang attribute pop
#endif
