// The weights of the networks, checked and packed.

#ifndef PICO_MODEL_H
#define PICO_MODEL_H

#include "entropy.h"
#include "kernels.h"
#include "pico.h"

#define TABLES 64
#define MOST_BLOCKS 16
#define PASSES 4

typedef struct { int count; Block block[MOST_BLOCKS]; } Blocks;
typedef struct { int levels, channels; int32_t *logarithms; } Gains;  // binary logarithms in 1/65536, [levels][channels]

struct PicoModel {
  const Kernels *kernels;
  int latent, hyper, levels;
  struct {
    Layer input, down16, to_latent, down32, down64, to_hyper;
    Blocks blocks8, blocks16, blocks32, blocks64;
    Gains gain8;
  } encoder;
  struct { Layer at64, at32, at16; } scale;
  struct {
    Layer input, up32, prior;
    Blocks blocks64, blocks32;
    struct { Layer input, output; Blocks blocks; float *known; } pass[PASSES];
  } context;
  struct {
    Layer from_latent, up8, up4, output;  // from_latent may be missing
    Blocks blocks16, blocks8, block4;
    Gains gain_latent;
  } decoder;
  float *steps;
  int step_count;
  Table latent_tables[TABLES], *hyper_tables;  // hyper_tables[level * hyper + channel]
  void *owned[512];  // memory to free
  int owned_count;
};

// The gains at a level (in units of 1/4096), for each channel.
void gains_at(const int32_t *logarithms, int levels, int channels, int level, float *gains);

#endif
