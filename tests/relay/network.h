/* SPDX-License-Identifier: MIT
 *
 * network - a generated network: accounts, their repos, and what they say, one frame at a time
 *
 * network_next appends exactly one frame. What happens comes from the table in activity.c; a few
 * things come in a fixed order behind one another (the four frames of a new account) and wait as
 * steps; records that were referred to before they exist wait as promises until their frame. Owns:
 * everything it points to until network_done. Invariants: same options, same frames, unless the
 * clock is the wall's; memory is bounded: a full account falls silent and a new one takes its slot.
 * Errors: struct err from the start time only. Must not know: who reads the frames.
 */
#ifndef RELAY_NETWORK_H
#define RELAY_NETWORK_H

#include "mst.h"
#include "options.h"
#include "record.h"
#include "rng.h"
#include "sign.h"
#include "wire.h"

#include <sys/queue.h>

struct state;

enum {
	NETWORK_TIME = 24,   /* datetime_format's length */
	NETWORK_POOL = 4096, /* posts that can still be answered */
	NETWORK_HOT = 16,    /* of them in everybody's feed */
	NETWORK_VIAS = 64,   /* reposts through which others see posts */
	NETWORK_STEPS = 16,
	NETWORK_HANDLE = 48,
	NETWORK_PATH = 640,
	NETWORK_OPS = 32,
};

struct account {
	uint64_t number; /* never reused, unlike the slot */
	char did[RECORD_DID + 1];
	char handle[NETWORK_HANDLE];
	uint8_t key[SIGN_KEY];
	const char *status; /* NULL: none */
	bool active, seen;  /* seen: a frame of it was made */
	uint64_t rev;       /* 0: no commit yet */
	uint8_t commit[CID_DIGEST], data[CID_DIGEST];
	struct mst repo;
	size_t n_promises, n_hidden;
	uint64_t last_post, last_list; /* rkeys; 0: none */
	uint64_t n_handles;
};

struct pool_post {
	struct record_ref self, root;
};

enum step_kind { STEP_IDENTITY, STEP_ACCOUNT, STEP_COMMIT, STEP_SYNC, STEP_RECREATE };

struct step {
	enum step_kind kind;
	struct account *account;
	char path[NETWORK_PATH]; /* STEP_RECREATE */
};

/* A record that is due at a later frame. */
struct promise {
	STAILQ_ENTRY(promise) link;
	struct account *account;
	struct pool_post post;
	struct buf block;
};

STAILQ_HEAD(promise_list, promise);

struct network {
	const struct options *options;
	struct state *state; /* NULL: nobody asks for the expected state */
	struct rng rng;
	struct signer signer;
	struct account *accounts; /* slots */
	size_t n_accounts, n_inactive;
	uint64_t n_made; /* accounts ever */
	uint64_t n_frames, seq;
	int64_t start_us, now_us, last_tid_us;
	char time[NETWORK_TIME + 1];
	struct pool_post *pool, hot[NETWORK_HOT];
	struct pool_post oldest; /* the first post ever: --hot refers to it */
	uint64_t n_pool, n_vias; /* ever */
	struct record_ref vias[NETWORK_VIAS];
	struct step steps[NETWORK_STEPS];
	size_t step_first, n_steps;
	struct promise_list *promises; /* [frame % (late_span + 1)] */
	struct promise_list overdue;
	struct buf nodes, blocks, car, record, block;
};

/* One change of a repo. */
struct change {
	const char *path;
	struct slice block; /* the new record; empty: delete */
};

int network_init(struct network *net, const struct options *options, struct state *state,
	struct err *err) NODISCARD;
/* Appends the next frame and returns its seq. */
uint64_t network_next(struct network *net, struct buf *out);
/* Hands every account still there to the expected state, then frees. */
void network_done(struct network *net);

/* For activities. */
/* An active account, the busy ones likelier. */
struct account *network_actor(struct network *net);
/* A slot, any status. */
struct account *network_slot(struct network *net);
/* A new TID, above all others. */
uint64_t network_tid(struct network *net);
/* Begins a frame of that account: takes a seq. */
struct wire_head network_head(struct network *net, struct account *account);
/* Changes a repo and appends the #commit frame. At most NETWORK_OPS changes of different paths. */
void network_commit(struct network *net, struct account *account, const struct change *changes,
	size_t n, struct buf *out);
/* Creates one record at a new TID (returned) out of net->record. */
uint64_t network_create(
	struct network *net, struct account *account, const char *collection, struct buf *out);
/* Appends a #sync frame with the present commit; an account without one makes its first commit
 * instead. */
void network_sync(struct network *net, struct account *account, struct buf *out);
void network_step(
	struct network *net, enum step_kind kind, struct account *account, const char *path);
/* The account leaves for ever; a new one takes its slot. announce: with its four frames. */
void network_replace(struct network *net, struct account *account, bool announce);
/* Sets the status and appends the #account frame. */
void network_status(struct network *net, struct account *account, bool active, const char *status,
	struct buf *out);
/* A post to refer to: one of the pool, one that will come, or one that never will. False while
 * there is none. */
bool network_post(struct network *net, struct pool_post *ret_post);
/* A post that others can refer to from now on. */
void network_pool_add(struct network *net, const struct pool_post *post);
/* A did:plc out of the seed, a kind and a number. */
void network_make_did(
	const struct network *net, const char *kind, uint64_t number, char ret_did[RECORD_DID + 1]);
/* A DID: mostly of an account here. */
void network_did(struct network *net, char ret_did[RECORD_DID + 1]);
void network_path(const char *collection, uint64_t rkey, char ret_path[NETWORK_PATH]);

/* Of activity.c: appends one frame of everyday life. */
void activity_next(struct network *net, struct buf *out);
/* Of odd.c: appends one odd frame; false if it cannot be now. */
bool odd_next(struct network *net, struct buf *out);

#endif
