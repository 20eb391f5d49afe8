/* SPDX-License-Identifier: MIT */
#include "tests/unit/tap.h"

#include "tests/relay/ws.h"

#define GOOD                                                                                       \
	"Host: x\r\nUpgrade: websocket\r\nConnection: keep-alive, "                                \
	"Upgrade\r\nSec-WebSocket-Version: 13\r\n"
#define KEY "sec-websocket-key:  dGhlIHNhbXBsZSBub25jZQ==\r\n"

static const struct {
	const char *name, *text;
	int status;
} requests[] = {
	{"a browser's request", "GET /x?cursor=1 HTTP/1.1\r\n" GOOD KEY, 101},
	{"no key", "GET /x HTTP/1.1\r\n" GOOD, 400},
	{"no upgrade", "GET /x HTTP/1.1\r\nHost: x\r\n" KEY, 426},
	{"version 8",
		"GET /x HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Version: 8\r\n" KEY,
		426},
	{"POST", "POST /x HTTP/1.1\r\n" GOOD KEY, 405},
	{"HTTP/1.0", "GET /x HTTP/1.0\r\n" GOOD KEY, 400},
	{"no target", "GET\r\n" GOOD KEY, 400},
	{"nothing", "", 400},
};

static void check_requests(void)
{
	struct ws_request request;

	for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
		int status = ws_request_parse(slice_str(requests[i].text), &request);

		ok(status == requests[i].status, "%s: %d", requests[i].name, status);
	}
}

static void check_query(void)
{
	struct slice value = {0}, query = slice_str("a=1&cursor=42&cursors=3&flag");

	ok(ws_query_find(query, "cursor", &value) && slice_is(value, "42"),
		"a parameter is found among others");
	ok(ws_query_find(query, "flag", &value) && value.n == 0,
		"a parameter without value is empty");
	ok(!ws_query_find(query, "curso", &value), "a prefix of a name is no parameter");
}

static void check_answer(void)
{
	struct buf out = BUF_INIT;

	ws_answer(&out, slice_str("dGhlIHNhbXBsZSBub25jZQ=="));
	ok(strstr(buf_str(&out),
		   "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n") != NULL,
		"the answer is RFC 6455's own example");
	buf_done(&out);
}

static void check_heads(void)
{
	static const struct {
		uint64_t n;
		size_t n_head;
		uint8_t head[WS_HEAD_MAX];
	} heads[] = {
		{0, 2, {0x82, 0}},
		{125, 2, {0x82, 125}},
		{126, 4, {0x82, 126, 0, 126}},
		{65535, 4, {0x82, 126, 0xff, 0xff}},
		{65536, 10, {0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0}},
	};
	uint8_t head[WS_HEAD_MAX];

	for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
		size_t n = ws_head(WS_FIN | WS_BINARY, heads[i].n, head);

		ok(n == heads[i].n_head && memcmp(head, heads[i].head, n) == 0,
			"head of %llu bytes", (unsigned long long)heads[i].n);
	}
}

int main(void)
{
	check_requests();
	check_query();
	check_answer();
	check_heads();
	return done();
}
