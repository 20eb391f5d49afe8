/* SPDX-License-Identifier: MIT */
#include "io/stream_private.h"

#include "base/clock.h"

#include <assert.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What an error reply means and the way out; the first matching prefix counts. */
static const struct reply_error {
	const char *prefix;
	enum stream_status status;
	const char *hint;
} reply_errors[] = {
	{ "OOM", STREAM_E_FULL,
		"maxmemory is reached; it goes on by itself as workers ack, or after "
		"CONFIG SET maxmemory with more" },
	{ "MISCONF", STREAM_E_FULL, "Redis cannot write its AOF or RDB: free space on its disk" },
	{ "NOGROUP", STREAM_E_NOGROUP, "the keeper makes the group anew at the watermark" },
	{ "ERR no such key", STREAM_E_NOGROUP,
		"the keeper makes the stream anew at the watermark" },
	{ "UNBLOCKED the stream", STREAM_E_NOGROUP,
		"the keeper makes the stream anew at the watermark" },
	{ "UNBLOCKED", STREAM_E_DOWN, "Redis changed its role; point redis.url at the master" },
	{ "LOADING", STREAM_E_DOWN, "Redis is loading its data; wait" },
	{ "READONLY", STREAM_E_DOWN,
		"this is a replica: point redis.url at the master, or REPLICAOF NO ONE" },
	{ "MASTERDOWN", STREAM_E_DOWN, "this is a replica: point redis.url at the master" },
	{ "NOAUTH", STREAM_E_DOWN, "Redis wants a password: set redis.password_file" },
	{ "WRONGPASS", STREAM_E_DOWN, "correct redis.password_file or the URL" },
	{ "NOPERM", STREAM_E_DOWN, "give this Redis user the right with ACL SETUSER" },
	{ "ERR The user executing the script", STREAM_E_DOWN, "give this Redis user the right with ACL SETUSER" },
	{ "DENIED", STREAM_E_DOWN,
		"protected mode: set a password or use loopback or a unix socket" },
	{ "BUSYGROUP", STREAM_E_DOWN,
		"a group has the stream's name and \":append\" behind it, which is ours: XGROUP DESTROY it" },
	{ "BUSY", STREAM_E_DOWN, "another script runs too long: SCRIPT KILL ends it" },
	{ "WRONGTYPE", STREAM_E_DOWN,
		"the key holds something else: rename it or change redis.stream" },
	{ "CLUSTERDOWN", STREAM_E_DOWN, "a Redis Cluster is not supported: use a single instance" },
	{ "CROSSSLOT", STREAM_E_DOWN, "a Redis Cluster is not supported: use a single instance" },
	{ "MOVED", STREAM_E_DOWN, "a Redis Cluster is not supported: use a single instance" },
	{ "ERR max number of clients", STREAM_E_DOWN, "raise it with CONFIG SET maxclients" },
	{ "ERR DB index", STREAM_E_DOWN, "this Redis has no such database: correct redis.url" },
};

void args_begin(struct stream *s, const char *command)
{
	arena_reset(&s->arena);
	s->argc = 0;
	args_str(s, command);
}

void args_str(struct stream *s, const char *text)
{
	args_bytes(s, slice_str(text));
}

void args_bytes(struct stream *s, struct slice bytes)
{
	if (s->argc == s->argv_cap) {
		s->argv_cap = s->argv_cap ? s->argv_cap * 2 : 64;
		s->argv = reallocarray(s->argv, (size_t)s->argv_cap, sizeof *s->argv);
		s->argv_bytes =
			reallocarray(s->argv_bytes, (size_t)s->argv_cap, sizeof *s->argv_bytes);
		if (!s->argv || !s->argv_bytes)
			abort();
	}
	s->argv[s->argc] = bytes.n ? (const char *)bytes.p : "";
	s->argv_bytes[s->argc++] = bytes.n;
}

void args_u64(struct stream *s, uint64_t v)
{
	char *text = arena_alloc(&s->arena, 24);

	snprintf(text, 24, "%" PRIu64, v);
	args_str(s, text);
}

void args_id(struct stream *s, struct stream_id id)
{
	char *text = arena_alloc(&s->arena, 44);

	snprintf(text, 44, "%" PRIu64 "-%" PRIu64, id.epoch, id.seq);
	args_str(s, text);
}

int64_t stream_reply_timeout_us(const struct stream *s)
{
	return s->options.reply_timeout_us > 0 ? s->options.reply_timeout_us : STREAM_REPLY_US;
}

/* The connection is of no use any more. */
static enum stream_status lose(struct stream *s, struct err *err)
{
	err_set(err, "Redis at %s: connection lost: %s", s->address,
		s->c->errstr[0] ? s->c->errstr : "no reason given");
	stream_disconnect(s);
	return STREAM_E_DOWN;
}

/* Waits until the socket is ready; anything else ends the connection. */
static enum stream_status await(struct stream *s, short events, struct err *err)
{
	switch (waiter_wait(&s->options.waiter, s->c->fd, events, s->deadline_us)) {
	case WAIT_READY:
		return STREAM_OK;
	case WAIT_STOP:
		err_set(err, "Redis at %s: stopped while waiting for a reply", s->address);
		stream_disconnect(s);
		return STREAM_E_STOP;
	case WAIT_TIMEOUT:
		break;
	}
	err_set(err,
		"Redis at %s: no answer for %.1f s: is it stopped, swapping or its disk stuck?",
		s->address, (double)s->timeout_us / 1e6);
	stream_disconnect(s);
	return STREAM_E_DOWN;
}

enum stream_status stream_send_again(struct stream *s, struct err *err)
{
	int done = 0;

	s->deadline_us = clock_mono_us() + s->timeout_us;
	if (redisAppendFormattedCommand(s->c, (const char *)s->command.p, s->command.n) != REDIS_OK)
		return lose(s, err);
	for (;;) {
		enum stream_status status;

		if (redisBufferWrite(s->c, &done) != REDIS_OK)
			return lose(s, err);
		if (done)
			return STREAM_OK;
		status = await(s, POLLOUT, err);
		if (status != STREAM_OK)
			return status;
	}
}

void stream_queue(struct stream *s)
{
	char *command;
	long long n = redisFormatCommandArgv(&command, s->argc, s->argv, s->argv_bytes);

	if (n < 0)
		abort();
	if (!s->queued)
		buf_reset(&s->command);
	s->queued = true;
	buf_add(&s->command, command, (size_t)n);
	redisFreeCommand(command);
}

enum stream_status stream_send(struct stream *s, int64_t timeout_us, struct err *err)
{
	assert(s->half == HALF_NONE);
	stream_queue(s);
	s->queued = false;
	if (!s->c) {
		err_set(err, "Redis at %s: not connected", s->address);
		return STREAM_E_DOWN;
	}
	s->timeout_us = timeout_us;
	return stream_send_again(s, err);
}

enum stream_status stream_receive_any(struct stream *s, redisReply **ret, struct err *err)
{
	*ret = NULL;
	if (!s->c) {
		err_set(err, "Redis at %s: not connected", s->address);
		return STREAM_E_DOWN;
	}
	for (;;) {
		enum stream_status status;
		void *reply = NULL;

		if (redisGetReplyFromReader(s->c, &reply) != REDIS_OK)
			return lose(s, err);
		if (reply) {
			*ret = reply;
			return STREAM_OK;
		}
		status = await(s, POLLIN, err);
		if (status != STREAM_OK)
			return status;
		if (redisBufferRead(s->c) != REDIS_OK)
			return lose(s, err);
	}
}

enum stream_status stream_judge(struct stream *s, redisReply *reply, struct err *err)
{
	enum stream_status status = STREAM_E_DOWN;
	const char *hint = "not expected here; see Redis's own log";

	for (size_t i = 0; i < sizeof reply_errors / sizeof *reply_errors; i++)
		if (strncmp(reply->str, reply_errors[i].prefix, strlen(reply_errors[i].prefix)) ==
			0) {
			status = reply_errors[i].status;
			hint = reply_errors[i].hint;
			break;
		}
	err_set(err, "Redis at %s: %.200s: %s", s->address, reply->str, hint);
	freeReplyObject(reply);
	if (status == STREAM_E_DOWN)
		stream_disconnect(s);
	return status;
}

enum stream_status stream_bad_reply(struct stream *s, redisReply *reply, struct err *err)
{
	err_set(err,
		"Redis at %s: a reply of unknown shape: is this Redis 7, with nothing in between?",
		s->address);
	freeReplyObject(reply);
	stream_disconnect(s);
	return STREAM_E_DOWN;
}

enum stream_status stream_receive(struct stream *s, redisReply **ret, struct err *err)
{
	enum stream_status status = stream_receive_any(s, ret, err);

	if (status == STREAM_OK && (*ret)->type == REDIS_REPLY_ERROR) {
		status = stream_judge(s, *ret, err);
		*ret = NULL;
	}
	return status;
}

enum stream_status stream_call(struct stream *s, redisReply **ret, struct err *err)
{
	enum stream_status status = stream_send(s, stream_reply_timeout_us(s), err);

	*ret = NULL;
	return status == STREAM_OK ? stream_receive(s, ret, err) : status;
}

/* The element if it is there, else NULL. */
static const redisReply *element(const redisReply *array, size_t index)
{
	return array->type == REDIS_REPLY_ARRAY && index < array->elements ? array->element[index]
									   : NULL;
}

const char *reply_text(const redisReply *array, size_t index)
{
	const redisReply *r = element(array, index);

	return r && (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS) ? r->str : "";
}

uint64_t reply_u64(const redisReply *array, size_t index)
{
	const redisReply *r = element(array, index);

	if (r && r->type == REDIS_REPLY_INTEGER)
		return r->integer > 0 ? (uint64_t)r->integer : 0;
	return strtoull(reply_text(array, index), NULL, 10);
}

struct stream_id stream_id_of(const char *text)
{
	struct stream_id id = { 0 };
	char *dash;

	id.epoch = strtoull(text, &dash, 10);
	if (*dash == '-')
		id.seq = strtoull(dash + 1, NULL, 10);
	return id;
}

struct stream_id reply_id(const redisReply *array, size_t index)
{
	return stream_id_of(reply_text(array, index));
}

void reply_copy(const redisReply *array, size_t index, char *ret, size_t size)
{
	snprintf(ret, size, "%s", reply_text(array, index));
}

const redisReply *reply_field(const redisReply *array, const char *name)
{
	for (size_t i = 0; array->type == REDIS_REPLY_ARRAY && i + 1 < array->elements; i += 2)
		if (strcmp(reply_text(array, i), name) == 0)
			return array->element[i + 1];
	return NULL;
}

void reply_info(const redisReply *info, const char *name, char *ret, size_t size)
{
	size_t n = strlen(name);
	const char *line = info->type == REDIS_REPLY_STRING ? info->str : "";

	*ret = 0;
	for (; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (strncmp(line, name, n) == 0 && line[n] == ':') {
			snprintf(ret, size, "%.*s", (int)strcspn(line + n + 1, "\r\n"),
				line + n + 1);
			return;
		}
}
