/* SPDX-License-Identifier: MIT */
#include "storm.h"
#include "cbor_write.h"
#include "ws.h"

enum {
	ANSWER_PERCENT = 35, /* of the connections */
	FELL_BEHIND = 1000,
	OVERSIZE_BYTES = 5000001,
	WS_TEXT = 1,
	WS_PONG = 10,
};

/* What the storm says while it does one thing. */
struct doing {
	struct storm *storm;
	const struct frame_log *log;
	uint64_t index;
	struct slice frame;
	struct buf *out;
};

/* Every card once, then all of them again, in another order. */
static unsigned deal(struct storm *storm, struct deck *deck, unsigned n_cards)
{
	if (deck->n_left == 0) {
		for (unsigned i = 0; i < n_cards; i++)
			deck->cards[i] = (uint8_t)i;
		for (unsigned i = n_cards - 1; i > 0; i--) {
			unsigned j = (unsigned)rng_below(&storm->rng, i + 1);
			uint8_t card = deck->cards[i];

			deck->cards[i] = deck->cards[j];
			deck->cards[j] = card;
		}
		deck->n_left = n_cards;
	}
	return deck->cards[--deck->n_left];
}

static void begin(struct storm *storm)
{
	if (storm->begun)
		return;
	storm->rng = rng_seeded(storm->seed);
	storm->begun = true;
}

/* Frames until the next deed. */
static void calm_down(struct storm *storm)
{
	storm->n_calm = storm->every / 2 + rng_below(&storm->rng, storm->every);
}

/* ---- answers ---- */

bool storm_answer(struct storm *storm, struct buf *out)
{
#define OPEN "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	static const char *const answers[N_STORM_ANSWERS] = {
		[STORM_ANSWER_too_many_requests] = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n\r\n",
		[STORM_ANSWER_internal_error] = "HTTP/1.1 500 Internal Server Error\r\n\r\n",
		[STORM_ANSWER_bad_gateway] = "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html>",
		[STORM_ANSWER_unavailable] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: soon\r\n\r\n",
		[STORM_ANSWER_redirect] = "HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\n\r\n",
		[STORM_ANSWER_html] = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<!doctype html><title>relay</title>",
		[STORM_ANSWER_forbidden] = "HTTP/1.1 403 Forbidden\r\n\r\n",
		[STORM_ANSWER_wrong_accept] = OPEN "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n\x82\x01x",
		[STORM_ANSWER_no_accept] = OPEN "\r\n\x82\x01x",
		[STORM_ANSWER_deflate] = OPEN "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
		[STORM_ANSWER_subprotocol] = OPEN "Sec-WebSocket-Protocol: chat\r\n\r\n",
		[STORM_ANSWER_no_http] = "SSH-2.0-OpenSSH_9.2\r\n\r\n",
		[STORM_ANSWER_half_answer] = OPEN,
		[STORM_ANSWER_endless_answer] = "HTTP/1.1 101 x\r\n",
	};
#undef OPEN
	unsigned answer;

	if (!storm->every)
		return false;
	begin(storm);
	calm_down(storm); /* a connection that did well is missed sooner */
	if (!rng_percent(&storm->rng, ANSWER_PERCENT))
		return false;
	answer = deal(storm, &storm->answers, N_STORM_ANSWERS);
	storm->n_answers[answer]++;
	buf_add_str(out, answers[answer]);
	for (int i = 0; answer == STORM_ANSWER_endless_answer && i < 2000; i++)
		buf_printf(out, "X-Header-%d: endless\r\n", i);
	return true;
}

/* ---- messages ---- */

static void put_head(struct buf *out, int first, uint64_t n)
{
	uint8_t head[WS_HEAD_MAX];

	buf_add(out, head, ws_head(first, n, head));
}

static void put_message(struct buf *out, struct slice body)
{
	put_head(out, WS_FIN | WS_BINARY, body.n);
	buf_add_slice(out, body);
}

/* A frame of that type whose body is {seq: that item, did, time}. */
static void put_identity(struct buf *out, const void *seq, size_t n_seq)
{
	struct buf body = BUF_INIT;

	cbor_write_map(&body, 2);
	cbor_write_pair(&body, "t", "#identity");
	cbor_write_str(&body, "op");
	cbor_write_uint(&body, 1);
	cbor_write_map(&body, 3);
	cbor_write_pair(&body, "did", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa");
	cbor_write_str(&body, "seq");
	buf_add(&body, seq, n_seq);
	cbor_write_pair(&body, "time", "2026-06-01T00:00:00.000Z");
	put_message(out, buf_slice(&body));
	buf_done(&body);
}

/* {t: type, op: 1} {key: value} */
static void put_named(struct buf *out, const char *type, const char *key, const char *value)
{
	struct buf body = BUF_INIT;

	cbor_write_map(&body, type ? 2 : 1);
	if (type)
		cbor_write_pair(&body, "t", type);
	cbor_write_str(&body, "op");
	if (type)
		cbor_write_uint(&body, 1);
	else
		buf_u8(&body, 0x20); /* -1 */
	cbor_write_map(&body, 1);
	cbor_write_pair(&body, key, value);
	put_message(out, buf_slice(&body));
	buf_done(&body);
}

static uint64_t below(struct doing *d, uint64_t n)
{
	return rng_below(&d->storm->rng, n);
}

/* ---- deeds ---- */

/* The frame up to any of its bytes, its head included. */
static void put_part(struct doing *d)
{
	size_t before = d->out->n;

	put_message(d->out, d->frame);
	d->out->n = before + below(d, d->out->n - before);
}

static enum storm_next do_cut(struct doing *d)
{
	put_part(d);
	return STORM_CLOSE;
}

static enum storm_next do_reset(struct doing *d)
{
	put_part(d);
	return STORM_RESET;
}

static enum storm_next do_stall(struct doing *d)
{
	(void)d;
	return STORM_STALL;
}

static enum storm_next do_garbage(struct doing *d)
{
	uint8_t bytes[200];
	size_t n = 1 + below(d, sizeof bytes);

	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)below(d, 256);
	bytes[0] = 0xff; /* no item begins so */
	put_message(d->out, slice_of(bytes, n));
	return STORM_FRAME;
}

static enum storm_next do_text(struct doing *d)
{
	put_head(d->out, WS_FIN | WS_TEXT, d->frame.n);
	buf_add_slice(d->out, d->frame);
	return STORM_FRAME;
}

static enum storm_next do_truncated(struct doing *d)
{
	put_message(d->out, slice_of(d->frame.p, below(d, d->frame.n)));
	return STORM_FRAME;
}

static enum storm_next do_trailing(struct doing *d)
{
	put_head(d->out, WS_FIN | WS_BINARY, d->frame.n + 1);
	buf_add_slice(d->out, d->frame);
	buf_u8(d->out, (uint8_t)below(d, 256));
	return STORM_FRAME;
}

static enum storm_next do_empty(struct doing *d)
{
	put_message(d->out, slice_of(NULL, 0));
	return STORM_FRAME;
}

/* A frame that went out before, n indices back or the oldest. */
static void put_older(struct doing *d, uint64_t n)
{
	uint64_t first = d->log->first, index = d->index - first > n ? d->index - n : first;
	const struct frame *f = frame_log_at(d->log, index);

	put_message(d->out, slice_of(f->body, f->n_body));
}

static enum storm_next do_again(struct doing *d)
{
	if (d->index > d->log->first)
		put_older(d, 1);
	return STORM_FRAME;
}

static enum storm_next do_fell(struct doing *d)
{
	if (d->index > d->log->first)
		put_older(d, 1 + below(d, FELL_BEHIND));
	return STORM_FRAME;
}

static enum storm_next do_seq_zero(struct doing *d)
{
	put_identity(d->out, "\x00", 1);
	return STORM_FRAME;
}

static enum storm_next do_seq_negative(struct doing *d)
{
	put_identity(d->out, "\x20", 1);
	return STORM_FRAME;
}

static enum storm_next do_seq_53_bits(struct doing *d)
{
	put_identity(d->out, "\x1b\x00\x20\x00\x00\x00\x00\x00\x00", 9);
	return STORM_FRAME;
}

/* A header and a body that is no DAG-CBOR, or would ask for more memory than there is. */
static enum storm_next do_hostile_cbor(struct doing *d)
{
	static const struct {
		const char *bytes;
		size_t n;
	} bodies[] = {
		{"\xbf\xff", 2}, {"\x9f\xff", 2}, {"\x5f\x40\xff", 3}, {"\xa1\x61\x61\x18\x01", 5},
		{"\xa2\x61\x61\x01\x61\x61\x02", 7}, {"\xa2\x61\x62\x01\x61\x61\x02", 7},
		{"\xa1\x61\x61\xfb\x7f\xf8\x00\x00\x00\x00\x00\x00", 12}, {"\xa1\x61\x61\xf9\x3c\x00", 6},
		{"\xa1\x61\x61\xc1\x00", 5}, {"\xa1\x61\x61\xd8\x2a\x58\x25\x00", 8}, {"\xa1\x61\x61\xf7", 4},
		{"\xa1\x61\x61\x63\xed\xa0\x80", 7}, {"\x9b\x00\x00\x00\x01\x00\x00\x00\x00", 9},
		{"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", 9}, {"\x7b\x7f\xff\xff\xff\xff\xff\xff\xff", 9},
		{"\xbb\x80\x00\x00\x00\x00\x00\x00\x00", 9}, {"\xa1\x01\x02", 3},
	};
	static const char header[] = "\xa2\x61t\x67#commit\x62op\x01";
	size_t which = below(d, sizeof bodies / sizeof *bodies + 1);
	struct buf body = BUF_INIT;

	buf_add(&body, header, sizeof header - 1);
	if (which < sizeof bodies / sizeof *bodies) {
		buf_add(&body, bodies[which].bytes, bodies[which].n);
	} else {
		memset(buf_room(&body, 1000000), 0x81, 1000000); /* arrays in arrays */
		body.n += 1000000;
	}
	for (int i = 0; i < 8; i++) /* no two are the same message */
		buf_u8(&body, (uint8_t)below(d, 256));
	put_message(d->out, buf_slice(&body));
	buf_done(&body);
	return STORM_FRAME;
}

static enum storm_next do_oversize(struct doing *d)
{
	size_t n = OVERSIZE_BYTES + below(d, 1000000);

	put_head(d->out, WS_FIN | WS_BINARY, n);
	memset(buf_room(d->out, n), 0, n);
	d->out->n += n;
	return STORM_FRAME;
}

/* A head as it stands, and a few bytes behind it. */
static enum storm_next put_raw(struct doing *d, const char *bytes, size_t n)
{
	buf_add(d->out, bytes, n);
	buf_add_str(d->out, "and what follows");
	return STORM_FRAME;
}

#define DO_RAW(name, bytes)                                                                        \
	static enum storm_next do_##name(struct doing *d)                                          \
	{                                                                                          \
		return put_raw(d, bytes, sizeof bytes - 1);                                        \
	}

DO_RAW(length_63_bits, "\x82\x7f\x80\0\0\0\0\0\0\0")
DO_RAW(length_40_bits, "\x82\x7f\0\0\1\0\0\0\0\0")
DO_RAW(reserved_bit, "\xc2\x10")
DO_RAW(reserved_opcode, "\x83\x10")
DO_RAW(masked, "\x82\x90" "mask")
DO_RAW(long_control, "\x89\x7e\x00\x80")
DO_RAW(split_control, "\x09\x10")
DO_RAW(lone_continuation, "\x80\x10")
DO_RAW(nested_message, "\x02\x01x\x82\x10")
DO_RAW(short_close, "\x88\x01x")

static enum storm_next do_close(struct doing *d)
{
	ws_close(d->out, 1001, "going away");
	return STORM_CLOSE;
}

static enum storm_next do_too_slow(struct doing *d)
{
	put_named(d->out, NULL, "error", "ConsumerTooSlow");
	ws_close(d->out, 1008, "ConsumerTooSlow");
	return STORM_CLOSE;
}

static enum storm_next do_unknown_error(struct doing *d)
{
	put_named(d->out, NULL, "error", "SomethingElse");
	return STORM_CLOSE;
}

static enum storm_next do_info(struct doing *d)
{
	put_named(d->out, "#info", "name", "SomethingToKnow");
	return STORM_FRAME;
}

static enum storm_next do_unknown_type(struct doing *d)
{
	put_named(d->out, "#ofTomorrow", "name", "value");
	return STORM_FRAME;
}

static enum storm_next do_unknown_op(struct doing *d)
{
	static const char frame[] = "\xa2\x61t\x67#commit\x62op\x07\xa0";

	put_message(d->out, slice_of(frame, sizeof frame - 1));
	return STORM_FRAME;
}

/* Legal: the frame in fragments of a few bytes, some of them empty, and pings in between. */
static enum storm_next do_fragments(struct doing *d)
{
	size_t at = 0;

	put_head(d->out, WS_BINARY, 0);
	while (at < d->frame.n) {
		size_t left = d->frame.n - at, n = below(d, 8);

		n = n < left ? n : left;
		if (below(d, 16) == 0)
			put_head(d->out, WS_FIN | WS_PING, 0);
		put_head(d->out, WS_CONTINUATION, n);
		buf_add(d->out, d->frame.p + at, n);
		at += n;
	}
	put_head(d->out, WS_FIN | WS_CONTINUATION, 0);
	return STORM_SENT;
}

/* Legal: control frames at their limit, and pongs nobody asked for. */
static enum storm_next do_pings(struct doing *d)
{
	char payload[125];

	memset(payload, 'p', sizeof payload);
	for (int i = 0; i < 20; i++) {
		put_head(d->out, WS_FIN | (i % 2 ? WS_PING : WS_PONG), sizeof payload);
		buf_add(d->out, payload, sizeof payload);
	}
	return STORM_FRAME;
}

static enum storm_next (*const deeds[N_STORM_DEEDS])(struct doing *d) = {
#define X(name) [STORM_##name] = do_##name,
	STORM_DEEDS(X)
#undef X
};

enum storm_next storm_deed(
	struct storm *storm, const struct frame_log *log, uint64_t index, struct buf *out)
{
	const struct frame *f = frame_log_at(log, index);
	struct doing d = {storm, log, index, slice_of(f->body, f->n_body), out};
	unsigned deed;

	if (!storm->every || !d.frame.n || storm->n_calm-- > 0)
		return STORM_FRAME;
	calm_down(storm);
	deed = deal(storm, &storm->deeds, N_STORM_DEEDS);
	storm->n_deeds[deed]++;
	return deeds[deed](&d);
}

void storm_report(const struct storm *storm, FILE *out)
{
	static const char *const answers[] = {
#define X(name) #name,
		STORM_ANSWERS(X)
	};
	static const char *const names[] = {STORM_DEEDS(X)
#undef X
	};

	if (!storm->every)
		return;
	fputs("storm", out);
	for (int i = 0; i < N_STORM_ANSWERS; i++)
		fprintf(out, " answer_%s=%llu", answers[i], (unsigned long long)storm->n_answers[i]);
	for (int i = 0; i < N_STORM_DEEDS; i++)
		fprintf(out, " %s=%llu", names[i], (unsigned long long)storm->n_deeds[i]);
	fputc('\n', out);
}
