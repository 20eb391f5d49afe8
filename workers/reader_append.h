/* SPDX-License-Identifier: MIT
 *
 * reader_append - closed packs into the stream: one append under way while decoding goes on
 *
 * Owns: nothing but timers; the packs are struct reader_pack's until Redis confirmed them. Whatever
 * goes wrong, everything not confirmed is thrown away (on_stale) and the caller derives the
 * position anew; only an append refused because Redis is full is repeated, unchanged: it is
 * compare-and-append, so that is safe. Invariant: pressure is told whenever it begins or ends. Must
 * not know: events, the source.
 */
#ifndef WORKERS_READER_APPEND_H
#define WORKERS_READER_APPEND_H

#include "base/stats.h"
#include "io/stream.h"
#include "workers/reader_pack.h"

struct event_base;
struct reader_append;

struct reader_append_options {
	struct event_base *base;
	struct stream *stream;
	struct reader_pack *pack;
	struct stats_slot *stats;
	struct stats_page *page;
	int64_t max_events, max_bytes; /* of the buffer in Redis, as in struct conf */
	/* What was not confirmed is lost. From the loop, at most once per reset. */
	void (*on_stale)(void *ctx, enum stream_status status, const char *text);
	/* Stop, or go on, reading the source. May come from inside any call here. */
	void (*on_pressure)(void *ctx, bool pressed);
	void *ctx;
};

struct reader_append *reader_append_new(const struct reader_append_options *options);
/* NULL allowed; returns NULL. */
struct reader_append *reader_append_free(struct reader_append *a);
/* Throws away what is not confirmed, begins behind the head of `state`. redis_fd: the stream's
 * socket. */
void reader_append_reset(struct reader_append *a, const struct stream_state *state, int redis_fd);
/* False between on_stale (or before) and the next reset: what is packed now would be thrown away.
 */
bool reader_append_running(const struct reader_append *a);
/* Something was packed. */
void reader_append_more(struct reader_append *a);
/* Nothing more has arrived: what is packed need not wait for company. */
void reader_append_drained(struct reader_append *a);
/* Ten times a second: depth, due skips, overdue answers. */
void reader_append_tick(struct reader_append *a);
/* Appends all there is and waits for it. STREAM_OK also if there was nothing to save;
 * STREAM_E_FULL: still kept, call again; anything else: thrown away. */
enum stream_status reader_append_settle(struct reader_append *a, struct err *err) NODISCARD;
bool reader_append_pressed(const struct reader_append *a);

#endif
