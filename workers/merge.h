/* SPDX-License-Identifier: MIT
 *
 * merge - a run of events joined to what the database must hold afterwards
 *
 * One entry per record, actor, key: the join of everything the events say of it (newest version, where it
 * was seen first, newest account state). Joining is associative, commutative and idempotent, so batch borders,
 * order and repetition do not matter; the statements join the result with what is stored in the same way.
 * Every list ends sorted by its primary key, of records the fresh ones first: two workers then lock rows in the
 * same order.
 * Owns: nothing; everything lives in the arena given. Must not know: PostgreSQL.
 */
#ifndef WORKERS_MERGE_H
#define WORKERS_MERGE_H

#include "domain/ident.h"
#include "domain/row.h"
#include "workers/batch.h"
#include "workers/merge_list.h"

struct position {
	uint64_t epoch, seq;
};

/* One record's newest version. */
struct merged_record {
	int64_t rkey, actor;
	struct slice nsid, rkey_text, did, record;
	uint64_t rev;
	struct slice cid; /* empty: deleted */
	struct position at;
	bool fresh; /* created by one of the events, under a TID: it is hardly there, nor has any other worker it in hand */
	int pack; /* that supplied the newest version at this position */
	const struct batch_event *said_by; /* the event that spoke of it last, newest or not */
};

/* One actor: what is needed of it, and what the events say of its account and repo. */
struct merged_actor {
	int64_t id;
	struct slice did;
	bool has_commit, has_sync, has_state, has_handle, has_account, has_purge, active;
	uint64_t rev, sync_rev;
	const uint8_t *commit_cid, *data, *sync_data;
	struct slice handle, status;
	struct position handle_at, account_at, purge_at;
};

struct merged_key {
	int64_t rkey, actor;
	enum kind kind;
	struct slice rkey_text;
	bool own; /* its content is in this batch */
	int64_t child_rkey, child_actor;
	uint8_t child_id; /* collection.id of the first child */
};

struct merged_dead {
	uint64_t epoch, seq;
	int op; /* -1: the whole event */
	const char *class;
	struct slice reason, did, collection, rkey, bytes;
	char sqlstate[6];
};

struct merge {
	const struct batch_event *events; /* what was merged */
	int n_events;
	struct arena *arena;
	const struct ident *ident;
	struct merged_list records[32]; /* by index into collections[] */
	struct merged_list actors, keys;
	struct merged_dead *dead;
	int n_dead, dead_cap;
	const struct batch_event **gaps;
	int n_gaps;
	int n_ops;
	struct stats_slot *stats; /* hears what is being decoded; NULL: nobody does */
	/* What became of the events, by pack: of those from first_pack on. Of the records above only those that
	 * lost against others are counted; the statements' answers tell the rest. */
	struct ledger_tally *tallies;
	int first_pack, n_packs;
};

/* Where the outcomes of one of the packs are counted. */
uint32_t *merge_outcomes(struct merge *m, int pack, int class);
/* Every operation of the only event is a dead letter. */
void merge_all_dead(struct merge *m, const struct batch_event *be);
/* Joins events[0..n); records end sorted, records that are no valid DAG-CBOR are among the dead. */
void merge_events(struct merge *m, struct arena *arena, const struct ident *ident,
	const struct batch_event *events, int n, struct stats_slot *stats);
/* Takes the columns of one record of collections[c] and notes the actors and keys they need. */
void merge_row(struct merge *m, int c, const struct merged_record *r, struct buf *scratch, struct row *ret);
/* After every merge_row: sorts actors and keys. */
void merge_sort_needs(struct merge *m);
/* Adds a dead letter (the struct's slices are borrowed). */
void merge_dead(struct merge *m, const struct merged_dead *dead);

#endif
