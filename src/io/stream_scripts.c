/* SPDX-License-Identifier: MIT
 *
 * The Lua scripts, how they are run, and the reader's calls, which are hardly more than scripts (but for append).
 * A script is known to Redis by its SHA-1, which SCRIPT LOAD returns. SCRIPT FLUSH or a restart of
 * Redis makes it unknown: then it is loaded and the very same command sent again (NOSCRIPT means
 * that nothing was run).
 */
#include "io/stream_private.h"

#include "base/failpoint.h"
#include "lua_stamp.h"

#include <stdlib.h>
#include <string.h>

/* script_NAME is the NUL-terminated text of common.lua and NAME.lua under the given first line.
 * Global, because with -flto the assembler's part and the rest of this file are different objects. */
#define X(name, head) \
	__asm__(".pushsection .rodata\n" \
		".global standpipe_lua_" #name "\n" \
		".hidden standpipe_lua_" #name "\n" \
		"standpipe_lua_" #name ":\n" \
		".ascii \"" head "\\n\"\n" \
		".incbin \"" LUA_DIR "/common.lua\"\n" \
		".incbin \"" LUA_DIR "/" #name ".lua\"\n" \
		".byte 0\n" \
		".popsection\n"); \
	extern const char script_##name[] __asm__("standpipe_lua_" #name);
STREAM_SCRIPTS(X)
#undef X

static const char *const script_texts[N_STREAM_SCRIPTS] = {
#define X(name, head) [SCRIPT_##name] = script_##name,
	STREAM_SCRIPTS(X)
#undef X
};

/* What a script may answer instead of OK. */
static const struct script_word {
	const char *word;
	enum stream_status status;
	const char *hint;
} script_words[] = {
	{ "UNPREPARED", STREAM_E_UNPREPARED,
		"is not prepared yet: the keeper does that; is it running?" },
	{ "FOREIGN", STREAM_E_UNPREPARED,
		"has another head than standpipe left there: the keeper mends it; is it running?" },
	{ "MOVED", STREAM_E_MOVED,
		"has another head than expected: the position must be derived anew" },
	{ "BARRED", STREAM_E_UNPREPARED,
		"cannot be appended to, there is a key with its name and \":append\" behind it: DEL or RENAME that" },
};

/* SCRIPT LOAD; keeps the SHA-1. */
static enum stream_status load(struct stream *s, enum stream_script script, struct err *err)
{
	enum stream_status status;
	redisReply *reply;

	args_begin(s, "SCRIPT");
	args_str(s, "LOAD");
	args_str(s, script_texts[script]);
	status = stream_call(s, &reply, err);
	if (status != STREAM_OK)
		return status;
	if (reply->type != REDIS_REPLY_STRING || reply->len != 40)
		return stream_bad_reply(s, reply, err);
	memcpy(s->sha[script], reply->str, 41);
	freeReplyObject(reply);
	return STREAM_OK;
}

enum stream_status script_ready(struct stream *s, enum stream_script script, struct err *err)
{
	return s->sha[script][0] ? STREAM_OK : load(s, script, err);
}

enum stream_status script_begin(struct stream *s, enum stream_script script, struct err *err)
{
	enum stream_status status = script_ready(s, script, err);

	if (status != STREAM_OK)
		return status;
	args_begin(s, "EVALSHA");
	args_str(s, s->sha[script]);
	args_str(s, "2");
	args_str(s, s->options.name);
	args_str(s, s->meta_key);
	return STREAM_OK;
}

enum stream_status script_load_and_repeat(struct stream *s, enum stream_script script,
	enum stream_status (*first)(struct stream *s, struct err *err), struct err *err)
{
	struct buf command = s->command;
	int64_t timeout_us = s->timeout_us;
	enum stream_half half = s->half;
	enum stream_status status;

	s->command = (struct buf)BUF_INIT;
	s->half = HALF_NONE;
	status = load(s, script, err);
	if (status == STREAM_OK && first)
		status = first(s, err);
	buf_done(&s->command);
	s->command = command;
	if (status != STREAM_OK)
		return status;
	s->timeout_us = timeout_us;
	s->half = half;
	return stream_send_again(s, err);
}

/* Turns the first word of a script's reply into a status. */
static enum stream_status judge_words(struct stream *s, redisReply **reply, struct err *err)
{
	const char *word = reply_text(*reply, 0);

	if (strcmp(word, "OK") == 0)
		return STREAM_OK;
	for (size_t i = 0; i < sizeof script_words / sizeof *script_words; i++)
		if (strcmp(word, script_words[i].word) == 0) {
			const char *now = reply_text(*reply, 1);

			err_set(err, "Redis at %s: stream %s %s%s%s", s->address, s->options.name,
				script_words[i].hint, *now ? "; it is now " : "", now);
			freeReplyObject(*reply);
			*reply = NULL;
			return script_words[i].status;
		}
	return stream_bad_reply(s, *reply, err);
}

enum stream_status script_judge(struct stream *s, redisReply **reply, struct err *err)
{
	redisReply *r = *reply;

	if (r->type != REDIS_REPLY_ERROR)
		return judge_words(s, reply, err);
	*reply = NULL;
	return stream_judge(s, r, err);
}

enum stream_status script_result(
	struct stream *s, enum stream_script script, redisReply **ret, struct err *err)
{
	enum stream_status status = stream_receive_any(s, ret, err);

	if (status == STREAM_OK && (*ret)->type == REDIS_REPLY_ERROR &&
		strncmp((*ret)->str, "NOSCRIPT", 8) == 0) {
		freeReplyObject(*ret);
		*ret = NULL;
		status = script_load_and_repeat(s, script, NULL, err);
		if (status == STREAM_OK)
			status = stream_receive_any(s, ret, err);
	}
	return status == STREAM_OK ? script_judge(s, ret, err) : status;
}

#ifdef FAILPOINTS
static void fail_sent(struct stream *s, enum stream_script script)
{
	static const enum failpoint of[N_STREAM_SCRIPTS] = {
		[SCRIPT_ack] = FAILPOINT_ack_sent,
		[SCRIPT_prepare] = FAILPOINT_prepare_sent,
		[SCRIPT_trim] = FAILPOINT_trim_sent,
	};

	if (of[script])
		failpoint_cut(of[script], stream_fd(s));
}
#else
#define fail_sent(s, script) ((void)0)
#endif

enum stream_status script_run(
	struct stream *s, enum stream_script script, redisReply **ret, struct err *err)
{
	enum stream_status status = stream_send(s, stream_reply_timeout_us(s), err);

	fail_sent(s, script);
	*ret = NULL;
	return status == STREAM_OK ? script_result(s, script, ret, err) : status;
}

enum stream_status stream_get_state(struct stream *s, struct stream_state *ret, struct err *err)
{
	enum stream_status status = script_begin(s, SCRIPT_state, err);
	redisReply *r;

	*ret = (struct stream_state){ 0 };
	if (status == STREAM_OK)
		status = script_run(s, SCRIPT_state, &r, err);
	if (status != STREAM_OK)
		return status;
	ret->head = reply_id(r, 1);
	ret->watermark = reply_id(r, 2);
	ret->next_ordinal = reply_u64(r, 3);
	ret->next_byte = reply_u64(r, 4);
	ret->epoch = reply_u64(r, 5);
	ret->generation = reply_u64(r, 6);
	reply_copy(r, 7, ret->host, sizeof ret->host);
	reply_copy(r, 8, ret->start, sizeof ret->start);
	freeReplyObject(r);
	return STREAM_OK;
}

enum stream_status stream_want_epoch(
	struct stream *s, const char *host, const char *start, struct err *err)
{
	enum stream_status status = script_begin(s, SCRIPT_want, err);
	redisReply *r;

	if (status != STREAM_OK)
		return status;
	args_str(s, host);
	args_str(s, start);
	status = script_run(s, SCRIPT_want, &r, err);
	if (status == STREAM_OK)
		freeReplyObject(r);
	return status;
}

/* What INFO says of memory. */
static enum stream_status get_memory(struct stream *s, struct stream_depth *ret, struct err *err)
{
	enum stream_status status;
	char number[24];
	redisReply *r;

	args_begin(s, "INFO");
	args_str(s, "memory");
	status = stream_call(s, &r, err);
	if (status != STREAM_OK)
		return status;
	reply_info(r, "used_memory", number, sizeof number);
	ret->used_memory = strtoull(number, NULL, 10);
	reply_info(r, "maxmemory", number, sizeof number);
	ret->max_memory = strtoull(number, NULL, 10);
	reply_info(r, "used_memory_rss", number, sizeof number);
	ret->rss = strtoull(number, NULL, 10);
	reply_info(r, "mem_fragmentation_ratio", number, sizeof number);
	ret->fragmentation = strtod(number, NULL);
	freeReplyObject(r);
	return STREAM_OK;
}

enum stream_status stream_get_depth(struct stream *s, struct stream_depth *ret, struct err *err)
{
	enum stream_status status = script_begin(s, SCRIPT_depth, err);
	redisReply *r;

	*ret = (struct stream_depth){ 0 };
	if (status != STREAM_OK)
		return status;
	args_str(s, s->options.group);
	status = script_run(s, SCRIPT_depth, &r, err);
	if (status != STREAM_OK)
		return status;
	ret->events = reply_u64(r, 1);
	ret->bytes = reply_u64(r, 2);
	ret->epoch = reply_u64(r, 3);
	ret->oldest_time_us = reply_u64(r, 4);
	ret->generation = reply_u64(r, 5);
	freeReplyObject(r);
	return get_memory(s, ret, err);
}
