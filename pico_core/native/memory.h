// Memory, and the zeros that stand for taps that there are not.

#ifndef PICO_MEMORY_H
#define PICO_MEMORY_H

#include <stdint.h>
#include <stdlib.h>

static inline void *new_memory(size_t bytes) { return malloc(bytes ? bytes : 1); }

static const int16_t zeros[16] = {0};

#endif
