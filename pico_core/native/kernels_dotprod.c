// The layers with the dot products of NEON (Armv8.2 and later).
#if defined(__aarch64__) || defined(_M_ARM64)
#include <arm_neon.h>
#include <math.h>
#include <string.h>
#include "kernels.h"
#include "memory.h"
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#define WITH_DOT_PRODUCTS
#define NAME "dotprod"
#include "simd_neon.h"
#define KERNELS dotprod_kernels
#include "layers.h"
#pragma clang attribute pop
#endif
