/* SPDX-License-Identifier: MIT */
#include "workers/reader_source.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "domain/event.h"
#include "domain/filter.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	BAD_SEEN = 64,    /* malformed frames remembered */
	BAD_PATIENCE = 3, /* sightings until one is set aside */
	BAD_KEEP_BYTES = 1000000,
	REASON_BYTES = 64,
};

/* A malformed frame, by its SHA-256; one too big to be held, by its position. */
struct seen {
	uint8_t digest[CID_DIGEST];
	unsigned times;
	bool big;
	uint64_t used;                        /* order of use: the oldest is forgotten first */
	uint64_t aside_connection, aside_seq; /* where it was last set aside */
};

/* What the seq of a frame means. */
enum place {
	PLACE_NEXT,  /* take it */
	PLACE_GAP,   /* take it, but what is before it is not proven */
	PLACE_KNOWN, /* we have it: the resend that a cursor asks for */
	PLACE_FELL,  /* an error of the source */
	PLACE_BELOW, /* the host is behind the stream */
	PLACE_LIVE,  /* where an epoch is to start */
};

struct reader_source {
	const struct conf *conf;
	struct stats_slot *stats;
	struct reader_pack *pack;
	bool all_collections, full;
	struct arena arena;
	struct seen seen[BAD_SEEN];
	uint64_t n_used, n_connections;

	/* this connection */
	struct stream_id head;
	uint64_t epoch;
	uint64_t
		last; /* newest seq taken; before the first: what is below or equal is not wanted */
	uint64_t n_frames;
	uint64_t live;  /* seq of the frame that was asked for without a cursor */
	bool asks_live; /* nothing was ever read, and where to begin is not known */
	bool continues; /* the epoch has a head, which the source must repeat */
	bool jumps;     /* a fresh epoch whose beginning need not meet the end of the one before */
	bool exact;     /* a fresh epoch that begins at a given seq, */
	bool repeats;   /* which the source must repeat: it was seen there, or an operator named it */
	bool proven, before_seen;
	char info[REASON_BYTES]; /* name of an #info that came before the first frame */
};

struct reader_source *reader_source_new(
	const struct conf *conf, struct stats_slot *stats, struct reader_pack *pack)
{
	struct reader_source *s = calloc(1, sizeof *s);

	if (!s)
		abort();
	s->conf = conf;
	s->stats = stats;
	s->pack = pack;
	s->full = strcmp(conf->source.verify, "full") == 0;
	for (int i = 0; i < conf->source.n_collections; i++)
		s->all_collections |= strcmp(conf->source.collections[i], "*") == 0;
	return s;
}

struct reader_source *reader_source_free(struct reader_source *s)
{
	if (s)
		arena_done(&s->arena);
	free(s);
	return NULL;
}

bool reader_source_proven(const struct reader_source *s)
{
	return s->proven;
}

uint64_t reader_source_live(const struct reader_source *s)
{
	return s->live;
}

uint64_t reader_source_frames(const struct reader_source *s)
{
	return s->n_frames;
}

/* ---- position ---- */

bool reader_source_begin(
	struct reader_source *s, const struct stream_state *state, uint64_t *ret_cursor)
{
	uint64_t start = strtoull(state->start, NULL, 10);

	s->head = state->head;
	s->epoch = state->epoch;
	s->continues = state->head.epoch == state->epoch;
	s->exact = !s->continues && state->start[0] >= '0' && state->start[0] <= '9';
	s->jumps = !s->continues && !s->exact && state->head.epoch != 0;
	s->asks_live = state->head.epoch == 0 && strcmp(state->start, "live") == 0;
	s->repeats = s->exact && start > 0 && s->epoch > 1;
	s->proven = s->before_seen = false;
	s->n_frames = 0;
	s->n_connections++;
	s->info[0] = '\0';
	s->last = s->continues ? state->head.seq : s->exact && start > 0 ? start - 1 : 0;
	/* a cursor of head - 1 makes inclusive and exclusive hosts alike repeat the head */
	*ret_cursor = s->continues && s->last > 0 ? s->last - 1 : s->last;
	return s->continues || strcmp(state->start, "live") != 0;
}

/* Where a frame belongs; the first ones decide whether the position is proven. */
static enum place place_of(struct reader_source *s, uint64_t seq)
{
	bool outdated = s->info[0] != '\0';

	if (s->proven)
		return seq > s->last ? PLACE_NEXT : PLACE_FELL;
	if (s->asks_live)
		return PLACE_LIVE;
	if (!s->continues) {
		if (seq <= s->last)
			return seq == s->last ? PLACE_KNOWN : PLACE_BELOW;
		return s->jumps || (s->exact && outdated) || (s->repeats && seq > s->last + 1) ? PLACE_GAP :
											     PLACE_NEXT;
	}
	if (seq == s->head.seq) {
		s->proven = true;
		return PLACE_KNOWN;
	}
	if (seq > s->head.seq)
		return PLACE_GAP;
	if (seq + 1 < s->head.seq)
		return PLACE_BELOW;
	if (s->before_seen)
		return PLACE_FELL;
	s->before_seen = true;
	return PLACE_KNOWN;
}

/* The range after the last event and before `seq` goes on record. */
static void record_gap(struct reader_source *s, uint64_t seq)
{
	const char *reason = s->info[0] ? s->info : s->continues || s->repeats ? "unproven" : "new_epoch";
	struct stream_id after = s->exact ? (struct stream_id){ s->epoch, s->last } : s->head;
	struct event gap = { .kind = EVENT_GAP,
		.seq = seq,
		.gap_after_epoch = after.epoch,
		.gap_after_seq = after.seq,
		.gap_first_seq = seq,
		.reason = slice_str(reason) };

	log_notice("source.gap",
		"after=%" PRIu64 "-%" PRIu64 " first_seq=%" PRIu64 " epoch=%" PRIu64 " reason=%s",
		after.epoch, after.seq, seq, s->epoch, reason);
	reader_pack_rider(s->pack, &gap);
}

/* ---- malformed frames ---- */

/* The memory of a malformed frame; a new one takes the place of the one unused for longest. */
static struct seen *recall(struct reader_source *s, const uint8_t digest[CID_DIGEST])
{
	struct seen *found = &s->seen[0];

	for (int i = 0; i < BAD_SEEN; i++) {
		struct seen *x = &s->seen[i];

		if (x->times > 0 && memcmp(x->digest, digest, CID_DIGEST) == 0) {
			found = x;
			break;
		}
		if (x->used < found->used)
			found = x;
	}
	if (found->times == 0 || memcmp(found->digest, digest, CID_DIGEST) != 0) {
		*found = (struct seen){ 0 };
		memcpy(found->digest, digest, CID_DIGEST);
	}
	found->used = ++s->n_used;
	return found;
}

/* A message that cannot be held is known by where it is. */
static struct seen *recall_big(struct reader_source *s)
{
	uint8_t digest[CID_DIGEST];
	char text[80];
	int n = snprintf(text, sizeof text, "too_big %" PRIu64 " %" PRIu64, s->epoch, s->last);
	struct seen *x;

	sha256(slice_of(text, (size_t)n), digest);
	x = recall(s, digest);
	x->big = true;
	return x;
}

bool reader_source_skips_big(const struct reader_source *s)
{
	for (int i = 0; i < BAD_SEEN; i++)
		if (s->seen[i].big && s->seen[i].times >= BAD_PATIENCE - 1)
			return true;
	return false;
}

/* One line for each sighting. */
static void tell_bad(struct reader_source *s, uint64_t n_bytes, unsigned times, const char *reason,
	const char *action)
{
	stats_add(s->stats, STAT_frames_bad, 1);
	log_warning("source.bad_frame",
		"last_good_seq=%" PRIu64 " epoch=%" PRIu64 " bytes=%" PRIu64
		" times=%u action=%s reason=%s",
		s->last, s->epoch, n_bytes, times, action, LOG_QUOTED(reason));
}

/* One more sighting; from the third on the frame is set aside and reading goes on. */
static enum source_fate handle_bad(struct reader_source *s, struct seen *x, struct slice bytes,
	uint64_t n_bytes, uint64_t seq, const char *reason, struct err *err)
{
	struct event bad = { .kind = EVENT_BAD,
		.seq = seq > s->last ? seq : s->last,
		.reason = slice_str(reason),
		.bytes = bytes };

	x->times++;
	if (x->times < BAD_PATIENCE) {
		tell_bad(s, n_bytes, x->times, reason, "drop_connection");
		err_set(err, "malformed frame after seq %" PRIu64 ": %s", s->last, reason);
		return SOURCE_DROP;
	}
	if (x->aside_connection == s->n_connections && x->aside_seq == s->last) {
		stats_add(s->stats, STAT_frames_bad,
			1); /* the very same once more: it rides already */
		return SOURCE_OK;
	}
	x->aside_connection = s->n_connections;
	x->aside_seq = s->last;
	tell_bad(s, n_bytes, x->times, reason, "dead_letter");
	if (bad.bytes.n > BAD_KEEP_BYTES)
		bad.bytes.n = BAD_KEEP_BYTES;
	reader_pack_rider(s->pack, &bad);
	return SOURCE_OK;
}

/* A malformed message that we hold. */
static enum source_fate bad_message(struct reader_source *s, struct slice message, uint64_t seq,
	const char *reason, struct err *err)
{
	uint8_t digest[CID_DIGEST];

	sha256(message, digest);
	return handle_bad(s, recall(s, digest), message, message.n, seq, reason, err);
}

enum source_fate reader_source_big(
	struct reader_source *s, struct slice first, uint64_t n_bytes, struct err *err)
{
	char reason[REASON_BYTES];

	stats_add(s->stats, STAT_frames_received, 1);
	stats_add(s->stats, STAT_bytes_received, n_bytes);
	snprintf(reason, sizeof reason, "too_big: %" PRIu64 " bytes", n_bytes);
	return handle_bad(s, recall_big(s), first, n_bytes, 0, reason, err);
}

void reader_source_too_big(struct reader_source *s)
{
	struct seen *x = recall_big(s);

	x->times++;
	tell_bad(s, 0, x->times, "too_big", "drop_connection");
}

void reader_source_broken(struct reader_source *s, const char *reason)
{
	tell_bad(s, 0, 1, reason, "drop_connection");
}

/* ---- good frames ---- */

/* One line for each operation that will be a dead letter. */
static void tell_refused_ops(struct reader_source *s, const struct event *e)
{
	for (uint32_t i = 0; i < e->n_ops; i++) {
		const struct op *op = &e->ops[i];

		if (op->verdict == OP_VERDICT_OK)
			continue;
		stats_add(s->stats, STAT_ops_bad, 1);
		log_often(LOG_WARNING, "op.refused", "seq=%" PRIu64 " did=%.*s path=%.*s%s%.*s reason=%s",
			e->seq, SLICE_ARG(e->did), SLICE_ARG(op->collection),
			op->collection.n ? "/" : "", SLICE_ARG(op->rkey),
			op_verdict_name(op->verdict));
	}
}

/* What is signed goes on verbatim: workers verify it, on as many cores as there are workers. */
static struct event as_frame(const struct event *e)
{
	return (struct event){ .kind = EVENT_FRAME,
		.flags = e->flags,
		.seq = e->seq,
		.time_us = e->time_us,
		.bytes = e->bytes };
}

/* A frame in its place goes on; what has nothing in it for us only moves the head. */
static void take(struct reader_source *s, struct event *e)
{
	bool had_ops = e->n_ops > 0;
	struct event frame;

	s->last = e->seq;
	s->proven = true;
	s->n_frames++;
	if (e->kind == EVENT_BAD)
		log_often(LOG_WARNING, "event.refused", "seq=%" PRIu64 " reason=%.*s", e->seq, SLICE_ARG(e->reason));
	if (!s->all_collections)
		stats_add(s->stats, STAT_ops_filtered,
			filter_ops(e, s->conf->source.collections, s->conf->source.n_collections));
	tell_refused_ops(s, e);
	if (e->kind == EVENT_NONE || (had_ops && e->n_ops == 0)) {
		reader_pack_skip(s->pack, e);
		return;
	}
	frame = s->full && event_is_signed(e) ? as_frame(e) : *e;
	reader_pack_event(s->pack, &frame);
}

/* A frame with a seq. */
static enum source_fate take_numbered(struct reader_source *s, struct event *e, struct err *err)
{
	switch (place_of(s, e->seq)) {
	case PLACE_KNOWN:
		stats_add(s->stats, STAT_frames_duplicate, 1);
		return SOURCE_OK;
	case PLACE_FELL:
		err_set(err, "seq %" PRIu64 " after %" PRIu64 ": the source's numbers fall", e->seq,
			s->last);
		return SOURCE_DROP;
	case PLACE_BELOW:
		err_set(err,
			"the source begins at seq %" PRIu64
			" although what comes after %" PRIu64
			" was asked for: it was reset or is another host; check source.urls. "
			"If it was reset: stop, and `standpipe rewind oldest`",
			e->seq, s->last);
		return SOURCE_HALT;
	case PLACE_LIVE:
		s->live = e->seq;
		return SOURCE_LIVE;
	case PLACE_GAP:
		record_gap(s, e->seq);
		break;
	case PLACE_NEXT:
		break;
	}
	take(s, e);
	return SOURCE_OK;
}

/* op -1: the stream ends. */
static enum source_fate take_error(struct reader_source *s, const struct event *e, struct err *err)
{
	if (slice_is(e->reason, "FutureCursor")) {
		err_set(err,
			"the source says FutureCursor: it is behind the stream's head %" PRIu64
			"-%" PRIu64 "; it was reset or is another host; check source.urls. "
			"If it was reset: stop, and `standpipe rewind oldest`",
			s->head.epoch, s->head.seq);
		return SOURCE_HALT;
	}
	err_set(err, "error frame %.*s: %.*s", (int)(e->reason.n > 80 ? 80 : e->reason.n),
		(const char *)e->reason.p, (int)(e->bytes.n > 200 ? 200 : e->bytes.n),
		e->bytes.n ? (const char *)e->bytes.p : "");
	return SOURCE_DROP;
}

/* Remembers what explains a gap. */
static void take_info(struct reader_source *s, const struct event *e)
{
	log_notice("source.info", "name=%.*s message=%s", SLICE_ARG(e->reason),
		LOG_QUOTED_SLICE(e->bytes));
	if (!s->proven && slice_is(e->reason, "OutdatedCursor"))
		snprintf(s->info, sizeof s->info, "OutdatedCursor");
}

enum source_fate reader_source_message(
	struct reader_source *s, struct slice message, bool binary, struct err *err)
{
	enum source_fate fate = SOURCE_OK;
	struct event e;
	struct err why;

	stats_add(s->stats, STAT_frames_received, 1);
	stats_add(s->stats, STAT_bytes_received, message.n);
	if (!binary)
		return bad_message(s, message, 0, "text message", err);
	arena_reset(&s->arena);
	switch (event_from_frame(message, clock_wall_us(), &s->arena, &e, &why)) {
	case FRAME_OK:
		e.bytes = message;
		fate = take_numbered(s, &e, err);
		break;
	case FRAME_UNKNOWN:
		stats_add(s->stats, STAT_frames_unknown, 1);
		e = (struct event){ .kind = EVENT_NONE, .seq = e.seq };
		if (e.seq > 0)
			fate = take_numbered(s, &e, err);
		break;
	case FRAME_INFO:
		take_info(s, &e);
		break;
	case FRAME_ERROR:
		fate = take_error(s, &e, err);
		break;
	case FRAME_BAD:
		fate = bad_message(s, message, e.seq, why.text, err);
		break;
	}
	return fate;
}
