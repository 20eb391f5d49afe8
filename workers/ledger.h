/* SPDX-License-Identifier: MIT
 *
 * ledger - what was received in each pack, and what became of it
 *
 * Two sides that never look at each other: `received` is counted where a pack is opened, outcomes where they
 * are decided (workers/merge, and the answers of the statements). Both become one row of standpipe.ledger, in
 * the transaction that finishes the pack; there they have to add up.
 * Counted are operations, by collection (as indexed in collections[]), and events, by kind.
 * Invariant: a tally counts every operation and every event of its range once.
 * Owns: nothing. Must not know: SQL.
 */
#ifndef WORKERS_LEDGER_H
#define WORKERS_LEDGER_H

#include "base/buf.h"
#include "domain/event.h"
#include "io/stream.h"

/* Classes: the index of a collection, or LEDGER_EVENTS + the kind of an event. */
enum { LEDGER_EVENTS = 24, LEDGER_CLASSES = LEDGER_EVENTS + EVENT_SKIP + 1 };

enum ledger_outcome {
	LEDGER_APPLIED,	  /* it is what the database holds now; of an event: joined to what was known */
	LEDGER_UNCHANGED, /* the database, or this batch, had the same version */
	LEDGER_STALE,	  /* it had a newer one */
	LEDGER_DEAD,	  /* a dead letter */
	LEDGER_FILTERED,  /* outside source.collections */
	LEDGER_INSERTED,  /* of those applied: the record's first version. Counts rows, not outcomes */
	N_LEDGER_OUTCOMES
};

struct ledger_tally {
	uint32_t n[LEDGER_CLASSES][N_LEDGER_OUTCOMES];
};

/* One entry of the stream. */
struct ledger_pack {
	struct stream_id id, prev;
	bool has_prefix; /* else its bytes are no pack, and prev and first_ordinal are unknown */
	uint64_t first_ordinal;
	uint32_t n_events; /* as the prefix says; 1 without one */
	int end;	   /* one behind its last event in the batch's events */
	uint32_t n_alone;  /* suspects: they are written one by one, their operations are in no ledger */
	uint32_t received[LEDGER_CLASSES];
};

/* What stands for a class in the database: collections[].id, or 200 + the kind of an event. */
int ledger_class_id(int class);
/* Counts one event and its operations as received. */
void ledger_receive(struct ledger_pack *p, const struct event *e);
/* a += b */
void ledger_tally_add(struct ledger_tally *a, const struct ledger_tally *b);
/* The column `counts`: an array literal, one row {class, received, outcomes...} per class that occurs. */
void ledger_put_counts(const struct ledger_pack *p, const struct ledger_tally *t, struct buf *out);

#endif
