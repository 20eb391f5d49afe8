/* SPDX-License-Identifier: MIT
 *
 * reader - the link to the source as a state machine, shared by reader.c, reader_derive.c and reader_seek.c only
 *
 * Owns: everything of the reader process but struct child. Invariant: no position is stored anywhere;
 * every connection begins with asking the stream for its head. Back-pressure is no state: it only stops
 * the reading, wherever the link stands. Must not know: what a message means (reader_source does).
 */
#ifndef WORKERS_READER_H
#define WORKERS_READER_H

#include "io/websocket.h"
#include "workers/child.h"
#include "workers/reader_append.h"
#include "workers/reader_search.h"
#include "workers/reader_source.h"

#define LINK_STATES(X)                                                                             \
	X(REDIS)   /* the position is to be derived: Redis, its settings, the keeper */            \
	X(SEEK)    /* another host is asked where its stream stood at our last event */            \
	X(EPOCH)   /* the keeper was asked for an epoch, at another host or where "live" is */     \
	X(BACKOFF) /* until the next attempt */                                                    \
	X(CONNECT)                                                                                 \
	X(PROVE)   /* connected, the first numbered frame decides */                               \
	X(STREAM)                                                                                  \
	X(HALTED)  /* the source contradicts the stream; asked again once a minute */              \
	X(STOPPED)

#define LINK_EVENTS(X)                                                                             \
	X(NONE)                                                                                    \
	X(TIMER)   /* the state's time is up */                                                    \
	X(DERIVED) /* the position is known */                                                     \
	X(UNFIT)   /* Redis cannot tell it now; retry_us says when to ask again */                 \
	X(FOREIGN) /* the epoch's host is none of ours, or given up */                             \
	X(ANSWERED) /* SEEK: step says how */                                                      \
	X(DECIDED) /* want_host and want_start are known */                                        \
	X(OPENED)                                                                                  \
	X(PROVEN)                                                                                  \
	X(CLOSED)  /* by whomever; ended says why */                                               \
	X(HALT)                                                                                    \
	X(STALE)   /* what was not appended is lost */                                             \
	X(DRAIN)

enum link_state {
#define X(name) LINK_##name,
	LINK_STATES(X)
#undef X
	N_LINK_STATES
};

enum link_event {
#define X(name) EV_LINK_##name,
	LINK_EVENTS(X)
#undef X
	N_LINK_EVENTS
};

struct reader {
	struct child *child;
	struct event_base *base;
	struct event *timer, *tick, *drain;
	enum link_state state;

	struct stream *stream;
	int redis_fd;
	bool interruptible;
	struct reader_pack pack;
	struct reader_append *append;
	struct reader_source *source;
	struct websocket *ws;

	struct stream_state position;
	int url;		       /* index of the epoch's host in source.urls */
	char want_host[256];	       /* what the keeper is, or is to be, asked for */
	char want_start[32];
	struct reader_search search;
	enum search_step step;
	unsigned n_passed_over;	       /* other hosts that did not answer */
	int64_t want_until_us;
	unsigned n_failed;	       /* attempts in a row that proved nothing */
	int64_t backoff_us, retry_us, redis_retry_us, proven_us;
	struct websocket_ended ended;
	bool was_open;
	char request[2048];	       /* URL of this connection */
	struct complaint no_redis, no_source, no_epoch;
};

typedef enum link_event link_action(struct reader *r);

/* One shot. */
void reader_arm(struct event *timer, int64_t us);
/* For the stream: waits as a child does, and remembers the socket. */
enum wait_result reader_wait(void *reader, int fd, short events, int64_t deadline_us);

/* r->request: the configured URL of the epoch's host with the method's path, unless it has one, and the
 * cursor. */
void reader_build_request(struct reader *r, bool has_cursor, uint64_t cursor);

/* An event from a callback. */
void reader_event(struct reader *r, enum link_event event);
/* Index of the first configured URL at that host, -1 if there is none. */
int reader_url_of(const struct conf *conf, const char *host);
/* How long to wait, by how well the connection that ended was doing. */
int64_t reader_backoff(struct reader *r);
/* Says what Redis lacks and when to ask again. */
enum link_event reader_unfit(struct reader *r, enum stream_status status, const struct err *err);

/* Actions: where the stream stands, and whose epoch it is. */
link_action reader_derive, reader_retry, reader_ask_epoch, reader_await_epoch;
/* Actions: where another host is to begin. */
link_action reader_seek, reader_seek_on, reader_seek_silent, reader_seek_failed;

#endif
