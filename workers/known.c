/* SPDX-License-Identifier: MIT */
#include "workers/known.h"

#include <stdlib.h>
#include <string.h>

/* Slots of a bucket: half a cache line. */
enum { WAYS_BITS = 3, WAYS = 1 << WAYS_BITS };

static size_t n_bytes(const struct known *k)
{
	return sizeof *k->slots << k->bits;
}

/* One multiplication spreads an id; its bucket comes from the top bits, what is kept of it from those below. Free
 * slots are 0, so 0 itself is kept as another number. */
static uint32_t *bucket(const struct known *k, uint64_t id, uint32_t *ret_kept)
{
	uint64_t mixed = id * 0x9e3779b97f4a7c15u;
	uint32_t kept = (uint32_t)(mixed >> 12);

	*ret_kept = kept ? kept : 1;
	return k->slots + (mixed >> (64 - k->bits + WAYS_BITS)) * WAYS;
}

bool known_has(const struct known *k, uint64_t id)
{
	uint32_t kept;
	const uint32_t *b;

	if (!k->slots)
		return false;
	b = bucket(k, id, &kept);
	for (int i = 0; i < WAYS; i++)
		if (b[i] == kept)
			return true;
	return false;
}

void known_add(struct known *k, uint64_t id)
{
	uint32_t kept, *b;
	int i = 0;

	if (!k->slots) {
		k->slots = calloc(1, n_bytes(k));
		if (!k->slots)
			abort();
	}
	b = bucket(k, id, &kept);
	while (i < WAYS && b[i] && b[i] != kept)
		i++;
	b[i < WAYS ? i : (int)(kept % WAYS)] = kept;
}

void known_clear(struct known *k)
{
	if (k->slots)
		memset(k->slots, 0, n_bytes(k));
}

void known_done(struct known *k)
{
	free(k->slots);
	*k = (struct known){ .bits = k->bits };
}
