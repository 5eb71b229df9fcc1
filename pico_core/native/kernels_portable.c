// The layers in plain C.
#include "kernels.h"
#include "memory.h"
#include "simd_portable.h"
#define KERNELS portable_kernels
#include "layers.h"
