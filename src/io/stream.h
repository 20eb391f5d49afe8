/* SPDX-License-Identifier: MIT
 *
 * stream - the buffer in Redis: one stream, one consumer group, one hash of marks beside it
 *
 * Owner of hiredis and of every Lua script. All calls are straight-line: they wait through the waiter
 * they were given. The stream's head IS the cursor; nothing else stores a position that could run ahead
 * of the data. The hash <stream>:meta is written only inside the scripts here:
 *	next_ordinal, next_byte   events and pack bytes ever appended
 *	epoch, host, start        the current epoch, its source, its start (live | oldest | seq)
 *	generation                bumped when delivery was reset; fences acks
 *	w_epoch, w_seq            watermark last written to PostgreSQL
 *	trim_epoch, trim_seq      last entry deleted by our own trim
 *	pg                        identity of the PostgreSQL that the watermark belongs to
 *	want_host, want_start     the reader asks the keeper for a new epoch
 *	head                      last id that our append wrote; a witness, never a position to go on from
 *	doubt                     a foreigner deleted single entries; the chain of packs is to be walked
 * Within the MULTI of an append the stream is called <stream>:append, and a group of that name comes and goes.
 * Owns: one connection; replies live until stream_entries_free.
 * Invariants: after STREAM_E_DOWN and STREAM_E_STOP there is no connection, so a half-read reply can never be
 * taken for the next command's. The process ignores SIGPIPE (hiredis writes with write(2)).
 * Errors: enum stream_status > 0; err always says what and the way out.
 * Must not know: what is inside an event.
 */
#ifndef IO_STREAM_H
#define IO_STREAM_H

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"
#include "base/wait.h"

struct stream;
struct redisReply;

enum stream_status {
	STREAM_OK = 0,
	STREAM_E_DOWN,	     /* not reachable, lost, LOADING, READONLY, BUSY, NOAUTH...: connect again later */
	STREAM_E_MOVED,	     /* append: the head is not what the caller last saw: derive anew */
	STREAM_E_FULL,	     /* OOM or MISCONF: stop reading the source, try again later */
	STREAM_E_UNPREPARED, /* no meta hash yet: the keeper has not prepared this Redis */
	STREAM_E_NOGROUP,    /* the group (or the stream) is gone: the keeper makes it anew */
	STREAM_E_STOP,	     /* the waiter said stop */
	STREAM_E_SETTINGS,   /* settings that break the promise; err holds the CONFIG SET line */
	N_STREAM_STATUS
};

struct stream_id {
	uint64_t epoch, seq;
};

static inline int stream_id_cmp(struct stream_id a, struct stream_id b)
{
	if (a.epoch != b.epoch)
		return a.epoch < b.epoch ? -1 : 1;
	return a.seq < b.seq ? -1 : a.seq > b.seq;
}

struct stream_options {
	const char *url, *password_file, *name, *group; /* as in struct conf; borrowed for the stream's life */
	struct waiter waiter;
	int64_t reply_timeout_us; /* 0: 30 s; a blocking read waits its block_ms + 5 s (or + this, if shorter) */
};

const char *stream_status_name(enum stream_status status);
/* Copies nothing but the options struct; does not connect. -1: the URL is none of ours. */
int stream_new(const struct stream_options *options, struct stream **ret_s, struct err *err) NODISCARD;
struct stream *stream_free(struct stream *s);
/* Connects (AUTH, SELECT) if not connected. Every call below returns STREAM_E_DOWN when the
 * connection is lost; the next stream_connect makes a new one. */
enum stream_status stream_connect(struct stream *s, struct err *err) NODISCARD;
void stream_disconnect(struct stream *s);
/* Its socket, for an event loop that waits for a split call's reply; -1 while not connected. */
int stream_fd(const struct stream *s);
/* "redis://127.0.0.1:6379/0" or "unix:///path", without password. */
const char *stream_address(const struct stream *s);

/* Refuses Redis < 7.0, a replica, an eviction policy other than noeviction, no maxmemory, AOF off or
 * appendfsync no: STREAM_E_SETTINGS with the exact line that fixes it. Also returns run_id (41 bytes). */
enum stream_status stream_check_settings(struct stream *s, char ret_run_id[41], struct err *err) NODISCARD;

/* ---- reader ---- */

struct stream_state {
	struct stream_id head, watermark;
	uint64_t next_ordinal, next_byte;
	uint64_t epoch, generation;
	char host[256];	     /* of the epoch */
	char start[32];	     /* live | oldest | digits */
};

/* STREAM_E_UNPREPARED until the keeper has been here. */
enum stream_status stream_get_state(struct stream *s, struct stream_state *ret, struct err *err) NODISCARD;
/* Asks the keeper for a new epoch at another host (or the same after a reset). */
enum stream_status stream_want_epoch(struct stream *s, const char *host, const char *start,
	struct err *err) NODISCARD;

struct stream_pack {
	struct stream_id id;
	struct slice bytes; /* a finished pack */
	uint32_t n_events;
};

/* Compare-and-append: all packs or none, only if the head is `expected`, the next ordinal
 * `first_ordinal` and meta's epoch the packs'. Split in two so that the caller works while Redis does. Exactly one
 * append may be under way. */
enum stream_status stream_append_send(struct stream *s, struct stream_id expected,
	uint64_t first_ordinal, const struct stream_pack *packs, int n_packs, struct err *err) NODISCARD;
enum stream_status stream_append_result(struct stream *s, struct err *err) NODISCARD;

struct stream_depth {
	uint64_t events, bytes;		  /* appended and not yet acked (contiguous part) */
	uint64_t oldest_time_us;	  /* source time of the oldest of them; 0: none, or unknown */
	uint64_t used_memory, max_memory, rss; /* of Redis */
	double fragmentation;		  /* its mem_fragmentation_ratio */
	uint64_t epoch, generation;	  /* the current ones, for who is about to append */
};

enum stream_status stream_get_depth(struct stream *s, struct stream_depth *ret, struct err *err) NODISCARD;

/* ---- worker ---- */

struct stream_entry {
	struct stream_id id;
	struct slice bytes; /* of the pack; of an entry that is none of ours, all its fields */
	bool deleted; /* by a foreigner, while pending: not to be acked, the keeper records it as a gap */
};

struct stream_entries {
	struct stream_entry *entries;
	int n;
	struct redisReply *reply;
	struct arena arena;
};

/* New entries: block_ms 0 = do not block. Split like append; between send and result nothing else may be
 * sent on this connection. STREAM_OK with n = 0 when there was nothing. */
enum stream_status stream_read_send(struct stream *s, const char *consumer, int count, int block_ms,
	struct err *err) NODISCARD;
enum stream_status stream_read_result(struct stream *s, struct stream_entries *ret, struct err *err) NODISCARD;
/* This consumer's own pending entries with ids above `after`. */
enum stream_status stream_read_own(struct stream *s, const char *consumer, struct stream_id after,
	int count, struct stream_entries *ret, struct err *err) NODISCARD;
/* Takes over up to `count` pending entries of one named consumer, or of any (""), that were idle for min_idle_us.
 * What is no longer in the stream stays pending where it is: the keeper has to record it first. (XAUTOCLAIM would
 * forget it, and whoever dies with its answer has lost it.) */
enum stream_status stream_claim_from(struct stream *s, const char *from, const char *consumer,
	int64_t min_idle_us, int count, struct stream_entries *ret, struct err *err) NODISCARD;
/* Resets the idle time of entries that are still this consumer's (XCLAIM ... JUSTID). */
enum stream_status stream_renew(struct stream *s, const char *consumer, const struct stream_id *ids,
	int n, struct err *err) NODISCARD;
/* Acks only entries that this consumer owns under the given generation; *ret_acked says how many. */
enum stream_status stream_ack(struct stream *s, const char *consumer, uint64_t generation,
	const struct stream_id *ids, int n, int *ret_acked, struct err *err) NODISCARD;
void stream_entries_free(struct stream_entries *e);

struct stream_consumer {
	char name[128];
	int64_t pending, idle_us;
};

/* *ret_list is malloc'ed. */
enum stream_status stream_consumers(struct stream *s, struct stream_consumer **ret_list, int *ret_n,
	struct err *err) NODISCARD;

/* ---- whoever only looks: no group, nothing is delivered ---- */

/* At most `count` entries with ids above `after`, oldest first. */
enum stream_status stream_range(struct stream *s, struct stream_id after, int count,
	struct stream_entries *ret, struct err *err) NODISCARD;
/* The newest `count` entries, oldest first. */
enum stream_status stream_newest(struct stream *s, int count, struct stream_entries *ret, struct err *err) NODISCARD;
/* How many entries there are. */
enum stream_status stream_length(struct stream *s, uint64_t *ret_n, struct err *err) NODISCARD;

/* ---- operator ---- */

enum stream_replayed {
	REPLAYED,
	REPLAY_TOO_OLD, /* nothing was done; *ret_at: the stream reaches back to what comes after that */
	REPLAY_AHEAD,	/* nothing was done: delivery has not come further than *ret_at */
};

/* Everything after `from` (NULL: all that is there) is delivered once more. */
enum stream_status stream_replay(struct stream *s, const struct stream_id *from, enum stream_replayed *ret,
	struct stream_id *ret_at, struct err *err) NODISCARD;

/* ---- keeper ---- */

struct stream_base {
	struct stream_id watermark; /* from PostgreSQL: 0-0 if none */
	uint64_t epoch;		    /* newest row of standpipe.epochs */
	const char *host, *start;
	const char *pg;		    /* PostgreSQL's identity */
};

enum stream_prepared {
	PREPARED_SAME,	  /* nothing to do */
	PREPARED_NEW,	  /* meta, group or stream were missing and are there now, at the watermark */
	PREPARED_REWOUND, /* PostgreSQL is another or older one: the group was set back to the watermark */
	PREPARED_EPOCH,	  /* PostgreSQL went back beyond what the stream still holds: open a new epoch */
};

/* One script: makes meta, stream (last id = watermark) and group (at the watermark, never `$`) if they
 * are missing; sets epoch, host and start; see enum stream_prepared. With PREPARED_EPOCH nothing was
 * changed: call again with a new epoch above *ret_top_epoch whose start is the watermark's seq. */
enum stream_status stream_prepare(struct stream *s, const struct stream_base *base,
	enum stream_prepared *ret, uint64_t *ret_top_epoch, struct err *err) NODISCARD;

struct stream_watermark {
	struct stream_id id;	      /* previous head of the oldest unacked entry, or last delivered */
	uint64_t ordinal, byte;	      /* events, bytes before that entry */
	uint64_t generation;
	char want_host[256], want_start[32]; /* "" = none */
	/* Entries in (lost_after, lost_through] were deleted by a foreigner before they were acked. Record the
	 * gap, then stream_drop_lost; until then the watermark stands still if one of them is pending. */
	bool lost;
	struct stream_id lost_after, lost_through;
	/* Single entries were deleted since the chain was last walked; do that before this watermark is written. */
	bool doubt;
};

enum stream_status stream_get_watermark(struct stream *s, struct stream_watermark *ret, struct err *err) NODISCARD;
/* Forgets pending entries up to `through` that are no longer in the stream, at most 1000 a call. */
enum stream_status stream_drop_lost(struct stream *s, struct stream_id through, int *ret_dropped,
	struct err *err) NODISCARD;
/* Records the watermark that PostgreSQL now holds, then deletes acked entries up to it, keeping the
 * newest replay_events events and at most replay_bytes, always the newest entry; one script. */
enum stream_status stream_trim(struct stream *s, const struct stream_watermark *w, uint64_t replay_events,
	uint64_t replay_bytes, uint64_t *ret_trimmed, struct err *err) NODISCARD;
/* ---- keeper: what foreigners did to the stream ---- */

/* Entries behind the last one of ours, at most `count`. *ret_head: the id there, 0-0 if all is well. It may be
 * set although there are no entries. */
enum stream_status stream_foreign(struct stream *s, int count, struct stream_id *ret_head,
	struct stream_entries *ret, struct err *err) NODISCARD;
/* Removes these, if they are foreign; when none is left, sets stream and group back to our head. n may be 0. */
enum stream_status stream_evict(struct stream *s, const struct stream_entries *entries, struct err *err) NODISCARD;

enum { STREAM_MAX_HOLES = 64 };

/* One step of a walk along the chain of packs. */
struct stream_walk {
	struct stream_id after; /* 0-0 at first */
	bool ended;
	struct { struct stream_id after, through; } holes[STREAM_MAX_HOLES]; /* of this step */
	int n_holes;
};

/* Entries deleted from now on are seen as new doubt; this one stays, whoever dies, until stream_doubt_over. */
enum stream_status stream_doubt(struct stream *s, struct err *err) NODISCARD;
enum stream_status stream_doubt_over(struct stream *s, struct err *err) NODISCARD;
enum stream_status stream_walk(struct stream *s, struct stream_walk *walk, struct err *err) NODISCARD;

/* Deletes a consumer only if nothing is pending for it. */
enum stream_status stream_drop_consumer(struct stream *s, const char *name, struct err *err) NODISCARD;

#endif
