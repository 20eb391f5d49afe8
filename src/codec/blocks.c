/* SPDX-License-Identifier: MIT */
#include "codec/blocks.h"

#include <stdlib.h>

enum { FIRST_CAP = 32 };

struct block {
	uint8_t digest[CID_DIGEST];
	struct slice bytes;
};

/* Twice the room, in the arena. */
static struct block *grown(struct arena *arena, const struct block *old, size_t n, size_t cap)
{
	struct block *more = arena_alloc(arena, cap * sizeof *more);

	if (n)
		memcpy(more, old, n * sizeof *more);
	return more;
}

/* For qsort and bsearch; whatever digests are chosen, a search stays n log n. */
static int digest_order(const void *a, const void *b)
{
	return memcmp(a, b, CID_DIGEST);
}

enum car_status blocks_index(struct car *car, struct arena *arena, struct blocks *ret)
{
	enum car_status status;
	struct slice bytes;
	struct cid cid;
	size_t cap = 0;

	*ret = (struct blocks){ 0 };
	while ((status = car_next(car, &cid, &bytes)) == CAR_OK) {
		if (ret->n == cap) {
			cap = cap ? cap * 2 : FIRST_CAP;
			ret->block = grown(arena, ret->block, ret->n, cap);
		}
		memcpy(ret->block[ret->n].digest, cid.digest, CID_DIGEST);
		ret->block[ret->n++].bytes = bytes;
	}
	if (status != CAR_END)
		return status;
	if (ret->n > 1)
		qsort(ret->block, ret->n, sizeof *ret->block, digest_order);
	return CAR_OK;
}

enum block_status blocks_find(const struct blocks *blocks, const uint8_t digest[CID_DIGEST], struct slice *ret_block)
{
	const struct block *found = NULL, *end = blocks->n ? blocks->block + blocks->n : NULL;
	uint8_t actual[CID_DIGEST];

	if (blocks->n)
		found = bsearch(digest, blocks->block, blocks->n, sizeof *found, digest_order);
	if (!found)
		return BLOCK_ABSENT;
	while (found > blocks->block && digest_order(found - 1, digest) == 0)
		found--;
	for (; found < end && digest_order(found, digest) == 0; found++) {
		sha256(found->bytes, actual);
		if (memcmp(actual, digest, CID_DIGEST) == 0) {
			*ret_block = found->bytes;
			return BLOCK_OK;
		}
	}
	return BLOCK_UNSOUND;
}
