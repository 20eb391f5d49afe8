/* SPDX-License-Identifier: MIT
 *
 * websocket - a WebSocket client connection (ws and wss) on a libevent base
 *
 * TCP, TLS (SNI, certificate and host-name check against the system's or the given CA file; TLS 1.2 or
 * newer; never a plaintext fallback), the upgrade check, message framing (wslay), pings, an idle
 * watchdog. Owner of the socket, wslay and OpenSSL's SSL; websocket_{link,lookup,upgrade} are its parts.
 * Owns: a struct websocket from websocket_open until websocket_close. The message given to on_message is
 * borrowed and dies with the callback. websocket_close may be called inside a callback.
 * Invariants: on_close is called exactly once unless websocket_close came first; nothing is called after
 * it. No message longer than max_message_bytes is ever buffered. After websocket_pause(true) no callback
 * but on_close comes.
 * Must not know: what messages mean.
 */
#ifndef IO_WEBSOCKET_H
#define IO_WEBSOCKET_H

#include "base/err.h"
#include "base/slice.h"

#include <stdint.h>

struct event_base;
struct websocket;

/* What is kept of a message that was too big. */
enum { WEBSOCKET_KEEP_BYTES = 1000000 };

#define WEBSOCKET_CLOSES(X)                                                                        \
	X(REFUSED, "refused")	 /* DNS or TCP failed */                                           \
	X(TLS, "tls")		 /* handshake, certificate or host name */                         \
	X(UPGRADE, "upgrade")	 /* not a proper 101; http_status and retry_after_s tell */        \
	X(TIMEOUT, "timeout")	 /* connect or upgrade took too long */                            \
	X(IDLE, "idle")		 /* no byte, not even a pong, for idle_timeout */                  \
	X(PROTOCOL, "protocol")	 /* framing error, masked frame, unknown opcode, ... */            \
	X(TOO_BIG, "too_big")	 /* a message over max_message_bytes */                            \
	X(PEER, "peer")		 /* closed by the other side; close_code and reason tell */        \
	X(LOST, "lost")		 /* connection cut */

enum websocket_close {
#define X(name, text) WEBSOCKET_CLOSE_##name,
	WEBSOCKET_CLOSES(X)
#undef X
	N_WEBSOCKET_CLOSES
};

struct websocket_ended {
	enum websocket_close why;
	int http_status;   /* UPGRADE: 0 if the answer was not HTTP */
	int retry_after_s; /* UPGRADE: 0 if not given */
	int close_code;	   /* PEER */
	char detail[256];  /* for people, escaped by the log */
};

struct websocket_options {
	const char *url;	  /* ws:// or wss:// scheme://host[:port][/path][?query] */
	const char *ca_file;	  /* "" or NULL: the system's store */
	uint64_t max_message_bytes;
	int64_t connect_timeout_us; /* until the upgrade is done */
	int64_t idle_timeout_us;  /* a ping goes out after half of it */
	void (*on_open)(void *ctx);
	void (*on_message)(void *ctx, struct slice message, bool binary);
	/* Everything that had arrived was delivered; NULL allowed. */
	void (*on_drained)(void *ctx);
	/* After websocket_skip_big: the first bytes of a message over max_message_bytes and its whole
	 * length, when its last byte has passed; NULL allowed. */
	void (*on_big)(void *ctx, struct slice first, uint64_t n_bytes);
	void (*on_close)(void *ctx, const struct websocket_ended *ended);
	void *ctx;
};

/* Begins to connect; options (not the strings) are copied, strings too. -1: the URL is no ws/wss URL. */
int websocket_open(struct event_base *base, const struct websocket_options *options,
	struct websocket **ret_ws, struct err *err) NODISCARD;
/* Stops reading the socket (back-pressure: the peer's sends block) or goes on. Pings are not judged
 * while paused. */
void websocket_pause(struct websocket *ws, bool paused);
/* From now on a message over max_message_bytes does not end the connection with TOO_BIG: it is read and
 * thrown away, all but its first WEBSOCKET_KEEP_BYTES, and goes to on_big. */
void websocket_skip_big(struct websocket *ws);
/* Sends a close frame if possible, frees at once. NULL allowed. */
void websocket_close(struct websocket *ws, int code);
const char *websocket_close_name(enum websocket_close why);
/* True if url is one that websocket_open accepts; ret_host gets "scheme://host:port" (the epoch's host). */
bool websocket_url_valid(const char *url, char *ret_host, size_t size);

#endif
