// Integers <-> bytes: an rANS coder with two lanes. docs/format.md, "Learned tiles".

#ifndef PICO_ENTROPY_H
#define PICO_ENTROPY_H

#include <stddef.h>
#include <stdint.h>

#define PROBABILITY_BITS 16  // the frequencies of a table add up to 2^16
#define FIRST_BITS 10
#define LARGEST_SYMBOL 32767

// A distribution over the integers -radius .. radius.
typedef struct {
  int radius;
  uint32_t *starts;   // [2 * radius + 2], sums of the frequencies before
  uint16_t *first;    // [2^FIRST_BITS], the first entry that may hold a slot with these upper bits
} Table;

// Returns 0 where there is no memory or the frequencies do not add up to 2^16.
int make_table(Table *table, const uint16_t *frequencies, int radius);
void free_table(Table *table);

typedef struct { uint64_t state; const uint8_t *words, *end; } ReadLane;
typedef struct { ReadLane lane[2]; } Reader;

int open_reader(Reader *, const uint8_t *payload, size_t length);  // 0: these are no tile's bytes
// Values of `channels` tables in turn (a hyperlatent's). Counts are even, so that lane 0 always begins.
void read_channels(Reader *, const Table *tables, int channels, int16_t *values, size_t count);
// Symbols, each with the table of its index; the ends of a table are escapes. 0: damaged.
int read_symbols(Reader *, const Table *tables, const uint8_t *indices, int16_t *values, size_t count);
int is_exhausted(const Reader *);  // as it must be once everything was read

typedef struct { uint64_t state; uint32_t *next, *begin, *end; } WriteLane;  // words are written from the end
typedef struct { WriteLane lane[2]; } Writer;

// A writer whose lanes have room for `words` 32-bit words each, at `memory`.
void open_writer(Writer *, uint32_t *memory, size_t words);
// What is read last is written first.
void write_channels(Writer *, const Table *tables, int channels, const int16_t *values, size_t count);
void write_symbols(Writer *, const Table *tables, const uint8_t *indices, const int16_t *values, size_t count);
size_t finish_writer(const Writer *, uint8_t *payload, size_t capacity);  // bytes; 0: no room

// 32-bit words that a lane may need for `values` integers: an escape takes two codes, of 16 bits at most each.
static inline size_t words_for(size_t values) { return values / 2 + values / 2 + 8; }

#endif
