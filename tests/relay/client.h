/* SPDX-License-Identifier: MIT
 *
 * client - one connection: HTTP request, upgrade, stream, close
 *
 * Owns: its bufferevent (and so its socket), wslay context and timer; freed by its own callbacks or
 * by client_free. Invariant: only whole messages are appended to the output, so control frames may
 * be appended at any time; no more than about OUT_HIGH bytes wait in it. Borrows the service and
 * its log. Must not know: other connections, pacing.
 */
#ifndef RELAY_CLIENT_H
#define RELAY_CLIENT_H

#include "serve.h"

struct bufferevent;
struct wslay_event_context;

enum client_state {
	CLIENT_REQUEST, /* reading the HTTP request */
	CLIENT_STREAM,  /* frames go out */
	CLIENT_STALLED, /* open and dead, on request */
	CLIENT_CLOSING, /* our last bytes are in the output; ends with the peer's close or a timer
			 */
	CLIENT_LAST,    /* the same, but ends as soon as the output is empty */
};

struct client {
	LIST_ENTRY(client) link;
	struct service *service;
	struct bufferevent *bev;
	struct wslay_event_context *ws;
	struct event *timer;
	enum client_state state;
	uint64_t next; /* log index of the frame to send next */
	uint64_t n_sent;
	bool wrote; /* since the last tick of the timer */
};

/* Takes over an accepted socket. */
void client_new(struct service *service, int fd);
void client_free(struct client *c);
/* Sends what is visible and fits. Never frees. */
void client_fill(struct client *c);
/* True if it has sent all there is and could take more. */
bool client_hungry(const struct client *c);

/* Of client_send.c: answers a subscription with that cursor (NULL: none). */
void client_subscribe(struct client *c, const struct slice *cursor);
/* Of client.c: the last bytes are written; close when they have left. */
void client_finish(struct client *c, enum client_state state);

#endif
