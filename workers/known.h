/* SPDX-License-Identifier: MIT
 *
 * known - ids that this process has seen committed, so that they need not be sent again
 *
 * A cache only: the foreign keys catch a wrong one, and then known_clear starts over. Therefore half of an id
 * is enough to know it by (4 MB instead of 8, in two sets of each worker): a stranger is taken for known once
 * in a billion look-ups, and costs one batch repeated. Holds at most KNOWN_MAX ids; when full it forgets
 * everything. Owns: its table.
 */
#ifndef WORKERS_KNOWN_H
#define WORKERS_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

enum { KNOWN_SLOTS = 1 << 20, KNOWN_MAX = KNOWN_SLOTS / 4 * 3 };

struct known {
	uint32_t *slots; /* 0 = free; KNOWN_SLOTS of them once something was added */
	int n;
};

bool known_has(const struct known *k, uint64_t id);
void known_add(struct known *k, uint64_t id);
void known_clear(struct known *k);
void known_done(struct known *k);

#endif
