/* SPDX-License-Identifier: MIT */
#include "workers/known.h"

#include <stdlib.h>
#include <string.h>

/* One multiplication spreads an id; its place comes from the top bits, what is kept of it from those below. Free
 * slots are 0, so 0 itself is kept as another number. */
static unsigned place(uint64_t id, uint32_t *ret_kept)
{
	uint64_t mixed = id * 0x9e3779b97f4a7c15u;
	uint32_t kept = (uint32_t)(mixed >> 12);

	*ret_kept = kept ? kept : 1;
	return (unsigned)(mixed >> 44) & (KNOWN_SLOTS - 1);
}

bool known_has(const struct known *k, uint64_t id)
{
	uint32_t kept;

	if (!k->slots)
		return false;
	for (unsigned i = place(id, &kept); k->slots[i]; i = (i + 1) & (KNOWN_SLOTS - 1))
		if (k->slots[i] == kept)
			return true;
	return false;
}

void known_add(struct known *k, uint64_t id)
{
	uint32_t kept;
	unsigned i;

	if (!k->slots) {
		k->slots = calloc(KNOWN_SLOTS, sizeof *k->slots);
		if (!k->slots)
			abort();
	}
	if (known_has(k, id))
		return;
	if (k->n == KNOWN_MAX)
		known_clear(k);
	for (i = place(id, &kept); k->slots[i]; i = (i + 1) & (KNOWN_SLOTS - 1))
		;
	k->slots[i] = kept;
	k->n++;
}

void known_clear(struct known *k)
{
	if (k->slots)
		memset(k->slots, 0, KNOWN_SLOTS * sizeof *k->slots);
	k->n = 0;
}

void known_done(struct known *k)
{
	free(k->slots);
	*k = (struct known){ 0 };
}
