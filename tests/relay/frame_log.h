/* SPDX-License-Identifier: MIT
 *
 * frame_log - the frames a relay has: a window with a first and an end, found by seq
 *
 * Two fillings: a file's frames, known from the start and made visible by moving `end`; or live
 * frames, copied behind their WebSocket header into shared chunks, where the oldest leave when the
 * window is full. Owns: the table of frames and one reference to each chunk in the window; a
 * connection that still sends from a chunk holds its own (chunk_ref). Invariant: seqs never fall
 * with the index; indices are never reused. Errors: none. Must not know: connections, what a frame
 * means.
 */
#ifndef RELAY_FRAME_LOG_H
#define RELAY_FRAME_LOG_H

#include "base/slice.h"

struct chunk;

/* One message: its WebSocket header (unmasked, one binary message), then its bytes. */
struct frame {
	uint64_t seq;
	const uint8_t *head, *body;
	struct chunk *chunk; /* what holds head and body; NULL: they live as long as the log */
	uint32_t n_body;
	uint8_t n_head;
};

struct frame_log {
	struct frame *frames;
	size_t cap;
	uint64_t first, end; /* visible indices */
	uint64_t seq_before; /* the seq before the first frame ever; newest while there is none */
	size_t n_bytes, max_bytes;
	struct chunk *filling;
};

/* An empty live window of at most max_frames frames and about max_bytes bytes. */
void frame_log_init(
	struct frame_log *log, uint64_t seq_before, size_t max_frames, size_t max_bytes);
void frame_log_done(struct frame_log *log);
/* Appends a live frame (copied); the oldest frames leave to make room. */
void frame_log_add(struct frame_log *log, uint64_t seq, struct slice body);

/* index must be in [first, end). */
const struct frame *frame_log_at(const struct frame_log *log, uint64_t index);
/* Index of the first visible frame with a seq above `seq`; `end` if there is none. */
uint64_t frame_log_after(const struct frame_log *log, uint64_t seq);
uint64_t frame_log_oldest_seq(const struct frame_log *log);
uint64_t frame_log_newest_seq(const struct frame_log *log);

/* Keeps the bytes of a frame until chunk_unref; chunk may be NULL. */
void chunk_ref(struct chunk *chunk);
void chunk_unref(struct chunk *chunk);

#endif
