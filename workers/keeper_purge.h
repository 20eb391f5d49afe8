/* SPDX-License-Identifier: MIT
 *
 * keeper_purge - the contents of deleted accounts' records, emptied in passes over the record tables
 *
 * A dead record is hidden by its position already; here its contents go, while key, version and position
 * stay. No index leads from an account to its records, so one pass reads every table once, in ranges of
 * blocks, for all accounts deleted since the last pass. An account's turn comes when the watermark has
 * passed its deletion: then whatever it had at lower positions, late commits too, is in the tables. What a
 * person brings back later at such a position (a dead letter retried) is found by a sweep, once a day.
 * Invariant: the place of a pass is stored in the transaction that empties the range before it; a keeper that
 * dies goes on there. Owns: nothing; pg is borrowed and connected. Errors: enum pg_class, err says what.
 * Must not know: events, Redis.
 */
#ifndef WORKERS_KEEPER_PURGE_H
#define WORKERS_KEEPER_PURGE_H

#include "io/pg.h"

struct keeper_purge {
	struct pg *pg;
	int64_t next_pass_us;
	int64_t busy_us, rows; /* of the pass under way */
};

/* Begins a pass if one is due; works on the one under way for a bounded time. */
enum pg_class keeper_purge_tick(struct keeper_purge *p, struct err *err) NODISCARD;

#endif
