/* SPDX-License-Identifier: MIT */
#include "io/stream_private.h"

#include "base/failpoint.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More than any batch; unpack() in the claim script has a limit of about 8000. */
enum { MAX_CLAIM = 5000 };

static size_t bytes_of(const redisReply *r)
{
	return r->type == REDIS_REPLY_STRING ? r->len : 0;
}

/* All fields of an entry that is not one of ours, so that a dead letter has them: a line each, and its value. */
static struct slice foreign_of(struct arena *arena, const redisReply *fields)
{
	struct slice s;
	uint8_t *p;
	size_t n = 0;

	for (size_t i = 0; i < fields->elements; i++)
		n += bytes_of(fields->element[i]) + 1;
	p = arena_alloc(arena, n + 1);
	s = slice_of(p, n);
	for (size_t i = 0; i < fields->elements; i++) {
		size_t length = bytes_of(fields->element[i]);

		if (length)
			memcpy(p, fields->element[i]->str, length);
		p += length;
		*p++ = '\n';
	}
	return s;
}

/* Value of the one field that a pack has. */
static struct slice pack_of(struct arena *arena, const redisReply *fields)
{
	if (fields->elements != 2 || strcmp(reply_text(fields, 0), "p") != 0 ||
		fields->element[1]->type != REDIS_REPLY_STRING)
		return foreign_of(arena, fields);
	return slice_of(fields->element[1]->str, fields->element[1]->len);
}

/* Adds one entry for each element of `list`: [id, [field, value...]] or [id, nil]. */
static void add_entries(struct stream_entries *e, const redisReply *list)
{
	for (size_t i = 0; i < list->elements; i++) {
		const redisReply *item = list->element[i];
		struct stream_entry *entry = &e->entries[e->n++];

		entry->id = reply_id(item, 0);
		entry->deleted = item->elements < 2 || item->element[1]->type != REDIS_REPLY_ARRAY;
		entry->bytes = entry->deleted ? slice_of(NULL, 0) : pack_of(&e->arena, item->element[1]);
	}
}

void stream_take_entries(struct stream_entries *ret, redisReply *reply, const redisReply *list)
{
	ret->reply = reply;
	ret->entries = arena_zalloc(&ret->arena, list->elements, sizeof *ret->entries);
	add_entries(ret, list);
}

const redisReply *reply_list(const redisReply *reply, size_t index)
{
	if (reply->type != REDIS_REPLY_ARRAY || index >= reply->elements ||
		reply->element[index]->type != REDIS_REPLY_ARRAY)
		return NULL;
	return reply->element[index];
}

void stream_entries_free(struct stream_entries *e)
{
	if (e->reply)
		freeReplyObject(e->reply);
	arena_done(&e->arena);
	*e = (struct stream_entries){ 0 };
}

/* Begins XREADGROUP up to its id, which follows. */
static void begin_read(struct stream *s, const char *consumer, int count, int block_ms)
{
	args_begin(s, "XREADGROUP");
	args_str(s, "GROUP");
	args_str(s, s->options.group);
	args_str(s, consumer);
	args_str(s, "COUNT");
	args_u64(s, (uint64_t)count);
	if (block_ms > 0) {
		args_str(s, "BLOCK");
		args_u64(s, (uint64_t)block_ms);
	}
	args_str(s, "STREAMS");
	args_str(s, s->options.name);
}

enum stream_status stream_read_send(
	struct stream *s, const char *consumer, int count, int block_ms, struct err *err)
{
	int64_t extra_us = stream_reply_timeout_us(s);
	enum stream_status status;

	if (block_ms > 0 && extra_us > STREAM_BLOCK_EXTRA_US)
		extra_us = STREAM_BLOCK_EXTRA_US;
	begin_read(s, consumer, count, block_ms);
	args_str(s, ">");
	FAILPOINT_CUT(worker_read, stream_fd(s));
	status = stream_send(s, (int64_t)block_ms * 1000 + extra_us, err);
	FAILPOINT_CUT(worker_read_sent, stream_fd(s));
	if (status == STREAM_OK)
		s->half = HALF_READ;
	return status;
}

/* The reply of XREADGROUP: nil, or [[key, entries]]. */
static enum stream_status take_read(struct stream *s, struct stream_entries *ret, struct err *err)
{
	enum stream_status status;
	const redisReply *key_entries;
	redisReply *reply;

	*ret = (struct stream_entries){ 0 };
	status = stream_receive(s, &reply, err);
	if (status != STREAM_OK)
		return status;
	if (reply->type == REDIS_REPLY_NIL) {
		freeReplyObject(reply);
		return STREAM_OK;
	}
	key_entries = reply_list(reply, 0);
	if (!key_entries || !reply_list(key_entries, 1))
		return stream_bad_reply(s, reply, err);
	stream_take_entries(ret, reply, reply_list(key_entries, 1));
	return STREAM_OK;
}

enum stream_status stream_read_result(struct stream *s, struct stream_entries *ret, struct err *err)
{
	enum stream_status status;

	assert(!s->c || s->half == HALF_READ);
	status = take_read(s, ret, err);
	s->half = HALF_NONE;
	return status;
}

enum stream_status stream_read_own(struct stream *s, const char *consumer, struct stream_id after,
	int count, struct stream_entries *ret, struct err *err)
{
	enum stream_status status;

	*ret = (struct stream_entries){ 0 };
	begin_read(s, consumer, count, 0);
	args_id(s, after);
	FAILPOINT_CUT(worker_own, stream_fd(s));
	status = stream_send(s, stream_reply_timeout_us(s), err);
	return status == STREAM_OK ? take_read(s, ret, err) : status;
}

enum stream_status stream_claim_from(struct stream *s, const char *from, const char *consumer,
	int64_t min_idle_us, int count, struct stream_entries *ret, struct err *err)
{
	enum stream_status status = script_begin(s, SCRIPT_claim, err);
	redisReply *reply;

	*ret = (struct stream_entries){ 0 };
	if (status != STREAM_OK)
		return status;
	args_str(s, s->options.group);
	args_str(s, from);
	args_str(s, consumer);
	args_u64(s, (uint64_t)min_idle_us / 1000);
	args_u64(s, (uint64_t)(count < MAX_CLAIM ? count : MAX_CLAIM));
	status = script_run(s, SCRIPT_claim, &reply, err);
	if (status != STREAM_OK)
		return status;
	if (!reply_list(reply, 1))
		return stream_bad_reply(s, reply, err);
	stream_take_entries(ret, reply, reply_list(reply, 1));
	return STREAM_OK;
}

/* Arguments: the lowest and the highest of the ids. */
static void args_bounds(struct stream *s, const struct stream_id *ids, int n)
{
	struct stream_id min = { UINT64_MAX, UINT64_MAX }, max = { 0, 0 };

	for (int i = 0; i < n; i++) {
		min = stream_id_cmp(ids[i], min) < 0 ? ids[i] : min;
		max = stream_id_cmp(ids[i], max) > 0 ? ids[i] : max;
	}
	args_id(s, min);
	args_id(s, max);
}

enum stream_status stream_renew(
	struct stream *s, const char *consumer, const struct stream_id *ids, int n, struct err *err)
{
	enum stream_status status;
	redisReply *reply;

	if (n == 0)
		return STREAM_OK;
	status = script_begin(s, SCRIPT_renew, err);
	if (status != STREAM_OK)
		return status;
	args_str(s, s->options.group);
	args_str(s, consumer);
	args_bounds(s, ids, n);
	for (int i = 0; i < n; i++)
		args_id(s, ids[i]);
	status = script_run(s, SCRIPT_renew, &reply, err);
	if (status == STREAM_OK)
		freeReplyObject(reply);
	return status;
}

enum stream_status stream_ack(struct stream *s, const char *consumer, uint64_t generation,
	const struct stream_id *ids, int n, int *ret_acked, struct err *err)
{
	enum stream_status status;
	redisReply *reply;

	*ret_acked = 0;
	if (n == 0)
		return STREAM_OK;
	status = script_begin(s, SCRIPT_ack, err);
	if (status != STREAM_OK)
		return status;
	args_str(s, s->options.group);
	args_str(s, consumer);
	args_u64(s, generation);
	args_bounds(s, ids, n);
	for (int i = 0; i < n; i++)
		args_id(s, ids[i]);
	status = script_run(s, SCRIPT_ack, &reply, err);
	if (status != STREAM_OK)
		return status;
	*ret_acked = (int)reply_u64(reply, 1);
	freeReplyObject(reply);
	return STREAM_OK;
}

/* XRANGE or XREVRANGE; either bound may be in Redis's words. */
static enum stream_status read_range(struct stream *s, const char *command, const char *from, const char *to,
	int count, struct stream_entries *ret, struct err *err)
{
	enum stream_status status;
	redisReply *reply;

	*ret = (struct stream_entries){ 0 };
	args_begin(s, command);
	args_str(s, s->options.name);
	args_str(s, from);
	args_str(s, to);
	args_str(s, "COUNT");
	args_u64(s, (uint64_t)count);
	status = stream_call(s, &reply, err);
	if (status != STREAM_OK)
		return status;
	if (reply->type != REDIS_REPLY_ARRAY)
		return stream_bad_reply(s, reply, err);
	stream_take_entries(ret, reply, reply);
	return STREAM_OK;
}

enum stream_status stream_range(struct stream *s, struct stream_id after, int count,
	struct stream_entries *ret, struct err *err)
{
	char from[48];

	snprintf(from, sizeof from, "(%" PRIu64 "-%" PRIu64, after.epoch, after.seq);
	return read_range(s, "XRANGE", from, "+", count, ret, err);
}

enum stream_status stream_newest(struct stream *s, int count, struct stream_entries *ret, struct err *err)
{
	enum stream_status status = read_range(s, "XREVRANGE", "+", "-", count, ret, err);

	for (int i = 0, j = ret->n - 1; i < j; i++, j--) {
		struct stream_entry entry = ret->entries[i];

		ret->entries[i] = ret->entries[j];
		ret->entries[j] = entry;
	}
	return status;
}

enum stream_status stream_length(struct stream *s, uint64_t *ret_n, struct err *err)
{
	enum stream_status status;
	redisReply *reply;

	*ret_n = 0;
	args_begin(s, "XLEN");
	args_str(s, s->options.name);
	status = stream_call(s, &reply, err);
	if (status != STREAM_OK)
		return status;
	if (reply->type != REDIS_REPLY_INTEGER)
		return stream_bad_reply(s, reply, err);
	*ret_n = (uint64_t)reply->integer;
	freeReplyObject(reply);
	return STREAM_OK;
}

/* An integer field of XINFO. */
static int64_t info_number(const redisReply *info, const char *name)
{
	const redisReply *value = reply_field(info, name);

	return value && value->type == REDIS_REPLY_INTEGER ? value->integer : 0;
}

enum stream_status stream_consumers(
	struct stream *s, struct stream_consumer **ret_list, int *ret_n, struct err *err)
{
	enum stream_status status;
	redisReply *reply;

	*ret_list = NULL;
	*ret_n = 0;
	args_begin(s, "XINFO");
	args_str(s, "CONSUMERS");
	args_str(s, s->options.name);
	args_str(s, s->options.group);
	status = stream_call(s, &reply, err);
	if (status != STREAM_OK)
		return status;
	if (reply->type != REDIS_REPLY_ARRAY)
		return stream_bad_reply(s, reply, err);
	*ret_list = calloc(reply->elements + 1, sizeof **ret_list);
	if (!*ret_list)
		abort();
	for (size_t i = 0; i < reply->elements; i++) {
		struct stream_consumer *consumer = &(*ret_list)[(*ret_n)++];
		const redisReply *info = reply->element[i], *name = reply_field(info, "name");

		snprintf(consumer->name, sizeof consumer->name, "%s",
			name && name->str ? name->str : "");
		consumer->pending = info_number(info, "pending");
		consumer->idle_us = info_number(info, "idle") * 1000;
	}
	freeReplyObject(reply);
	return STREAM_OK;
}
