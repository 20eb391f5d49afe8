/* SPDX-License-Identifier: MIT
 *
 * write_params - the parameters of one statement: arrays in the writer's arena, until the next batch
 */
#ifndef WORKERS_WRITE_PARAMS_H
#define WORKERS_WRITE_PARAMS_H

#include "workers/write.h"

enum { MAX_PARAMS = STORED_MAX };

struct params {
	struct pg_array a[MAX_PARAMS];
	const struct pg_array *p[MAX_PARAMS];
	int n;
};

struct params *params_new(struct writer *w);
/* One more array, for about n_hint elements. */
void params_add(struct writer *w, struct params *p, enum pg_type type, int n_hint);
struct params *params_of(struct writer *w, const enum pg_type *types, int n_types, int n_hint);

#define PARAMS_OF(w, hint, ...)                                                                    \
	params_of(w, (const enum pg_type[]){ __VA_ARGS__ },                                        \
		sizeof((const enum pg_type[]){ __VA_ARGS__ }) / sizeof(enum pg_type), hint)

/* Queues a statement if it has rows; returns its place in the pipeline or -1. */
int params_send(struct writer *w, int *n_sent, const struct pg_stmt *stmt, const struct params *p);

/* Empty is NULL. */
static inline void put_text(struct pg_array *a, struct slice s)
{
	if (s.n)
		pg_array_bytes(a, s);
	else
		pg_array_null(a);
}

#endif
