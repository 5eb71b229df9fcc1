// Integers <-> bytes: an rANS coder (Duda, arXiv 1311.2540) with two lanes that take turns.
//
// A lane is a 64-bit state and a stream of 32-bit words. Coding an entry with frequency f, after entries of frequencies c
// in all, turns the state x into (x / f) * 2^16 + x % f + c, once the lower word has left a state that would overflow.
// Reading undoes this in the opposite order. A lane begins, and so ends when it is read, with the state 0.

#include "entropy.h"

#include <string.h>

#include "memory.h"

#define SLOTS (1u << PROBABILITY_BITS)
#define LEAST_STATE ((uint64_t)1 << 32)  // of a lane that has written a word

int make_table(Table *table, const uint16_t *frequencies, int radius) {
  const int entries = 2 * radius + 1;
  table->radius = radius;
  table->starts = new_memory(((size_t)entries + 1) * sizeof *table->starts);
  table->first = new_memory(sizeof *table->first << FIRST_BITS);
  if (!table->starts || !table->first) return 0;
  uint32_t start = 0;
  for (int i = 0; i < entries; i++) {
    if (!frequencies[i]) return 0;
    table->starts[i] = start;
    start += frequencies[i];
  }
  if (start != SLOTS) return 0;
  table->starts[entries] = start;
  for (uint32_t i = 0, entry = 0; i < 1u << FIRST_BITS; i++) {
    while (table->starts[entry + 1] <= i << (PROBABILITY_BITS - FIRST_BITS)) entry++;
    table->first[i] = (uint16_t)entry;
  }
  return 1;
}

void free_table(Table *table) {
  free_memory(table->starts);
  free_memory(table->first);
}

// Reading

static uint32_t word_at(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

int open_reader(Reader *reader, const uint8_t *payload, size_t length) {
  size_t sizes[2], words = 0;
  if (length < 2) return 0;
  const uint8_t *p = payload, *end = payload + length;
  sizes[0] = *p & 15;
  sizes[1] = *p++ >> 4;
  for (int shift = 0;; shift += 7) {  // the number of words of lane 0, seven bits a byte
    if (p == end || shift > 21) return 0;
    words |= (size_t)(*p & 127) << shift;
    if (*p++ < 128) break;
  }
  if (sizes[0] > 8 || sizes[1] > 8 || sizes[0] + sizes[1] > (size_t)(end - p)) return 0;
  for (int i = 0; i < 2; i++) {
    reader->lane[i].state = 0;
    for (size_t k = 0; k < sizes[i]; k++) reader->lane[i].state |= (uint64_t)*p++ << (8 * k);
  }
  const size_t rest = (size_t)(end - p);
  if (rest % 4 || words > rest / 4) return 0;
  reader->lane[0].words = p;
  reader->lane[0].end = reader->lane[1].words = p + 4 * words;
  reader->lane[1].end = end;
  return 1;
}

int is_exhausted(const Reader *reader) {
  for (int i = 0; i < 2; i++)
    if (reader->lane[i].state || reader->lane[i].words != reader->lane[i].end) return 0;
  return 1;
}

// Takes an entry with a frequency off the state, after entries of frequencies `start` in all.
static inline void take(ReadLane *lane, uint32_t start, uint32_t frequency) {
  const uint64_t slot = lane->state & (SLOTS - 1);
  lane->state = frequency * (lane->state >> PROBABILITY_BITS) + slot - start;
  if (lane->state < LEAST_STATE && lane->words != lane->end) {
    lane->state = lane->state << 32 | word_at(lane->words);
    lane->words += 4;
  }
}

static inline int read_entry(ReadLane *lane, const Table *table) {
  const uint32_t slot = lane->state & (SLOTS - 1), *starts = table->starts;
  uint32_t entry = table->first[slot >> (PROBABILITY_BITS - FIRST_BITS)];
  while (starts[entry + 1] <= slot) entry++;
  take(lane, starts[entry], starts[entry + 1] - starts[entry]);
  return (int)entry - table->radius;
}

void read_channels(Reader *reader, const Table *tables, int channels, int16_t *values, size_t count) {
  Reader r = *reader;
  for (size_t i = 0; i < count; i++) values[i] = (int16_t)read_entry(&r.lane[i & 1], &tables[i % (size_t)channels]);
  *reader = r;
}

// How far an escaped symbol lies beyond its table: 16 bits, all equally likely.
static int read_escape(ReadLane *lane, int value) {
  const int excess = (int)(lane->state & (SLOTS - 1));
  take(lane, (uint32_t)excess, 1);
  return value < 0 ? value - excess : value + excess;
}

int read_symbols(Reader *reader, const Table *tables, const uint8_t *indices, int16_t *values, size_t count) {
  Reader r = *reader;
  int whole = 1;
  for (size_t i = 0; i < count; i++) {
    ReadLane *lane = &r.lane[i & 1];
    const Table *table = &tables[indices[i]];
    int value = read_entry(lane, table);
    if (value == table->radius || value == -table->radius) {
      value = read_escape(lane, value);
      if (value > LARGEST_SYMBOL || value < -LARGEST_SYMBOL) {
        whole = 0;
        break;
      }
    }
    values[i] = (int16_t)value;
  }
  *reader = r;
  return whole;
}

// Writing

void open_writer(Writer *writer, uint32_t *memory, size_t words) {
  for (int i = 0; i < 2; i++) {
    WriteLane *lane = &writer->lane[i];
    lane->state = 0;
    lane->begin = memory + (size_t)i * words;
    lane->next = lane->end = lane->begin + words;
  }
}

static inline void put(WriteLane *lane, uint32_t start, uint32_t frequency) {
  if (lane->state >= (uint64_t)frequency << 48) {
    *--lane->next = (uint32_t)lane->state;
    lane->state >>= 32;
  }
  lane->state = (lane->state / frequency << PROBABILITY_BITS) + lane->state % frequency + start;
}

static inline void put_entry(WriteLane *lane, const Table *table, int value) {
  const uint32_t *starts = table->starts + value + table->radius;
  put(lane, starts[0], starts[1] - starts[0]);
}

void write_channels(Writer *writer, const Table *tables, int channels, const int16_t *values, size_t count) {
  for (size_t i = count; i-- > 0;)
    put_entry(&writer->lane[i & 1], &tables[i % (size_t)channels], values[i]);
}

void write_symbols(Writer *writer, const Table *tables, const uint8_t *indices, const int16_t *values, size_t count) {
  Writer w = *writer;
  for (size_t i = count; i-- > 0;) {
    WriteLane *lane = &w.lane[i & 1];
    const Table *table = &tables[indices[i]];
    const int radius = table->radius, magnitude = values[i] < 0 ? -values[i] : values[i];
    int value = values[i];
    if (magnitude >= radius) {
      put(lane, (uint32_t)(magnitude - radius), 1);
      value = value < 0 ? -radius : radius;
    }
    put_entry(lane, table, value);
  }
  *writer = w;
}

static size_t bytes_of(uint64_t state) {
  size_t bytes = 0;
  for (; state; state >>= 8) bytes++;
  return bytes;
}

size_t finish_writer(const Writer *writer, uint8_t *payload, size_t capacity) {
  const WriteLane *lane = writer->lane;
  const size_t sizes[2] = {bytes_of(lane[0].state), bytes_of(lane[1].state)};
  const size_t words[2] = {(size_t)(lane[0].end - lane[0].next), (size_t)(lane[1].end - lane[1].next)};
  if (capacity < 24 + 4 * (words[0] + words[1])) return 0;
  uint8_t *p = payload;
  *p++ = (uint8_t)(sizes[0] | sizes[1] << 4);
  for (size_t rest = words[0];; rest >>= 7) {
    *p++ = (uint8_t)((rest & 127) | (rest > 127 ? 128 : 0));
    if (rest < 128) break;
  }
  for (int i = 0; i < 2; i++)
    for (size_t k = 0; k < sizes[i]; k++) *p++ = (uint8_t)(lane[i].state >> (8 * k));
  for (int i = 0; i < 2; i++)
    for (const uint32_t *word = lane[i].next; word < lane[i].end; word++)
      for (int k = 0; k < 32; k += 8) *p++ = (uint8_t)(*word >> k);
  return (size_t)(p - payload);
}
