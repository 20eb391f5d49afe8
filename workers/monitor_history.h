/* SPDX-License-Identifier: MIT
 *
 * monitor_history - the figures that the status page draws, of the last ten minutes
 *
 * Owns: a ring of points, allocated by the caller with the struct. Errors: none.
 * Must not know: who draws.
 */
#ifndef WORKERS_MONITOR_HISTORY_H
#define WORKERS_MONITOR_HISTORY_H

#include "workers/monitor_status.h"

enum { HISTORY_POINTS = 300, HISTORY_SECONDS = 2 };

/* X(name): the columns of a point, in their order in /history.json; a negative value is unknown. */
#define HISTORY_COLUMNS(X)                                                                         \
	X(received)  /* events per second */                                                       \
	X(committed)                                                                               \
	X(receive)   /* p50 in seconds of the stage */                                             \
	X(append)                                                                                  \
	X(commit)                                                                                  \
	X(depth)                                                                                   \
	X(pending)

enum history_column {
#define X(name) HISTORY_##name,
	HISTORY_COLUMNS(X)
#undef X
	N_HISTORY_COLUMNS
};

struct monitor_history {
	double points[HISTORY_POINTS][N_HISTORY_COLUMNS];
	int n, next;
	struct monitor_sample last;
};

/* The point between the last call and this one: call every HISTORY_SECONDS. */
void monitor_history_add(struct monitor_history *h, const struct stats_page *page);
/* Appends one JSON object, oldest point first. */
void monitor_history_put_json(const struct monitor_history *h, struct buf *out);

#endif
