/* SPDX-License-Identifier: MIT
 *
 * A whole WebSocket connection over a link that gives the bytes of the input: the peer's right answer to the
 * upgrade, then anything. However the bytes were cut on their way, the same messages arrive and the same
 * end; no message is over the limit, nothing comes after the end.
 */
#include "tests/fuzz/fuzz.h"

#include "io/websocket.h"
#include "io/websocket_link.h"

#include <event2/event.h>
#include <openssl/evp.h>

enum { MAX_MESSAGE = 300 };

struct websocket_link {
	struct websocket_link_options o;
	bool wanted;
};

/* The bytes under way and what became of them. */
struct run {
	struct websocket *ws;
	struct websocket_link link;
	struct slice left;
	size_t step;
	char key[25];
	bool pausing, up, ended;
	uint64_t heard; /* a hash of everything told */
	size_t n_payload; /* of a control frame of ours, still to be written */
	unsigned n_told;
};

static struct run run;

/* ---- the link ---- */

struct websocket_link *websocket_link_open(struct event_base *base, const struct websocket_url *url,
	const char *ca_file, const struct websocket_link_options *options)
{
	(void)base;
	(void)url;
	(void)ca_file;
	run.link = (struct websocket_link){*options, true};
	return &run.link;
}

enum link_read websocket_link_read(
	struct websocket_link *l, uint8_t *p, size_t room, size_t *ret_n, struct err *err)
{
	size_t n = run.left.n < run.step ? run.left.n : run.step;

	(void)l;
	n = n < room ? n : room;
	if (n)
		memcpy(p, run.left.p, n);
	run.left = slice_of(run.left.p + n, run.left.n - n);
	*ret_n = n;
	err_set(err, "the end of the input");
	return run.left.n ? LINK_DRAINED : LINK_LOST;
}

/* From us to the peer: a head, whole and masked, then its payload. */
static void must_be_control(struct slice bytes)
{
	if (run.n_payload == 0) {
		MUST(bytes.n == 6 && bytes.p[0] & 0x88 && bytes.p[1] & 0x80);
		run.n_payload = bytes.p[1] & 0x7f;
		MUST(run.n_payload <= 125);
	} else {
		MUST(bytes.n == run.n_payload);
		run.n_payload = 0;
	}
}

void websocket_link_write(struct websocket_link *l, struct slice bytes)
{
	const uint8_t *key;

	(void)l;
	if (run.key[0]) {
		must_be_control(bytes);
		return;
	}
	key = memmem(bytes.p, bytes.n, "Sec-WebSocket-Key: ", 19);
	MUST(key && (size_t)(bytes.p + bytes.n - key) > 19 + 24);
	memcpy(run.key, key + 19, 24);
}

void websocket_link_want(struct websocket_link *l, bool readable)
{
	l->wanted = readable;
}

void websocket_link_again(struct websocket_link *l)
{
	(void)l;
}

void websocket_link_close(struct websocket_link *l)
{
	(void)l;
}

/* ---- what is told ---- */

static void hear(char what, struct slice bytes, uint64_t n)
{
	MUST(!run.ended);
	run.n_told++;
	run.heard = (run.heard ^ (uint64_t)what) * 0x100000001b3;
	run.heard = (run.heard ^ n) * 0x100000001b3;
	for (size_t i = 0; i < bytes.n; i++)
		run.heard = (run.heard ^ bytes.p[i]) * 0x100000001b3;
}

static void on_open(void *ctx)
{
	(void)ctx;
	run.up = true;
}

static void on_message(void *ctx, struct slice message, bool binary)
{
	(void)ctx;
	MUST(message.n <= MAX_MESSAGE);
	hear(binary ? 'b' : 't', message, message.n);
	if (run.pausing)
		websocket_pause(run.ws, true);
}

static void on_big(void *ctx, struct slice first, uint64_t n_bytes)
{
	(void)ctx;
	MUST(n_bytes > MAX_MESSAGE && first.n <= n_bytes && first.n <= WEBSOCKET_KEEP_BYTES);
	hear('B', first, n_bytes);
}

static void on_close(void *ctx, const struct websocket_ended *ended)
{
	(void)ctx;
	hear('c', slice_str(ended->detail), (uint64_t)ended->why << 32 | (unsigned)ended->close_code);
	run.ended = true;
}

/* ---- one run ---- */

/* The answer that accepts run.key. */
static size_t put_answer(char *out, size_t size)
{
	unsigned char digest[EVP_MAX_MD_SIZE], accept[64];
	char text[64 + 37];
	unsigned n = 0;
	int n_text = snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", run.key);

	EVP_Digest(text, (size_t)n_text, digest, &n, EVP_sha1(), NULL);
	EVP_EncodeBlock(accept, digest, (int)n);
	return (size_t)snprintf(out, size, "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: %s\r\n\r\n", accept);
}

/* step bytes at a time. */
static uint64_t connect_and_feed(struct event_base *base, struct slice input, size_t step, unsigned flags)
{
	static const struct websocket_options options = {.url = "ws://a/", .max_message_bytes = MAX_MESSAGE,
		.connect_timeout_us = 1000000, .idle_timeout_us = 1000000, .on_open = on_open,
		.on_message = on_message, .on_big = on_big, .on_close = on_close};
	char answer[256];
	struct err err;

	run = (struct run){.pausing = flags & 2};
	MUST(websocket_open(base, &options, &run.ws, &err) == 0);
	if (flags & 1)
		websocket_skip_big(run.ws);
	run.link.o.on_up(run.link.o.ctx);
	run.step = SIZE_MAX;
	run.left = slice_of(answer, put_answer(answer, sizeof answer));
	run.link.o.on_readable(run.link.o.ctx);
	MUST(run.up && !run.ended);
	run.left = input;
	run.step = step;
	while (!run.ended) {
		if (run.pausing)
			websocket_pause(run.ws, false);
		run.link.o.on_readable(run.link.o.ctx);
	}
	MUST(run.n_told <= input.n + 1);
	websocket_close(run.ws, 1000);
	return run.heard;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct event_base *base;
	uint64_t whole, cut;

	if (!base)
		base = event_base_new();
	if (n == 0)
		return 0;
	whole = connect_and_feed(base, slice_of(data + 1, n - 1), SIZE_MAX, data[0] & 1);
	cut = connect_and_feed(base, slice_of(data + 1, n - 1), 1 + (data[0] >> 2) % 8, data[0]);
	MUST(whole == cut);
	return 0;
}
