// The layers with NEON, as every arm64 processor has it.
#if defined(__aarch64__) || defined(_M_ARM64)
#include <arm_neon.h>
#include <math.h>
#include <string.h>
#include "kernels.h"
#include "memory.h"
#define NAME "neon"
#include "simd_neon.h"
#define KERNELS neon_kernels
#include "layers.h"
#endif
