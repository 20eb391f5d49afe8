/* SPDX-License-Identifier: MIT
 *
 * websocket_link - a non-blocking byte pipe to host:port, plain TCP or TLS
 *
 * Below websocket.c, for nobody else. Name look-up, one address after the other, TLS 1.2 or newer
 * with certificate and host-name check. It reads the socket itself instead of through a
 * bufferevent: libevent 2.1 reads 4 kB per turn of the loop, we want hundreds. Owns: socket, SSL
 * and its own output until websocket_link_close, which may be called inside a callback. Invariant:
 * on_down comes at most once, nothing comes after it; nothing is called from inside open. Must not
 * know: HTTP, frames.
 */
#ifndef IO_WEBSOCKET_LINK_H
#define IO_WEBSOCKET_LINK_H

#include "io/websocket.h"
#include "io/websocket_upgrade.h"

/* The room that a connection has for one read. Fuzzing has less. */
#ifndef WEBSOCKET_INPUT_BYTES
#define WEBSOCKET_INPUT_BYTES (256 << 10) /* ~60 frames of the firehose */
#endif

struct websocket_link;

struct websocket_link_options {
	void (*on_up)(void *ctx);
	void (*on_readable)(void *ctx);
	void (*on_down)(void *ctx, enum websocket_close why, const char *detail);
	void *ctx;
};

enum link_read {
	LINK_FULL = 0, /* the room is full, more may be there: websocket_link_again */
	LINK_DRAINED,  /* nothing more has arrived */
	LINK_LOST,     /* closed or cut, err says how; bytes read before that count */
};

/* Begins to connect. ca_file as in websocket_options; options are copied. */
struct websocket_link *websocket_link_open(struct event_base *base, const struct websocket_url *url,
	const char *ca_file, const struct websocket_link_options *options);
/* Reads what is there, at most `room` bytes. */
enum link_read websocket_link_read(struct websocket_link *l, uint8_t *p, size_t room, size_t *ret_n,
	struct err *err) NODISCARD;
/* Sends now what the socket takes, the rest as soon as it can; a peer that lets 1 MB pile up loses
 * the link (on_down, later). */
void websocket_link_write(struct websocket_link *l, struct slice bytes);
/* on_readable is wanted, or not. */
void websocket_link_want(struct websocket_link *l, bool readable);
/* on_readable is called again in the next turn of the loop, whether the socket is readable or not.
 */
void websocket_link_again(struct websocket_link *l);
/* NULL allowed. */
void websocket_link_close(struct websocket_link *l);

#endif
