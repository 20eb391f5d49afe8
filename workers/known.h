/* SPDX-License-Identifier: MIT
 *
 * known - ids that this process has seen committed, so that they need not be sent again
 *
 * A cache only: the foreign keys catch a wrong one, and then known_clear starts over. Holds at most
 * KNOWN_MAX ids (8 MB); when full it forgets everything. Owns: its table.
 */
#ifndef WORKERS_KNOWN_H
#define WORKERS_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

enum { KNOWN_SLOTS = 1 << 20, KNOWN_MAX = KNOWN_SLOTS / 4 * 3 };

struct known {
	uint64_t *slots; /* 0 = free; KNOWN_SLOTS of them once something was added */
	int n;
};

bool known_has(const struct known *k, uint64_t id);
void known_add(struct known *k, uint64_t id);
void known_clear(struct known *k);
void known_done(struct known *k);

#endif
