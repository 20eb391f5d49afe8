/* SPDX-License-Identifier: MIT
 *
 * stream_private - what the files of the module stream share; nobody else includes this
 *
 * stream.c connects; stream_reply.c sends commands and judges their replies; stream_scripts.c runs
 * Lua and has the reader's calls, stream_append.c the one of them that writes packs; stream_read.c has
 * the worker's, stream_keep.c the keeper's. A command is built by args_begin and args_*, sent by
 * stream_send, answered by stream_receive.
 * Invariant: at most one command is under way, or one MULTI up to its EXEC. hiredis is used only as
 * formatter, parser and buffer: every wait is ours, with a deadline on the monotonic clock.
 */
#ifndef IO_STREAM_PRIVATE_H
#define IO_STREAM_PRIVATE_H

#include "base/buf.h"
#include "io/stream.h"

#include <hiredis/hiredis.h>

/* X(name, first line): the texts are in src/io/lua, behind common.lua. no-writes and allow-oom
 * scripts also run when Redis is over maxmemory; append must not. */
#define STREAM_SCRIPTS(X) \
	X(state, "#!lua flags=no-writes") \
	X(want, "#!lua flags=allow-oom") \
	X(append, "#!lua") \
	X(depth, "#!lua flags=no-writes") \
	X(ack, "#!lua flags=allow-oom") \
	X(claim, "#!lua flags=allow-oom") \
	X(renew, "#!lua flags=allow-oom") \
	X(prepare, "#!lua flags=allow-oom") \
	X(watermark, "#!lua flags=no-writes") \
	X(drop_lost, "#!lua flags=allow-oom") \
	X(trim, "#!lua flags=allow-oom") \
	X(drop_consumer, "#!lua flags=allow-oom") \
	X(foreign, "#!lua flags=no-writes") \
	X(evict, "#!lua flags=allow-oom") \
	X(doubt, "#!lua flags=allow-oom") \
	X(holes, "#!lua flags=no-writes") \
	X(replay, "#!lua flags=allow-oom")

enum stream_script {
#define X(name, head) SCRIPT_##name,
	STREAM_SCRIPTS(X)
#undef X
		N_STREAM_SCRIPTS
};

enum { STREAM_CONNECT_US = 5000000, STREAM_REPLY_US = 30000000, STREAM_BLOCK_EXTRA_US = 5000000 };

/* What was sent and not yet answered by the caller's second half. */
enum stream_half { HALF_NONE, HALF_APPEND, HALF_READ };

struct stream {
	struct stream_options options;
	redisContext *c; /* NULL: not connected */
	char address[320];
	char *host, *path; /* one of the two */
	int port, db;
	char *user, *password; /* from the URL; a password file wins */
	char *meta_key, *append_key;
	char sha[N_STREAM_SCRIPTS][41]; /* "": not loaded yet */
	enum stream_half half;

	/* The command being built or under way. */
	struct arena arena; /* texts of its arguments */
	const char **argv;
	size_t *argv_bytes;
	int argc, argv_cap;
	struct buf command; /* as sent, kept until the reply so that a flushed script can be sent again */
	bool queued;	    /* it is being put together from several */
	int n_appended;	    /* packs of the append under way */
	int64_t timeout_us, deadline_us;
};

/* ---- stream_reply.c ---- */

void args_begin(struct stream *s, const char *command);
/* The text is borrowed until stream_send. */
void args_str(struct stream *s, const char *text);
void args_bytes(struct stream *s, struct slice bytes);
void args_u64(struct stream *s, uint64_t v);
void args_id(struct stream *s, struct stream_id id);

/* Puts the command built by args_* before the one that stream_send will send, in one write. */
void stream_queue(struct stream *s);
/* Formats and sends the command built by args_*, and what was queued before it; the reply is awaited until timeout_us from now. */
enum stream_status stream_send(struct stream *s, int64_t timeout_us, struct err *err) NODISCARD;
/* Sends the last command once more, with a new deadline. */
enum stream_status stream_send_again(struct stream *s, struct err *err) NODISCARD;
/* Waits for the reply, whatever it is; *ret must be freed. */
enum stream_status stream_receive_any(
	struct stream *s, redisReply **ret, struct err *err) NODISCARD;
/* The same, but an error reply becomes a status. */
enum stream_status stream_receive(struct stream *s, redisReply **ret, struct err *err) NODISCARD;
/* stream_send and stream_receive with the usual deadline. */
enum stream_status stream_call(struct stream *s, redisReply **ret, struct err *err) NODISCARD;
/* The status of an error reply, by the table; frees it. STREAM_E_DOWN also disconnects. */
enum stream_status stream_judge(struct stream *s, redisReply *reply, struct err *err) NODISCARD;
/* A reply of a shape that no Redis gives: frees it, disconnects, STREAM_E_DOWN. */
enum stream_status stream_bad_reply(struct stream *s, redisReply *reply, struct err *err) NODISCARD;
int64_t stream_reply_timeout_us(const struct stream *s);

/* "" if there is no such element or it is no text. */
const char *reply_text(const redisReply *array, size_t index);
/* Integer or decimal text; 0 if it is neither. */
uint64_t reply_u64(const redisReply *array, size_t index);
struct stream_id reply_id(const redisReply *array, size_t index);
struct stream_id stream_id_of(const char *text);
/* Copies a text element, cut to size. */
void reply_copy(const redisReply *array, size_t index, char *ret, size_t size);
/* Looks "name" up in a flat array of names and values; NULL if absent. */
const redisReply *reply_field(const redisReply *array, const char *name);
/* Looks "name:value" up in the text of INFO; "" if absent. */
void reply_info(const redisReply *info, const char *name, char *ret, size_t size);

/* The index'th element if it is an array, else NULL. */
const redisReply *reply_list(const redisReply *reply, size_t index);

/* ---- stream_read.c ---- */

/* Takes the reply over; entries' bytes point into it. `list` is in it: [id, [field, value...]] or [id, nil] each. */
void stream_take_entries(struct stream_entries *ret, redisReply *reply, const redisReply *list);

/* ---- stream_scripts.c ---- */

/* Loads the script if this stream never did. */
enum stream_status script_ready(struct stream *s, enum stream_script script, struct err *err) NODISCARD;
/* Redis forgot the script: loads it, calls `first` unless that is NULL, and sends the last command, whole, once more. */
enum stream_status script_load_and_repeat(struct stream *s, enum stream_script script,
	enum stream_status (*first)(struct stream *s, struct err *err), struct err *err) NODISCARD;
/* The status of a script's reply; unless it is STREAM_OK the reply is freed. */
enum stream_status script_judge(struct stream *s, redisReply **reply, struct err *err) NODISCARD;
/* Loads the script if this stream never did and begins its command; args_* may follow. */
enum stream_status script_begin(
	struct stream *s, enum stream_script script, struct err *err) NODISCARD;
/* Waits for a script's reply { "OK", ... }; loads the script again if Redis forgot it. Other first
 * words become a status. *ret must be freed. */
enum stream_status script_result(
	struct stream *s, enum stream_script script, redisReply **ret, struct err *err) NODISCARD;
/* Sends what script_begin began and waits for its result. */
enum stream_status script_run(
	struct stream *s, enum stream_script script, redisReply **ret, struct err *err) NODISCARD;

#endif
