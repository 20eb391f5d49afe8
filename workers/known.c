/* SPDX-License-Identifier: MIT */
#include "workers/known.h"

#include <stdlib.h>
#include <string.h>

static unsigned n_slots(const struct known *k)
{
	return 1u << k->bits;
}

/* One multiplication spreads an id; its place comes from the top bits, what is kept of it from those below. Free
 * slots are 0, so 0 itself is kept as another number. */
static unsigned place(const struct known *k, uint64_t id, uint32_t *ret_kept)
{
	uint64_t mixed = id * 0x9e3779b97f4a7c15u;
	uint32_t kept = (uint32_t)(mixed >> 12);

	*ret_kept = kept ? kept : 1;
	return (unsigned)(mixed >> (64 - k->bits));
}

bool known_has(const struct known *k, uint64_t id)
{
	uint32_t kept;

	if (!k->slots)
		return false;
	for (unsigned i = place(k, id, &kept); k->slots[i]; i = (i + 1) & (n_slots(k) - 1))
		if (k->slots[i] == kept)
			return true;
	return false;
}

void known_add(struct known *k, uint64_t id)
{
	uint32_t kept;
	unsigned i;

	if (!k->slots) {
		k->slots = calloc(n_slots(k), sizeof *k->slots);
		if (!k->slots)
			abort();
	}
	if (known_has(k, id))
		return;
	if (k->n == (int)(n_slots(k) / 4 * 3))
		known_clear(k);
	for (i = place(k, id, &kept); k->slots[i]; i = (i + 1) & (n_slots(k) - 1))
		;
	k->slots[i] = kept;
	k->n++;
}

void known_clear(struct known *k)
{
	if (k->slots)
		memset(k->slots, 0, n_slots(k) * sizeof *k->slots);
	k->n = 0;
}

void known_done(struct known *k)
{
	free(k->slots);
	*k = (struct known){ .bits = k->bits };
}
