/* SPDX-License-Identifier: MIT */
#include "client.h"
#include "ws.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <wslay/wslay.h>

enum {
	OUT_LOW = 512 * 1024,
	WRITE_MAX = 1024 * 1024,
	CLOSE_WAIT_S = 2,
	CLIENT_MESSAGE_MAX = 64 * 1024
};

static void set_timer(struct client *c, time_t seconds)
{
	struct timeval tv = {.tv_sec = seconds};

	event_add(c->timer, &tv);
}

void client_finish(struct client *c, enum client_state state)
{
	c->state = state;
	bufferevent_setwatermark(c->bev, EV_WRITE, 0, 0);
	set_timer(c, CLOSE_WAIT_S);
}

/* wslay asks for bytes of the peer. */
static ssize_t on_want_bytes(wslay_event_context_ptr ws, uint8_t *p, size_t n, int flags, void *arg)
{
	struct client *c = arg;
	int got = evbuffer_remove(bufferevent_get_input(c->bev), p, n);

	(void)flags;
	if (got <= 0) {
		wslay_event_set_error(ws, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	return got;
}

/* wslay sends a control frame. */
static ssize_t on_send(wslay_event_context_ptr ws, const uint8_t *p, size_t n, int flags, void *arg)
{
	struct client *c = arg;

	(void)flags;
	if (evbuffer_add(bufferevent_get_output(c->bev), p, n)) {
		wslay_event_set_error(ws, WSLAY_ERR_CALLBACK_FAILURE);
		return -1;
	}
	return (ssize_t)n;
}

static const struct wslay_event_callbacks ws_callbacks = {
	.recv_callback = on_want_bytes,
	.send_callback = on_send,
};

/* Answers pings and close frames; everything else a subscriber sends is ignored. */
static void read_ws(struct client *c)
{
	bool failed = wslay_event_recv(c->ws) != 0;

	/* After our own close frame nothing may follow. */
	if (!failed && c->state == CLIENT_STREAM)
		failed = wslay_event_send(c->ws) != 0;
	if (failed || wslay_event_get_close_received(c->ws) || !wslay_event_get_read_enabled(c->ws))
		client_finish(c, CLIENT_LAST);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	uint8_t ping[WS_HEAD_MAX];
	struct client *c = arg;

	(void)fd;
	(void)what;
	if (c->state == CLIENT_CLOSING || c->state == CLIENT_LAST) {
		client_free(c);
		return;
	}
	if (c->state == CLIENT_STREAM && !c->wrote)
		bufferevent_write(c->bev, ping, ws_head(WS_FIN | WS_PING, 0, ping));
	c->wrote = false;
	set_timer(c, (time_t)c->service->options->ping_s);
}

static void refuse(struct client *c, int status)
{
	struct buf out = BUF_INIT;

	ws_refuse(&out, status);
	bufferevent_write(c->bev, out.p, out.n);
	buf_done(&out);
	client_finish(c, CLIENT_LAST);
}

/* Opens the WebSocket and begins the stream. */
static void upgrade(struct client *c, const struct ws_request *request)
{
	struct buf out = BUF_INIT;
	struct slice cursor;
	bool has_cursor = ws_query_find(request->query, "cursor", &cursor);

	if (storm_answer(&c->service->options->storm, &out)) {
		bufferevent_write(c->bev, out.p, out.n);
		buf_done(&out);
		client_finish(c, CLIENT_LAST);
		return;
	}
	if (wslay_event_context_server_init(&c->ws, &ws_callbacks, c))
		abort();
	wslay_event_config_set_max_recv_msg_length(c->ws, CLIENT_MESSAGE_MAX);
	ws_answer(&out, request->key);
	bufferevent_write(c->bev, out.p, out.n);
	buf_done(&out);
	c->state = CLIENT_STREAM;
	set_timer(c, (time_t)c->service->options->ping_s);
	client_subscribe(c, has_cursor ? &cursor : NULL);
	if (!c->service->drip)
		client_fill(c);
	service_wake(c->service);
}

/* Reads the request head once it is whole. */
static void read_request(struct client *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
	struct ws_request request;
	uint8_t text[WS_REQUEST_MAX];
	size_t n = end.pos < 0 ? evbuffer_get_length(in) : (size_t)end.pos + 2;
	int status;

	if (n > sizeof text) {
		refuse(c, 431);
		return;
	}
	if (end.pos < 0)
		return;
	evbuffer_remove(in, text, n);
	evbuffer_drain(in, 2);
	status = ws_request_parse(slice_of(text, n), &request);
	if ((status == 101 || status == 426) &&
		!slice_is(request.path, "/xrpc/com.atproto.sync.subscribeRepos"))
		status = 404;
	if (status == 101)
		upgrade(c, &request);
	else
		refuse(c, status);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct client *c = arg;

	if (c->state == CLIENT_REQUEST)
		read_request(c);
	if (c->ws && (c->state == CLIENT_STREAM || c->state == CLIENT_CLOSING))
		read_ws(c);
	else if (c->state == CLIENT_LAST)
		evbuffer_drain(bufferevent_get_input(bev), SIZE_MAX);
	if (c->state == CLIENT_LAST && evbuffer_get_length(bufferevent_get_output(bev)) == 0)
		client_free(c);
}

static void on_write(struct bufferevent *bev, void *arg)
{
	struct client *c = arg;

	if (c->state == CLIENT_STREAM) {
		if (c->service->drip && !c->n_sent) /* the answer has left */
			bufferevent_set_rate_limit(bev, c->service->drip);
		client_fill(c);
		if (client_hungry(c))
			service_wake(c->service);
	} else if (c->state == CLIENT_LAST &&
		   evbuffer_get_length(bufferevent_get_output(bev)) == 0) {
		client_free(c);
	}
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		client_free(arg);
}

void client_new(struct service *service, int fd)
{
	struct client *c = calloc(1, sizeof *c);
	int options = BEV_OPT_CLOSE_ON_FREE;

	if (!c)
		abort();
	c->service = service;
	c->bev = service->tls ? bufferevent_openssl_socket_new(service->base, fd,
					SSL_new(service->tls), BUFFEREVENT_SSL_ACCEPTING, options)
			      : bufferevent_socket_new(service->base, fd, options);
	c->timer = evtimer_new(service->base, on_timer, c);
	if (!c->bev || !c->timer)
		abort();
	if (service->tls)
		bufferevent_openssl_set_allow_dirty_shutdown(c->bev, 1);
	bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
	bufferevent_setwatermark(c->bev, EV_WRITE, OUT_LOW, 0);
	bufferevent_set_max_single_write(c->bev, WRITE_MAX);
	LIST_INSERT_HEAD(&service->clients, c, link);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

void client_free(struct client *c)
{
	LIST_REMOVE(c, link);
	if (c->ws)
		wslay_event_context_free(c->ws);
	event_free(c->timer);
	bufferevent_free(c->bev);
	free(c);
}
