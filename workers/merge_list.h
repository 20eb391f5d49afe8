/* SPDX-License-Identifier: MIT
 *
 * merge_list - a list whose items are found by a hash of what makes them equal
 *
 * Owns: nothing; items and slots live in the arena given. Must not know: what an item is.
 */
#ifndef WORKERS_MERGE_LIST_H
#define WORKERS_MERGE_LIST_H

#include "base/arena.h"

#include <stdbool.h>

/* An open hash over entries of one list; entries keep their place in the list. */
struct merged_list {
	void **items;
	int n, cap;
	int n_fresh; /* records: how many of them, in front, are fresh */
	void **slots;
	unsigned n_slots; /* a power of two */
};

/* The item equal to `key`, or a new copy of `size` bytes of it (then *ret_new). */
void *merge_list_get(struct merged_list *l, struct arena *arena, const void *key, size_t size,
	uint64_t (*hash_of)(const void *), bool (*same)(const void *, const void *), bool *ret_new);
void merge_list_sort(struct merged_list *l, int (*order)(const void *, const void *));

#endif
