// Memory, and the zeros that stand for taps that there are not.

#ifndef PICO_MEMORY_H
#define PICO_MEMORY_H

#include <stdint.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define WITH_ADDRESS_SANITIZER
#endif
#endif

// Tells the address sanitizer, in tests, that of `reserved` bytes only the first may be used.
static inline void allow_only(void *memory, size_t bytes, size_t reserved) {
#ifdef WITH_ADDRESS_SANITIZER
  ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
  ASAN_POISON_MEMORY_REGION((uint8_t *)memory + bytes, reserved - bytes);
#endif
  (void)memory, (void)bytes, (void)reserved;
}

static inline void *new_memory(size_t bytes) { return malloc(bytes ? bytes : 1); }

static const int16_t zeros[16] = {0};

#endif
