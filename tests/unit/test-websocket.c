/* SPDX-License-Identifier: MIT
 *
 * The WebSocket client against small servers in forked processes, each serving one connection by
 * script, plain and with TLS under a throw-away certificate authority made here.
 */
#include "io/websocket.h"
#include "io/websocket_upgrade.h"
#include "tests/unit/tap.h"
#include "tests/unit/websocket_server.h"

#include <event2/event.h>

/* What happened to a client. */
struct seen {
	struct event_base *base;
	struct websocket *ws;
	int opens, closes, messages, bigs;
	uint64_t bytes, big_bytes;
	size_t big_first;
	bool binary, in_order, drained;
	int pause_after, close_after; /* messages; 0: never */
	bool paused;
	struct buf last;
	struct websocket_ended ended;
};

static void stop(struct seen *s)
{
	event_base_loopbreak(s->base);
}

static void on_open(void *ctx)
{
	struct seen *s = ctx;

	s->opens++;
}

static void on_message(void *ctx, struct slice message, bool binary)
{
	struct seen *s = ctx;
	uint32_t number;

	if (message.n >= sizeof number) {
		memcpy(&number, message.p, sizeof number);
		s->in_order &= number == (uint32_t)s->messages;
	}
	s->in_order &= !s->paused;
	s->messages++;
	s->bytes += message.n;
	s->binary = binary;
	buf_reset(&s->last);
	buf_add_slice(&s->last, message);
	if (s->messages == s->pause_after) {
		s->paused = true;
		websocket_pause(s->ws, true);
		stop(s);
	}
	if (s->messages == s->close_after) {
		websocket_close(s->ws, 1000);
		s->ws = NULL;
	}
}

static void on_drained(void *ctx)
{
	((struct seen *)ctx)->drained = true;
}

static void on_big(void *ctx, struct slice first, uint64_t n_bytes)
{
	struct seen *s = ctx;

	s->bigs++;
	s->big_first = first.n;
	s->big_bytes = n_bytes;
}

static void on_close(void *ctx, const struct websocket_ended *ended)
{
	struct seen *s = ctx;

	s->closes++;
	s->ended = *ended;
	stop(s);
}

static void run(struct seen *s, int seconds)
{
	struct timeval limit = { seconds, 0 };

	event_base_loopexit(s->base, &limit);
	event_base_dispatch(s->base);
}

static void finish(struct seen *s)
{
	websocket_close(s->ws, 1000);
	s->ws = NULL;
	event_base_free(s->base);
	buf_done(&s->last);
}

/* Connects to the server; more is set through `o`. */
static void start(struct seen *s, const char *url, struct websocket_options o)
{
	struct err err;

	s->base = event_base_new();
	s->in_order = true;
	o.url = url;
	o.max_message_bytes = o.max_message_bytes ? o.max_message_bytes : 5000000;
	o.connect_timeout_us = o.connect_timeout_us ? o.connect_timeout_us : 5000000;
	o.idle_timeout_us = o.idle_timeout_us ? o.idle_timeout_us : 20000000;
	o.on_open = on_open;
	o.on_message = on_message;
	o.on_drained = on_drained;
	o.on_big = on_big;
	o.on_close = on_close;
	o.ctx = s;
	if (websocket_open(s->base, &o, &s->ws, &err) < 0)
		abort();
}

/* One connection to a scripted server until it ends; true if the server was content too. */
static bool play(struct seen *s, server_script *script, struct websocket_options o)
{
	struct server server;

	*s = (struct seen){ .pause_after = s->pause_after, .close_after = s->close_after };
	server_start(&server, script, NULL);
	start(s, server.url, o);
	run(s, s->close_after ? 1 : 10); /* one that closes itself ends by nothing but time */
	finish(s);
	return server_stop(&server);
}

#define DEFAULTS                                                                                   \
	(struct websocket_options)                                                                 \
	{                                                                                          \
		0                                                                                  \
	}

/* ---- scripts ---- */

static void say_three_ways(struct conn *c)
{
	server_frame(c, 0x81, "one", 3);
	server_frame(c, 0x02, "t", 1);
	server_frame(c, 0x89, "beat", 4);
	server_frame(c, 0x00, "w", 1);
	server_frame(c, 0x80, "o", 1);
	server_want_pong(c, "beat");
	server_frame(c, 0x88, "\003\360sorry", 7);
}

static void say_byte_by_byte(struct conn *c)
{
	c->one_by_one = true;
	say_three_ways(c);
}

static void say_big(struct conn *c)
{
	static char big[3000000];

	server_frame(c, 0x82, "small", 5);
	server_frame(c, 0x82, big, sizeof big);
	server_frame(c, 0x82, "after", 5);
	server_frame(c, 0x88, "\003\350", 2);
}

static void say_big_in_pieces(struct conn *c)
{
	static char piece[1500000];

	server_frame(c, 0x02, piece, sizeof piece);
	server_frame(c, 0x80, piece, sizeof piece);
	server_frame(c, 0x82, "after", 5);
	server_frame(c, 0x88, "\003\350", 2);
}

static void say_numbers(struct conn *c)
{
	static char frame[4000];

	for (uint32_t i = 0; i < 20000; i++) {
		memcpy(frame, &i, sizeof i);
		server_frame(c, 0x82, frame, sizeof frame);
	}
	server_frame(c, 0x88, "\003\350", 2);
}

static void say_nothing(struct conn *c)
{
	server_wait_end(c);
}

static void answer_five_pings(struct conn *c)
{
	for (int i = 0; i < 5; i++)
		server_answer_ping(c);
	server_frame(c, 0x88, "\003\350", 2);
}

static void cut(struct conn *c)
{
	server_frame(c, 0x82, "whole", 5);
	server_bytes(c, "\202\012half", 6);
}

/* ---- claims ---- */

static void test_messages(void)
{
	struct seen s = { 0 };
	bool content = play(&s, say_three_ways, DEFAULTS);

	ok(content, "a ping between fragments is answered with its payload");
	ok(s.opens == 1 && s.messages == 2 && s.bytes == 6 && s.binary, "messages arrive whole");
	ok(s.closes == 1 && s.ended.why == WEBSOCKET_CLOSE_PEER && s.ended.close_code == 1008 &&
			strcmp(s.ended.detail, "sorry") == 0,
		"code and reason of a close frame are told");
	content = play(&s, say_byte_by_byte, DEFAULTS);
	ok(content && s.messages == 2 && s.bytes == 6 && s.ended.close_code == 1008,
		"the same when it comes byte by byte");
	play(&s, cut, DEFAULTS);
	ok(s.messages == 1 && s.closes == 1 && s.ended.why == WEBSOCKET_CLOSE_LOST,
		"a connection cut inside a frame delivers only whole messages");
	s.close_after = 1;
	play(&s, say_numbers, DEFAULTS);
	ok(s.messages == 1 && s.closes == 0,
		"after websocket_close inside a callback nothing comes");
}

static void test_big(void)
{
	struct websocket_options o = { .max_message_bytes = 2000000 };
	server_script *const scripts[] = { say_big, say_big_in_pieces };
	struct seen s = { 0 };

	for (int i = 0; i < 2; i++) {
		const char *how = i ? "in pieces" : "in one frame";
		struct server server;

		play(&s, scripts[i], o);
		ok(s.ended.why == WEBSOCKET_CLOSE_TOO_BIG && s.messages == 1 - i,
			"a message too big %s ends the connection", how);
		s = (struct seen){ 0 };
		server_start(&server, scripts[i], NULL);
		start(&s, server.url, o);
		websocket_skip_big(s.ws);
		run(&s, 10);
		ok(s.bigs == 1 && s.big_bytes == 3000000 && s.big_first == WEBSOCKET_KEEP_BYTES &&
				s.ended.close_code == 1000 && slice_is(buf_slice(&s.last), "after"),
			"it is skipped %s when told so, and reading goes on", how);
		finish(&s);
		server_stop(&server);
	}
}

static void test_pause(void)
{
	struct seen s = { .pause_after = 100 };
	struct server server;

	server_start(&server, say_numbers, NULL);
	start(&s, server.url, DEFAULTS);
	s.pause_after = 100;
	run(&s, 10);
	ok(s.messages == 100, "a pause inside a callback holds at that message");
	run(&s, 1);
	ok(s.messages == 100 && s.closes == 0, "while paused nothing is delivered");
	s.paused = false;
	s.pause_after = 0;
	websocket_pause(s.ws, false);
	run(&s, 10);
	ok(s.messages == 20000 && s.in_order && s.bytes == 80000000 && s.drained,
		"after it all the rest comes, in order");
	finish(&s);
	server_stop(&server);
}

static void test_watchdog(void)
{
	struct websocket_options o = { .idle_timeout_us = 200000 };
	struct seen s = { 0 };
	bool content;

	play(&s, say_nothing, o);
	ok(s.ended.why == WEBSOCKET_CLOSE_IDLE, "a mute server counts as dead");
	content = play(&s, answer_five_pings, o);
	ok(content && s.ended.why == WEBSOCKET_CLOSE_PEER && s.ended.close_code == 1000,
		"a quiet server that answers pings is alive");
}

static void test_framing(void)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *claim;
	} faults[] = {
		{ "\202\203abcdefg", 9, "a masked frame" },
		{ "\302\001x", 3, "a reserved bit" },
		{ "\203\001x", 3, "an unknown data opcode" },
		{ "\213\000", 2, "an unknown control opcode" },
		{ "\200\001x", 3, "a continuation of nothing" },
		{ "\002\001x\202\001y", 6, "a message inside a message" },
		{ "\211\176\000\200", 4, "a control frame over 125 bytes" },
		{ "\011\001x", 3, "a control frame in fragments" },
		{ "\210\001\003", 3, "a close frame of one byte" },
		{ "\202\177\200\000\000\000\000\000\000\000", 10, "a length of 2^63" },
		{ "\202\176\000\001x", 5, "a length not in its shortest form" },
	};

	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		struct seen s = { 0 };
		struct server server;

		server_start_bytes(&server, faults[i].bytes, faults[i].n);
		start(&s, server.url, DEFAULTS);
		run(&s, 10);
		ok(s.closes == 1 && s.messages == 0 && s.ended.why == WEBSOCKET_CLOSE_PROTOCOL,
			"%s ends the connection", faults[i].claim);
		finish(&s);
		server_stop(&server);
	}
}

static void test_refusals(void)
{
	static const struct {
		const char *url;
		enum websocket_close why;
	} dead[] = {
		{ "ws://127.0.0.1:1", WEBSOCKET_CLOSE_REFUSED },
		{ "ws://[::1]:1", WEBSOCKET_CLOSE_REFUSED },
		{ "ws://no-such-host.invalid", WEBSOCKET_CLOSE_REFUSED },
	};
	struct websocket_options o = { .connect_timeout_us = 300000 };
	struct server server;
	struct seen s = { 0 };

	server_start_answer(&server, "HTTP/1.1 429 Slow down\r\nRetry-After: 7\r\n\r\n");
	start(&s, server.url, DEFAULTS);
	run(&s, 10);
	ok(s.closes == 1 && s.opens == 0 && s.ended.why == WEBSOCKET_CLOSE_UPGRADE &&
			s.ended.http_status == 429 && s.ended.retry_after_s == 7,
		"429 is told with its Retry-After");
	finish(&s);
	server_stop(&server);
	s = (struct seen){ 0 };
	server_start_answer(&server, "HTTP/1.1 101 Never");
	start(&s, server.url, o);
	run(&s, 10);
	ok(s.closes == 1 && s.ended.why == WEBSOCKET_CLOSE_TIMEOUT,
		"half an answer runs into the time limit");
	finish(&s);
	server_stop(&server);
	for (size_t i = 0; i < sizeof dead / sizeof *dead; i++) {
		s = (struct seen){ 0 };
		start(&s, dead[i].url, DEFAULTS);
		run(&s, 30);
		ok(s.closes == 1 && s.opens == 0 && s.ended.why == dead[i].why, "%s is refused: %s",
			dead[i].url, s.ended.detail);
		finish(&s);
	}
}

static void test_tls(void)
{
	static const struct {
		enum server_cert cert;
		bool accepted;
		const char *claim;
	} cases[] = {
		{ CERT_GOOD, true,
			"a certificate for the address, under the CA file, is accepted" },
		{ CERT_OTHER_HOST, false, "a certificate for another host is refused" },
		{ CERT_OTHER_CA, false, "a certificate of an unknown CA is refused" },
		{ CERT_EXPIRED, false, "an expired certificate is refused" },
		{ CERT_OLD_TLS, false, "TLS 1.1 is refused" },
		{ CERT_NONE, false, "a server without TLS is refused: no fallback" },
	};
	struct server_tls tls;

	server_tls_make(&tls);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct seen s = { 0 };
		struct server server;

		tls.use = cases[i].cert;
		server_start(&server, say_numbers, &tls);
		start(&s, server.url, (struct websocket_options){ .ca_file = tls.ca_file });
		run(&s, 20);
		if (cases[i].accepted)
			ok(s.opens == 1 && s.messages == 20000 && s.in_order &&
					s.ended.close_code == 1000,
				"%s, and 80 MB come through in order", cases[i].claim);
		else
			ok(s.opens == 0 && s.closes == 1 && s.ended.why == WEBSOCKET_CLOSE_TLS,
				"%s (%s)", cases[i].claim, s.ended.detail);
		finish(&s);
		server_stop(&server);
	}
	server_tls_done(&tls);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	test_messages();
	test_big();
	test_pause();
	test_watchdog();
	test_framing();
	test_refusals();
	test_tls();
	return done();
}
