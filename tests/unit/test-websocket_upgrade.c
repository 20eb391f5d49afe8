/* SPDX-License-Identifier: MIT */
#include "io/websocket.h"
#include "io/websocket_upgrade.h"
#include "tests/unit/tap.h"

#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
#define GOOD                                                                                       \
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" ACCEPT \
	"\r\n"

static const struct url_case {
	const char *url, *host; /* NULL: refused */
	const char *target;
} urls[] = {
	{ "wss://bsky.network", "wss://bsky.network:443", "" },
	{ "WSS://Bsky.Network/", "wss://bsky.network:443", "/" },
	{ "ws://127.0.0.1:8080/a/b?c=1", "ws://127.0.0.1:8080", "/a/b?c=1" },
	{ "ws://h?x", "ws://h:80", "?x" },
	{ "ws://[::1]:99/p", "ws://[::1]:99", "/p" },
	{ "wss://[2001:db8::2]", "wss://[2001:db8::2]:443", "" },
	{ "http://bsky.network", NULL, NULL },
	{ "https://bsky.network", NULL, NULL },
	{ "wss://", NULL, NULL },
	{ "wss:///path", NULL, NULL },
	{ "wss://h:0", NULL, NULL },
	{ "wss://h:65536", NULL, NULL },
	{ "wss://h:12a", NULL, NULL },
	{ "wss://h:", NULL, NULL },
	{ "wss://user:secret@h/", NULL, NULL },
	{ "wss://h/a b", NULL, NULL },
	{ "wss://h/a\r\nHost: evil", NULL, NULL },
	{ "wss://h/#part", NULL, NULL },
	{ "wss://[::1", NULL, NULL },
	{ "wss://h\303\244/", NULL, NULL },
	{ "", NULL, NULL },
};

static const struct answer_case {
	const char *text;
	enum upgrade_status status;
	int http, retry_s;
	const char *claim;
} answers[] = {
	{ GOOD, UPGRADE_OK, 101, 0, "a proper 101 is accepted" },
	{ "HTTP/1.1 101 x\nupgrade: WebSocket\nCONNECTION: keep-alive, upgrade\n"
	  "sec-websocket-accept:s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\nServer: x\n\n",
		UPGRADE_OK, 101, 0, "names in any case, lists and bare line feeds are accepted" },
	{ "HTTP/1.1 101\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", UPGRADE_E_BAD, 101,
		0, "a 101 without accept key is refused" },
	{ "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
	  "AAAPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
		UPGRADE_E_BAD, 101, 0, "a 101 with another accept key is refused" },
	{ "HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n" ACCEPT "\r\n", UPGRADE_E_BAD,
		101, 0, "an upgrade to something else is refused" },
	{ "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: close\r\n" ACCEPT "\r\n",
		UPGRADE_E_BAD, 101, 0, "a 101 without Connection: Upgrade is refused" },
	{ "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" ACCEPT
	  "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
		UPGRADE_E_BAD, 101, 0, "an extension nobody asked for is refused" },
	{ "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" ACCEPT
	  "Sec-WebSocket-Protocol: chat\r\n\r\n",
		UPGRADE_E_BAD, 101, 0, "a subprotocol nobody asked for is refused" },
	{ "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 17\r\n\r\n<html>", UPGRADE_E_REFUSED, 429,
		17, "429 tells its Retry-After" },
	{ "HTTP/1.1 503 Busy\r\nRetry-After: 99999999999999999999\r\n\r\n", UPGRADE_E_REFUSED, 503,
		UPGRADE_MAX_RETRY_S, "an absurd Retry-After is capped" },
	{ "HTTP/1.1 503 Busy\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n\r\n",
		UPGRADE_E_REFUSED, 503, 0, "a date in Retry-After counts as not given" },
	{ "HTTP/1.1 302 Found\r\nLocation: wss://evil/\r\n\r\n", UPGRADE_E_REFUSED, 302, 0,
		"a redirect is refused" },
	{ "HTTP/1.1 200 OK\r\n\r\n", UPGRADE_E_REFUSED, 200, 0, "200 is refused" },
	{ "SSH-2.0-OpenSSH\r\n\r\n", UPGRADE_E_BAD, 0, 0, "what is not HTTP is refused" },
	{ "HTTP/1.1 1x1 ?\r\n\r\n", UPGRADE_E_BAD, 0, 0, "a status that is no number is refused" },
	{ "\r\n\r\n", UPGRADE_E_BAD, 0, 0, "an empty answer is refused" },
	{ "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n", UPGRADE_MORE, 0, 0,
		"half an answer needs more" },
};

static void begin(struct websocket_upgrade *u)
{
	websocket_upgrade_begin(u, (const uint8_t *)"the sample nonce");
}

/* Feeds text in pieces of `step` bytes; *ret_used: bytes that belonged to the answer. */
static enum upgrade_status feed(
	struct websocket_upgrade *u, struct slice text, size_t step, size_t *ret_used)
{
	enum upgrade_status status = UPGRADE_MORE;
	struct err err;

	*ret_used = 0;
	for (size_t i = 0; i < text.n && status == UPGRADE_MORE; i += step) {
		size_t n = text.n - i < step ? text.n - i : step, used;

		status = websocket_upgrade_feed(u, slice_of(text.p + i, n), &used, &err);
		*ret_used += used;
	}
	return status;
}

static bool begins(struct buf *b, const char *with)
{
	return strncmp(buf_str(b), with, strlen(with)) == 0;
}

static void test_urls(void)
{
	char host[300];
	struct websocket_url url;

	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
		const struct url_case *c = &urls[i];
		bool valid = websocket_url_valid(c->url, host, sizeof host);

		if (!c->host)
			ok(!valid, "URL %zu of the table is refused", i);
		else
			ok(valid && strcmp(host, c->host) == 0 &&
					websocket_url_parse(c->url, &url) &&
					strcmp(url.target, c->target) == 0,
				"%s is at %s", c->url, c->host);
	}
}

static void test_request(void)
{
	struct websocket_upgrade u;
	struct websocket_url url;
	struct buf out = BUF_INIT;

	begin(&u);
	ok(strcmp(u.key, "dGhlIHNhbXBsZSBub25jZQ==") == 0 &&
			strcmp(u.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") == 0,
		"key and accept value are those of RFC 6455 section 1.3");
	ok(websocket_url_parse("wss://h/x?cursor=5", &url), "the URL parses");
	websocket_upgrade_request(&u, &url, &out);
	ok(begins(&out, "GET /x?cursor=5 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
			"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n") &&
			strcmp((char *)out.p + out.n - 4, "\r\n\r\n") == 0,
		"the request is as it should be");
	buf_reset(&out);
	ok(websocket_url_parse("ws://[::1]:8080?a", &url), "the URL parses");
	websocket_upgrade_request(&u, &url, &out);
	ok(begins(&out, "GET /?a HTTP/1.1\r\nHost: [::1]:8080\r\n"),
		"a path is added and an odd port named");
	buf_done(&out);
	websocket_upgrade_done(&u);
}

static void test_answers(void)
{
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		const struct answer_case *c = &answers[i];
		bool same = true;

		for (size_t step = strlen(c->text); step > 0; step--) {
			struct websocket_upgrade u;
			size_t used;

			begin(&u);
			same &= feed(&u, slice_str(c->text), step, &used) == c->status;
			same &= u.http_status == c->http && u.retry_after_s == c->retry_s;
			websocket_upgrade_done(&u);
		}
		ok(same, "%s, however it is cut", c->claim);
	}
}

static void test_borders(void)
{
	static const char text[] = GOOD "\202\003abc";
	static uint8_t junk[UPGRADE_MAX_ANSWER + 100];
	struct websocket_upgrade u;
	bool never_past = true;
	size_t used;

	begin(&u);
	ok(feed(&u, slice_of(text, sizeof text - 1), sizeof text, &used) == UPGRADE_OK &&
			used == sizeof GOOD - 1,
		"frames behind the answer are left alone");
	websocket_upgrade_done(&u);
	memset(junk, 'x', sizeof junk);
	begin(&u);
	ok(feed(&u, slice_of(junk, sizeof junk), 1000, &used) == UPGRADE_E_BAD &&
			used == UPGRADE_MAX_ANSWER,
		"an answer without end is refused at the limit");
	websocket_upgrade_done(&u);
	/* every byte of a good answer replaced by every value: decided or waiting, never past the
	 * input */
	for (size_t at = 0; at < sizeof GOOD - 1; at++)
		for (int v = 0; v < 256; v++) {
			char copy[sizeof GOOD];

			memcpy(copy, GOOD, sizeof copy);
			copy[at] = (char)v;
			begin(&u);
			(void)!feed(&u, slice_of(copy, sizeof GOOD - 1), 50, &used);
			never_past &= used <= sizeof GOOD - 1;
			websocket_upgrade_done(&u);
		}
	ok(never_past, "a damaged answer is never read past its end");
}

int main(void)
{
	test_urls();
	test_request();
	test_answers();
	test_borders();
	return done();
}
