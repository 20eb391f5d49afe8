/* SPDX-License-Identifier: MIT
 *
 * keeper_pending - missing parents: retries with backoff, expiry, and the limit on their number
 *
 * A row of standpipe.pending is one missing parent. Nothing depends on this for correctness: the
 * worker that lands a parent deletes its row in the same transaction, and an expired parent that
 * arrives later still completes its children. Here rows whose parent is there are deleted (belt and
 * braces), old ones are given up by policy, the others wait longer. Owns: nothing; pg is borrowed
 * and connected. Errors: enum pg_class, err says what. Must not know: children, batches, Redis.
 */
#ifndef WORKERS_KEEPER_PENDING_H
#define WORKERS_KEEPER_PENDING_H

#include "base/stats.h"
#include "io/conf.h"
#include "io/pg.h"

struct keeper_pending {
	struct pg *pg;
	struct stats_slot *stats;
	const struct conf *conf;
	int64_t next_count_us;
	/* The planner's estimate stands still until ANALYZE: what was expired since counts too. */
	int64_t estimate, expired_since;
};

/* Works off due rows for a bounded time; every 10 s counts and expires the oldest over max_rows. */
enum pg_class keeper_pending_tick(struct keeper_pending *p, struct err *err) NODISCARD;

#endif
