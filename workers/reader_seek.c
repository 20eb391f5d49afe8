/* SPDX-License-Identifier: MIT
 *
 * Before an epoch is opened at another host: where did its stream stand ten minutes before our last event? The
 * reader asks it, one short connection per cursor, and begins there; what overlaps is known already and changes
 * nothing. A host that does not answer gets no epoch.
 */
#include "workers/reader.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "codec/pack.h"
#include "domain/event.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum {
	NEWEST_ENTRIES = 64, /* of the stream, to find a time in */
	CONNECT_US = 15000000,
	SILENCE_US = 3000000, /* connected, and no frame: there is none after that cursor */
	FAILED_US = 1000000,
};
static const int64_t overlap_us = 600 * 1000000ll, near_us = 60 * 1000000ll;

/* Time of the last event in the stream; 0 if none of the newest entries tells one. */
static enum stream_status last_time(struct reader *r, int64_t *ret_us, struct err *err)
{
	struct stream_entries newest;
	enum stream_status status = stream_newest(r->stream, NEWEST_ENTRIES, &newest, err);

	*ret_us = 0;
	if (status != STREAM_OK)
		return status;
	for (int i = newest.n - 1; i >= 0 && !*ret_us; i--) {
		struct pack pack;

		if (pack_open(newest.entries[i].bytes, &pack) == PACK_OK)
			*ret_us = (int64_t)pack.prefix.source_time_us;
	}
	stream_entries_free(&newest);
	return STREAM_OK;
}

/* ---- one question ---- */

static void on_open(void *ctx)
{
	struct reader *r = ctx;

	reader_arm(r->timer, SILENCE_US);
}

static void on_close(void *ctx, const struct websocket_ended *ended)
{
	struct reader *r = ctx;

	r->ended = *ended;
	reader_event(r, EV_LINK_CLOSED);
}

/* The first frame with seq and time is the answer; so is FutureCursor. */
static void on_message(void *ctx, struct slice message, bool binary)
{
	struct reader *r = ctx;
	struct arena arena = ARENA_INIT;
	enum frame_status status = FRAME_BAD;
	struct event e = { 0 };
	bool answered = true;
	struct err err;

	if (binary)
		status = event_from_frame(message, clock_wall_us(), &arena, &e, &err);
	if (status == FRAME_ERROR && slice_is(e.reason, "FutureCursor"))
		r->step = search_nothing(&r->search);
	else if ((status == FRAME_OK || status == FRAME_UNKNOWN) && e.seq > 0 && e.time_us > 0)
		r->step = search_frame(&r->search, e.seq, e.time_us);
	else
		answered = false;
	arena_done(&arena);
	if (answered)
		reader_event(r, EV_LINK_ANSWERED);
}

static enum link_event ask(struct reader *r)
{
	const struct conf *conf = r->child->conf;
	struct websocket_options options = { .url = r->request,
		.ca_file = conf->source.ca_file,
		.max_message_bytes = EVENT_MAX_FRAME,
		.connect_timeout_us = CONNECT_US,
		.idle_timeout_us = llround(conf->source.idle_timeout * 1e6),
		.on_open = on_open,
		.on_message = on_message,
		.on_close = on_close,
		.ctx = r };
	struct err err;

	reader_build_request(r, true, r->search.cursor);
	if (websocket_open(r->base, &options, &r->ws, &err) == 0)
		return EV_LINK_NONE;
	r->ended = (struct websocket_ended){ .why = WEBSOCKET_CLOSE_REFUSED };
	snprintf(r->ended.detail, sizeof r->ended.detail, "%.255s", err.text);
	return EV_LINK_CLOSED;
}

static void hang_up(struct reader *r)
{
	websocket_close(r->ws, 1000);
	r->ws = NULL;
}

/* ---- the search ---- */

/* Without a time of ours there is nothing to look for: then the host's oldest, and a gap. Of nothing at all
 * nothing can be missing: then as configured, unless that is a seq, which belongs to the other host. */
static enum link_event decide_without(struct reader *r)
{
	const char *start = r->child->conf->source.start;
	bool fresh = r->position.head.epoch == 0 && strcmp(start, "live") == 0;

	snprintf(r->want_start, sizeof r->want_start, "%s", fresh ? "live" : "oldest");
	return EV_LINK_DECIDED;
}

enum link_event reader_seek(struct reader *r)
{
	int64_t last_us;
	struct err err;
	enum stream_status status = last_time(r, &last_us, &err);

	if (status != STREAM_OK) {
		r->want_host[0] = '\0';
		return reader_unfit(r, status, &err);
	}
	if (last_us <= 0)
		return decide_without(r);
	r->url = reader_url_of(r->child->conf, r->want_host);
	child_set_state(r->child, CHILD_WAITING, "another host to tell where its stream stood at our last event");
	search_begin(&r->search, last_us - overlap_us, near_us);
	return ask(r);
}

/* After an answer: the next question, or the start is known. */
enum link_event reader_seek_on(struct reader *r)
{
	hang_up(r);
	if (r->step == SEARCH_ASK)
		return ask(r);
	if (r->step == SEARCH_FOUND)
		snprintf(r->want_start, sizeof r->want_start, "%" PRIu64, r->search.found);
	else
		snprintf(r->want_start, sizeof r->want_start, "oldest");
	log_notice("reader.host_searched", "host=%s start=%s questions=%d", r->want_host, r->want_start,
		r->search.n_asked + 1);
	return EV_LINK_DECIDED;
}

enum link_event reader_seek_silent(struct reader *r)
{
	r->step = search_nothing(&r->search);
	return reader_seek_on(r);
}

/* It does not answer: the one we have is tried once more, then the one after it. */
enum link_event reader_seek_failed(struct reader *r)
{
	log_warning("reader.host_unreachable", "host=%s why=%s http=%d detail=%s", r->want_host,
		websocket_close_name(r->ended.why), r->ended.http_status, LOG_QUOTED(r->ended.detail));
	hang_up(r);
	r->want_host[0] = '\0';
	r->n_passed_over++;
	if (r->n_failed > 0)
		r->n_failed--;
	reader_arm(r->timer, FAILED_US);
	return EV_LINK_NONE;
}
