/* SPDX-License-Identifier: MIT
 *
 * arena - bump allocator for things that die together (one batch, one frame)
 *
 * Owns: its blocks until arena_done. Invariant: pieces are never freed one by one; arena_reset keeps
 * the largest block, so a steady load stops allocating. Errors: none; out of memory aborts (a crash is
 * a supported path: the stream replays). Must not know: what is stored in it.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/slice.h"

struct arena_block;

struct arena {
	struct arena_block *head;
	size_t used_bytes;
};

#define ARENA_INIT { 0 }

/* Uninitialised memory, aligned for any type; n may be 0. */
void *arena_alloc(struct arena *a, size_t n_bytes) __attribute__((malloc, returns_nonnull));
/* The same, zeroed; n * size may not overflow (asserted). */
void *arena_zalloc(struct arena *a, size_t n, size_t size) __attribute__((malloc, returns_nonnull));
/* A copy of the bytes of s, living as long as the arena. */
struct slice arena_copy(struct arena *a, struct slice s);
/* Forgets every piece, keeps memory for reuse. */
void arena_reset(struct arena *a);
void arena_done(struct arena *a);

#endif
