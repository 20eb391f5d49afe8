/* SPDX-License-Identifier: MIT
 *
 * Compare-and-append: one MULTI of the script that compares, an XADD for each pack, and a RENAMENX.
 * Redis hashes every byte that enters Lua, which cost more than half of its time when packs were arguments of the
 * script. A transaction alone cannot compare, and goes on after an error; so the XADDs add to a name that the stream
 * has only if the script, having compared, gave it that name, and that nobody else ever sees: within EXEC nothing else
 * runs, and what the append-only file holds of a MULTI without its EXEC is not loaded.
 */
#include "io/stream_private.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* XADD must not fail half-way: ids ascend, in one epoch, from `expected` on. */
static bool ids_ascend(struct stream_id expected, const struct stream_pack *packs, int n_packs)
{
	struct stream_id last = expected;

	for (int i = 0; i < n_packs; i++) {
		if (stream_id_cmp(packs[i].id, last) <= 0 || packs[i].id.epoch != packs[0].id.epoch)
			return false;
		last = packs[i].id;
	}
	return n_packs > 0;
}

/* MULTI has a round trip of its own: were it refused, what follows would be run one by one. */
static enum stream_status open_transaction(struct stream *s, struct err *err)
{
	enum stream_status status;
	redisReply *r;

	args_begin(s, "MULTI");
	status = stream_call(s, &r, err);
	if (status == STREAM_OK)
		freeReplyObject(r);
	return status;
}

/* Loads the script if Redis never had it, opens the transaction and begins the script's command. */
static enum stream_status begin(struct stream *s, struct err *err)
{
	enum stream_status status = script_ready(s, SCRIPT_append, err);

	if (status == STREAM_OK)
		status = open_transaction(s, err);
	return status == STREAM_OK ? script_begin(s, SCRIPT_append, err) : status;
}

static void queue_gate(struct stream *s, struct stream_id expected, uint64_t first_ordinal,
	const struct stream_pack *packs, int n_packs)
{
	uint64_t n_events = 0, n_bytes = 0;

	for (int i = 0; i < n_packs; i++) {
		n_events += packs[i].n_events;
		n_bytes += packs[i].bytes.n;
	}
	args_id(s, expected);
	args_u64(s, first_ordinal);
	args_u64(s, packs[0].id.epoch);
	args_u64(s, n_events);
	args_u64(s, n_bytes);
	args_id(s, packs[n_packs - 1].id);
	stream_queue(s);
}

static void queue_pack(struct stream *s, const struct stream_pack *pack)
{
	args_begin(s, "XADD");
	args_str(s, s->append_key);
	args_str(s, "NOMKSTREAM");
	args_id(s, pack->id);
	args_str(s, "p");
	args_bytes(s, pack->bytes);
	stream_queue(s);
}

enum stream_status stream_append_send(struct stream *s, struct stream_id expected,
	uint64_t first_ordinal, const struct stream_pack *packs, int n_packs, struct err *err)
{
	enum stream_status status;

	if (!ids_ascend(expected, packs, n_packs)) {
		err_set(err,
			"stream %s: ids to append do not ascend from %" PRIu64 "-%" PRIu64
			": the position must be derived anew",
			s->options.name, expected.epoch, expected.seq);
		return STREAM_E_MOVED;
	}
	status = begin(s, err);
	if (status != STREAM_OK)
		return status;
	queue_gate(s, expected, first_ordinal, packs, n_packs);
	for (int i = 0; i < n_packs; i++)
		queue_pack(s, &packs[i]);
	args_begin(s, "RENAMENX");
	args_str(s, s->append_key);
	args_str(s, s->options.name);
	stream_queue(s);
	args_begin(s, "EXEC");
	status = stream_send(s, stream_reply_timeout_us(s), err);
	if (status == STREAM_OK)
		s->half = HALF_APPEND;
	s->n_appended = n_packs;
	return status;
}

/* The reply to EXEC. One to a command before it that is an error says why there was none: that is judged. */
static enum stream_status receive_exec(struct stream *s, redisReply **ret, struct err *err)
{
	redisReply *refused = NULL;

	for (int i = 0; i < s->n_appended + 3; i++) { /* script, XADDs, RENAMENX, EXEC */
		enum stream_status status = stream_receive_any(s, ret, err);

		if (status != STREAM_OK) {
			if (refused)
				freeReplyObject(refused);
			return status;
		}
		if (i == s->n_appended + 2)
			break;
		if (!refused && (*ret)->type == REDIS_REPLY_ERROR)
			refused = *ret;
		else
			freeReplyObject(*ret);
	}
	if (!refused)
		return STREAM_OK;
	freeReplyObject(*ret);
	*ret = NULL;
	return stream_judge(s, refused, err);
}

/* What was refused at EXEC, by memory or disk that ran out meanwhile, is judged as if it had been refused before. */
static void strip_abort(redisReply *error)
{
	static const char prefix[] = "EXECABORT Transaction discarded because of: ";
	size_t n = sizeof prefix - 1;

	if (strncmp(error->str, prefix, n) == 0)
		memmove(error->str, error->str + n, strlen(error->str + n) + 1);
}

/* Behind an open gate every pack has its id, and the stream its name again. */
static bool all_added(const redisReply *exec, int n_packs)
{
	if (exec->elements != (size_t)n_packs + 2 || reply_u64(exec, (size_t)n_packs + 1) != 1)
		return false;
	for (int i = 1; i <= n_packs; i++)
		if (exec->element[i]->type != REDIS_REPLY_STRING)
			return false;
	return true;
}

static bool forgotten(const redisReply *exec)
{
	return exec->type == REDIS_REPLY_ARRAY && exec->elements && exec->element[0]->type == REDIS_REPLY_ERROR &&
		strncmp(exec->element[0]->str, "NOSCRIPT", 8) == 0;
}

/* Takes the gate's reply out of EXEC's, which it frees. */
static redisReply *take_gate(redisReply *exec)
{
	redisReply *gate = exec->element[0];

	exec->element[0] = NULL;
	freeReplyObject(exec);
	return gate;
}

enum stream_status stream_append_result(struct stream *s, struct err *err)
{
	enum stream_status status;
	bool all;
	redisReply *r = NULL;

	assert(!s->c || s->half == HALF_APPEND);
	status = receive_exec(s, &r, err);
	if (status == STREAM_OK && forgotten(r)) {
		freeReplyObject(r);
		status = script_load_and_repeat(s, SCRIPT_append, open_transaction, err);
		if (status == STREAM_OK)
			status = receive_exec(s, &r, err);
	}
	s->half = HALF_NONE;
	if (status != STREAM_OK)
		return status;
	if (r->type == REDIS_REPLY_ERROR) {
		strip_abort(r);
		return stream_judge(s, r, err);
	}
	if (r->type != REDIS_REPLY_ARRAY || !r->elements)
		return stream_bad_reply(s, r, err);
	all = all_added(r, s->n_appended);
	r = take_gate(r);
	status = script_judge(s, &r, err);
	if (status != STREAM_OK)
		return status;
	if (!all)
		return stream_bad_reply(s, r, err);
	freeReplyObject(r);
	return STREAM_OK;
}
