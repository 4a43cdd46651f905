/*
 * The kernel programs' walk (bpf/http.h) as a library: one connection, one thread, memory that is
 * read where it lies. Not thread-safe.
 */
#ifndef TOKENWATCH_TESTS_FUZZ_WALK_WALK_H_
#define TOKENWATCH_TESTS_FUZZ_WALK_WALK_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One record of the ring buffer; `record` is valid during the call. */
typedef void (*walk_sink)(void* context, const void* record, size_t size);

struct walk_piece {
  const void* bytes;
  uint64_t size;
};

/*
 * The automaton, TW_STATES * TW_CLASSES transitions and 256 classes, and the Huffman code,
 * TW_HUFFMAN_NODES * 16 steps; copied.
 */
void walk_set_tables(const uint16_t* transitions, const uint8_t* classes, const uint16_t* huffman);

/* A new connection; its records go to `sink`. `late`: older than its first sighting. */
void walk_begin(bool late, bool inbound, walk_sink sink, void* context);

/* A call that sends (0) or receives (1) the pieces, in this order. */
void walk_call(int direction, const struct walk_piece* pieces, size_t count);

/* Bytes that pass unseen. */
void walk_unseen(int direction, uint64_t bytes);

#ifdef __cplusplus
}
#endif

#endif /* TOKENWATCH_TESTS_FUZZ_WALK_WALK_H_ */
