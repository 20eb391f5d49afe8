/* SPDX-License-Identifier: MIT
 *
 * keeper_chain - the audit of each repo's chain of commits (with source.verify = "full")
 *
 * Every commit says which one it follows (since) and over which tree (prevData). Commits are stored in any
 * order, so nobody looks before the watermark has passed one for a while and nothing of its account is parked:
 * then the commit it follows is there, with that tree, or the chain is broken, which is put on record and
 * refuses nothing. A commit that comes later after all closes the break. The first one seen of a repo follows
 * on nothing we could know.
 * Owns: nothing. Errors: enum pg_class. Must not know: Redis.
 */
#ifndef WORKERS_KEEPER_CHAIN_H
#define WORKERS_KEEPER_CHAIN_H

#include "base/stats.h"
#include "io/pg.h"

struct keeper_chain {
	struct pg *pg;
	struct stats_slot *stats;
};

enum pg_class keeper_chain_tick(struct keeper_chain *k, struct err *err) NODISCARD;

#endif
