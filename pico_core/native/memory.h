// Aligned memory, and the zeros that stand for taps that there are not.

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

// Memory at a multiple of 64, the length of a cache line: vectors of weights that lie across two lines take twice as long.
// The byte before says how far away malloc's memory begins.
static inline void *new_memory(size_t bytes) {
  if (bytes > PTRDIFF_MAX - 64) return 0;
  uint8_t *given = malloc(bytes + 64);
  if (!given) return 0;
  const uint8_t distance = (uint8_t)(64 - (uintptr_t)given % 64);
  uint8_t *memory = given + distance;
  memory[-1] = distance;
  allow_only(memory, bytes, bytes + 64 - distance);
  return memory;
}

static inline void free_memory(void *memory) {
  uint8_t *p = memory;
  if (p) free(p - p[-1]);
}

static const int16_t zeros[16] = {0};

#endif
