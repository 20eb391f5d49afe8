/* SPDX-License-Identifier: MIT
 *
 * The reader: one loop for the websocket, straight-line calls for Redis. This file is the link's
 * machine and its half that talks to the source; reader_derive asks the stream, reader_source
 * judges messages, reader_pack and reader_append bring them into the stream.
 */
#include "workers/reader.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"

#include <assert.h>
#include <event2/event.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	TICK_US = 100000,
	REPLY_TIMEOUT_US = 10000000,
	CONNECT_TIMEOUT_US = 15000000,
	MAX_FRAME_BYTES = 5000000, /* the protocol's limit */
	HALT_US = 60000000,
};

static const char *const state_names[N_LINK_STATES] = {
#define X(name) [LINK_##name] = #name,
	LINK_STATES(X)
#undef X
};

static const char *const event_names[N_LINK_EVENTS] = {
#define X(name) [EV_LINK_##name] = #name,
	LINK_EVENTS(X)
#undef X
};

void reader_arm(struct event *timer, int64_t us)
{
	struct timeval tv = { us / 1000000, us % 1000000 };

	evtimer_add(timer, &tv);
}

/* ---- source ---- */

static void on_open(void *ctx)
{
	reader_event(ctx, EV_LINK_OPENED);
}

static void on_close(void *ctx, const struct websocket_ended *ended)
{
	struct reader *r = ctx;

	r->ended = *ended;
	if (ended->why == WEBSOCKET_CLOSE_TOO_BIG)
		reader_source_too_big(r->source);
	else if (ended->why == WEBSOCKET_CLOSE_PROTOCOL)
		reader_source_broken(r->source, ended->detail);
	reader_event(r, EV_LINK_CLOSED);
}

/* An end that did not come from the websocket. */
static void set_ended(struct reader *r, enum websocket_close why, const struct err *err)
{
	r->ended = (struct websocket_ended){ .why = why };
	snprintf(r->ended.detail, sizeof r->ended.detail, "%.255s", err->text);
}

/* What the judgement of a message means for the link. */
static void follow(struct reader *r, enum source_fate fate, const struct err *err)
{
	if (fate == SOURCE_OK) {
		if (r->state == LINK_PROVE && reader_source_proven(r->source))
			reader_event(r, EV_LINK_PROVEN);
		return;
	}
	if (fate == SOURCE_LIVE) {
		reader_event(r, EV_LINK_DECIDED);
		return;
	}
	set_ended(r, WEBSOCKET_CLOSE_PROTOCOL, err);
	if (fate == SOURCE_HALT)
		log_error("source.halted", "url=%s error=%s", r->request, LOG_QUOTED(err->text));
	reader_event(r, fate == SOURCE_HALT ? EV_LINK_HALT : EV_LINK_CLOSED);
}

/* One frame: judged, packed, and perhaps sent on. */
static void on_message(void *ctx, struct slice message, bool binary)
{
	struct reader *r = ctx;
	enum source_fate fate;
	struct err err;

	if (!reader_append_running(r->append))
		return; /* the link is about to be closed */
	err.text[0] = 0;
	fate = FAILPOINT(reader_frame) ? SOURCE_DROP : reader_source_message(r->source, message, binary, &err);
	if (FAILPOINT(reader_packed))
		fate = SOURCE_DROP;
	reader_append_more(r->append);
	follow(r, fate, &err);
}

static void on_big(void *ctx, struct slice first, uint64_t n_bytes)
{
	struct reader *r = ctx;
	struct err err;

	if (reader_append_running(r->append))
		follow(r, reader_source_big(r->source, first, n_bytes, &err), &err);
}

static void on_drained(void *ctx)
{
	struct reader *r = ctx;

	reader_append_drained(r->append);
}

/* Begins to connect, from the derived position. */
static enum link_event connect_source(struct reader *r)
{
	const struct conf *conf = r->child->conf;
	struct websocket_options options = { .url = r->request,
		.ca_file = conf->source.ca_file,
		.max_message_bytes = MAX_FRAME_BYTES,
		.connect_timeout_us = CONNECT_TIMEOUT_US,
		.idle_timeout_us = llround(conf->source.idle_timeout * 1e6),
		.on_open = on_open,
		.on_message = on_message,
		.on_drained = on_drained,
		.on_big = on_big,
		.on_close = on_close,
		.ctx = r };
	struct err err;
	uint64_t cursor;
	bool has_cursor;

	reader_append_reset(r->append, &r->position, r->redis_fd);
	has_cursor = reader_source_begin(r->source, &r->position, &cursor);
	reader_build_request(r, has_cursor, cursor);
	r->was_open = false;
	r->proven_us = 0;
	if (websocket_open(r->base, &options, &r->ws, &err) == 0)
		return EV_LINK_NONE;
	set_ended(r, WEBSOCKET_CLOSE_REFUSED, &err);
	return EV_LINK_CLOSED;
}

/* The upgrade is done; frames may come. */
static enum link_event opened(struct reader *r)
{
	r->was_open = true;
	if (reader_source_skips_big(r->source))
		websocket_skip_big(r->ws);
	if (reader_append_pressed(r->append))
		websocket_pause(r->ws, true);
	stats_add(r->child->stats, STAT_connects, 1);
	stats_set(r->child->stats, STAT_source_connected, 1);
	log_notice("source.connected", "url=%s epoch=%" PRIu64 " head=%" PRIu64 "-%" PRIu64,
		r->request, r->position.epoch, r->position.head.epoch, r->position.head.seq);
	child_set_state(r->child, CHILD_IDLE, NULL);
	child_ready(r->child);
	return EV_LINK_NONE;
}

/* Our position and the source's are one, or the gap is on record. */
static enum link_event proven(struct reader *r)
{
	r->n_failed = 0;
	r->proven_us = clock_mono_us();
	complaint_clear(&r->no_source);
	return EV_LINK_NONE;
}

/* Frees the connection, if there is one. */
static void drop_connection(struct reader *r, int code)
{
	websocket_close(r->ws, code);
	r->ws = NULL;
	stats_set(r->child->stats, STAT_source_connected, 0);
	if (r->was_open)
		stats_add(r->child->stats, STAT_disconnects, 1);
	r->was_open = false;
}

/* Says why there is no connection: each time one was lost, with growing intervals if none comes
 * about. */
static void tell_end(struct reader *r, int64_t wait_us)
{
	const struct websocket_ended *e = &r->ended;
	const char *why = websocket_close_name(e->why);

	if (r->was_open)
		log_notice("source.disconnected",
			"url=%s why=%s code=%d retry_ms=%" PRId64 " detail=%s", r->request, why,
			e->close_code, wait_us / 1000, LOG_QUOTED(e->detail));
	else if (complaint_due(&r->no_source))
		log_warning("source.unreachable",
			"url=%s why=%s http=%d retry_ms=%" PRId64 " attempts=%u detail=%s%s",
			r->request, why, e->http_status, wait_us / 1000, r->n_failed, LOG_QUOTED(e->detail),
			r->no_source.repeated);
}

/* While there is no source: people see why. */
static void wait_for_source(struct reader *r, int64_t us)
{
	char why[sizeof r->request + sizeof r->ended.detail];

	snprintf(why, sizeof why, "%s: %s", r->child->conf->source.urls[r->url], r->ended.detail);
	child_set_state(r->child, CHILD_WAITING, why);
	reader_arm(r->timer, us);
}

/* The connection ended, by whomever; what is packed goes on into the stream. */
static enum link_event back_off(struct reader *r)
{
	int64_t wait_us = reader_backoff(r);

	r->n_failed += !r->proven_us;
	tell_end(r, wait_us);
	drop_connection(r, 1002);
	wait_for_source(r, wait_us);
	return EV_LINK_NONE;
}

/* A person must look; the source is asked again once a minute. */
static enum link_event halt(struct reader *r)
{
	drop_connection(r, 1000);
	wait_for_source(r, HALT_US);
	return EV_LINK_NONE;
}

/* Read only after the keeper wrote it down, where "live" is cannot be forgotten with Redis. */
static enum link_event note_live(struct reader *r)
{
	r->was_open = false; /* it was a question, not a connection that was lost */
	drop_connection(r, 1000);
	snprintf(r->want_host, sizeof r->want_host, "%s", r->position.host);
	snprintf(r->want_start, sizeof r->want_start, "%" PRIu64, reader_source_live(r->source));
	return reader_ask_epoch(r);
}

/* The stream is not where we thought: what was not appended comes again from the source. */
static enum link_event abandon(struct reader *r)
{
	drop_connection(r, 1001);
	r->ended = (struct websocket_ended){ 0 };
	reader_arm(r->timer, reader_backoff(r));
	return EV_LINK_NONE;
}

/* Drain: what is packed goes into the stream, then the loop ends. */
static enum link_event finish(struct reader *r)
{
	struct err err;

	child_set_state(r->child, CHILD_DRAINING, NULL);
	drop_connection(r, 1000);
	if (reader_append_settle(r->append, &err) != STREAM_OK)
		log_notice("reader.unsaved", "error=%s (the source sends it again)", LOG_QUOTED(err.text));
	event_base_loopbreak(r->base);
	return EV_LINK_NONE;
}

/* For events that come too late to matter. */
static enum link_event nothing(struct reader *r)
{
	(void)r;
	return EV_LINK_NONE;
}

/* ---- the machine ---- */

/* An event that has no cell cannot happen in that state. */
static const struct edge {
	link_action *act;
	enum link_state next;
} edges[N_LINK_STATES][N_LINK_EVENTS] = {
	[LINK_REDIS] =
		{
			[EV_LINK_TIMER] = {reader_derive, LINK_REDIS},
			[EV_LINK_DERIVED] = {connect_source, LINK_CONNECT},
			[EV_LINK_UNFIT] = {reader_retry, LINK_REDIS},
			[EV_LINK_FOREIGN] = {reader_seek, LINK_SEEK},
			[EV_LINK_DECIDED] = {reader_ask_epoch, LINK_EPOCH},
			[EV_LINK_STALE] = {nothing, LINK_REDIS},
			[EV_LINK_DRAIN] = {finish, LINK_STOPPED},
		},
	[LINK_SEEK] =
		{
			[EV_LINK_TIMER] = {reader_seek_silent, LINK_SEEK},
			[EV_LINK_UNFIT] = {reader_retry, LINK_REDIS},
			[EV_LINK_ANSWERED] = {reader_seek_on, LINK_SEEK},
			[EV_LINK_DECIDED] = {reader_ask_epoch, LINK_EPOCH},
			[EV_LINK_CLOSED] = {reader_seek_failed, LINK_BACKOFF},
			[EV_LINK_STALE] = {nothing, LINK_SEEK},
			[EV_LINK_DRAIN] = {finish, LINK_STOPPED},
		},
	[LINK_EPOCH] =
		{
			[EV_LINK_TIMER] = {reader_derive, LINK_EPOCH},
			[EV_LINK_DERIVED] = {connect_source, LINK_CONNECT},
			[EV_LINK_UNFIT] = {reader_retry, LINK_REDIS},
			[EV_LINK_FOREIGN] = {reader_await_epoch, LINK_EPOCH},
			[EV_LINK_DECIDED] = {reader_await_epoch, LINK_EPOCH},
			[EV_LINK_STALE] = {nothing, LINK_EPOCH},
			[EV_LINK_DRAIN] = {finish, LINK_STOPPED},
		},
	[LINK_BACKOFF] =
		{
			[EV_LINK_TIMER] = {reader_derive, LINK_REDIS},
			[EV_LINK_STALE] = {nothing, LINK_BACKOFF},
			[EV_LINK_DRAIN] = {finish, LINK_STOPPED},
		},
	[LINK_CONNECT] =
		{
			[EV_LINK_OPENED] = {opened, LINK_PROVE},
			[EV_LINK_CLOSED] = {back_off, LINK_BACKOFF},
			[EV_LINK_STALE] = {abandon, LINK_REDIS},
			[EV_LINK_DRAIN] = {finish, LINK_STOPPED},
		},
	[LINK_PROVE] =
		{
			[EV_LINK_PROVEN] = {proven, LINK_STREAM},
			[EV_LINK_DECIDED] = {note_live, LINK_EPOCH},
			[EV_LINK_CLOSED] = {back_off, LINK_BACKOFF},
			[EV_LINK_HALT] = {halt, LINK_HALTED},
			[EV_LINK_STALE] = {abandon, LINK_REDIS},
			[EV_LINK_DRAIN] = {finish, LINK_STOPPED},
		},
	[LINK_STREAM] =
		{
			[EV_LINK_CLOSED] = {back_off, LINK_BACKOFF},
			[EV_LINK_HALT] = {halt, LINK_HALTED},
			[EV_LINK_STALE] = {abandon, LINK_REDIS},
			[EV_LINK_DRAIN] = {finish, LINK_STOPPED},
		},
	[LINK_HALTED] =
		{
			[EV_LINK_TIMER] = {reader_derive, LINK_REDIS},
			[EV_LINK_STALE] = {abandon, LINK_REDIS}, /* a rewind was its way out */
			[EV_LINK_DRAIN] = {finish, LINK_STOPPED},
		},
	[LINK_STOPPED] =
		{
			[EV_LINK_TIMER] = {nothing, LINK_STOPPED},
			[EV_LINK_STALE] = {nothing, LINK_STOPPED},
			[EV_LINK_DRAIN] = {nothing, LINK_STOPPED},
		},
};

/* An action may bring about the next event; it never calls back in here. */
void reader_event(struct reader *r, enum link_event event)
{
	while (event != EV_LINK_NONE) {
		const struct edge *edge = &edges[r->state][event];

		log_debug("link.moved", "from=%s event=%s to=%s", state_names[r->state],
			event_names[event], state_names[edge->next]);
		assert(edge->act);
		r->state = edge->next;
		event = edge->act(r);
	}
}

/* ---- loop ---- */

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	reader_event(ctx, EV_LINK_TIMER);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct reader *r = ctx;

	(void)fd;
	(void)what;
	reader_append_tick(r->append);
}

static void on_drain_event(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	reader_event(ctx, EV_LINK_DRAIN);
}

/* May come while we wait for Redis, in the middle of anything: taken up by the loop. */
static void on_drain(void *ctx)
{
	struct reader *r = ctx;

	reader_arm(r->drain, 0);
}

/* The chain of packs broke; the link begins again. */
static void on_stale(void *ctx, enum stream_status status, const char *text)
{
	struct reader *r = ctx;

	/* the epoch we asked for comes to our ears like any other */
	log_write(r->state == LINK_EPOCH ? LOG_DEBUG : LOG_WARNING, "reader.position_lost",
		"status=%s action=derive_anew error=%s", stream_status_name(status), LOG_QUOTED(text));
	reader_event(r, EV_LINK_STALE);
}

/* Back-pressure begins or ends. */
static void on_pressure(void *ctx, bool pressed)
{
	struct reader *r = ctx;

	if (r->ws && r->state != LINK_SEEK)
		websocket_pause(r->ws, pressed);
}

/* Also undoes half of reader_init. */
static void reader_done(struct reader *r)
{
	struct event *events[] = { r->timer, r->tick, r->drain };

	websocket_close(r->ws, 1001);
	reader_append_free(r->append);
	reader_source_free(r->source);
	reader_pack_done(&r->pack);
	stream_free(r->stream);
	for (size_t i = 0; i < sizeof events / sizeof *events; i++)
		if (events[i])
			event_free(events[i]);
}

/* Everything but the loop itself; the first derivation comes with its first turn. */
static int reader_init(struct reader *r, struct child *c, struct event_base *base, struct err *err)
{
	struct stream_options stream = { c->conf->redis.url, c->conf->redis.password_file,
		c->conf->redis.stream, c->conf->redis.group, { reader_wait, r }, REPLY_TIMEOUT_US };
	struct reader_append_options append = { .base = base,
		.pack = &r->pack,
		.stats = c->stats,
		.page = c->page,
		.max_events = c->conf->redis.max_events,
		.max_bytes = c->conf->redis.max_bytes,
		.on_stale = on_stale,
		.on_pressure = on_pressure,
		.ctx = r };

	*r = (struct reader){ .child = c, .base = base, .redis_fd = -1 };
	reader_pack_init(&r->pack);
	if (stream_new(&stream, &r->stream, err) < 0)
		return -1;
	append.stream = r->stream;
	r->append = reader_append_new(&append);
	r->source = reader_source_new(c->conf, c->stats, &r->pack);
	r->timer = evtimer_new(base, on_timer, r);
	r->tick = event_new(base, -1, EV_PERSIST, on_tick, r);
	r->drain = evtimer_new(base, on_drain_event, r);
	if (!r->timer || !r->tick || !r->drain)
		abort();
	reader_arm(r->tick, TICK_US);
	reader_arm(r->timer, 0);
	return child_attach(c, base, on_drain, r, err);
}

int reader_main(struct child *c)
{
	struct event_base *base = event_base_new();
	struct reader r;
	struct err err;
	int code = 0;

	if (!base)
		abort();
	if (reader_init(&r, c, base, &err) < 0) {
		log_error("reader.not_started", "error=%s", LOG_QUOTED(err.text));
		code = 70;
	} else {
		stats_set(c->stats, STAT_source_connected, 0);
		event_base_dispatch(base);
	}
	reader_done(&r);
	child_done(c);
	event_base_free(base);
	return code;
}
