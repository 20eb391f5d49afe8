/* SPDX-License-Identifier: MIT */
#include "ws.h"

#include <assert.h>
#include <openssl/evp.h>
#include <strings.h>

enum { SHA1_BYTES = 20 };

/* Cuts s at the first `stop`: returns what is before, s becomes what is behind. Without one, all of
 * s. */
static struct slice cut(struct slice *s, const char *stop)
{
	const uint8_t *p = s->n ? memmem(s->p, s->n, stop, strlen(stop)) : NULL;
	struct slice before = *s;

	if (!p) {
		*s = slice_of(s->p + s->n, 0);
		return before;
	}
	before.n = (size_t)(p - s->p);
	*s = slice_of(p + strlen(stop), s->n - before.n - strlen(stop));
	return before;
}

/* Without blanks at both ends. */
static struct slice trim(struct slice s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s.p++;
		s.n--;
	}
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

static bool is_nocase(struct slice s, const char *text)
{
	return s.n == strlen(text) && strncasecmp((const char *)s.p, text, s.n) == 0;
}

/* True if the comma-separated list holds that token. */
static bool has_token(struct slice list, const char *token)
{
	while (list.n)
		if (is_nocase(trim(cut(&list, ",")), token))
			return true;
	return false;
}

int ws_request_parse(struct slice text, struct ws_request *ret_request)
{
	struct slice line = cut(&text, "\r\n"), method = cut(&line, " "), target = cut(&line, " ");
	bool upgrade = false, connection = false, version = false;

	*ret_request = (struct ws_request){0};
	if (!slice_is(line, "HTTP/1.1") || !target.n)
		return 400;
	if (!slice_is(method, "GET"))
		return 405;
	ret_request->path = cut(&target, "?");
	ret_request->query = target;
	while (text.n) {
		struct slice header = cut(&text, "\r\n"), name = cut(&header, ":"),
			     value = trim(header);

		upgrade = upgrade || (is_nocase(name, "Upgrade") && has_token(value, "websocket"));
		connection = connection ||
			     (is_nocase(name, "Connection") && has_token(value, "upgrade"));
		version = version ||
			  (is_nocase(name, "Sec-WebSocket-Version") && slice_is(value, "13"));
		if (is_nocase(name, "Sec-WebSocket-Key"))
			ret_request->key = value;
	}
	if (!upgrade || !connection || !version)
		return 426;
	return ret_request->key.n ? 101 : 400;
}

bool ws_query_find(struct slice query, const char *name, struct slice *ret_value)
{
	while (query.n) {
		struct slice pair = cut(&query, "&"), key = cut(&pair, "=");

		if (slice_is(key, name)) {
			*ret_value = pair;
			return true;
		}
	}
	return false;
}

void ws_answer(struct buf *out, struct slice key)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	struct buf text = BUF_INIT;
	uint8_t digest[SHA1_BYTES];
	char accept[4 * ((SHA1_BYTES + 2) / 3) + 1];
	int digested;

	buf_add_slice(&text, key);
	buf_add_str(&text, guid);
	digested = EVP_Digest(text.p, text.n, digest, NULL, EVP_sha1(), NULL);
	assert(digested == 1);
	EVP_EncodeBlock((unsigned char *)accept, digest, SHA1_BYTES);
	buf_printf(out,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: %s\r\n\r\n",
		accept);
	buf_done(&text);
}

static const char *reason_of(int status)
{
	switch (status) {
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 426:
		return "Upgrade Required";
	case 431:
		return "Request Header Fields Too Large";
	default:
		return "Bad Request";
	}
}

void ws_refuse(struct buf *out, int status)
{
	const char *reason = reason_of(status);

	buf_printf(out,
		"HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
		"Connection: close\r\n\r\n%s\n",
		status, reason, strlen(reason) + 1, reason);
}

size_t ws_head(int first, uint64_t n, uint8_t ret_head[WS_HEAD_MAX])
{
	size_t n_length = n < 126 ? 0 : n <= UINT16_MAX ? 2 : 8;

	ret_head[0] = (uint8_t)first;
	ret_head[1] = n_length == 0 ? (uint8_t)n : n_length == 2 ? 126 : 127;
	for (size_t i = 0; i < n_length; i++)
		ret_head[2 + i] = (uint8_t)(n >> 8 * (n_length - 1 - i));
	return 2 + n_length;
}

void ws_close(struct buf *out, uint16_t code, const char *reason)
{
	uint8_t head[WS_HEAD_MAX];

	assert(strlen(reason) <= 123);
	buf_add(out, head, ws_head(WS_FIN | WS_CLOSE, 2 + strlen(reason), head));
	buf_be16(out, code);
	buf_add_str(out, reason);
}
