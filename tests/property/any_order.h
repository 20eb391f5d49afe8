/* SPDX-License-Identifier: MIT
 *
 * any_order - histories of a small network, what must be stored of them, and the way into the database
 *
 * An *instance* is one history with DIDs of its own, so that thousands of them live in one database at
 * once. Its events are handed to the production writer in some order, in some batches, with repeats; the
 * model computes from the *set* of its events what the canonical dump must be.
 * Owns: everything lives in the arena of its maker until the program ends.
 * Must not know (history, model): how the production code merges or stores.
 */
#ifndef PROPERTY_ANY_ORDER_H
#define PROPERTY_ANY_ORDER_H

#include "base/arena.h"
#include "base/buf.h"
#include "domain/event.h"
#include "relay/rng.h"
#include "workers/write.h"

enum {
	MAX_ACCOUNTS = 4,
	MAX_CHANGES = 5,
	MAX_REFERENCES = 4,
	DID_TEXT = 32,
	SEQS_PER_INSTANCE = 1000,
	CLASS_EVENTS = 6,
	CLASS_ORDERS = 720,
};

struct path {
	int account;
	const char *collection, *rkey;
};

/* What a reference is for: views count some of them. */
enum role { ROLE_OTHER, ROLE_SUBJECT, ROLE_PARENT, ROLE_QUOTE };

struct reference {
	enum role role;
	struct path to;
};

/* One version's content. json is written as jsonb prints it. */
struct record {
	const char *json, *value; /* value: what the database must show (U+0000 replaced) */
	struct reference refs[MAX_REFERENCES];
	int n_refs;
	struct slice cbor;
	uint8_t digest[CID_DIGEST];
};

/* An op that must become a dead letter and nothing else. */
enum flaw { FLAW_NONE, FLAW_REFUSED /* by the reader */, FLAW_INVALID /* no DAG-CBOR */ };

struct change {
	const char *collection, *rkey;
	const struct record *record; /* NULL: delete */
	enum flaw flaw;
};

struct happening {
	enum event_kind kind;
	int account;
	uint64_t seq;
	uint64_t rev; /* commit, sync */
	uint8_t commit_cid[CID_DIGEST], data[CID_DIGEST];
	struct change changes[MAX_CHANGES];
	int n_changes;
	const char *handle, *status; /* NULL: not given */
	bool active;
	uint64_t gap_after, gap_first;
};

struct history {
	char dids[MAX_ACCOUNTS + 1][DID_TEXT + 1]; /* one more than n_accounts: referred to, never acts */
	int n_accounts;
	struct happening *events;
	int n_events, cap;
};

/* ---- record.c: contents ---- */

struct maker {
	struct arena *arena;
	struct rng *rng;
	struct history *h;
	int instance;
};

/* Formatted text in the arena. */
const char *text_of(struct arena *arena, const char *fmt, ...) PRINTF(2, 3);
const struct record *record_plain_post(struct maker *m);
const struct record *record_reply(struct maker *m, struct path root, struct path parent);
const struct record *record_quote(struct maker *m, struct path quoted);
/* A like or repost of what `to` names. */
const struct record *record_of_subject(struct maker *m, const char *collection, struct path to);
/* A follow or block. */
const struct record *record_of_account(struct maker *m, const char *collection, int account);
/* Anything that may stand in the collection, ordinary or odd. */
const struct record *record_random(struct maker *m, const char *collection);
/* Somewhere a random reference may point: often there, sometimes never. */
struct path path_random(struct maker *m, const char *collection);

/* ---- history.c: what happens ---- */

/* Each appends an event; positions follow each other. */
struct happening *happen_commit(struct maker *m, int account, uint64_t rev);
void happen_change(struct happening *e, const char *collection, const char *rkey, const struct record *record);
struct happening *happen_account(struct maker *m, int account, bool active, const char *status);
struct happening *happen_identity(struct maker *m, int account, const char *handle);
/* A #sync with the root of the commit `like`, or with another one if that is NULL. */
struct happening *happen_sync(struct maker *m, int account, uint64_t rev, const struct happening *like);
struct happening *happen_gap(struct maker *m);
/* The same event once more, at a later position. */
struct happening *happen_again(struct maker *m, const struct happening *e);
/* The n-th rev of every repo. */
uint64_t nth_rev(int n);

/* Gives the instance its DIDs. */
void history_begin(struct maker *m, uint64_t seed, int n_accounts);
/* 40 to 60 events of every sort. */
void history_random(struct maker *m);

/* ---- classes.c: short histories whose every order is tried ---- */

struct class {
	const char *name;
	int n_accounts;
	void (*make)(struct maker *m);
};

extern const struct class classes[];
extern const int n_classes;

/* ---- model.c ---- */

/* Appends the canonical dump of the set of the history's events, one line each, in C order. */
void model_lines(const struct history *h, struct arena *arena, struct buf *out);

/* ---- plan.c: who delivers what when ---- */

struct delivery {
	int instance, event;
};

/* Batches of one lane are written one after the other; lanes at the same time. */
struct plan {
	struct delivery *deliveries;
	int n, cap;
	int *batch_end, n_batches, batches_cap; /* index behind the last delivery of each batch */
	int *lane_end, n_lanes, lanes_cap;	/* index behind the last batch of each lane */
};

struct world {
	struct arena arena;
	uint64_t seed;
	int n_shuffles, n_instances; /* shuffled instances first, then the orders of every class */
	int every, n_orders;         /* of the orders every so-manyth, and how many that are */
	struct history *histories;
};

/* Into how many batches the six events of a class are cut. */
enum { N_CUTS = 3 };
extern const int class_cuts[N_CUTS];

/* What an instance behind the shuffled ones is. */
struct class_place {
	int class, cut, order;
};

struct class_place class_place(const struct world *w, int instance);
/* salt: another number, other orders of the shuffled instances. */
void plan_make(struct plan *p, const struct world *w, uint64_t salt);
void plan_done(struct plan *p);
/* Prints, for people, in which order and batches those events of an instance are delivered that have to do
 * with one line of its dump. */
void plan_show(const struct plan *p, const struct world *w, int instance, const char *line);

/* ---- apply.c: into the database ---- */

struct apply {
	const char *conninfo;
	const struct world *world;
	const struct plan *plan;
	uint64_t epoch;
	int n_workers;
	int only; /* instance, or -1 for all */
};

/* Writes every delivery with the production writer, in n_workers processes; gaps belong to epoch 1.
 * False, with the reason printed, if a batch could not be written. */
bool apply_all(const struct apply *a);

/* ---- dump.c: out of it ---- */

/* The canonical dump, in the order of the instances; the next lines of an instance at a time. */
struct dump {
	struct pg *pg;
	struct pg_result *rows, *gaps;
	int row, gap;
};

bool dump_open(struct dump *d, const char *conninfo);
/* Makes the views from the table of collections as this build has it. */
bool dump_make_views(struct dump *d);
bool dump_read(struct dump *d);
/* Appends the lines of one instance; instances must be asked for in rising order. */
void dump_lines(struct dump *d, int instance, struct buf *out);
/* One number, or -1. */
long long dump_number(struct dump *d, const char *sql);
void dump_close(struct dump *d);
/* The instance a DID was made for, -1 if none. */
int instance_of_did(const char *did);

#endif
