/* SPDX-License-Identifier: MIT
 *
 * known - ids that this process has seen committed, so that they need not be sent again
 *
 * A cache only: the foreign keys catch a wrong one, and then known_clear starts over. Therefore half of an id
 * is enough to know it by: a stranger is taken for known less than once in a hundred million look-ups, and
 * costs one batch repeated. An id belongs to one bucket; in a full one it takes the place of another, so the
 * table never has to be emptied because it is full. Owns: its table.
 */
#ifndef WORKERS_KNOWN_H
#define WORKERS_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

struct known {
	int bits;	 /* 1 << bits slots of 4 bytes; set by the owner */
	uint32_t *slots; /* 0 = free; none until something was added */
};

bool known_has(const struct known *k, uint64_t id);
void known_add(struct known *k, uint64_t id);
void known_clear(struct known *k);
void known_done(struct known *k);

#endif
