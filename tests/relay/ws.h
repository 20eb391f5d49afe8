/* SPDX-License-Identifier: MIT
 *
 * ws - the server's side of opening a WebSocket, bytes in, bytes out: upgrade request, answer,
 * frame head
 *
 * Owns: nothing; a parsed request borrows from the bytes given. Errors: an HTTP status
 * (ws_request_parse). Must not know: sockets, what is sent. Source: RFC 6455.
 */
#ifndef RELAY_WS_H
#define RELAY_WS_H

#include "base/buf.h"

enum { WS_HEAD_MAX = 10, WS_REQUEST_MAX = 8192 };
enum { WS_FIN = 0x80, WS_CONTINUATION = 0, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9 };

struct ws_request {
	struct slice path, query; /* query without the '?' */
	struct slice key;         /* Sec-WebSocket-Key */
};

/* text is a whole request head, up to and with its empty line. Returns 101 if it asks for a
 * WebSocket by the rules, else the HTTP status to refuse it with. */
int ws_request_parse(struct slice text, struct ws_request *ret_request);
/* The value of a query parameter; false if it is not there. */
bool ws_query_find(struct slice query, const char *name, struct slice *ret_value);
/* Appends the 101 answer to that key. */
void ws_answer(struct buf *out, struct slice key);
/* Appends a refusal with a plain text body and `Connection: close`. */
void ws_refuse(struct buf *out, int status);
/* Writes an unmasked frame head for n bytes; first is WS_FIN and an opcode. Returns its length. */
size_t ws_head(int first, uint64_t n, uint8_t ret_head[WS_HEAD_MAX]);
/* Appends a whole close frame. */
void ws_close(struct buf *out, uint16_t code, const char *reason);

#endif
