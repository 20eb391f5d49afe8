/* SPDX-License-Identifier: MIT */
#include "workers/merge_list.h"

#include <stdlib.h>
#include <string.h>

static void list_place(struct merged_list *l, void *item, uint64_t hash)
{
	unsigned i = (unsigned)hash & (l->n_slots - 1);

	while (l->slots[i])
		i = (i + 1) & (l->n_slots - 1);
	l->slots[i] = item;
}

/* Makes room for one more item, rehashing with the given function. */
static void list_room(struct merged_list *l, struct arena *arena, uint64_t (*hash_of)(const void *))
{
	void **items, **slots;

	if (l->n < l->cap)
		return;
	l->cap = l->cap ? l->cap * 2 : 64;
	l->n_slots = (unsigned)l->cap * 2;
	items = arena_alloc(arena, (size_t)l->cap * sizeof *items);
	slots = arena_zalloc(arena, l->n_slots, sizeof *slots);
	if (l->n)
		memcpy(items, l->items, (size_t)l->n * sizeof *items);
	l->items = items;
	l->slots = slots;
	for (int i = 0; i < l->n; i++)
		list_place(l, items[i], hash_of(items[i]));
}

void *merge_list_get(struct merged_list *l, struct arena *arena, const void *key, size_t size,
	uint64_t (*hash_of)(const void *), bool (*same)(const void *, const void *), bool *ret_new)
{
	uint64_t hash = hash_of(key);
	unsigned i;
	void *item;

	list_room(l, arena, hash_of);
	i = (unsigned)hash & (l->n_slots - 1);
	while (l->slots[i]) {
		if (same(l->slots[i], key)) {
			*ret_new = false;
			return l->slots[i];
		}
		i = (i + 1) & (l->n_slots - 1);
	}
	item = arena_alloc(arena, size);
	memcpy(item, key, size);
	l->slots[i] = item;
	l->items[l->n++] = item;
	*ret_new = true;
	return item;
}

void merge_list_sort(struct merged_list *l, int (*order)(const void *, const void *))
{
	if (l->n > 1)
		qsort(l->items, (size_t)l->n, sizeof *l->items, order);
}
