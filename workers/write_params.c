/* SPDX-License-Identifier: MIT */
#include "workers/write_params.h"

#include <assert.h>

struct params *params_new(struct writer *w)
{
	struct params *p = arena_alloc(&w->arena, sizeof *p);

	p->n = 0;
	return p;
}

void params_add(struct writer *w, struct params *p, enum pg_type type, int n_hint)
{
	assert(p->n < MAX_PARAMS);
	pg_array_init(&p->a[p->n], type, &w->arena, n_hint);
	p->p[p->n] = &p->a[p->n];
	p->n++;
}

struct params *params_of(struct writer *w, const enum pg_type *types, int n_types, int n_hint)
{
	struct params *p = params_new(w);

	for (int i = 0; i < n_types; i++)
		params_add(w, p, types[i], n_hint);
	return p;
}

int params_send(struct writer *w, int *n_sent, const struct pg_stmt *stmt, const struct params *p)
{
	if (!p->a[0].n)
		return -1;
	pg_tx_add(w->pg, stmt, p->p, p->n);
	return (*n_sent)++;
}
