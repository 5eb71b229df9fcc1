// The layers with the SIMD of WebAssembly.
#if defined(__wasm_simd128__)
#include <math.h>
#include <string.h>
#include "kernels.h"
#include "memory.h"
#define NAME "wasm"
#include "simd_wasm.h"
#define KERNELS wasm_kernels
#include "layers.h"
#endif
