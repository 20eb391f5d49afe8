/* SPDX-License-Identifier: MIT
 *
 * worker - stream entries to PostgreSQL, batch by batch: read, decode, write, acknowledge
 *
 * The order is the whole promise: an entry is acknowledged only after the transaction that holds the
 * outcome of every event in it has committed. Whatever dies in between is delivered again and changes
 * nothing. What this consumer left pending is read before anything new; entries of consumers that no
 * longer exist, or that stay idle too long, are claimed and worked on like any other.
 */
#include "workers/child.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/rules.h"
#include "workers/batch.h"
#include "workers/parked.h"
#include "workers/solo.h"
#include "workers/verifier.h"
#include "workers/write.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	BATCH_BYTES = 4 * 1024 * 1024,
	BLOCK_MS = 1000,
	CLAIM_COUNT = 64,
	/* Longer than a live batch can take (statement timeout and retries): claiming earlier is harmless
	 * but does work twice. */
	CLAIM_IDLE_US = 90 * 1000000,
	/* Names that are none of this instance's: another machine may be using them. */
	FOREIGN_IDLE_US = 15 * 1000000,
	RENEW_US = 20 * 1000000,
	BACKOFF_MIN_US = 100000,
	BACKOFF_MAX_US = 5000000,
};

struct worker {
	struct child *child;
	struct stream *stream;
	struct writer writer;
	struct batch batch;
	struct verifier verifier;
	struct parked parked;
	struct suspects suspects;
	char consumer[128];
	uint64_t generation;
	bool finishing; /* a committed batch is being acknowledged: a drain request has to wait */
	bool own_done;	/* what we had pending at the start is done */
	struct stream_id own_after;
	int target_events; /* grows under backlog, shrinks without */
	double events_per_entry;
	int64_t next_claim_us;
	struct complaint redis_complaint, pg_complaint;
};

/* ---- waiting ---- */

/* The stream's waiter: a drain request interrupts reading, not acknowledging. */
static enum wait_result wait_stream(void *ctx, int fd, short events, int64_t deadline_us)
{
	struct worker *w = ctx;

	return w->finishing ? child_wait_through(w->child, fd, events, deadline_us) :
			      child_wait(w->child, fd, events, deadline_us);
}

/* Shows what is waited for, says it once in a while, sleeps with growing pauses; true: drain now. */
static bool wait_for(struct worker *w, const char *event, struct complaint *c, const struct err *err, int64_t *pause_us)
{
	child_set_state(w->child, CHILD_WAITING, err->text);
	if (complaint_due(c))
		log_error(event, "error=%s action=\"retrying\"%s", LOG_QUOTED(err->text), c->repeated);
	*pause_us = *pause_us ? *pause_us * 2 : BACKOFF_MIN_US;
	if (*pause_us > BACKOFF_MAX_US)
		*pause_us = BACKOFF_MAX_US;
	return child_wait(w->child, -1, 0, clock_mono_us() + *pause_us) == WAIT_STOP;
}

/* A stream call failed: waits until it makes sense to try again. True: drain now. */
static bool stream_trouble(struct worker *w, enum stream_status status, const struct err *err, int64_t *pause_us)
{
	if (status == STREAM_E_STOP || w->child->draining)
		return true;
	if (status == STREAM_E_UNPREPARED || status == STREAM_E_NOGROUP)
		return child_wait(w->child, -1, 0, clock_mono_us() + 200000) == WAIT_STOP; /* the keeper heals it */
	return wait_for(w, "worker.redis_failed", &w->redis_complaint, err, pause_us);
}

/* Entries may have been delivered to us without our hearing of it: own pending ones come first again. */
static void read_own_again(struct worker *w)
{
	w->own_done = !RULE(own_pending_first);
	w->own_after = (struct stream_id){ 0 };
}

/* Connects to Redis and reads the generation. False: drain now. */
static bool redis_up(struct worker *w)
{
	struct stream_state state;
	enum stream_status status;
	struct err err;
	int64_t pause_us = 0;

	for (;;) {
		status = stream_connect(w->stream, &err);
		if (status == STREAM_OK)
			status = stream_get_state(w->stream, &state, &err);
		if (status == STREAM_OK)
			break;
		if (stream_trouble(w, status, &err, &pause_us))
			return false;
	}
	complaint_clear(&w->redis_complaint);
	if (state.generation != w->generation) {
		/* Delivery was reset: what we remember of our pending entries is void. */
		w->generation = state.generation;
		read_own_again(w);
	}
	return true;
}

/* A connection, and what crashed here before is written down before any entry is touched. */
static enum write_status begin_session(struct worker *w, struct err *err)
{
	enum write_status status = writer_connect(&w->writer, err);

	if (status != WRITE_OK)
		return status;
	return writer_judge(&w->writer, suspects_load(&w->suspects, w->writer.pg, w->child->stats, err));
}

/* Connects to PostgreSQL. False: drain now. */
static bool postgres_up(struct worker *w)
{
	enum write_status status;
	struct err err;
	int64_t pause_us = 0;

	while ((status = begin_session(w, &err)) != WRITE_OK)
		if (status == WRITE_E_STOP || w->child->draining ||
			wait_for(w, "worker.postgres_failed", &w->pg_complaint, &err, &pause_us))
			return false;
	complaint_clear(&w->pg_complaint);
	return true;
}

/* ---- reading ---- */

static int entries_for(const struct worker *w, int events)
{
	int n = (int)((double)events / w->events_per_entry);

	return n < 1 ? 1 : n;
}

static void note_size(struct worker *w, int entries, int events)
{
	if (entries)
		w->events_per_entry = 0.8 * w->events_per_entry + 0.2 * ((double)events / entries);
	if (w->events_per_entry < 1)
		w->events_per_entry = 1;
}

/* Takes one reply into the batch; returns how many entries it had. */
static int take(struct worker *w, struct stream_entries *read)
{
	int n = read->n, before = w->batch.n_events;

	batch_add(&w->batch, read, w->child->stats);
	note_size(w, n, w->batch.n_events - before);
	return n;
}

/* What this consumer took earlier and never acknowledged. */
static enum stream_status read_own(struct worker *w, struct err *err)
{
	struct stream_entries read = { 0 };
	enum stream_status status = stream_read_own(w->stream, w->consumer, w->own_after,
		entries_for(w, w->target_events), &read, err);

	if (status != STREAM_OK)
		return status;
	if (!read.n)
		w->own_done = true;
	else
		w->own_after = read.entries[read.n - 1].id;
	take(w, &read);
	return STREAM_OK;
}

/* New entries until the batch is full or the stream has no more; blocks only for the first. */
static enum stream_status read_new(struct worker *w, struct err *err)
{
	int block_ms = w->parked.more ? 0 : BLOCK_MS;

	while (w->batch.n_events < w->target_events && w->batch.n_bytes < BATCH_BYTES &&
		w->batch.n_reads < BATCH_MAX_READS) {
		struct stream_entries read = { 0 };
		int asked = entries_for(w, w->target_events - w->batch.n_events);
		enum stream_status status;

		status = stream_read_send(w->stream, w->consumer, asked, block_ms, err);
		if (status == STREAM_OK)
			status = stream_read_result(w->stream, &read, err);
		if (status != STREAM_OK) /* what is in the batch is ours and pending: it is worked on */
			return w->batch.n_ids ? STREAM_OK : status;
		if (take(w, &read) < asked)
			break;
		block_ms = 0;
	}
	return STREAM_OK;
}

/* Under backlog larger batches cost less per event; without, small ones keep the latency low. */
static void adapt(struct worker *w)
{
	int base = (int)w->child->conf->workers.batch_events, max = (int)w->child->conf->workers.batch_events_max;

	if (max < base)
		max = base;
	w->target_events = w->batch.n_events >= w->target_events * 9 / 10 ? w->target_events * 2 : w->target_events / 2;
	if (w->target_events > max)
		w->target_events = max;
	if (w->target_events < base)
		w->target_events = base;
}

/* ---- claiming ---- */

/* How long entries of a consumer must have been idle before they are taken over; negative: never (it is a
 * slot of ours, whose worker reads them itself). */
static int64_t orphan_idle_us(const struct worker *w, const char *consumer)
{
	const char *name = w->child->conf->runtime.name;
	size_t n = strlen(name);
	char *end;
	long slot;

	if (strncmp(consumer, name, n) != 0 || strncmp(consumer + n, "-w", 2) != 0)
		return FOREIGN_IDLE_US;
	slot = strtol(consumer + n + 2, &end, 10);
	if (*end || end == consumer + n + 2)
		return FOREIGN_IDLE_US;
	return slot < w->child->n_workers ? -1 : 0;
}

/* Takes entries of one consumer that has no slot (any more). */
static enum stream_status claim_orphans(struct worker *w, struct err *err)
{
	struct stream_consumer *list;
	enum stream_status status;
	int n;

	status = stream_consumers(w->stream, &list, &n, err);
	if (status != STREAM_OK)
		return status;
	for (int i = 0; i < n && !w->batch.n_ids && status == STREAM_OK; i++) {
		struct stream_entries read = { 0 };
		int64_t idle_us = orphan_idle_us(w, list[i].name);

		if (!list[i].pending || idle_us < 0 || strcmp(list[i].name, w->consumer) == 0)
			continue;
		status = stream_claim_from(w->stream, list[i].name, w->consumer, idle_us, CLAIM_COUNT, &read, err);
		if (status != STREAM_OK || !read.n) {
			stream_entries_free(&read);
			continue;
		}
		log_notice("worker.claimed", "from=%s entries=%d", list[i].name, read.n);
		stats_add(w->child->stats, STAT_entries_claimed, (uint64_t)take(w, &read));
	}
	free(list);
	return status;
}

/* Takes entries that somebody else has held for too long. */
static enum stream_status claim_idle(struct worker *w, struct err *err)
{
	struct stream_entries read = { 0 };
	enum stream_status status =
		stream_claim_from(w->stream, "", w->consumer, CLAIM_IDLE_US, CLAIM_COUNT, &read, err);

	if (status != STREAM_OK)
		return status;
	if (read.n)
		log_notice("worker.claimed", "from=idle entries=%d", read.n);
	stats_add(w->child->stats, STAT_entries_claimed, (uint64_t)take(w, &read));
	return STREAM_OK;
}

static enum stream_status claim(struct worker *w, struct err *err)
{
	enum stream_status status = STREAM_OK;
	int64_t now_us = clock_mono_us();

	if (now_us < w->next_claim_us)
		return STREAM_OK;
	FAILPOINT_CUT(worker_claim, stream_fd(w->stream));
	if (child_is_lowest(w->child))
		status = claim_orphans(w, err);
	if (status == STREAM_OK && !w->batch.n_ids)
		status = claim_idle(w, err);
	/* Something was there: look again at once, there may be more. */
	w->next_claim_us = w->batch.n_ids ? now_us : now_us + (int64_t)(w->child->conf->workers.claim_interval * 1e6);
	return status;
}

/* ---- writing ---- */

/* Keeps others from claiming what we hold during a long outage; only saves double work. */
static void renew(struct worker *w, int64_t *next_us)
{
	struct err err;

	if (clock_mono_us() < *next_us)
		return;
	*next_us = clock_mono_us() + RENEW_US;
	if (stream_renew(w->stream, w->consumer, w->batch.ids, w->batch.n_ids, &err) != STREAM_OK)
		log_debug("worker.renew_failed", "error=%s", LOG_QUOTED(err.text));
}

/* The batch, or one of the suspects in it. */
static enum write_status write_part(struct worker *w, const struct batch_event *alone, struct err *err)
{
	return alone ? solo_write(w->child, &w->writer, alone, err) :
		       verifier_write(&w->verifier, &w->writer, &w->batch, err);
}

/* Writes it, however long it takes. False: drain now, nothing acknowledged. */
static bool write_patiently(struct worker *w, const struct batch_event *alone)
{
	int64_t pause_us = 0, next_renew_us = clock_mono_us() + RENEW_US;
	enum write_status status;
	struct err err;

	while ((status = write_part(w, alone, &err)) != WRITE_OK) {
		if (status == WRITE_E_STOP)
			return false;
		stats_add(w->child->stats, STAT_retries, 1);
		if (wait_for(w, "worker.write_failed", &w->pg_complaint, &err, &pause_us))
			return false;
		renew(w, &next_renew_us);
	}
	complaint_clear(&w->pg_complaint);
	return true;
}

static bool write_batch(struct worker *w)
{
	bool going = write_patiently(w, NULL);

	for (int i = 0; i < w->batch.n_alone && going; i++)
		going = write_patiently(w, &w->batch.alone[i]);
	return going;
}

/* Acknowledges what is committed. Whatever could not be acknowledged stays pending and is read again before
 * anything new. False: drain now. */
static bool ack_batch(struct worker *w)
{
	enum stream_status status;
	struct err err = { "" };
	int acked = 0;

	w->finishing = true;
	FAILPOINT_CUT(ack_send, stream_fd(w->stream));
	status = stream_ack(w->stream, w->consumer, w->generation, w->batch.ids, w->batch.n_ids, &acked, &err);
	if (FAILPOINT(ack_reply)) {
		stream_disconnect(w->stream);
		status = STREAM_E_DOWN;
	}
	w->finishing = false;
	stats_add(w->child->stats, STAT_entries_acked, (uint64_t)acked);
	if (status == STREAM_OK && acked == w->batch.n_ids)
		return true;
	log_debug("worker.ack_refused", "entries=%d acked=%d error=%s", w->batch.n_ids, acked, LOG_QUOTED(err.text));
	read_own_again(w);
	return redis_up(w); /* the generation may be a new one */
}

/* ---- the loop ---- */

static enum stream_status fill_batch(struct worker *w, struct err *err)
{
	enum stream_status status = STREAM_OK;

	batch_reset(&w->batch);
	if (!w->own_done)
		status = read_own(w, err);
	if (status == STREAM_OK && w->own_done && !w->batch.n_ids)
		status = claim(w, err);
	if (status == STREAM_OK && w->own_done && !w->batch.n_ids) {
		child_set_state(w->child, CHILD_IDLE, NULL);
		status = read_new(w, err);
	}
	w->batch.begun_us = clock_mono_us();
	return status;
}

/* One round. False: drain now. */
static bool work(struct worker *w)
{
	enum stream_status status;
	struct err err;
	int64_t pause_us = 0;

	status = fill_batch(w, &err);
	if (status != STREAM_OK) {
		read_own_again(w);
		return !stream_trouble(w, status, &err, &pause_us) && redis_up(w);
	}
	child_ready(w->child);
	parked_work(&w->parked, &w->writer);
	if (!w->batch.n_ids)
		return !w->child->draining;
	child_set_state(w->child, CHILD_BUSY, NULL);
	if (!RULE(ack_after_commit) && !ack_batch(w))
		return false;
	if (!write_batch(w))
		return false;
	batch_count(&w->batch, w->child->page, w->child->stats);
	if (RULE(ack_after_commit) && !ack_batch(w))
		return false;
	adapt(w);
	return !w->child->draining;
}

int worker_main(struct child *c)
{
	struct worker w = { .child = c, .target_events = (int)c->conf->workers.batch_events, .events_per_entry = 1 };
	struct stream_options options = { .url = c->conf->redis.url, .password_file = c->conf->redis.password_file,
		.name = c->conf->redis.stream, .group = c->conf->redis.group, .waiter = { wait_stream, &w } };
	struct err err;

	snprintf(w.consumer, sizeof w.consumer, "%s-w%d", c->conf->runtime.name, c->slot);
	if (stream_new(&options, &w.stream, &err) < 0 ||
		writer_init(&w.writer, c->conf->postgres.conninfo, w.consumer,
			(struct waiter){ child_wait_through, c }, c->stats, &err) < 0) {
		log_error("worker.failed", "error=%s", LOG_QUOTED(err.text));
		return 78;
	}
	w.batch.suspects = &w.suspects;
	verifier_init(&w.verifier, c->conf, c->stats);
	w.parked = (struct parked){ .child = c, .verifier = &w.verifier, .suspects = &w.suspects };
	if (postgres_up(&w) && redis_up(&w))
		while (work(&w))
			;
	batch_done(&w.batch);
	parked_done(&w.parked);
	verifier_done(&w.verifier);
	suspects_done(&w.suspects);
	writer_done(&w.writer);
	stream_free(w.stream);
	return 0;
}
