/* SPDX-License-Identifier: MIT
 *
 * measure - from a go to a condition: seconds, and what each process spent meanwhile
 */
#include "process.h"
#include "tool.h"

#include "base/clock.h"

#include <hiredis/hiredis.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOOK_MS = 10, PROGRESS_US = 500000 };

struct measure {
	redisContext *redis;
	const char *stream, *group, *condition;
	uint64_t seq;
	int64_t deadline_us;
	struct process_roots roots;
};

/* A field of a flat reply of names and values; NULL if there is none. */
static const redisReply *field(const redisReply *r, const char *name)
{
	for (size_t i = 0; r && i + 1 < r->elements; i += 2)
		if (r->element[i]->str && strcmp(r->element[i]->str, name) == 0)
			return r->element[i + 1];
	return NULL;
}

static uint64_t seq_of(const redisReply *id)
{
	const char *dash = id && id->str ? strchr(id->str, '-') : NULL;

	return dash ? strtoull(dash + 1, NULL, 10) : 0;
}

/* Newest seq of the stream. Its answer holds the first and the last entry, some 40 kB: not to be asked often. */
static uint64_t head_of(struct measure *m)
{
	redisReply *r = redisCommand(m->redis, "XINFO STREAM %s", m->stream);
	uint64_t seq = r && r->type == REDIS_REPLY_ARRAY ? seq_of(field(r, "last-generated-id")) : 0;

	if (r)
		freeReplyObject(r);
	return seq;
}

/* Newest seq delivered, and how many entries are not acknowledged. */
static void look(struct measure *m, uint64_t *ret_delivered, long long *ret_pending)
{
	redisReply *groups = redisCommand(m->redis, "XINFO GROUPS %s", m->stream);
	const redisReply *pending;

	*ret_delivered = 0;
	*ret_pending = -1;
	for (size_t i = 0; groups && groups->type == REDIS_REPLY_ARRAY && i < groups->elements; i++) {
		const redisReply *name = field(groups->element[i], "name");

		if (!name || strcmp(name->str, m->group) != 0)
			continue;
		*ret_delivered = seq_of(field(groups->element[i], "last-delivered-id"));
		pending = field(groups->element[i], "pending");
		*ret_pending = pending ? pending->integer : -1;
	}
	if (groups)
		freeReplyObject(groups);
}

/* Waits. Conditions: "filled", the source's events up to seq are in the stream; "drained", and nothing that was delivered
 * is without an acknowledgement; "delivered", from the stream to a worker, *ret_reached of them. */
static int await(struct measure *m, uint64_t *ret_reached, struct err *err)
{
	bool filled = strcmp(m->condition, "filled") == 0, delivery = strcmp(m->condition, "delivered") == 0;
	int64_t shown_us = 0;

	for (;;) {
		uint64_t head = filled ? head_of(m) : 0, delivered;
		long long pending;
		int64_t now_us = clock_mono_us();

		look(m, &delivered, &pending);
		*ret_reached = delivery ? delivered : m->seq;
		if (filled ? head >= m->seq : delivered >= m->seq && (delivery || pending == 0))
			return 0;
		if (now_us > m->deadline_us)
			return err_set(err, "not %s in time: head %llu, delivered %llu, %lld entries pending, wanted %llu",
				m->condition, (unsigned long long)head, (unsigned long long)delivered, pending,
				(unsigned long long)m->seq);
		if (now_us - shown_us >= PROGRESS_US) {
			fprintf(stderr, "%llu of %llu\n", (unsigned long long)(filled ? head : delivered),
				(unsigned long long)m->seq);
			shown_us = now_us;
		}
		poll(NULL, 0, filled ? 2 * LOOK_MS : LOOK_MS);
	}
}

/* What sets it off: "fd=N TEXT" writes a line to a descriptor, "cont=PID" lets a stopped process run,
 * "rewind=ID" delivers what follows that id once more, "none" nothing, nor does "from=SEQ" (see run). */
static int go(struct measure *m, const char *how, struct err *err)
{
	const char *text = strchr(how, ' ');
	int n = atoi(strchr(how, '=') ? strchr(how, '=') + 1 : "0");

	if (strncmp(how, "cont=", 5) == 0)
		return kill(n, SIGCONT) ? err_set(err, "cannot continue process %d", n) : 0;
	if (strncmp(how, "fd=", 3) == 0)
		return dprintf(n, "%s\n", text ? text + 1 : "") < 0 ? err_set(err, "cannot write to %d", n) : 0;
	if (strncmp(how, "rewind=", 7) == 0) {
		redisReply *r = redisCommand(m->redis, "XGROUP SETID %s %s %s", m->stream, m->group, how + 7);
		bool good = r && r->type == REDIS_REPLY_STATUS;

		if (r)
			freeReplyObject(r);
		return good ? 0 : err_set(err, "the group cannot be set back");
	}
	return strcmp(how, "none") == 0 || strncmp(how, "from=", 5) == 0 ? 0 : err_set(err, "no such go: %s", how);
}

/* In the midst of what runs: until that seq was delivered, nothing is measured. */
static int await_delivery(struct measure *m, uint64_t seq, uint64_t *ret_delivered, struct err *err)
{
	long long pending;

	for (;;) {
		look(m, ret_delivered, &pending);
		if (*ret_delivered >= seq)
			return 0;
		if (clock_mono_us() > m->deadline_us)
			return err_set(err, "%llu was not delivered in time", (unsigned long long)seq);
		poll(NULL, 0, LOOK_MS);
	}
}

/* With "from=SEQ" all that is measured comes after SEQ, of which what was delivered before is the warm-up. */
static int run(struct measure *m, const char *how, struct err *err)
{
	struct usages before, after;
	uint64_t delivered, from, reached, n_events;
	long long pending;
	int64_t began_us;

	look(m, &delivered, &pending);
	from = strcmp(m->condition, "drained") == 0 && pending <= 0 ? delivered : 0;
	if (strcmp(m->condition, "filled") == 0)
		from = head_of(m);
	if (strncmp(how, "rewind=", 7) == 0)
		from = strtoull(strchr(how, '-') ? strchr(how, '-') + 1 : "0", NULL, 10);
	if (strncmp(how, "from=", 5) == 0 && await_delivery(m, strtoull(how + 5, NULL, 10), &from, err))
		return -1;
	usages_take(&before, &m->roots);
	began_us = clock_mono_us();
	if (go(m, how, err) || await(m, &reached, err))
		return -1;
	printf("seconds %.3f\n", (double)(clock_mono_us() - began_us) / 1e6);
	usages_take(&after, &m->roots);
	n_events = reached > from ? reached - from : 0;
	printf("events %llu\n", (unsigned long long)n_events);
	usages_print(&after, &before, n_events);
	return 0;
}

int tool_measure(int argc, char **argv, struct err *err)
{
	struct measure m;
	int r;

	if (argc < 9)
		return err_set(err, "too few arguments");
	m = (struct measure){ .redis = redisConnectUnix(argv[0]),
		.stream = argv[1],
		.group = argv[2],
		.condition = argv[3],
		.seq = strtoull(argv[4], NULL, 10),
		.deadline_us = clock_mono_us() + atoll(argv[5]) * 1000000,
		.roots = { atoi(argv[6]), atoi(argv[7]), argv + 9, argc - 9 } };
	if (!m.redis || m.redis->err)
		return err_set(err, "no Redis at %s", argv[0]);
	r = run(&m, argv[8], err);
	redisFree(m.redis);
	return r;
}
