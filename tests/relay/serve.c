/* SPDX-License-Identifier: MIT */
#include "serve.h"
#include "base/clock.h"
#include "client.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>

/* Frames made at once: small with PACE_MAX, where making one may cost 60 us and connections wait.
 */
enum { BURST_MAX = 64, BURST_RATE = 1024, TICK_US = 2000, ZEROS_BYTES = 1024 * 1024 };

static bool anybody_hungry(const struct service *s)
{
	const struct client *c;

	LIST_FOREACH(c, &s->clients, link)
	if (client_hungry(c))
		return true;
	return false;
}

/* How many frames are due now. */
static size_t n_due(const struct service *s)
{
	double due;

	if (s->finished || !s->begun_us)
		return 0;
	if (s->options->pace == PACE_MAX)
		return anybody_hungry(s) ? BURST_MAX : 0;
	due = (double)(clock_mono_us() - s->begun_us) * 1e-6 * s->options->rate - (double)s->n_made;
	return due < 1 ? 0 : due > BURST_RATE ? BURST_RATE : (size_t)due;
}

/* Asks for the next look at the pacing: at once, or when a frame can be due. */
static void arm(struct service *s)
{
	struct timeval tv = {0};

	if (s->options->pace == PACE_RATE) {
		double us = 1e6 / s->options->rate;

		us = us < TICK_US ? TICK_US : us > 1e6 ? 1e6 : us;
		tv = (struct timeval){
			.tv_sec = (time_t)(us / 1e6), .tv_usec = (suseconds_t)us % 1000000};
	}
	event_add(s->tick, &tv);
}

/* Makes the due frames visible and hands them out. */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct service *s = arg;
	size_t n = n_due(s), n_made = n ? s->source.advance(s->source.ctx, n) : 0;
	struct client *c;

	(void)fd;
	(void)what;
	s->n_made += n_made;
	s->finished = s->finished || n_made < n;
	if (n_made)
		LIST_FOREACH(c, &s->clients, link)
	client_fill(c);
	if (!s->finished && (s->options->pace == PACE_RATE || anybody_hungry(s)))
		arm(s);
}

void service_wake(struct service *s)
{
	if (s->finished || s->options->pace == PACE_DEFAULT)
		return;
	if (!s->begun_us)
		s->begun_us = clock_mono_us();
	if (!event_pending(s->tick, EV_TIMEOUT, NULL))
		arm(s);
}

static void on_accept(
	struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *from, int n, void *arg)
{
	int one = 1;

	(void)l;
	(void)from;
	(void)n;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	client_new(arg, fd);
}

static void on_signal(evutil_socket_t signal, short what, void *arg)
{
	(void)signal;
	(void)what;
	event_base_loopbreak(arg);
}

/* Loads certificate and key if TLS is asked for. */
static int open_tls(struct service *s, struct err *err)
{
	const struct options *o = s->options;

	if (!o->tls_cert)
		return 0;
	s->tls = SSL_CTX_new(TLS_server_method());
	if (!s->tls || SSL_CTX_use_certificate_chain_file(s->tls, o->tls_cert) != 1 ||
		SSL_CTX_use_PrivateKey_file(s->tls, o->tls_key, SSL_FILETYPE_PEM) != 1)
		return err_set(err, "--tls %s %s: %s", o->tls_cert, o->tls_key,
			ERR_reason_error_string(ERR_get_error()));
	return 0;
}

/* Reads "HOST:PORT" or "[V6]:PORT", numeric (libevent's parser refuses port 0). */
static int parse_address(const char *text, struct addrinfo **ret_address, struct err *err)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM};
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2] = "";
	size_t n = colon ? (size_t)(colon - text) : sizeof host;
	bool brackets = n >= 2 && n < sizeof host && text[0] == '[' && text[n - 1] == ']';

	if (n >= sizeof host)
		return err_set(err, "--listen %s: not IP:PORT", text);
	memcpy(host, text + brackets, n - 2 * brackets);
	if (getaddrinfo(host, colon + 1, &hints, ret_address))
		return err_set(err, "--listen %s: not IP:PORT", text);
	return 0;
}

/* Prints the address that was bound. */
static int announce(const struct service *s, int fd, struct err *err)
{
	struct sockaddr_storage at = {0};
	socklen_t n_at = sizeof at;
	char host[INET6_ADDRSTRLEN], port[sizeof "65535"];
	bool v6;

	if (getsockname(fd, (struct sockaddr *)&at, &n_at))
		return err_set(err, "getsockname: %s", strerror(errno));
	if (getnameinfo((struct sockaddr *)&at, n_at, host, sizeof host, port, sizeof port,
		    NI_NUMERICHOST | NI_NUMERICSERV))
		return err_set(err, "getnameinfo failed");
	v6 = at.ss_family == AF_INET6;
	printf("listening %s://%s%s%s:%s\n", s->tls ? "wss" : "ws", v6 ? "[" : "", host,
		v6 ? "]" : "", port);
	return fflush(stdout) ? err_set(err, "stdout: %s", strerror(errno)) : 0;
}

/* Listens and says where. */
static int open_listener(struct service *s, struct evconnlistener **ret_listener, struct err *err)
{
	struct addrinfo *at;

	if (parse_address(s->options->listen, &at, err))
		return -1;
	*ret_listener = evconnlistener_new_bind(s->base, on_accept, s,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, -1, at->ai_addr,
		(int)at->ai_addrlen);
	freeaddrinfo(at);
	if (!*ret_listener)
		return err_set(err, "cannot listen on %s: %s", s->options->listen, strerror(errno));
	return announce(s, evconnlistener_get_fd(*ret_listener), err);
}

/* Frames that are past before anybody can connect. */
static void make_past(struct service *s)
{
	const struct options *o = s->options;
	uint64_t left = o->past_given ? o->past : o->pace == PACE_DEFAULT ? UINT64_MAX : 0;

	while (left && !s->finished) {
		size_t n = left < BURST_RATE ? left : BURST_RATE;

		s->finished = s->source.advance(s->source.ctx, n) < n;
		left -= n;
	}
}

static void close_clients(struct service *s)
{
	struct client *c = LIST_FIRST(&s->clients);

	while (c) {
		struct client *next = LIST_NEXT(c, link);

		client_free(c);
		c = next;
	}
}

/* Prepares everything, then loops until a signal. */
static int run(struct service *s, struct evconnlistener **listener, struct event *signals[2],
	struct err *err)
{
	s->tick = evtimer_new(s->base, on_tick, s);
	signals[0] = evsignal_new(s->base, SIGTERM, on_signal, s->base);
	signals[1] = evsignal_new(s->base, SIGINT, on_signal, s->base);
	if (!s->tick || !signals[0] || !signals[1])
		abort();
	event_add(signals[0], NULL);
	event_add(signals[1], NULL);
	if (s->options->drip_bytes)
		s->drip = ev_token_bucket_cfg_new(EV_RATE_LIMIT_MAX, EV_RATE_LIMIT_MAX,
			s->options->drip_bytes, s->options->drip_bytes, NULL);
	if (open_tls(s, err))
		return -1;
	make_past(s);
	if (open_listener(s, listener, err))
		return -1;
	return event_base_dispatch(s->base) < 0 ? err_set(err, "event loop: %s", strerror(errno))
						: 0;
}

int serve_run(struct options *options, struct source source, struct err *err)
{
	struct service s = {.options = options, .source = source, .base = event_base_new()};
	struct evconnlistener *listener = NULL;
	struct event *signals[2] = {NULL};
	int r;

	if (!s.base)
		abort();
	signal(SIGPIPE, SIG_IGN);
	memset(buf_room(&s.zeros, ZEROS_BYTES), 0, ZEROS_BYTES);
	s.zeros.n = ZEROS_BYTES;
	r = run(&s, &listener, signals, err);
	close_clients(&s);
	if (listener)
		evconnlistener_free(listener);
	event_free(signals[0]);
	event_free(signals[1]);
	event_free(s.tick);
	event_base_free(s.base);
	if (s.drip)
		ev_token_bucket_cfg_free(s.drip);
	SSL_CTX_free(s.tls);
	buf_done(&s.zeros);
	return r;
}
