/* SPDX-License-Identifier: MIT
 *
 * serve - the event loop: listener, pacing of frames, connections, signals
 *
 * A source has a frame log and can make more of it visible; serve decides when. The stream begins
 * with the first subscriber (frames before it are `past`). Owns: everything for the time of
 * serve_run. Errors: struct err. Must not know: where frames come from.
 */
#ifndef RELAY_SERVE_H
#define RELAY_SERVE_H

#include "frame_log.h"
#include "options.h"

#include <sys/queue.h>

struct event;
struct event_base;
struct ssl_ctx_st;
struct client;

struct source {
	struct frame_log *log;
	/* Makes up to n more frames visible, returns how many; fewer than n only at the end of the
	 * stream. */
	size_t (*advance)(void *ctx, size_t n);
	void *ctx;
};

/* What connections share. */
struct service {
	struct event_base *base;
	struct event *tick;
	struct ssl_ctx_st *tls;
	struct source source;
	struct options *options; /* the fault counters in it change */
	LIST_HEAD(, client) clients;
	int64_t begun_us; /* when the first subscriber came; 0: not yet */
	uint64_t n_made;  /* frames made visible since then */
	bool finished;
	struct buf zeros; /* what oversize messages are made of */
	struct ev_token_bucket_cfg *drip; /* NULL: connections take what they can */
};

/* Serves until SIGTERM or SIGINT. */
int serve_run(struct options *options, struct source source, struct err *err) NODISCARD;
/* A connection subscribed, or could take more than there is: lets the pacing look again. */
void service_wake(struct service *s);

#endif
