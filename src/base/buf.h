/* SPDX-License-Identifier: MIT
 *
 * buf - growable byte buffer
 *
 * Owns: its memory until buf_done; buf_reset keeps it. Invariant: n <= cap; p may be NULL while cap is 0.
 * Errors: none; out of memory aborts. Pointers into it die with the next append.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/err.h"
#include "base/slice.h"

struct buf {
	uint8_t *p;
	size_t n, cap;
};

#define BUF_INIT { 0 }

/* Makes room for n more bytes and returns where they go; the caller adds to b->n what it wrote. */
uint8_t *buf_room(struct buf *b, size_t n_bytes);
void buf_add(struct buf *b, const void *p, size_t n_bytes);
void buf_add_slice(struct buf *b, struct slice s);
void buf_add_str(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_u8(struct buf *b, uint8_t v);
void buf_le16(struct buf *b, uint16_t v);
void buf_le32(struct buf *b, uint32_t v);
void buf_le64(struct buf *b, uint64_t v);
void buf_be16(struct buf *b, uint16_t v);
void buf_be32(struct buf *b, uint32_t v);
void buf_be64(struct buf *b, uint64_t v);
/* NUL-terminates (not counted in n) and returns the text. */
const char *buf_str(struct buf *b);
void buf_reset(struct buf *b);
void buf_done(struct buf *b);

static inline struct slice buf_slice(const struct buf *b)
{
	return slice_of(b->p, b->n);
}

#endif
