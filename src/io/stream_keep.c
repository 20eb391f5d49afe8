/* SPDX-License-Identifier: MIT */
#include "io/stream_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How many events one trim may delete: Redis does nothing else meanwhile (some 2000 full packs, milliseconds). */
enum { MAX_TRIM_EVENTS = 130000 };

/* Settings without which the promise does not hold. */
static const struct setting {
	const char *name, *value;
	bool must_be; /* true: refused unless it is `value`; false: refused if it is */
	const char *why, *fix;
} settings[] = {
	{ "maxmemory-policy", "noeviction", true, "it would delete events that are not stored yet",
		"CONFIG SET maxmemory-policy noeviction" },
	{ "maxmemory", "0", false, "without a limit the machine's memory runs out instead",
		"CONFIG SET maxmemory 2gb" },
	{ "appendonly", "yes", true, "a restart of Redis would lose the buffer",
		"CONFIG SET appendonly yes" },
	{ "appendfsync", "no", false, "a power loss could lose minutes",
		"CONFIG SET appendfsync everysec" },
};

/* Version and role, from INFO; also run_id. */
static enum stream_status check_server(struct stream *s, char ret_run_id[41], struct err *err)
{
	char version[32], role[16];
	enum stream_status status;
	redisReply *r;

	args_begin(s, "INFO");
	status = stream_call(s, &r, err);
	if (status != STREAM_OK)
		return status;
	reply_info(r, "redis_version", version, sizeof version);
	reply_info(r, "role", role, sizeof role);
	reply_info(r, "run_id", ret_run_id, 41);
	freeReplyObject(r);
	if (atol(version) < 7) {
		err_set(err, "Redis at %s is version %s: Redis 7.0 or newer is needed; install it",
			s->address, *version ? version : "unknown");
		return STREAM_E_SETTINGS;
	}
	if (strcmp(role, "master") != 0) {
		err_set(err,
			"Redis at %s is a replica: point redis.url at the master, or run "
			"`REPLICAOF NO ONE`",
			s->address);
		return STREAM_E_SETTINGS;
	}
	return STREAM_OK;
}

/* Compares what CONFIG GET said with the table. */
static enum stream_status judge_settings(
	const struct stream *s, const redisReply *r, struct err *err)
{
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		const redisReply *found = reply_field(r, settings[i].name);
		const char *value = found && found->str ? found->str : "unknown";

		if ((strcmp(value, settings[i].value) == 0) == settings[i].must_be)
			continue;
		err_set(err,
			"Redis at %s: %s is %s: %s: run `%s`, then `CONFIG REWRITE` to keep it",
			s->address, settings[i].name, value, settings[i].why, settings[i].fix);
		return STREAM_E_SETTINGS;
	}
	return STREAM_OK;
}

enum stream_status stream_check_settings(struct stream *s, char ret_run_id[41], struct err *err)
{
	enum stream_status status;
	redisReply *r;

	ret_run_id[0] = 0;
	status = check_server(s, ret_run_id, err);
	if (status != STREAM_OK)
		return status;
	args_begin(s, "CONFIG");
	args_str(s, "GET");
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
		args_str(s, settings[i].name);
	status = stream_call(s, &r, err);
	if (status != STREAM_OK)
		return status;
	status = judge_settings(s, r, err);
	freeReplyObject(r);
	return status;
}

enum stream_status stream_prepare(struct stream *s, const struct stream_base *base,
	enum stream_prepared *ret, uint64_t *ret_top_epoch, struct err *err)
{
	static const char *const words[] = {
		[PREPARED_SAME] = "SAME",
		[PREPARED_NEW] = "NEW",
		[PREPARED_REWOUND] = "REWOUND",
		[PREPARED_EPOCH] = "EPOCH",
	};
	enum stream_status status = script_begin(s, SCRIPT_prepare, err);
	redisReply *r;

	if (status != STREAM_OK)
		return status;
	args_str(s, s->options.group);
	args_id(s, base->watermark);
	args_u64(s, base->epoch);
	args_str(s, base->host);
	args_str(s, base->start);
	args_str(s, base->pg);
	status = script_run(s, SCRIPT_prepare, &r, err);
	if (status != STREAM_OK)
		return status;
	*ret_top_epoch = reply_u64(r, 2);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(reply_text(r, 1), words[i]) == 0) {
			*ret = (enum stream_prepared)i;
			freeReplyObject(r);
			return STREAM_OK;
		}
	return stream_bad_reply(s, r, err);
}

enum stream_status stream_get_watermark(
	struct stream *s, struct stream_watermark *ret, struct err *err)
{
	enum stream_status status = script_begin(s, SCRIPT_watermark, err);
	redisReply *r;

	*ret = (struct stream_watermark){ 0 };
	if (status != STREAM_OK)
		return status;
	args_str(s, s->options.group);
	status = script_run(s, SCRIPT_watermark, &r, err);
	if (status != STREAM_OK)
		return status;
	ret->id = reply_id(r, 1);
	ret->ordinal = reply_u64(r, 2);
	ret->byte = reply_u64(r, 3);
	ret->generation = reply_u64(r, 4);
	reply_copy(r, 5, ret->want_host, sizeof ret->want_host);
	reply_copy(r, 6, ret->want_start, sizeof ret->want_start);
	ret->lost = reply_text(r, 8)[0] != 0;
	ret->lost_after = reply_id(r, 7);
	ret->lost_through = reply_id(r, 8);
	ret->doubt = reply_text(r, 9)[0] != 0;
	freeReplyObject(r);
	return STREAM_OK;
}

enum stream_status stream_drop_lost(
	struct stream *s, struct stream_id through, int *ret_dropped, struct err *err)
{
	enum stream_status status = script_begin(s, SCRIPT_drop_lost, err);
	redisReply *r;

	*ret_dropped = 0;
	if (status != STREAM_OK)
		return status;
	args_str(s, s->options.group);
	args_id(s, through);
	status = script_run(s, SCRIPT_drop_lost, &r, err);
	if (status != STREAM_OK)
		return status;
	*ret_dropped = (int)reply_u64(r, 1);
	freeReplyObject(r);
	return STREAM_OK;
}

enum stream_status stream_trim(struct stream *s, const struct stream_watermark *w,
	uint64_t replay_events, uint64_t replay_bytes, uint64_t *ret_trimmed, struct err *err)
{
	enum stream_status status = script_begin(s, SCRIPT_trim, err);
	redisReply *r;

	*ret_trimmed = 0;
	if (status != STREAM_OK)
		return status;
	args_str(s, s->options.group);
	args_id(s, w->id);
	args_u64(s, w->ordinal);
	args_u64(s, w->byte);
	args_u64(s, replay_events);
	args_u64(s, replay_bytes);
	args_u64(s, MAX_TRIM_EVENTS);
	status = script_run(s, SCRIPT_trim, &r, err);
	if (status != STREAM_OK)
		return status;
	*ret_trimmed = reply_u64(r, 1);
	freeReplyObject(r);
	return STREAM_OK;
}

enum stream_status stream_drop_consumer(struct stream *s, const char *name, struct err *err)
{
	enum stream_status status = script_begin(s, SCRIPT_drop_consumer, err);
	redisReply *r;

	if (status != STREAM_OK)
		return status;
	args_str(s, s->options.group);
	args_str(s, name);
	status = script_run(s, SCRIPT_drop_consumer, &r, err);
	if (status == STREAM_OK)
		freeReplyObject(r);
	return status;
}
