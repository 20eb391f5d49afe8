/* SPDX-License-Identifier: MIT */
#include "cbor_write.h"
#include "client.h"
#include "ws.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { OUT_HIGH = 2 * 1024 * 1024, CLOSE_POLICY = 1008 };

static void unref(const void *p, size_t n, void *chunk)
{
	(void)p;
	(void)n;
	chunk_unref(chunk);
}

/* Appends bytes without copying; the chunk, if any, stays until they have left. */
static void add_reference(struct evbuffer *out, const uint8_t *p, size_t n, struct chunk *chunk)
{
	if (!n)
		return;
	chunk_ref(chunk);
	if (evbuffer_add_reference(out, p, n, chunk ? unref : NULL, chunk))
		abort();
}

/* One message in fragments of the asked size. */
static void add_fragments(struct evbuffer *out, const struct frame *f, size_t n_fragment)
{
	uint8_t head[WS_HEAD_MAX];
	size_t at = 0;

	do {
		size_t n = f->n_body - at < n_fragment ? f->n_body - at : n_fragment;
		int opcode = at ? WS_CONTINUATION : WS_BINARY,
		    fin = at + n == f->n_body ? WS_FIN : 0;

		evbuffer_add(out, head, ws_head(fin | opcode, n, head));
		add_reference(out, f->body + at, n, f->chunk);
		at += n;
	} while (at < f->n_body);
}

/* A message of our own (copied). */
static void add_message(struct client *c, struct slice body)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	uint8_t head[WS_HEAD_MAX];

	evbuffer_add(out, head, ws_head(WS_FIN | WS_BINARY, body.n, head));
	evbuffer_add(out, body.p, body.n);
	c->n_sent++;
}

static void send_frame(struct client *c, const struct frame *f)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	size_t n_fragment = c->service->options->fragment_bytes;

	if (n_fragment) {
		add_fragments(out, f, n_fragment);
	} else if (f->head + f->n_head == f->body) {
		add_reference(out, f->head, f->n_head + (size_t)f->n_body, f->chunk);
	} else {
		add_reference(out, f->head, f->n_head, f->chunk);
		add_reference(out, f->body, f->n_body, f->chunk);
	}
	c->n_sent++;
}

/* An oversize message, out of the zeros that all connections share. */
static void send_zeros(struct client *c, size_t n)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	struct buf *zeros = &c->service->zeros;
	uint8_t head[WS_HEAD_MAX];

	evbuffer_add(out, head, ws_head(WS_FIN | WS_BINARY, n, head));
	for (size_t left = n; left;) {
		size_t part = left < zeros->n ? left : zeros->n;

		add_reference(out, zeros->p, part, NULL);
		left -= part;
	}
	c->n_sent++;
}

/* The frame as the fault changes it; false if it cannot. */
static bool put_changed(struct buf *out, struct slice frame, const struct fault *fault)
{
	if (fault->kind == FAULT_WRONG_CID)
		return fault_corrupt(out, frame);
	fault_flip(out, frame, fault->n_bytes);
	return true;
}

/* Sends what is asked for in place of or before the frame; true if the frame itself is dealt with.
 */
static bool send_faults(struct client *c, const struct frame *f, uint64_t seq_before)
{
	struct fault_plan *plan = &c->service->options->faults;
	const struct fault *fault;
	struct buf body = BUF_INIT;
	bool replaced = false;
	size_t at = 0;

	while ((fault = fault_next(plan, &at, seq_before, f->seq))) {
		buf_reset(&body);
		if (fault->kind == FAULT_WRONG_CID || fault->kind == FAULT_FLIP) {
			if (put_changed(&body, slice_of(f->body, f->n_body), fault)) {
				add_message(c, buf_slice(&body));
				replaced = true;
			}
			continue;
		}
		if (fault->kind == FAULT_OVERSIZE) {
			send_zeros(c, fault->n_bytes);
		} else {
			fault_garbage(&body, fault->seq);
			add_message(c, buf_slice(&body));
		}
		replaced = replaced || plan->instead;
	}
	buf_done(&body);
	return replaced;
}

/* An error frame, then close 1008 with its name: the stream ends here. */
static void send_error(struct client *c, const char *name, const char *message)
{
	struct buf body = BUF_INIT, end = BUF_INIT;

	cbor_write_map(&body, 1);
	cbor_write_str(&body, "op");
	buf_u8(&body, 0x20); /* -1 */
	cbor_write_map(&body, 2);
	cbor_write_pair(&body, "error", name);
	cbor_write_pair(&body, "message", message);
	add_message(c, buf_slice(&body));
	ws_close(&end, CLOSE_POLICY, name);
	evbuffer_add(bufferevent_get_output(c->bev), end.p, end.n);
	buf_done(&body);
	buf_done(&end);
	client_finish(c, CLIENT_CLOSING);
}

/* Tells that a range is lost. */
static void send_outdated(struct client *c)
{
	struct buf body = BUF_INIT;

	cbor_write_map(&body, 2);
	cbor_write_pair(&body, "t", "#info");
	cbor_write_str(&body, "op");
	cbor_write_uint(&body, 1);
	cbor_write_map(&body, 2);
	cbor_write_pair(&body, "name", "OutdatedCursor");
	cbor_write_pair(
		&body, "message", "Requested cursor exceeded limit. Possibly missing events");
	add_message(c, buf_slice(&body));
	buf_done(&body);
}

/* Reads a cursor: an optional minus and digits. */
static bool parse_cursor(struct slice s, int64_t *ret_cursor)
{
	char text[24], *end;

	if (!s.n || s.n >= sizeof text)
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = 0;
	if (text[0] != '-' && (text[0] < '0' || text[0] > '9'))
		return false;
	errno = 0;
	*ret_cursor = strtoll(text, &end, 10);
	return end == text + s.n && end > text + (text[0] == '-') && !errno;
}

void client_subscribe(struct client *c, const struct slice *cursor)
{
	const struct options *o = c->service->options;
	const struct frame_log *log = c->service->source.log;
	int64_t oldest = (int64_t)frame_log_oldest_seq(log),
		newest = (int64_t)frame_log_newest_seq(log);
	int64_t seq;

	c->next = log->end;
	if (!cursor)
		return;
	if (!parse_cursor(*cursor, &seq)) {
		send_error(c, "InternalServerError", "Internal Server Error");
	} else if (seq > newest) {
		if (!o->silent)
			send_error(c, "FutureCursor", "Cursor in the future.");
	} else if (seq <= 0 || seq < oldest - 1) {
		if (seq && !o->silent)
			send_outdated(c);
		c->next = log->first;
	} else {
		c->next = frame_log_after(log, (uint64_t)(o->inclusive ? seq - 1 : seq));
	}
}

bool client_hungry(const struct client *c)
{
	return c->state == CLIENT_STREAM && c->next == c->service->source.log->end &&
	       evbuffer_get_length(bufferevent_get_output(c->bev)) < OUT_HIGH;
}

/* The faults that end a connection. True if this one has ended. */
static bool ended(struct client *c)
{
	const struct fault_plan *plan = &c->service->options->faults;

	if (plan->stall && c->n_sent >= plan->stall_after) {
		c->state = CLIENT_STALLED;
		bufferevent_disable(c->bev, EV_READ);
	} else if (plan->cut_after && c->n_sent >= plan->cut_after) {
		client_finish(c, CLIENT_LAST);
	}
	return c->state != CLIENT_STREAM;
}

/* Closing a socket that lingers for no time resets the connection. */
static void reset_at_close(struct client *c)
{
	struct linger now = {.l_onoff = 1};

	setsockopt(bufferevent_getfd(c->bev), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

/* What the storm does at this frame; true if the frame is dealt with. */
static bool send_storm(struct client *c)
{
	struct service *s = c->service;
	struct buf out = BUF_INIT;
	enum storm_next next = storm_deed(&s->options->storm, s->source.log, c->next, &out);

	evbuffer_add(bufferevent_get_output(c->bev), out.p, out.n);
	buf_done(&out);
	switch (next) {
	case STORM_FRAME:
		return false;
	case STORM_RESET:
		reset_at_close(c);
		/* fall through */
	case STORM_CLOSE:
		client_finish(c, CLIENT_LAST);
		break;
	case STORM_STALL:
		c->state = CLIENT_STALLED;
		bufferevent_disable(c->bev, EV_READ);
		break;
	case STORM_SENT:
		c->next++;
		break;
	}
	return true;
}

/* Sends the frame up to the next place to cut it, and ends the connection; true if it was its turn. */
static bool send_cut(struct client *c, const struct frame *f)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	struct fault_plan *plan = &c->service->options->faults;
	size_t n, n_head;

	if (!plan->cut_within || c->n_sent < plan->cut_calm)
		return false;
	n = plan->n_cuts++ % (f->n_head + (size_t)f->n_body);
	n_head = n < f->n_head ? n : f->n_head;
	evbuffer_add(out, f->head, n_head);
	evbuffer_add(out, f->body, n - n_head);
	client_finish(c, CLIENT_LAST);
	return true;
}

/* Sends the frame c->next and what was asked to go with it. */
static void send_next(struct client *c)
{
	const struct frame_log *log = c->service->source.log;
	const struct frame *f = frame_log_at(log, c->next);
	uint64_t seq_before =
		c->next > log->first ? frame_log_at(log, c->next - 1)->seq : log->seq_before;

	if (send_cut(c, f) || (c->service->options->storm.every && send_storm(c)))
		return;
	if (!c->service->options->faults.n || !send_faults(c, f, seq_before))
		send_frame(c, f);
	c->next++;
	c->wrote = true;
}

void client_fill(struct client *c)
{
	const struct frame_log *log = c->service->source.log;
	struct evbuffer *out = bufferevent_get_output(c->bev);

	if (c->state == CLIENT_STREAM && c->next < log->first) {
		send_error(c, "ConsumerTooSlow", "Stream consumer too slow");
		return;
	}
	while (c->state == CLIENT_STREAM && !ended(c) && c->next < log->end &&
		evbuffer_get_length(out) < OUT_HIGH)
		send_next(c);
}
