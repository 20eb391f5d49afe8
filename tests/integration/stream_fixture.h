/* SPDX-License-Identifier: MIT
 *
 * stream_fixture - a real Redis of our own on a unix socket, and one writer's view of the stream in
 * it
 *
 * Owns: the process and its folder until stop_redis. Redis dies with the test program.
 */
#ifndef TESTS_INTEGRATION_STREAM_FIXTURE_H
#define TESTS_INTEGRATION_STREAM_FIXTURE_H

#include "tests/unit/tap.h"

#include "base/clock.h"
#include "codec/pack.h"
#include "io/stream.h"

#include <hiredis/hiredis.h>

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EVENTS = 10, MAX_PACKS = 64 };
#define SOURCE_TIME_US UINT64_C(1700000000000000) /* of a pack, plus its last seq */

/* One Redis, one stream under test, and the position its writer believes in. */
struct stream_fixture {
	pid_t redis;
	char dir[64], url[128], socket[96];
	redisContext *direct; /* for what a foreigner or an operator does */
	struct stream *s;
	struct err err;
	struct stream_base base;
	struct stream_id head;
	uint64_t ordinal, byte;
	bool stop; /* the waiter says WAIT_STOP as soon as a reply is awaited */
	bool stop_when_sent; /* the same, from when an append has been sent */
};

static inline enum wait_result wait_or_stop(void *ctx, int fd, short events, int64_t deadline_us)
{
	struct stream_fixture *f = ctx;

	return f->stop && events & POLLIN ? WAIT_STOP : wait_poll(NULL, fd, events, deadline_us);
}

/* A second connection to the same Redis. */
static inline struct stream *open_stream(struct stream_fixture *f, const char *url,
	const char *password_file, int64_t reply_timeout_us)
{
	struct stream_options options = { .url = url,
		.password_file = password_file,
		.name = "events",
		.group = "g",
		.waiter = { wait_or_stop, f },
		.reply_timeout_us = reply_timeout_us };
	struct stream *s;

	if (stream_new(&options, &s, &f->err) < 0)
		abort();
	return s;
}

/* A command as a foreigner sends it; the reply lives until the next call. */
static inline redisReply *direct(struct stream_fixture *f, const char *fmt, ...)
{
	static redisReply *last;
	va_list ap;

	if (last)
		freeReplyObject(last);
	va_start(ap, fmt);
	last = redisvCommand(f->direct, fmt, ap);
	va_end(ap);
	if (!last)
		abort();
	return last;
}

/* Starts Redis and waits until it answers; false if there is none to start. */
static inline bool start_redis(struct stream_fixture *f)
{
	int64_t deadline_us = clock_mono_us() + 20000000;

	if (system("command -v redis-server >/dev/null 2>&1") != 0)
		return false;
	strcpy(f->dir, "/tmp/standpipe-test-XXXXXX");
	if (!mkdtemp(f->dir))
		abort();
	snprintf(f->socket, sizeof f->socket, "%s/redis.sock", f->dir);
	snprintf(f->url, sizeof f->url, "unix://%s", f->socket);
	f->redis = fork();
	if (f->redis == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", f->socket,
			"--dir", f->dir, "--appendonly", "yes", "--appendfsync", "everysec",
			"--save", "", "--maxmemory", "64mb", "--maxmemory-policy", "noeviction",
			"--logfile", "redis.log", (char *)NULL);
		_exit(127);
	}
	while (clock_mono_us() < deadline_us) {
		f->direct = redisConnectUnix(f->socket);
		if (!f->direct->err)
			return true;
		redisFree(f->direct);
		poll(NULL, 0, 10);
	}
	abort();
}

static inline void stop_redis(struct stream_fixture *f)
{
	char command[96];

	redisFree(f->direct);
	kill(f->redis, SIGCONT);
	kill(f->redis, SIGKILL);
	waitpid(f->redis, NULL, 0);
	snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
	if (system(command) != 0)
		abort();
}

static inline bool is_id(struct stream_id id, uint64_t epoch, uint64_t seq)
{
	return id.epoch == epoch && id.seq == seq;
}

/* Prepares with the fixture's base; aborts unless Redis answers. */
static inline enum stream_prepared prepare(struct stream_fixture *f)
{
	enum stream_prepared prepared = PREPARED_SAME;
	uint64_t top;

	if (stream_prepare(f->s, &f->base, &prepared, &top, &f->err) != STREAM_OK) {
		fprintf(stderr, "prepare: %s\n", f->err.text);
		abort();
	}
	return prepared;
}

/* An empty Redis, prepared at `seq` of epoch 1 (0: no watermark yet). */
static inline void fresh(struct stream_fixture *f, uint64_t seq)
{
	direct(f, "FLUSHALL");
	f->base = (struct stream_base){ .watermark = { seq ? 1 : 0, seq },
		.epoch = 1,
		.host = "wss://one:443",
		.start = "live",
		.pg = "pg:1" };
	prepare(f);
	f->head = f->base.watermark;
	f->ordinal = f->byte = 0;
}

/* Builds n packs of EVENTS events and `size` payload bytes each behind the fixture's head. */
static inline void build(
	struct stream_fixture *f, struct buf *bufs, struct stream_pack *packs, int n, size_t size)
{
	static const uint8_t zeros[65536];
	struct stream_id prev = f->head;
	uint64_t ordinal = f->ordinal, byte = f->byte;

	for (int i = 0; i < n; i++) {
		struct stream_id id = { f->base.epoch,
			(prev.epoch == f->base.epoch ? prev.seq : 0) + EVENTS };

		pack_begin(&bufs[i]);
		for (uint64_t e = 1; e <= EVENTS; e++)
			pack_add(&bufs[i], 1, 0, id.seq - EVENTS + e,
				slice_of(zeros, size / EVENTS));
		pack_end(&bufs[i],
			&(struct pack_prefix){ .prev_epoch = prev.epoch,
				.prev_seq = prev.seq,
				.epoch = id.epoch,
				.first_seq = id.seq - EVENTS + 1,
				.last_seq = id.seq,
				.first_ordinal = ordinal,
				.first_byte = byte,
				.source_time_us = SOURCE_TIME_US + id.seq,
				.n_events = EVENTS });
		packs[i] = (struct stream_pack){ id, buf_slice(&bufs[i]), EVENTS };
		ordinal += EVENTS;
		byte += bufs[i].n;
		prev = id;
	}
}

/* Appends n packs; moves the fixture's position only if they were taken. */
static inline enum stream_status append(struct stream_fixture *f, int n, size_t size)
{
	struct buf bufs[MAX_PACKS] = { 0 };
	struct stream_pack packs[MAX_PACKS];
	enum stream_status status;

	build(f, bufs, packs, n, size);
	status = stream_append_send(f->s, f->head, f->ordinal, packs, n, &f->err);
	f->stop = f->stop || f->stop_when_sent;
	if (status == STREAM_OK)
		status = stream_append_result(f->s, &f->err);
	for (int i = 0; i < n; i++) {
		if (status == STREAM_OK) {
			f->ordinal += EVENTS;
			f->byte += bufs[i].n;
			f->head = packs[i].id;
		}
		buf_done(&bufs[i]);
	}
	return status;
}

static inline enum stream_status read_new(struct stream_fixture *f, const char *consumer, int count,
	int block_ms, struct stream_entries *ret)
{
	enum stream_status status = stream_read_send(f->s, consumer, count, block_ms, &f->err);

	*ret = (struct stream_entries){ 0 };
	return status == STREAM_OK ? stream_read_result(f->s, ret, &f->err) : status;
}

/* Delivers `count` new entries to the consumer; returns how many came. */
static inline int deliver(struct stream_fixture *f, const char *consumer, int count)
{
	struct stream_entries e;
	enum stream_status status = read_new(f, consumer, count, 0, &e);
	int n = e.n;

	stream_entries_free(&e);
	return status == STREAM_OK ? n : -1;
}

static inline uint64_t generation(struct stream_fixture *f)
{
	struct stream_state state;

	return stream_get_state(f->s, &state, &f->err) == STREAM_OK ? state.generation : 0;
}

/* Acks the entries with seqs first, first + EVENTS, ... last of epoch 1; returns how many were. */
static inline int ack(
	struct stream_fixture *f, const char *consumer, uint64_t gen, uint64_t first, uint64_t last)
{
	struct stream_id ids[MAX_PACKS];
	int n = 0, acked = 0;

	for (uint64_t seq = first; seq <= last; seq += EVENTS)
		ids[n++] = (struct stream_id){ 1, seq };
	return stream_ack(f->s, consumer, gen, ids, n, &acked, &f->err) == STREAM_OK ? acked : -1;
}

static inline struct stream_watermark watermark(struct stream_fixture *f)
{
	struct stream_watermark w;

	if (stream_get_watermark(f->s, &w, &f->err) != STREAM_OK) {
		fprintf(stderr, "watermark: %s\n", f->err.text);
		abort();
	}
	return w;
}

static inline long long entries_there(struct stream_fixture *f)
{
	return direct(f, "XLEN events")->integer;
}

#endif
