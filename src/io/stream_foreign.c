/* SPDX-License-Identifier: MIT
 *
 * What foreigners did to the stream (entries that are not ours, and ours that are gone), and what an operator may
 * do with it.
 */
#include "io/stream_private.h"

#include <string.h>

/* A step looks at no more entries than it has room for holes: each entry shows one at most, and the end one. */
enum { WALK_ENTRIES = STREAM_MAX_HOLES - 1 };

enum stream_status stream_foreign(struct stream *s, int count, struct stream_id *ret_head,
	struct stream_entries *ret, struct err *err)
{
	enum stream_status status = script_begin(s, SCRIPT_foreign, err);
	redisReply *r;

	*ret = (struct stream_entries){ 0 };
	if (status != STREAM_OK)
		return status;
	args_u64(s, (uint64_t)count);
	status = script_run(s, SCRIPT_foreign, &r, err);
	if (status != STREAM_OK)
		return status;
	if (!reply_list(r, 2))
		return stream_bad_reply(s, r, err);
	*ret_head = reply_id(r, 1);
	stream_take_entries(ret, r, reply_list(r, 2));
	return STREAM_OK;
}

/* Runs what script_begin and args_* have built, for its effect alone. */
static enum stream_status run(struct stream *s, enum stream_script script, struct err *err)
{
	redisReply *r;
	enum stream_status status = script_run(s, script, &r, err);

	if (status == STREAM_OK)
		freeReplyObject(r);
	return status;
}

enum stream_status stream_evict(struct stream *s, const struct stream_entries *entries, struct err *err)
{
	enum stream_status status = script_begin(s, SCRIPT_evict, err);

	if (status != STREAM_OK)
		return status;
	args_str(s, s->options.group);
	for (int i = 0; i < entries->n; i++)
		args_id(s, entries->entries[i].id);
	return run(s, SCRIPT_evict, err);
}

enum stream_status stream_replay(struct stream *s, const struct stream_id *from, enum stream_replayed *ret,
	struct stream_id *ret_at, struct err *err)
{
	enum stream_status status = script_begin(s, SCRIPT_replay, err);
	const char *word;
	redisReply *r;

	if (status != STREAM_OK)
		return status;
	args_str(s, s->options.group);
	if (from)
		args_id(s, *from);
	else
		args_str(s, "");
	status = script_run(s, SCRIPT_replay, &r, err);
	if (status != STREAM_OK)
		return status;
	word = reply_text(r, 1);
	*ret = strcmp(word, "DONE") == 0 ? REPLAYED : strcmp(word, "AHEAD") == 0 ? REPLAY_AHEAD : REPLAY_TOO_OLD;
	*ret_at = reply_id(r, 2);
	freeReplyObject(r);
	return STREAM_OK;
}

static enum stream_status set_doubt(struct stream *s, const char *value, struct err *err)
{
	enum stream_status status = script_begin(s, SCRIPT_doubt, err);

	if (status != STREAM_OK)
		return status;
	args_str(s, value);
	return run(s, SCRIPT_doubt, err);
}

enum stream_status stream_doubt(struct stream *s, struct err *err)
{
	return set_doubt(s, "1", err);
}

enum stream_status stream_doubt_over(struct stream *s, struct err *err)
{
	return set_doubt(s, "0", err);
}

enum stream_status stream_walk(struct stream *s, struct stream_walk *walk, struct err *err)
{
	enum stream_status status = script_begin(s, SCRIPT_holes, err);
	const redisReply *holes;
	redisReply *r;

	if (status != STREAM_OK)
		return status;
	if (walk->after.epoch || walk->after.seq)
		args_id(s, walk->after);
	else
		args_str(s, "");
	args_u64(s, WALK_ENTRIES);
	status = script_run(s, SCRIPT_holes, &r, err);
	if (status != STREAM_OK)
		return status;
	holes = reply_list(r, 2);
	if (!holes || holes->elements > 2 * STREAM_MAX_HOLES)
		return stream_bad_reply(s, r, err);
	walk->ended = reply_text(r, 1)[0] == 0;
	walk->after = reply_id(r, 1);
	walk->n_holes = 0;
	for (size_t i = 0; i + 1 < holes->elements; i += 2) {
		walk->holes[walk->n_holes].after = reply_id(holes, i);
		walk->holes[walk->n_holes++].through = reply_id(holes, i + 1);
	}
	freeReplyObject(r);
	return STREAM_OK;
}
