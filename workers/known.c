/* SPDX-License-Identifier: MIT */
#include "workers/known.h"

#include <stdlib.h>
#include <string.h>

/* Free slots are 0, so 0 itself is kept as another number. */
static uint64_t stored(uint64_t id)
{
	return id ? id : 1;
}

static unsigned place(uint64_t id)
{
	return (unsigned)((id * 0x9e3779b97f4a7c15u) >> 44) & (KNOWN_SLOTS - 1);
}

bool known_has(const struct known *k, uint64_t id)
{
	if (!k->slots)
		return false;
	id = stored(id);
	for (unsigned i = place(id); k->slots[i]; i = (i + 1) & (KNOWN_SLOTS - 1))
		if (k->slots[i] == id)
			return true;
	return false;
}

void known_add(struct known *k, uint64_t id)
{
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
	id = stored(id);
	for (i = place(id); k->slots[i]; i = (i + 1) & (KNOWN_SLOTS - 1))
		;
	k->slots[i] = id;
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
