/* SPDX-License-Identifier: MIT
 *
 * batch - stream entries opened into events, in the order they were read
 *
 * Owns: the entries' replies and an arena for what is decoded, until batch_reset. Events borrow from both.
 * Invariant: every entry ends up with all its events in `events` or `alone`, or, if its bytes are no pack of
 * ours, with one EVENT_BAD standing for the whole entry: nothing is dropped here.
 * Must not know: PostgreSQL.
 */
#ifndef WORKERS_BATCH_H
#define WORKERS_BATCH_H

#include "base/stats.h"
#include "domain/event.h"
#include "io/stream.h"
#include "workers/ledger.h"
#include "workers/suspect.h"

struct batch_event {
	struct event e;
	uint64_t epoch;
	int pack; /* index into the batch's packs */
	struct slice bytes; /* as it was in the pack, with its head: what a dead letter keeps */
	const char *class;  /* of EVENT_BAD's dead letter; NULL: "bad" */
	bool verified; /* a commit or sync that is what its account signed */
	bool failed;   /* a check failed with the key there is */
	bool wanted;   /* the account's document is to be asked for (again) */
	bool resumed;  /* it comes from standpipe.parked */
};

/* What the prefix of an entry said; n_events is 0 if it had none that can be read. */
struct batch_pack {
	uint64_t received_us, source_time_us;
	uint32_t n_events;
};

enum { BATCH_MAX_READS = 64 };

struct batch {
	struct arena arena;
	struct stream_entries reads[BATCH_MAX_READS];
	int n_reads;
	struct stream_id *ids; /* of every entry, to be acked */
	struct batch_pack *packs; /* of every entry, in the order of ids */
	int n_ids, ids_cap, packs_cap;
	struct batch_event *events;
	int n_events, events_cap;
	/* Suspects, not decoded (e holds only the seq): each goes its own way. */
	const struct suspects *suspects; /* borrowed; NULL: none */
	struct batch_event *alone;
	int n_alone, alone_cap;
	/* Of every entry that is there. Without any, the events are none of the stream's and no ledger counts them. */
	struct ledger_pack *ledger;
	int n_ledger, ledger_cap;
	bool resumed; /* of events that were parked */
	size_t n_bytes;
	uint64_t newest_time_us; /* source time of the newest event */
	int64_t begun_us;
};

/* Takes over the reply in `read` (zeroes it) and decodes its entries. stats gets the position being decoded,
 * so that a crash in here names the event. Needs n_reads < BATCH_MAX_READS. */
void batch_add(struct batch *b, struct stream_entries *read, struct stats_slot *stats);
/* Room for one more event. */
struct batch_event *batch_new_event(struct batch *b);
/* Opens be->bytes into be->e; 0, or -1 with err if they hold no event of a known kind. */
int batch_decode(struct batch_event *be, struct arena *arena, struct err *err) NODISCARD;
/* Everything in it is committed: counts it, and how long each entry took. */
void batch_count(const struct batch *b, const struct stats_page *page, struct stats_slot *stats);
/* Forgets everything, keeps memory. */
void batch_reset(struct batch *b);
void batch_done(struct batch *b);

#endif
