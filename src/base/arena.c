/* SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>

enum { BLOCK_BYTES = 64 * 1024 };

/* What arena_reset may keep: a batch far larger than usual must not pin its memory for ever. */
static const size_t keep_bytes = (size_t)16 * 1024 * 1024;

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	alignas(max_align_t) uint8_t data[];
};

static struct arena_block *block_new(size_t at_least, size_t last_size)
{
	size_t size = last_size ? last_size * 2 : BLOCK_BYTES;
	struct arena_block *b;

	if (size > keep_bytes)
		size = keep_bytes;
	if (size < at_least)
		size = at_least;
	b = malloc(sizeof *b + size);
	if (!b)
		abort();
	*b = (struct arena_block){ .size = size };
	return b;
}

void *arena_alloc(struct arena *a, size_t n_bytes)
{
	struct arena_block *b = a->head;
	size_t n = (n_bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	void *p;

	assert(n >= n_bytes);
	if (!b || b->size - b->used < n) {
		b = block_new(n, b ? b->size : 0);
		b->next = a->head;
		a->head = b;
	}
	p = b->data + b->used;
	b->used += n;
	a->used_bytes += n;
	return p;
}

void *arena_zalloc(struct arena *a, size_t n, size_t size)
{
	size_t bytes = 0;
	bool overflow = __builtin_mul_overflow(n, size, &bytes);

	assert(!overflow);
	return memset(arena_alloc(a, bytes), 0, bytes);
}

struct slice arena_copy(struct arena *a, struct slice s)
{
	uint8_t *p = arena_alloc(a, s.n);

	if (s.n)
		memcpy(p, s.p, s.n);
	return slice_of(p, s.n);
}

static void free_blocks(struct arena_block *b)
{
	while (b) {
		struct arena_block *next = b->next;

		free(b);
		b = next;
	}
}

void arena_reset(struct arena *a)
{
	struct arena_block *b = a->head;

	a->used_bytes = 0;
	if (!b)
		return;
	free_blocks(b->next);
	b->next = NULL;
	b->used = 0;
	if (b->size > keep_bytes) {
		free(b);
		a->head = NULL;
	}
}

void arena_done(struct arena *a)
{
	free_blocks(a->head);
	*a = (struct arena)ARENA_INIT;
}
