/* SPDX-License-Identifier: MIT
 *
 * write - a batch of events into PostgreSQL, each with an outcome
 *
 * One pipeline, two transactions: first the narrow immutable targets of foreign keys (actors, keys, and
 * the pending rows of missing parents), then the records, accounts, gaps and dead letters. Applying the
 * same events again, in any order, by any worker, changes nothing. The second stays open until its answers are
 * read: they say what became of each event, which the ledger's rows hold when it commits.
 * Invariant: WRITE_OK means that every event of the batch is committed: applied, a no-op, or dead-lettered.
 * Records that were created are inserted straight, as if none were there; if one is, the batch is done again with
 * statements that look first, and while that goes on (a replay) ever more batches after it.
 * A data error is bisected to the event that causes it; only that event becomes a dead letter. Errors of
 * connection, lock, or schema never count against an event.
 * Owns: the connection, the cache of known ids and an arena for parameters.
 * Must not know: Redis.
 */
#ifndef WORKERS_WRITE_H
#define WORKERS_WRITE_H

#include "io/pg.h"
#include "workers/batch.h"
#include "workers/known.h"
#include "workers/merge.h"
#include "workers/write_sql.h"

enum write_status {
	WRITE_OK = 0,
	WRITE_E_RETRY, /* nothing or not everything is known to be committed: the same batch again */
	WRITE_E_DOWN,  /* no connection: reconnect, then the same batch again */
	WRITE_E_SCHEMA, /* a person is needed; then the same batch again */
	WRITE_E_STOP,
};

struct writer {
	struct pg *pg;
	struct write_sql sql;
	struct ident ident;
	bool have_ident;
	struct known known_actors, known_keys;
	int careful;	  /* so many batches more look for records that are there; 0: what was created is inserted, */
	int careful_next; /* and where that fails, so many batches do not try it again */
	struct arena arena;
	struct buf scratch;
	struct stats_slot *stats;
	/* Of the batch being written: borrowed; the first n_finished have their row in the ledger. */
	const struct ledger_pack *packs;
	int n_packs, n_finished;
	struct ledger_tally before; /* of the next one: the outcomes of its events that are committed already */
};

int writer_init(struct writer *w, const char *conninfo, const char *application_name,
	struct waiter waiter, struct stats_slot *stats, struct err *err) NODISCARD;
void writer_done(struct writer *w);
/* Connects if necessary, checks the schema version, reads the installation key. */
enum write_status writer_connect(struct writer *w, struct err *err) NODISCARD;
/* The same words for the outcome of a straight statement over w->pg. */
enum write_status writer_judge(struct writer *w, enum pg_class class);
/* Events of the batch become durable; see the invariant above. */
enum write_status writer_write(struct writer *w, const struct batch *b, struct err *err) NODISCARD;

#endif
