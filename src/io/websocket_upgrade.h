/* SPDX-License-Identifier: MIT
 *
 * websocket_upgrade - URL, request and answer of the HTTP upgrade, without I/O
 *
 * Fed bytes, fuzzable. Owns: the answer's bytes until websocket_upgrade_done. Invariants: nothing
 * of a URL can break out of its line of the request; an answer is at most UPGRADE_MAX_ANSWER bytes.
 * Errors: enum upgrade_status > 0 with err. Must not know: sockets, frames.
 */
#ifndef IO_WEBSOCKET_UPGRADE_H
#define IO_WEBSOCKET_UPGRADE_H

#include "base/buf.h"

struct websocket_url {
	bool tls;
	char host[256]; /* lower case, without the brackets of an IPv6 address */
	char port[6];
	char authority[272]; /* host:port as in a URL, brackets included, port always there */
	const char *target;  /* path and query, "" if there is none; borrowed from the URL */
};

enum {
	UPGRADE_NONCE = 16,
	UPGRADE_MAX_ANSWER = 16384,
	UPGRADE_MAX_RETRY_S = 86400,
};

enum upgrade_status {
	UPGRADE_OK = 0,
	UPGRADE_MORE,      /* the answer is not complete */
	UPGRADE_E_REFUSED, /* an HTTP status other than 101 */
	UPGRADE_E_BAD,     /* not HTTP, too long, or a 101 that does not accept what was asked */
};

struct websocket_upgrade {
	char key[25], accept[29]; /* base64, NUL-terminated */
	struct buf answer;
	int http_status;   /* 0 until known */
	int retry_after_s; /* 0 if not given in seconds */
};

/* True if it is a ws:// or wss:// URL without user name and fragment. */
bool websocket_url_parse(const char *url, struct websocket_url *ret);
/* Makes the key from 16 random bytes and the answer that belongs to it. */
void websocket_upgrade_begin(struct websocket_upgrade *u, const uint8_t nonce[UPGRADE_NONCE]);
void websocket_upgrade_request(
	const struct websocket_upgrade *u, const struct websocket_url *url, struct buf *out);
/* Takes bytes of the answer; *ret_used says how many belonged to it (the rest are frames). */
enum upgrade_status websocket_upgrade_feed(struct websocket_upgrade *u, struct slice bytes,
	size_t *ret_used, struct err *err) NODISCARD;
void websocket_upgrade_done(struct websocket_upgrade *u);

#endif
