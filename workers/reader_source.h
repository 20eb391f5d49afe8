/* SPDX-License-Identifier: MIT
 *
 * reader_source - judges what the source sends: position, malformed frames, collections
 *
 * Every connection begins with reader_source_begin and the state of the stream. In an epoch that
 * already has events the source must repeat the head (the cursor is head - 1); what it cannot prove
 * becomes a gap, which rides in front of the first event after it. Where "live" is when nothing was ever
 * read, the first frame tells; it is taken once that is the start of an epoch, which outlives Redis and us.
 * Malformed frames drop the connection twice; the third time they ride as `bad` in front of the next frame, and
 * reading goes on. Owns: the memory of malformed frames, for the life of the process. Invariant: what goes to
 * the packs rises in seq. Errors: enum source_fate. Must not know: sockets, Redis, the loop.
 */
#ifndef WORKERS_READER_SOURCE_H
#define WORKERS_READER_SOURCE_H

#include "base/stats.h"
#include "io/conf.h"
#include "workers/reader_pack.h"

struct reader_source;

enum source_fate {
	SOURCE_OK = 0,
	SOURCE_DROP, /* drop the connection, read again from the head; err says why */
	SOURCE_HALT, /* the host contradicts the stream: a person must look; err says what and the
			way out */
	SOURCE_LIVE, /* this frame is what "live" means: it is to be read again, under an epoch that starts at it */
};

/* conf, stats and pack are borrowed. */
struct reader_source *reader_source_new(
	const struct conf *conf, struct stats_slot *stats, struct reader_pack *pack);
/* NULL allowed; returns NULL. */
struct reader_source *reader_source_free(struct reader_source *s);
/* A connection begins. Returns false if no cursor is to be sent (live), else *ret_cursor is it. */
bool reader_source_begin(
	struct reader_source *s, const struct stream_state *state, uint64_t *ret_cursor);
/* One message. */
enum source_fate reader_source_message(
	struct reader_source *s, struct slice message, bool binary, struct err *err) NODISCARD;
/* A message too big to be held, skipped but for its first bytes. */
enum source_fate reader_source_big(
	struct reader_source *s, struct slice first, uint64_t n_bytes, struct err *err) NODISCARD;
/* The connection was dropped because of a message too big to be held. */
void reader_source_too_big(struct reader_source *s);
/* The connection was dropped because of broken framing: there are no bytes to recognise or to set
 * aside. */
void reader_source_broken(struct reader_source *s, const char *reason);
/* True once such a message has been in the way often enough to be skipped. */
bool reader_source_skips_big(const struct reader_source *s);
/* True once the position of this connection is proven, or its gap is recorded. */
bool reader_source_proven(const struct reader_source *s);
/* After SOURCE_LIVE: seq of that frame. */
uint64_t reader_source_live(const struct reader_source *s);
/* Frames taken on this connection. */
uint64_t reader_source_frames(const struct reader_source *s);

#endif
