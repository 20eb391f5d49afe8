/* SPDX-License-Identifier: MIT
 *
 * event - one firehose frame as a value: what happened, in the order the frame says
 *
 * event_from_frame (reader) decodes and checks a WebSocket message; event_encode/event_decode are its
 * compact form inside a pack. All slices borrow: from the frame, from the pack, or from the arena given.
 * Record bytes are verbatim. MST blocks and proofs are dropped here.
 * Source of the checks: atproto.com/specs/{event-stream,sync,repository}.
 * Must not know: collections' columns, Redis, PostgreSQL.
 */
#ifndef DOMAIN_EVENT_H
#define DOMAIN_EVENT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "codec/cid.h"

/* The numbers are in the stream: never reuse one. */
#define EVENT_KINDS(X)                                                                             \
	X(COMMIT, 1, "commit")                                                                     \
	X(IDENTITY, 2, "identity")                                                                 \
	X(ACCOUNT, 3, "account")                                                                   \
	X(SYNC, 4, "sync")                                                                         \
	X(GAP, 5, "gap")                                                                           \
	X(BAD, 6, "bad")                                                                           \
	X(FRAME, 7, "frame")                                                                       \
	X(SKIP, 8, "skip")

enum event_kind {
	EVENT_NONE = 0,
#define X(name, number, text) EVENT_##name = number,
	EVENT_KINDS(X)
#undef X
};

enum op_action { OP_CREATE = 1, OP_UPDATE = 2, OP_DELETE = 3 };

/* The reader's verdict on one operation; not OK travels with the op and becomes a dead letter. */
#define OP_VERDICTS(X)                                                                             \
	X(OK, 0, "ok")                                                                             \
	X(BAD_PATH, 1, "bad_path")           /* not nsid/rkey */                                   \
	X(BAD_ACTION, 2, "bad_action")       /* unknown action, or cid where none may be */        \
	X(BAD_CID, 3, "bad_cid")             /* op cid is not v1 dag-cbor SHA-256 */               \
	X(MISSING_BLOCK, 4, "missing_block") /* the CAR does not hold the record */                \
	X(CID_MISMATCH, 5, "cid_mismatch")   /* the block's hash is not its CID */                 \
	X(TOO_LARGE, 6, "record_too_large")  /* over EVENT_MAX_RECORD */                           \
	X(FUTURE_REV, 7, "future_rev")       /* rev more than 5 minutes ahead at receipt */

enum op_verdict {
#define X(name, number, text) OP_VERDICT_##name = number,
	OP_VERDICTS(X)
#undef X
};

enum {
	EVENT_MAX_FRAME = 5000000,
	EVENT_MAX_BLOCKS = 2000000,
	EVENT_MAX_OPS = 200,
	EVENT_MAX_RECORD = 1048576,
	EVENT_REV_AHEAD_US = 300 * 1000000,
};

/* In struct event's flags. */
enum {
	FRAME_AHEAD = 1, /* commit, sync: its rev was ahead of the clock when it was received */
};

struct op {
	uint8_t action;	 /* enum op_action */
	uint8_t verdict; /* enum op_verdict */
	struct slice collection, rkey;	 /* with BAD_PATH: whole path in rkey, collection empty */
	uint8_t cid[CID_DIGEST];	 /* create, update: digest of the record's CID (dag-cbor) */
	struct slice record;		 /* create, update: the record's block, verbatim */
	const uint8_t *prev;		 /* from a frame only: digest of the record before, NULL if not given */
};

/* How many operations of one collection were left out. */
struct filtered {
	struct slice collection; /* empty: of all collections without a number in the pack */
	uint32_t n;
};

struct event {
	enum event_kind kind;
	uint8_t flags;
	uint64_t seq;
	int64_t time_us;     /* the frame's time, 0 if unreadable */
	struct slice did;    /* commit, identity, account, sync */

	/* commit, sync; revs as TID integers, since 0 = none */
	uint64_t rev, since;
	uint8_t commit_cid[CID_DIGEST], data[CID_DIGEST]; /* commit block, MST root: digests */
	uint64_t prev_data; /* commit: first 8 bytes of prevData's digest, little-endian; 0 = absent */
	/* from a frame only, for verification: the CAR, prevData's digest (NULL: not given or unreadable) */
	struct slice blocks;
	const uint8_t *prev_root;
	bool has_prev_data, too_big;
	struct op *ops;
	uint32_t n_ops;
	/* Commit: ops dropped by source.collections; in the reader they stand in ops, behind the n_ops. */
	uint32_t n_filtered;
	/* Skip: what was dropped of all frames of the pack, by collection. */
	const struct filtered *filtered;
	uint32_t n_filtered_collections;

	struct slice handle; /* identity: empty = not given */
	bool has_handle;
	bool active;	     /* account */
	struct slice status; /* account: empty = not given */

	/* gap: events after (epoch, after_seq) up to before first_seq may be missing */
	uint64_t gap_after_epoch, gap_after_seq, gap_first_seq;
	struct slice reason; /* gap, bad */
	struct slice bytes;  /* bad, frame: the message, verbatim */
};

/* What event_from_frame says of a message. */
enum frame_status {
	FRAME_OK = 0,	/* of a sync or a commit without ops whose rev is ahead of the clock: an EVENT_BAD
			 * with the whole message, for there is no op to carry the verdict */
	FRAME_UNKNOWN,	/* well-formed, but a type or op we do not know: ret->seq is set if it
			 * has one, ret->reason is the type */
	FRAME_INFO,	/* #info: ret->reason is its name (e.g. OutdatedCursor), ret->bytes its message */
	FRAME_ERROR,	/* op -1: ret->reason is the error name, ret->bytes its message */
	FRAME_BAD,	/* malformed: err says why, ret->seq is set if it could be read (else 0) */
};

/* frame: one WebSocket message. now_us: wall clock of receipt (for FUTURE_REV). arena: holds ops. */
enum frame_status event_from_frame(struct slice frame, int64_t now_us, struct arena *arena,
	struct event *ret_event, struct err *err) NODISCARD;

/* Has it a commit block, and so a signature? */
static inline bool event_is_signed(const struct event *e)
{
	return e->kind == EVENT_COMMIT || e->kind == EVENT_SYNC;
}

/* Is the rev of a commit so far ahead of now_us that it is refused? */
bool event_is_ahead(const struct event *e, int64_t now_us);

/* Appends the compact payload of e to out (pack_add carries kind, flags and seq). */
void event_encode(const struct event *e, struct buf *out);
/* The inverse; unknown kinds give FRAME_UNKNOWN, damaged payloads -1 with err. What comes with 0 has a
 * valid DID, revs below 2^63, and in ops of verdict OK valid paths, actions and digests. */
int event_decode(uint8_t kind, uint8_t flags, uint64_t seq, struct slice payload,
	struct arena *arena, struct event *ret_event, struct err *err) NODISCARD;

/* Collections that have a number in the stream; 0 is none. */
enum { N_KNOWN_COLLECTIONS = 20 };
extern const char *const event_known_collections[N_KNOWN_COLLECTIONS];
/* The collection's number in the stream, 0 if it has none. */
uint8_t event_known_collection(struct slice collection);

const char *event_kind_name(enum event_kind kind);
const char *op_verdict_name(enum op_verdict verdict);
const char *op_action_name(enum op_action action);

#endif
