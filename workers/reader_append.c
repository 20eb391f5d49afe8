/* SPDX-License-Identifier: MIT */
#include "workers/reader_append.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/rules.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>

enum {
	MAX_BATCH_PACKS = 64,
	/* 25 full packs. More would save nothing and be held three times: queued, formatted, in the socket. */
	MAX_BATCH_BYTES = 1 << 19,
	QUEUE_HIGH_BYTES = 2 << 20, /* waiting for Redis: stop reading the source */
	QUEUE_LOW_BYTES = 1 << 20,
	FLUSH_US = 5000,         /* no event waits longer for company */
	FLUSH_SPACING_US = 1000, /* a drained socket makes no more than one append in this time */
	FULL_RETRY_US = 500000,
	SKIP_US = 1000000,
	DEPTH_US = 100000,
	DEPTH_EVENTS = 50000,
	ANSWER_US =
		5000000, /* then nothing else is done until the answer is there or its time is up */
};

/* Why the source is not read. */
enum pressure { PRESSURE_DEPTH = 1, PRESSURE_QUEUE = 2, PRESSURE_FULL = 4 };

enum append_stage { APPEND_OFF, APPEND_IDLE, APPEND_SENT, APPEND_FULL };

struct reader_append {
	struct reader_append_options o;
	enum append_stage stage;
	unsigned pressure;
	bool due; /* the open pack has waited long enough */
	struct stream_id confirmed;
	uint64_t epoch; /* of what is packed */
	uint64_t generation;
	int n_sent;
	int64_t sent_us, depth_us;
	uint64_t depth_events; /* appended since the depth was asked for */
	struct event *reply, *flush, *retry, *stale;
	enum stream_status stale_status;
	struct err stale_err;
};

/* One shot. */
static void arm(struct event *timer, int64_t us)
{
	struct timeval tv = { us / 1000000, us % 1000000 };

	evtimer_add(timer, &tv);
}

/* Sets or clears one reason; tells when the first comes or the last goes. */
static void set_pressure(struct reader_append *a, enum pressure why, bool on)
{
	unsigned before = a->pressure;

	a->pressure = on ? before | (unsigned)why : before & ~(unsigned)why;
	if (!before == !a->pressure)
		return;
	stats_set(a->o.stats, STAT_backpressure, a->pressure != 0);
	a->o.on_pressure(a->o.ctx, a->pressure != 0);
}

bool reader_append_pressed(const struct reader_append *a)
{
	return a->pressure != 0;
}

bool reader_append_running(const struct reader_append *a)
{
	return a->stage != APPEND_OFF;
}

static void wait_for_room(struct reader_append *a, const struct err *err);

/* Ends this chain; told from the loop, because this may be deep inside a callback of the source. */
static void give_up(struct reader_append *a, enum stream_status status, const struct err *err)
{
	if (!RULE(derive_after_loss) && status == STREAM_E_DOWN) {
		wait_for_room(a, err);
		return;
	}
	a->stage = APPEND_OFF;
	a->stale_status = status;
	a->stale_err = *err;
	if (a->reply)
		event_del(a->reply);
	event_del(a->flush);
	event_del(a->retry);
	arm(a->stale, 0);
}

/* ---- depth ---- */

/* Reading stops, and what would let it go on. */
static void log_paused(const struct reader_append *a, const struct stream_depth *d, bool for_memory)
{
	if (for_memory)
		log_warning("reader.paused",
			"redis_memory=%" PRIu64 " maxmemory=%" PRIu64 " depth_events=%" PRIu64
			" action=\"Redis holds more than 80 %% of maxmemory: CONFIG SET maxmemory %" PRIu64 "\"",
			d->used_memory, d->max_memory, d->events, d->max_memory * 2);
	else
		log_notice("reader.paused",
			"depth_events=%" PRIu64 " max_events=%" PRId64 " depth_bytes=%" PRIu64 " max_bytes=%" PRId64
			" action=\"waiting for the workers\"",
			d->events, a->o.max_events, d->bytes, a->o.max_bytes);
}

/* Compares the depth with the limits; what was exceeded must fall below 90 % again. */
static void judge_depth(struct reader_append *a, const struct stream_depth *d)
{
	const struct reader_append_options *o = &a->o;
	uint64_t max_events = (uint64_t)o->max_events, max_bytes = (uint64_t)o->max_bytes;
	uint64_t max_memory = d->max_memory ? d->max_memory / 5 * 4 : UINT64_MAX;
	bool was = a->pressure & PRESSURE_DEPTH;
	bool over = d->events >= max_events || d->bytes >= max_bytes || d->used_memory > max_memory;
	bool under = d->events < max_events / 10 * 9 && d->bytes < max_bytes / 10 * 9 &&
		     d->used_memory < max_memory / 10 * 9;

	stats_set(o->stats, STAT_depth_events, d->events);
	stats_set(o->stats, STAT_depth_bytes, d->bytes);
	stats_set(o->stats, STAT_oldest_time_us, d->oldest_time_us);
	stats_set(o->stats, STAT_redis_memory_bytes, d->used_memory);
	stats_set(o->stats, STAT_redis_memory_max_bytes, d->max_memory);
	stats_set(o->stats, STAT_redis_rss_bytes, d->rss);
	stats_set(o->stats, STAT_redis_fragmentation, (uint64_t)(d->fragmentation * 1000));
	if (!was && over)
		log_paused(a, d, d->used_memory > max_memory);
	else if (was && under)
		log_notice("reader.resumed", "depth_events=%" PRIu64 " redis_memory=%" PRIu64, d->events, d->used_memory);
	set_pressure(a, PRESSURE_DEPTH, was ? !under : over);
}

/* Asks for the depth if it is time; false if Redis was lost over it. */
static bool look_at_depth(struct reader_append *a)
{
	int64_t now_us = clock_mono_us();
	enum stream_status status;
	struct stream_depth d;
	struct err err;

	if (now_us < a->depth_us + DEPTH_US && a->depth_events < DEPTH_EVENTS)
		return true;
	a->depth_us = now_us;
	a->depth_events = 0;
	status = stream_get_depth(a->o.stream, &d, &err);
	if (status == STREAM_OK && (d.epoch != a->epoch || d.generation != a->generation)) {
		err_set(&err, d.epoch != a->epoch ? "epoch %" PRIu64 " was opened" : "the stream was made anew in epoch %" PRIu64,
			d.epoch);
		give_up(a, STREAM_E_MOVED, &err);
	} else if (status == STREAM_OK) {
		judge_depth(a, &d);
	} else if (status != STREAM_E_NOGROUP) {
		/* (a lost group the keeper makes anew; the head does not depend on it) */
		give_up(a, status, &err);
	}
	return a->stage != APPEND_OFF;
}

/* ---- append ---- */

/* Sends the oldest packs. */
static void send_batch(struct reader_append *a)
{
	struct stream_pack packs[MAX_BATCH_PACKS];
	struct reader_pack *queue = a->o.pack;
	enum stream_status status;
	size_t n_bytes = 0;
	struct err err;
	int n = 0;

	for (const struct packed *p = queue->first; p && n < MAX_BATCH_PACKS; p = p->next) {
		if (n > 0 && n_bytes + p->bytes.n > MAX_BATCH_BYTES)
			break;
		packs[n++] = (struct stream_pack){ p->id, buf_slice(&p->bytes), p->n_events };
		n_bytes += p->bytes.n;
	}
	if (!RULE(derive_after_loss) && stream_connect(a->o.stream, &err) != STREAM_OK) {
		wait_for_room(a, &err);
		return;
	}
	FAILPOINT_CUT(append_send, stream_fd(a->o.stream));
	status = stream_append_send(
		a->o.stream, a->confirmed, queue->first->first_ordinal, packs, n, &err);
	if (status != STREAM_OK) {
		give_up(a, status, &err);
		return;
	}
	FAILPOINT_CUT(append_sent, stream_fd(a->o.stream));
	a->n_sent = n;
	a->sent_us = clock_mono_us();
	a->stage = APPEND_SENT;
	event_add(a->reply, NULL);
}

/* How long a pack took to get here, and when that was. */
static void clock_pack(struct reader_append *a, const struct packed *p, int64_t now_us)
{
	struct histogram *stages = a->o.stats->stages;
	int64_t received_us = (int64_t)p->received_us;

	if (p->first_time_us)
		histogram_add(&stages[STAGE_receive], received_us - p->first_time_us, p->n_events);
	histogram_add(&stages[STAGE_append], now_us - received_us, p->n_events);
	stats_mark_set(a->o.page, p->id.epoch, p->id.seq, (uint64_t)now_us);
}

/* The sent packs are in the stream. */
static void confirm(struct reader_append *a)
{
	struct reader_pack *queue = a->o.pack;
	struct stats_slot *stats = a->o.stats;
	const struct packed *p = queue->first;
	int64_t now_us = clock_wall_us();

	for (int i = 0; i < a->n_sent; i++, p = p->next) {
		a->confirmed = p->id;
		clock_pack(a, p, now_us);
		a->depth_events += p->n_events;
		stats_add(stats, STAT_events_appended, p->n_events);
		stats_add(stats, STAT_bytes_appended, p->bytes.n);
		stats_add(stats, STAT_gaps, p->n_gaps);
		if (p->time_us)
			stats_set(stats, STAT_source_time_us, (uint64_t)p->time_us);
	}
	stats_add(stats, STAT_packs_appended, (uint64_t)a->n_sent);
	stats_set(stats, STAT_source_epoch, a->confirmed.epoch);
	stats_set(stats, STAT_source_seq, a->confirmed.seq);
	reader_pack_drop(queue, a->n_sent);
	a->n_sent = 0;
	a->stage = APPEND_IDLE;
	set_pressure(a, PRESSURE_FULL, false);
}

/* Redis refused for want of memory or disk: nothing was executed, the same goes again. */
static void wait_for_room(struct reader_append *a, const struct err *err)
{
	if (!(a->pressure & PRESSURE_FULL))
		log_warning("reader.redis_full",
			"head=%" PRIu64 "-%" PRIu64 " waiting_bytes=%zu error=%s",
			a->confirmed.epoch, a->confirmed.seq, a->o.pack->queued_bytes, LOG_QUOTED(err->text));
	a->stage = APPEND_FULL;
	arm(a->retry, FULL_RETRY_US);
	set_pressure(a, PRESSURE_FULL, true);
}

/* Takes the answer, waiting if it is not there yet. */
static enum stream_status take_result(struct reader_append *a, struct err *err)
{
	enum stream_status status;

	event_del(a->reply);
	status = stream_append_result(a->o.stream, err);
	if (FAILPOINT(append_reply)) {
		stream_disconnect(a->o.stream);
		status = STREAM_E_DOWN;
	}
	if (status == STREAM_OK || (status == STREAM_E_FULL && !RULE(cursor_after_append)))
		confirm(a);
	else if (status == STREAM_E_FULL)
		wait_for_room(a, err);
	else
		give_up(a, status, err);
	return status;
}

/* Sends what there is to send, if nothing is under way. */
static void go_on(struct reader_append *a)
{
	struct reader_pack *queue = a->o.pack;

	if (a->stage == APPEND_IDLE && look_at_depth(a)) {
		if (!queue->first && a->due)
			reader_pack_close(queue);
		if (queue->first)
			send_batch(a);
	}
	if (a->stage == APPEND_OFF)
		return;
	if (!queue->open) {
		a->due = false;
		event_del(a->flush);
	} else if (!a->due && !evtimer_pending(a->flush, NULL)) {
		arm(a->flush, FLUSH_US);
	}
	if (queue->queued_bytes >= QUEUE_HIGH_BYTES)
		set_pressure(a, PRESSURE_QUEUE, true);
	else if (queue->queued_bytes < QUEUE_LOW_BYTES)
		set_pressure(a, PRESSURE_QUEUE, false);
}

void reader_append_more(struct reader_append *a)
{
	go_on(a);
}

void reader_append_drained(struct reader_append *a)
{
	if (a->stage != APPEND_IDLE || !a->o.pack->open)
		return;
	if (clock_mono_us() - a->sent_us >= FLUSH_SPACING_US) {
		a->due = true;
		go_on(a);
	}
}

void reader_append_tick(struct reader_append *a)
{
	struct reader_pack *queue = a->o.pack;
	int64_t now_us = clock_mono_us();
	struct err err;

	if (a->stage == APPEND_OFF)
		return;
	if (a->stage == APPEND_SENT && now_us - a->sent_us >= ANSWER_US &&
		take_result(a, &err) != STREAM_OK)
		return;
	if (!queue->open && queue->skip_seq > 0 && now_us - queue->skip_us >= SKIP_US)
		reader_pack_close_all(queue);
	go_on(a);
}

enum stream_status reader_append_settle(struct reader_append *a, struct err *err)
{
	enum stream_status status = STREAM_OK;

	if (a->stage == APPEND_OFF)
		return STREAM_OK;
	reader_pack_close_all(a->o.pack);
	while (a->stage != APPEND_OFF && status == STREAM_OK) {
		if (a->stage == APPEND_SENT) {
			status = take_result(a, err);
		} else if (!a->o.pack->first) {
			return STREAM_OK;
		} else {
			send_batch(a);
			if (a->stage == APPEND_OFF) {
				*err = a->stale_err;
				status = a->stale_status;
			}
		}
	}
	return status;
}

/* ---- loop ---- */

static void on_reply(evutil_socket_t fd, short what, void *arg)
{
	struct reader_append *a = arg;
	struct err err;

	(void)fd;
	(void)what;
	if (a->stage == APPEND_SENT && take_result(a, &err) == STREAM_OK)
		go_on(a);
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
	struct reader_append *a = arg;

	(void)fd;
	(void)what;
	a->due = true;
	go_on(a);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct reader_append *a = arg;

	(void)fd;
	(void)what;
	if (a->stage != APPEND_FULL)
		return;
	a->stage = APPEND_IDLE;
	send_batch(a);
}

static void on_stale(evutil_socket_t fd, short what, void *arg)
{
	struct reader_append *a = arg;

	(void)fd;
	(void)what;
	a->o.on_stale(a->o.ctx, a->stale_status, a->stale_err.text);
}

/* ---- life ---- */

struct reader_append *reader_append_new(const struct reader_append_options *options)
{
	struct reader_append *a = calloc(1, sizeof *a);

	if (!a)
		abort();
	a->o = *options;
	a->flush = evtimer_new(options->base, on_flush, a);
	a->retry = evtimer_new(options->base, on_retry, a);
	a->stale = evtimer_new(options->base, on_stale, a);
	if (!a->flush || !a->retry || !a->stale)
		abort();
	return a;
}

struct reader_append *reader_append_free(struct reader_append *a)
{
	if (!a)
		return NULL;
	if (a->reply)
		event_free(a->reply);
	event_free(a->flush);
	event_free(a->retry);
	event_free(a->stale);
	free(a);
	return NULL;
}

void reader_append_reset(struct reader_append *a, const struct stream_state *state, int redis_fd)
{
	if (a->reply)
		event_free(a->reply);
	a->reply = event_new(a->o.base, redis_fd, EV_READ | EV_PERSIST, on_reply, a);
	if (!a->reply)
		abort();
	event_del(a->flush);
	event_del(a->retry);
	event_del(a->stale);
	reader_pack_reset(a->o.pack, state);
	a->confirmed = state->head;
	a->epoch = state->epoch;
	a->generation = state->generation;
	a->n_sent = 0;
	a->due = false;
	a->stage = APPEND_IDLE;
	set_pressure(a, PRESSURE_QUEUE, false);
	set_pressure(a, PRESSURE_FULL, false);
}
