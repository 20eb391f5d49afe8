/* SPDX-License-Identifier: MIT */
#include "io/websocket.h"

#include "base/buf.h"
#include "base/clock.h"
#include "io/websocket_link.h"
#include "io/websocket_upgrade.h"

#include <event2/event.h>
#include <wslay/wslay.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
	INPUT_BYTES = WEBSOCKET_INPUT_BYTES,
	KEEP_MESSAGE = 256 << 10, /* a larger message buffer is given back */
	MAX_CONTROL = 125,
	WATCHDOG_LOOKS = 8, /* in an idle timeout: its error is an eighth */
};

enum socket_stage { WS_CONNECT, WS_OPEN, WS_ENDED };

struct websocket {
	struct websocket_options o;
	struct websocket_link *link;
	struct event *timer; /* connect timeout, then the watchdog */
	enum socket_stage stage;
	bool paused, skip_big;
	bool freed; /* websocket_close came while inside */
	int inside; /* depth of our own calls: memory stays until 0 */

	char *url_text; /* our copy: url borrows from it */
	struct websocket_url url;
	struct websocket_upgrade upgrade;
	wslay_frame_context_ptr frames;
	int64_t heard_us, pinged_us;

	uint8_t *input;
	size_t in_off, in_n;

	/* the frame and the message under way */
	bool in_frame, in_message, skipping;
	uint8_t opcode; /* of the message */
	uint64_t frame_left, message_bytes;
	struct buf message;
	uint8_t control[MAX_CONTROL];
	size_t n_control;
};

static const char *const close_names[N_WEBSOCKET_CLOSES] = {
#define X(name, text) [WEBSOCKET_CLOSE_##name] = text,
	WEBSOCKET_CLOSES(X)
#undef X
};

const char *websocket_close_name(enum websocket_close why)
{
	return close_names[why];
}

/* ---- life and end ---- */

/* Frees everything; only while no call of ours is under way. */
static void destroy(struct websocket *ws)
{
	websocket_link_close(ws->link);
	event_free(ws->timer);
	websocket_upgrade_done(&ws->upgrade);
	wslay_frame_context_free(ws->frames);
	buf_done(&ws->message);
	free(ws->input);
	free(ws->url_text);
	free(ws);
}

/* Every entry from the loop is inside++ ... leave, so that callbacks may close. */
static void leave(struct websocket *ws)
{
	if (--ws->inside == 0 && ws->freed)
		destroy(ws);
}

/* Callbacks may have closed or paused it. */
static bool reading(const struct websocket *ws)
{
	return ws->stage == WS_OPEN && !ws->paused;
}

/* Ends the connection and tells it, once. */
static void end(struct websocket *ws, struct websocket_ended *ended, const char *detail)
{
	if (ws->stage == WS_ENDED)
		return;
	ws->stage = WS_ENDED;
	event_del(ws->timer);
	websocket_link_want(ws->link, false);
	snprintf(ended->detail, sizeof ended->detail, "%s", detail);
	ws->inside++;
	ws->o.on_close(ws->o.ctx, ended);
	leave(ws);
}

/* An end that has nothing to tell but why. */
static void end_with(struct websocket *ws, enum websocket_close why, const char *detail)
{
	end(ws, &(struct websocket_ended){ .why = why }, detail);
}

/* ---- sending ---- */

/* wslay's way out. */
static ssize_t give_bytes(const uint8_t *p, size_t n, int flags, void *ctx)
{
	struct websocket *ws = ctx;

	(void)flags;
	websocket_link_write(ws->link, slice_of(p, n));
	return (ssize_t)n;
}

/* RFC 6455 wants masks that nobody can foresee. */
static int make_mask(uint8_t *p, size_t n, void *ctx)
{
	(void)ctx;
	return getrandom(p, n, 0) == (ssize_t)n ? 0 : -1;
}

/* The link buffers, so a control frame always goes out whole. */
static void send_control(struct websocket *ws, uint8_t opcode, struct slice payload)
{
	/* fin, rsv, opcode, whole length, mask, and the part given now: all of it */
	struct wslay_frame_iocb frame = { 1, 0, opcode, payload.n, 1, payload.p, payload.n };

	if (wslay_frame_send(ws->frames, &frame) < 0)
		end_with(ws, WEBSOCKET_CLOSE_LOST, "a control frame could not be sent");
}

/* code 0: a close frame without one. */
static void send_close(struct websocket *ws, int code)
{
	uint8_t payload[2] = { (uint8_t)(code >> 8), (uint8_t)code };

	send_control(ws, WSLAY_CONNECTION_CLOSE, slice_of(payload, code ? sizeof payload : 0));
}

/* The peer broke the rules. */
static void protocol_error(struct websocket *ws, const char *detail)
{
	send_close(ws, WSLAY_CODE_PROTOCOL_ERROR);
	end_with(ws, WEBSOCKET_CLOSE_PROTOCOL, detail);
}

/* ---- receiving ---- */

/* wslay's way in; -1 means that nothing is left now. */
static ssize_t take_bytes(uint8_t *p, size_t n, int flags, void *ctx)
{
	struct websocket *ws = ctx;
	size_t there = ws->in_n - ws->in_off;

	(void)flags;
	if (there == 0)
		return -1;
	n = n < there ? n : there;
	memcpy(p, ws->input + ws->in_off, n);
	ws->in_off += n;
	return (ssize_t)n;
}

static const struct wslay_frame_callbacks frame_callbacks = { give_bytes, take_bytes, make_mask };

/* The other side's close frame: answered with the same code. */
static void peer_closed(struct websocket *ws)
{
	struct websocket_ended ended = { .why = WEBSOCKET_CLOSE_PEER };
	char reason[MAX_CONTROL + 1] = "";

	if (ws->n_control >= 2) {
		ended.close_code = ws->control[0] << 8 | ws->control[1];
		memcpy(reason, ws->control + 2, ws->n_control - 2);
	}
	send_close(ws, ended.close_code);
	end(ws, &ended, reason);
}

/* A control frame is complete. */
static void control_done(struct websocket *ws, uint8_t opcode)
{
	if (opcode == WSLAY_CONNECTION_CLOSE)
		peer_closed(ws);
	else if (opcode == WSLAY_PING)
		send_control(ws, WSLAY_PONG, slice_of(ws->control, ws->n_control));
	ws->n_control = 0;
}

/* The message's last byte is there. */
static void message_done(struct websocket *ws)
{
	struct slice message = buf_slice(&ws->message);

	ws->in_message = false;
	if (!ws->skipping)
		ws->o.on_message(ws->o.ctx, message, ws->opcode == WSLAY_BINARY_FRAME);
	else if (ws->o.on_big)
		ws->o.on_big(ws->o.ctx, message, ws->message_bytes);
	if (ws->message.cap > KEEP_MESSAGE)
		buf_done(&ws->message);
	buf_reset(&ws->message);
}

/* What a frame's header says against the rules of RFC 6455; NULL if it keeps them. */
static const char *frame_fault(const struct websocket *ws, const struct wslay_frame_iocb *frame)
{
	if (frame->rsv != 0)
		return "reserved bits set";
	if (frame->mask)
		return "masked frame from a server";
	switch (frame->opcode) {
	case WSLAY_CONTINUATION_FRAME:
		return ws->in_message ? NULL : "continuation of nothing";
	case WSLAY_TEXT_FRAME:
	case WSLAY_BINARY_FRAME:
		return ws->in_message ? "new message inside a message" : NULL;
	case WSLAY_CONNECTION_CLOSE:
		return frame->payload_length == 1 ? "close frame of one byte" : NULL;
	case WSLAY_PING:
	case WSLAY_PONG:
		return NULL;
	default:
		return "unknown opcode";
	}
}

/* A data frame begins: is its message still of a size that we hold? */
static void data_begins(struct websocket *ws, const struct wslay_frame_iocb *frame)
{
	if (frame->opcode != WSLAY_CONTINUATION_FRAME) {
		ws->in_message = true;
		ws->skipping = false;
		ws->opcode = frame->opcode;
		ws->message_bytes = 0;
	}
	if (frame->payload_length > UINT64_MAX / 2 - ws->message_bytes) {
		protocol_error(ws, "length without end");
		return;
	}
	ws->message_bytes += frame->payload_length;
	if (ws->message_bytes <= ws->o.max_message_bytes || ws->skipping)
		return;
	if (ws->skip_big) {
		ws->skipping = true;
		if (ws->message.n > WEBSOCKET_KEEP_BYTES)
			ws->message.n = WEBSOCKET_KEEP_BYTES;
		return;
	}
	send_close(ws, WSLAY_CODE_MESSAGE_TOO_BIG);
	end_with(ws, WEBSOCKET_CLOSE_TOO_BIG, "a message over the limit");
}

/* Takes one piece of one frame, as wslay cuts them. */
static void take_piece(struct websocket *ws, const struct wslay_frame_iocb *frame)
{
	bool control = wslay_is_ctrl_frame(frame->opcode);

	if (!ws->in_frame) {
		const char *fault = frame_fault(ws, frame);

		if (fault) {
			protocol_error(ws, fault);
			return;
		}
		ws->in_frame = true;
		ws->frame_left = frame->payload_length;
		if (!control)
			data_begins(ws, frame);
		if (ws->stage != WS_OPEN)
			return;
	}
	if (control) {
		assert(ws->n_control + frame->data_length <= MAX_CONTROL);
		memcpy(ws->control + ws->n_control, frame->data, frame->data_length);
		ws->n_control += frame->data_length;
	} else {
		size_t room = ws->skipping ? WEBSOCKET_KEEP_BYTES - ws->message.n : SIZE_MAX;

		buf_add(&ws->message, frame->data,
			frame->data_length < room ? frame->data_length : room);
	}
	ws->frame_left -= frame->data_length;
	if (ws->frame_left > 0)
		return;
	ws->in_frame = false;
	if (control)
		control_done(ws, frame->opcode);
	else if (frame->fin)
		message_done(ws);
}

/* Takes every whole piece of the input. */
static void take_input(struct websocket *ws)
{
	while (reading(ws)) {
		struct wslay_frame_iocb frame = { 0 };
		ssize_t r = wslay_frame_recv(ws->frames, &frame);

		if (r == WSLAY_ERR_WANT_READ)
			return;
		if (r < 0)
			protocol_error(ws, "broken frame header");
		else
			take_piece(ws, &frame);
	}
}

/* Reads and takes once; the loop comes again if there is more. */
static void pump(struct websocket *ws)
{
	enum link_read r;
	struct err err;

	take_input(ws); /* what a pause left */
	if (!reading(ws))
		return;
	ws->in_off = 0;
	r = websocket_link_read(ws->link, ws->input, INPUT_BYTES, &ws->in_n, &err);
	if (ws->in_n > 0)
		ws->heard_us = clock_mono_us();
	take_input(ws);
	if (ws->stage != WS_OPEN)
		return;
	if (r == LINK_LOST && !ws->paused)
		end_with(ws, WEBSOCKET_CLOSE_LOST, err.text);
	else if (r == LINK_FULL && !ws->paused)
		websocket_link_again(ws->link);
	else if (r == LINK_DRAINED && !ws->paused && ws->o.on_drained)
		ws->o.on_drained(ws->o.ctx);
}

/* ---- upgrade ---- */

static void arm(struct websocket *ws, int64_t us)
{
	struct timeval tv = { us / 1000000, us % 1000000 };

	evtimer_add(ws->timer, &tv);
}

/* The upgrade is accepted. */
static void opened(struct websocket *ws)
{
	if (wslay_frame_context_init(&ws->frames, &frame_callbacks, ws) != 0)
		abort();
	ws->stage = WS_OPEN;
	ws->heard_us = clock_mono_us();
	arm(ws, ws->o.idle_timeout_us / WATCHDOG_LOOKS + 1);
	ws->o.on_open(ws->o.ctx);
	take_input(ws); /* frames that came right behind the answer */
	if (reading(ws) && ws->o.on_drained)
		ws->o.on_drained(ws->o.ctx);
}

/* Bytes before the upgrade is done. */
static void read_answer(struct websocket *ws)
{
	struct websocket_ended ended = { .why = WEBSOCKET_CLOSE_UPGRADE };
	struct err err = { "" }, lost;
	enum link_read r;
	enum upgrade_status status;
	size_t used;

	r = websocket_link_read(ws->link, ws->input, INPUT_BYTES, &ws->in_n, &lost);
	status = websocket_upgrade_feed(&ws->upgrade, slice_of(ws->input, ws->in_n), &used, &err);
	if (status == UPGRADE_OK) {
		ws->in_off = used;
		opened(ws);
		if (r == LINK_FULL && reading(ws))
			websocket_link_again(ws->link);
	} else if (status == UPGRADE_MORE) {
		if (r == LINK_LOST)
			end_with(ws, WEBSOCKET_CLOSE_LOST, lost.text);
	} else {
		ended.http_status = ws->upgrade.http_status;
		ended.retry_after_s = ws->upgrade.retry_after_s;
		end(ws, &ended, err.text);
	}
}

static void on_up(void *ctx)
{
	struct websocket *ws = ctx;
	struct buf request = BUF_INIT;

	websocket_upgrade_request(&ws->upgrade, &ws->url, &request);
	websocket_link_write(ws->link, buf_slice(&request));
	buf_done(&request);
}

static void on_readable(void *ctx)
{
	struct websocket *ws = ctx;

	ws->inside++;
	if (ws->stage == WS_CONNECT)
		read_answer(ws);
	else
		pump(ws);
	leave(ws);
}

static void on_down(void *ctx, enum websocket_close why, const char *detail)
{
	end_with(ctx, why, detail);
}

/* Connect timeout, or the watchdog's look at the clock. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct websocket *ws = arg;
	int64_t silent_us = clock_mono_us() - ws->heard_us;

	(void)fd;
	(void)what;
	ws->inside++;
	if (ws->stage == WS_CONNECT) {
		end_with(ws, WEBSOCKET_CLOSE_TIMEOUT, "no connection in time");
	} else if (!ws->paused && silent_us >= ws->o.idle_timeout_us) {
		end_with(ws, WEBSOCKET_CLOSE_IDLE, "not a byte, not even a pong");
	} else {
		arm(ws, ws->o.idle_timeout_us / WATCHDOG_LOOKS + 1);
		if (!ws->paused && silent_us >= ws->o.idle_timeout_us / 2 &&
			ws->pinged_us <= ws->heard_us) {
			ws->pinged_us = clock_mono_us();
			send_control(ws, WSLAY_PING, slice_of(NULL, 0));
		}
	}
	leave(ws);
}

/* ---- interface ---- */

int websocket_open(struct event_base *base, const struct websocket_options *options,
	struct websocket **ret_ws, struct err *err)
{
	struct websocket_link_options link = { on_up, on_readable, on_down, NULL };
	uint8_t nonce[UPGRADE_NONCE];
	struct websocket_url url;
	struct websocket *ws;

	if (!websocket_url_parse(options->url, &url))
		return err_set(err, "%s is no ws:// or wss:// URL", options->url);
	ws = calloc(1, sizeof *ws);
	if (!ws || getrandom(nonce, sizeof nonce, 0) != (ssize_t)sizeof nonce)
		abort();
	ws->o = *options;
	ws->input = malloc(INPUT_BYTES);
	ws->url_text = strdup(options->url);
	ws->timer = evtimer_new(base, on_timer, ws);
	if (!ws->input || !ws->url_text || !ws->timer ||
		!websocket_url_parse(ws->url_text, &ws->url))
		abort();
	websocket_upgrade_begin(&ws->upgrade, nonce);
	arm(ws, ws->o.connect_timeout_us);
	link.ctx = ws;
	ws->link = websocket_link_open(base, &ws->url, options->ca_file, &link);
	*ret_ws = ws;
	return 0;
}

void websocket_pause(struct websocket *ws, bool paused)
{
	if (ws->paused == paused || ws->stage != WS_OPEN)
		return;
	ws->paused = paused;
	ws->heard_us = clock_mono_us();
	websocket_link_want(ws->link, !paused);
}

void websocket_skip_big(struct websocket *ws)
{
	ws->skip_big = true;
}

void websocket_close(struct websocket *ws, int code)
{
	if (!ws)
		return;
	if (ws->stage == WS_OPEN) {
		ws->stage = WS_ENDED;
		send_close(ws, code);
	}
	ws->stage = WS_ENDED;
	ws->freed = true;
	if (ws->inside == 0)
		destroy(ws);
}
