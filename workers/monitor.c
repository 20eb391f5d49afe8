/* SPDX-License-Identifier: MIT
 *
 * The monitor: metrics, health and a status page over HTTP, from nothing but the counters' page. It
 * depends on nobody and nobody on it: without its address it waits and tries again.
 * One request per connection, no bodies, at most MAX_CONNECTIONS at a time, each for TIMEOUT_S
 * without progress and LIFE_S in all. Whatever comes beyond that, or faster than WINDOW_CONNECTIONS in
 * WINDOW_US, waits in the kernel, where it costs nothing but a place in a short queue.
 */
#include "base/clock.h"
#include "base/log.h"
#include "monitor_page_stamp.h"
#include "workers/child.h"
#include "workers/monitor_history.h"
#include "workers/monitor_metrics.h"
#include "workers/monitor_status.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	MAX_CONNECTIONS = 64,
	WINDOW_US = 100000,
	WINDOW_CONNECTIONS = 10,
	MAX_HEADER_BYTES = 8192,
	TIMEOUT_S = 5,
	LIFE_S = 10,
	RETRY_US = 1000000,
	SAMPLE_US = 1000000,
	NICENESS = 10,
	SERVED = EVHTTP_REQ_GET | EVHTTP_REQ_HEAD,
	/* these get a 405, all others a 501 */
	UNDERSTOOD = SERVED | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
		EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH,
};

/* The status page, as it is in monitor_page.html. Global, because with -flto the assembler's part and the
 * rest of this file are different objects. */
__asm__(".pushsection .rodata\n"
	".global standpipe_monitor_page\n"
	".hidden standpipe_monitor_page\n"
	"standpipe_monitor_page:\n"
	".incbin \"" MONITOR_PAGE "\"\n"
	".byte 0\n"
	".popsection\n");
extern const char page_html[] __asm__("standpipe_monitor_page");

/* Which socket a descriptor was when last looked at, and since when. */
struct place {
	uint64_t inode; /* 0: none */
	int64_t since_us;
};

struct monitor {
	struct child *child;
	struct event_base *base;
	struct evhttp *http;
	struct evconnlistener *listener; /* evhttp's */
	struct event *listen, *sample, *gate, *drain;
	bool told;	    /* that the address is not to be had */
	int first_fd;	    /* of connections, once we listen */
	int64_t window_us;  /* since when n_accepted are counted */
	int n_accepted;
	struct place places[MAX_CONNECTIONS]; /* by descriptor, from first_fd on */
	struct complaint full;
	struct monitor_sample samples[2]; /* the older one first: rates are since that */
	struct monitor_history history;
	unsigned n_samples;
};

static void arm(struct event *timer, int64_t us)
{
	struct timeval tv = { us / 1000000, us % 1000000 };

	if (evtimer_add(timer, &tv) < 0)
		abort();
}

/* ---- answers: each appends the body and returns the HTTP status ---- */

static int put_metrics(const struct monitor *m, struct buf *out)
{
	monitor_metrics_put(m->child->page, out);
	return HTTP_OK;
}

static int put_health(const struct monitor *m, struct buf *out)
{
	(void)m;
	buf_add_str(out, "ok\n");
	return HTTP_OK;
}

static int put_ready(const struct monitor *m, struct buf *out)
{
	bool ready = monitor_status_ready(m->child->page, out);

	buf_add_str(out, ready ? "ready\n" : "\n");
	return ready ? HTTP_OK : HTTP_SERVUNAVAIL;
}

static int put_status(const struct monitor *m, struct buf *out)
{
	struct monitor_status st = { .page = m->child->page, .before = m->samples[0] };

	monitor_status_look(&st);
	monitor_status_put_json(&st, out);
	monitor_status_done(&st);
	return HTTP_OK;
}

static int put_history(const struct monitor *m, struct buf *out)
{
	monitor_history_put_json(&m->history, out);
	return HTTP_OK;
}

static int put_page(const struct monitor *m, struct buf *out)
{
	(void)m;
	buf_add_str(out, page_html);
	return HTTP_OK;
}

/* THE table of paths. */
static const struct answer {
	const char *path, *type;
	int (*put)(const struct monitor *m, struct buf *out);
} answers[] = {
	{ "/", "text/html; charset=utf-8", put_page },
	{ "/healthz", "text/plain; charset=utf-8", put_health },
	{ "/history.json", "application/json", put_history },
	{ "/metrics", "text/plain; version=0.0.4; charset=utf-8", put_metrics },
	{ "/readyz", "text/plain; charset=utf-8", put_ready },
	{ "/status.json", "application/json", put_status },
};

static const struct answer *find_answer(const char *path)
{
	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
		if (path && strcmp(answers[i].path, path) == 0)
			return &answers[i];
	return NULL;
}

/* ---- one request ---- */

static void put_header(struct evhttp_request *req, const char *name, const char *value)
{
	if (evhttp_add_header(evhttp_request_get_output_headers(req), name, value) < 0)
		abort();
}

/* The length is that of the whole body also where HEAD leaves it out. */
static void reply(struct evhttp_request *req, int code, const char *type, const struct buf *body)
{
	struct evbuffer *out = NULL;
	char length[24];

	snprintf(length, sizeof length, "%zu", body->n);
	put_header(req, "Content-Type", type);
	put_header(req, "Content-Length", length);
	put_header(req, "Cache-Control", "no-store");
	put_header(req, "X-Content-Type-Options", "nosniff");
	put_header(req, "Content-Security-Policy",
		"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
		"connect-src 'self'; img-src data:; frame-ancestors 'none'");
	/* nobody keeps a place */
	put_header(req, "Connection", "close");
	if (evhttp_request_get_command(req) != EVHTTP_REQ_HEAD) {
		out = evbuffer_new();
		if (!out || evbuffer_add(out, body->p, body->n) < 0)
			abort();
	}
	evhttp_send_reply(req, code, NULL, out);
	if (out)
		evbuffer_free(out);
}

static void on_request(struct evhttp_request *req, void *ctx)
{
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
	const struct answer *answer = find_answer(path);
	const char *type = answer ? answer->type : "text/plain; charset=utf-8";
	struct buf body = BUF_INIT;
	int code = HTTP_NOTFOUND;

	if (!(evhttp_request_get_command(req) & SERVED)) {
		code = HTTP_BADMETHOD;
		put_header(req, "Allow", "GET, HEAD");
		type = "text/plain; charset=utf-8";
		buf_add_str(&body, "GET and HEAD only\n");
	} else if (answer) {
		code = answer->put(ctx, &body);
	} else {
		buf_add_str(&body, "not here; there are / /healthz /history.json /metrics /readyz /status.json\n");
	}
	reply(req, code, type, &body);
	buf_done(&body);
}

/* ---- connections ---- */

/* The kernel hands out the lowest free descriptor, and here nothing but connections takes any. */
static int next_fd(void)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	if (fd >= 0)
		close(fd);
	return fd;
}

static bool is_full(const struct monitor *m)
{
	int next = next_fd();

	return next < 0 || next >= m->first_fd + MAX_CONNECTIONS;
}

/* evhttp has accepted one. If it was the last for now, the others wait until on_gate. */
static struct bufferevent *on_accept(struct event_base *base, void *ctx)
{
	struct monitor *m = ctx;
	int64_t now_us = clock_mono_us();

	(void)base;
	if (now_us - m->window_us >= WINDOW_US) {
		m->window_us = now_us;
		m->n_accepted = 0;
	}
	if (++m->n_accepted >= WINDOW_CONNECTIONS || is_full(m)) {
		evconnlistener_disable(m->listener);
		arm(m->gate, m->window_us + WINDOW_US - now_us);
	}
	return NULL; /* an ordinary one */
}

static void on_gate(evutil_socket_t timer, short what, void *ctx)
{
	struct monitor *m = ctx;

	(void)timer;
	(void)what;
	if (!is_full(m)) {
		evconnlistener_enable(m->listener);
		return;
	}
	if (complaint_due(&m->full))
		log_warning("monitor.full", "connections=%d: the next wait until one ends, idle ones do after %d s%s",
			MAX_CONNECTIONS, TIMEOUT_S, m->full.repeated);
	arm(m->gate, WINDOW_US);
}

/* Ends those who hold their place too long by a byte now and then: evhttp only knows progress. */
static void end_old(struct monitor *m)
{
	int64_t now_us = clock_mono_us();

	for (int i = 0; m->first_fd && i < MAX_CONNECTIONS; i++) {
		struct place *place = &m->places[i];
		struct stat st = { 0 };

		if (fstat(m->first_fd + i, &st) < 0)
			st.st_ino = 0;
		if (st.st_ino != place->inode)
			*place = (struct place){ st.st_ino, now_us };
		else if (st.st_ino && now_us - place->since_us >= LIFE_S * 1000000LL)
			shutdown(m->first_fd + i, SHUT_RDWR);
	}
}

/* ---- the address ---- */

/* Where "HOST:PORT" is split; brackets of an IPv6 address go. */
struct address {
	char host[256];
	uint16_t port;
};

static struct address parse_address(const char *text)
{
	const char *colon = strrchr(text, ':');
	struct address a = { .port = (uint16_t)strtoul(colon + 1, NULL, 10) };
	bool brackets = text[0] == '[';

	snprintf(a.host, sizeof a.host, "%.*s", (int)(colon - text) - 2 * brackets,
		text + brackets);
	return a;
}

/* It is not to be had: said once, shown until it is. */
static void wait_for_address(struct monitor *m, const char *why)
{
	char text[240];

	snprintf(text, sizeof text, "http.listen %.150s: %.60s", m->child->conf->http.listen, why);
	if (!m->told)
		log_warning("monitor.not_listening",
			"%s: trying again every second; the pipeline is not concerned", text);
	m->told = true;
	child_set_state(m->child, CHILD_WAITING, text);
	arm(m->listen, RETRY_US);
}

static void on_listen(evutil_socket_t timer, short what, void *ctx)
{
	struct monitor *m = ctx;
	const char *address = m->child->conf->http.listen;
	struct address a = parse_address(address);
	struct evhttp_bound_socket *bound;

	(void)timer;
	(void)what;
	errno = 0;
	bound = evhttp_bind_socket_with_handle(m->http, a.host, a.port);
	/* as many may wait as have a place; evhttp's own queue is longer */
	if (!bound || listen(evhttp_bound_socket_get_fd(bound), MAX_CONNECTIONS) < 0) {
		wait_for_address(m, errno ? strerror(errno) : "no such host");
		return;
	}
	m->listener = evhttp_bound_socket_get_listener(bound);
	m->first_fd = next_fd();
	log_notice("monitor.listening", "url=http://%s/", address);
	child_set_state(m->child, CHILD_IDLE, NULL);
}

/* ---- the loop ---- */

static void on_sample(evutil_socket_t timer, short what, void *ctx)
{
	struct monitor *m = ctx;

	(void)timer;
	(void)what;
	m->samples[0] = m->samples[1];
	monitor_sample_take(m->child->page, &m->samples[1]);
	if (++m->n_samples % HISTORY_SECONDS == 0)
		monitor_history_add(&m->history, m->child->page);
	end_old(m);
}

static void on_drain_event(evutil_socket_t timer, short what, void *ctx)
{
	struct monitor *m = ctx;

	(void)timer;
	(void)what;
	child_set_state(m->child, CHILD_DRAINING, NULL);
	event_base_loopbreak(m->base);
}

/* May come before the loop runs. */
static void on_drain(void *ctx)
{
	struct monitor *m = ctx;

	arm(m->drain, 0);
}

/* What libevent has to say about a connection is of no use to people. */
static void on_libevent_log(int severity, const char *text)
{
	(void)severity;
	log_debug("monitor.libevent", "%s", text);
}

/* What a request may be, and who answers it. */
static void set_rules(struct monitor *m)
{
	evhttp_set_allowed_methods(m->http, UNDERSTOOD);
	evhttp_set_max_headers_size(m->http, MAX_HEADER_BYTES);
	evhttp_set_max_body_size(m->http, 0);
	evhttp_set_timeout(m->http, TIMEOUT_S);
	evhttp_set_bevcb(m->http, on_accept, m);
	evhttp_set_gencb(m->http, on_request, m);
}

static int monitor_init(struct monitor *m, struct child *c, struct err *err)
{
	*m = (struct monitor){ .child = c, .base = event_base_new() };
	event_set_log_callback(on_libevent_log);
	m->http = m->base ? evhttp_new(m->base) : NULL;
	if (!m->http)
		abort();
	set_rules(m);
	m->listen = evtimer_new(m->base, on_listen, m);
	m->sample = event_new(m->base, -1, EV_PERSIST, on_sample, m);
	m->gate = evtimer_new(m->base, on_gate, m);
	m->drain = evtimer_new(m->base, on_drain_event, m);
	if (!m->listen || !m->sample || !m->gate || !m->drain)
		abort();
	monitor_sample_take(c->page, &m->samples[1]);
	m->samples[0] = m->samples[1];
	monitor_history_add(&m->history, c->page);
	arm(m->listen, 0);
	arm(m->sample, SAMPLE_US);
	return child_attach(c, m->base, on_drain, m, err);
}

static void monitor_done(struct monitor *m)
{
	struct event *events[] = { m->listen, m->sample, m->gate, m->drain };

	evhttp_free(m->http);
	for (size_t i = 0; i < sizeof events / sizeof *events; i++)
		event_free(events[i]);
	child_done(m->child);
	event_base_free(m->base);
}

int monitor_main(struct child *c)
{
	struct monitor m;
	struct err err;
	int code = 0;

	/* whatever HTTP clients want, the pipeline comes first, and is not interrupted for it */
	setpriority(PRIO_PROCESS, 0, NICENESS);
	sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){ 0 });
	if (monitor_init(&m, c, &err) < 0) {
		log_error("monitor.not_started", "error=%s", LOG_QUOTED(err.text));
		code = 70;
	} else {
		/* at once: nothing else depends on whether the address is free */
		child_ready(c);
		event_base_dispatch(m.base);
	}
	monitor_done(&m);
	return code;
}
