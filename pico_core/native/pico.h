// The native engine: tiles of a .pico file from bytes to pixels and back.
//
// A model holds weights, packed for this processor; it does not change and threads share it. A coder holds the memory of
// one thread. All functions are safe with any payload.

#ifndef PICO_H
#define PICO_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define PICO_PUBLIC __declspec(dllexport)
#else
#define PICO_PUBLIC __attribute__((visibility("default")))
#endif

#define PICO_INTERFACE 2  // changes with every change of what is below

typedef enum { PICO_INT8 = 1, PICO_INT16 = 2, PICO_UINT16 = 3, PICO_INT32 = 4, PICO_FLOAT32 = 5 } PicoType;

// An array of a weights file. Copied where it is needed; it may go once a model is made.
typedef struct {
  const char *name;
  int32_t type;           // PicoType
  int32_t dimensions;     // 1 to 4
  int64_t shape[4];
  const void *data;
} PicoArray;

typedef enum { PICO_DONE = 0, PICO_DAMAGED = -1, PICO_NO_MEMORY = -2, PICO_WRONG_WEIGHTS = -3, PICO_WRONG_ARGUMENT = -4 } PicoResult;

typedef struct PicoModel PicoModel;
typedef struct PicoCoder PicoCoder;

PICO_PUBLIC int pico_interface(void);

// `kernels` names an instruction set; NULL takes the fastest. `why` (of `room` bytes) gets what is wrong, as text.
PICO_PUBLIC int pico_model_new(const PicoArray *arrays, int count, const char *kernels, PicoModel **model, char *why, size_t room);
PICO_PUBLIC void pico_model_free(PicoModel *);
PICO_PUBLIC const char *pico_model_kernels(const PicoModel *);

// A coder for tiles of up to `side` x `side` pixels.
PICO_PUBLIC PicoCoder *pico_coder_new(const PicoModel *, int side);
PICO_PUBLIC void pico_coder_free(PicoCoder *);

// `level` is in units of 1/4096. `row_bytes` lie between the beginnings of two rows of pixels of 1 or 3 channels.
PICO_PUBLIC int pico_decode(PicoCoder *, const uint8_t *payload, size_t length, int width, int height, int channels, int level,
                            uint8_t *pixels, ptrdiff_t row_bytes);
// Bytes of the payload, or a negative PicoResult. `capacity` of pico_most_bytes(width, height) always suffices.
PICO_PUBLIC int64_t pico_encode(PicoCoder *, const uint8_t *pixels, ptrdiff_t row_bytes, int width, int height, int channels,
                                int level, uint8_t *payload, size_t capacity);
PICO_PUBLIC size_t pico_most_bytes(const PicoModel *, int width, int height);
// The integers of a payload: symbols (4h, 4w, latent) and hyperlatent (h, w, hyper), where h and w count 64 pixels.
PICO_PUBLIC int pico_read(PicoCoder *, const uint8_t *payload, size_t length, int width, int height, int level, int16_t *symbols,
                          int16_t *hyperlatent);
// The payload of such integers, for engines that run the networks elsewhere. Bytes, or a negative PicoResult.
PICO_PUBLIC int64_t pico_write(PicoCoder *, const int16_t *symbols, const int16_t *hyperlatent, int width, int height, int level,
                               uint8_t *payload, size_t capacity);

#endif
