/* SPDX-License-Identifier: MIT */
#include "io/websocket_link.h"

#include "io/websocket_lookup.h"

#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	MAX_OUTPUT = 1 << 20,
	/* An address that does not answer (IPv6 without a route) must not use up the time of the
	   rest. */
	ADDRESS_SECONDS = 3,
};

enum link_stage { LINK_LOOKUP, LINK_CONNECT, LINK_HANDSHAKE, LINK_UP, LINK_DOWN };

struct websocket_link {
	struct websocket_link_options o;
	char host[256], port[6], authority[272];
	enum link_stage stage;
	struct event_base *base;
	struct addrinfo *addresses, *next;
	struct websocket_lookup *lookup;
	int fd;
	struct event *readable, *writable, *again, *timer;
	bool tls, want;
	SSL_CTX *ssl_ctx;
	SSL *ssl;
	struct buf out;
	struct err err; /* the last failure: why the next address is tried, or the end */
};

/* ---- end ---- */

/* Back to no connection; the link stays. */
static void drop_socket(struct websocket_link *l)
{
	struct event **events[] = { &l->readable, &l->writable };

	for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
		if (*events[i])
			event_free(*events[i]);
		*events[i] = NULL;
	}
	SSL_free(l->ssl);
	l->ssl = NULL;
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

/* The link is over; the caller must not touch it afterwards. */
static void down(struct websocket_link *l, enum websocket_close why)
{
	if (l->stage == LINK_DOWN)
		return;
	l->stage = LINK_DOWN;
	event_del(l->timer);
	event_del(l->again);
	drop_socket(l);
	l->o.on_down(l->o.ctx, why, l->err.text);
}

void websocket_link_close(struct websocket_link *l)
{
	if (!l)
		return;
	drop_socket(l);
	websocket_lookup_cancel(l->lookup);
	if (l->addresses)
		freeaddrinfo(l->addresses);
	event_free(l->again);
	event_free(l->timer);
	SSL_CTX_free(l->ssl_ctx);
	buf_done(&l->out);
	free(l);
}

/* ---- TLS ---- */

/* The reason of OpenSSL's last error, the certificate's verdict first. */
static void tls_error(struct websocket_link *l)
{
	long verdict = l->ssl ? SSL_get_verify_result(l->ssl) : X509_V_OK;
	unsigned long code = ERR_get_error();
	const char *reason = ERR_reason_error_string(code);
	int saved = errno;

	ERR_clear_error();
	if (verdict != X509_V_OK)
		err_set(&l->err, "TLS with %s: certificate refused: %s", l->authority,
			X509_verify_cert_error_string(verdict));
	else if (code == 0 && saved != 0)
		err_set(&l->err, "TLS with %s: %s", l->authority, strerror(saved));
	else
		err_set(&l->err, "TLS with %s: %s", l->authority,
			reason ? reason : "connection cut");
}

/* What all addresses share: trust and versions. */
static int tls_context(struct websocket_link *l, const char *ca_file)
{
	bool own = ca_file && ca_file[0];

	l->ssl_ctx = SSL_CTX_new(TLS_client_method());
	if (!l->ssl_ctx || SSL_CTX_set_min_proto_version(l->ssl_ctx, TLS1_2_VERSION) != 1)
		return -1;
	SSL_CTX_set_verify(l->ssl_ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(
		l->ssl_ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if ((own ? SSL_CTX_load_verify_locations(l->ssl_ctx, ca_file, NULL)
		 : SSL_CTX_set_default_verify_paths(l->ssl_ctx)) == 1)
		return 0;
	ERR_clear_error();
	return err_set(&l->err, "CA file %s cannot be read: check source.ca_file",
		own ? ca_file : "of the system");
}

/* SNI and the name (or address) that the certificate must hold. */
static int tls_name(struct websocket_link *l)
{
	uint8_t binary[sizeof(struct in6_addr)];
	bool v4 = inet_pton(AF_INET, l->host, binary) == 1;

	if (v4 || inet_pton(AF_INET6, l->host, binary) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(l->ssl), l->host) == 1 ? 0 : -1;
	SSL_set_hostflags(l->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set_tlsext_host_name(l->ssl, l->host) == 1 && SSL_set1_host(l->ssl, l->host) == 1
		       ? 0
		       : -1;
}

/* ---- bytes ---- */

/* Reads the plain socket until it has no more or the room is full. */
static enum link_read read_plain(
	struct websocket_link *l, uint8_t *p, size_t room, size_t *ret_n, struct err *err)
{
	ssize_t n = recv(l->fd, p, room, MSG_DONTWAIT);

	if (n > 0) {
		*ret_n = (size_t)n;
		return (size_t)n == room ? LINK_FULL : LINK_DRAINED;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return LINK_DRAINED;
	err_set(err, "%s: %s", l->authority, n == 0 ? "connection closed" : strerror(errno));
	return LINK_LOST;
}

/* The same through TLS, whose records are at most 16 kB. A connection cut without a TLS close is
 * told apart by nobody: WebSocket has its own close. */
static enum link_read read_tls(
	struct websocket_link *l, uint8_t *p, size_t room, size_t *ret_n, struct err *err)
{
	while (*ret_n < room) {
		size_t left = room - *ret_n;
		int n = SSL_read(l->ssl, p + *ret_n, left > INT_MAX ? INT_MAX : (int)left);
		int why = n > 0 ? SSL_ERROR_NONE : SSL_get_error(l->ssl, n);

		if (n > 0) {
			*ret_n += (size_t)n;
		} else if (why == SSL_ERROR_WANT_READ) {
			return LINK_DRAINED;
		} else if (why == SSL_ERROR_WANT_WRITE) {
			event_add(l->writable, NULL);
			return LINK_DRAINED;
		} else {
			if (why == SSL_ERROR_ZERO_RETURN)
				err_set(&l->err, "%s: connection closed", l->authority);
			else
				tls_error(l);
			*err = l->err;
			return LINK_LOST;
		}
	}
	return LINK_FULL;
}

enum link_read websocket_link_read(
	struct websocket_link *l, uint8_t *p, size_t room, size_t *ret_n, struct err *err)
{
	*ret_n = 0;
	ERR_clear_error();
	return l->ssl ? read_tls(l, p, room, ret_n, err) : read_plain(l, p, room, ret_n, err);
}

/* What of the output the socket took; 0 = none now, -1 = lost. */
static ssize_t write_some(struct websocket_link *l)
{
	ssize_t n;

	if (!l->ssl) {
		n = send(l->fd, l->out.p, l->out.n, MSG_NOSIGNAL | MSG_DONTWAIT);
		return n >= 0 ? n : errno == EAGAIN || errno == EINTR ? 0 : -1;
	}
	ERR_clear_error();
	n = SSL_write(l->ssl, l->out.p, (int)l->out.n);
	if (n > 0)
		return n;
	switch (SSL_get_error(l->ssl, (int)n)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return 0;
	default:
		return -1;
	}
}

/* A broken pipe is left to the reading side, which may still find why (a close frame). */
static void flush_output(struct websocket_link *l)
{
	while (l->out.n > 0) {
		ssize_t n = write_some(l);

		if (n < 0) {
			buf_reset(&l->out);
		} else if (n == 0) {
			event_add(l->writable, NULL);
			return;
		} else {
			memmove(l->out.p, l->out.p + n, l->out.n - (size_t)n);
			l->out.n -= (size_t)n;
		}
	}
}

void websocket_link_write(struct websocket_link *l, struct slice bytes)
{
	if (l->stage != LINK_UP)
		return;
	buf_add_slice(&l->out, bytes);
	flush_output(l);
	if (l->out.n > MAX_OUTPUT) {
		err_set(&l->err, "%s: does not read what it asks us to send", l->authority);
		event_active(l->timer, EV_TIMEOUT, 0);
	}
}

void websocket_link_want(struct websocket_link *l, bool readable)
{
	l->want = readable;
	if (l->stage != LINK_UP)
		return;
	if (!readable) {
		event_del(l->readable);
		event_del(l->again);
	} else {
		event_add(l->readable, NULL);
		websocket_link_again(l);
	}
}

void websocket_link_again(struct websocket_link *l)
{
	static const struct timeval now = { 0, 0 };

	evtimer_add(l->again, &now);
}

/* ---- stages ---- */

static void try_next(struct websocket_link *l, enum websocket_close why);

/* Bytes can flow. */
static void came_up(struct websocket_link *l)
{
	l->stage = LINK_UP;
	event_del(l->timer);
	l->want = true;
	event_add(l->readable, NULL);
	l->o.on_up(l->o.ctx);
}

/* One step of the TLS handshake. */
static void shake_hands(struct websocket_link *l)
{
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_connect(l->ssl);
	if (r == 1) {
		came_up(l);
		return;
	}
	switch (SSL_get_error(l->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		event_add(l->readable, NULL);
		return;
	case SSL_ERROR_WANT_WRITE:
		event_add(l->writable, NULL);
		return;
	default:
		tls_error(l);
		try_next(l, WEBSOCKET_CLOSE_TLS);
	}
}

/* TCP is there: plain is done, TLS begins. */
static void connected(struct websocket_link *l)
{
	int error = 0;
	socklen_t size = sizeof error;

	if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error != 0) {
		err_set(&l->err, "%s: %s", l->authority, strerror(error));
		try_next(l, WEBSOCKET_CLOSE_REFUSED);
		return;
	}
	setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	if (!l->tls) {
		came_up(l);
		return;
	}
	l->stage = LINK_HANDSHAKE;
	l->ssl = SSL_new(l->ssl_ctx);
	if (!l->ssl || SSL_set_fd(l->ssl, l->fd) != 1 || tls_name(l) < 0) {
		tls_error(l);
		down(l, WEBSOCKET_CLOSE_TLS);
		return;
	}
	shake_hands(l);
}

/* The socket is readable or writable: what that means depends on the stage. */
static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct websocket_link *l = arg;

	(void)fd;
	switch (l->stage) {
	case LINK_CONNECT:
		connected(l);
		return;
	case LINK_HANDSHAKE:
		event_del(l->readable);
		shake_hands(l);
		return;
	case LINK_UP:
		flush_output(l);
		if (l->want && (what & EV_READ || l->ssl))
			l->o.on_readable(l->o.ctx);
		return;
	case LINK_LOOKUP:
	case LINK_DOWN:
		return;
	}
}

/* Begins a connection to one address; false if that failed at once. */
static bool begin_connect(struct websocket_link *l, const struct addrinfo *a)
{
	static const struct timeval patience = { ADDRESS_SECONDS, 0 };

	l->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0 || (connect(l->fd, a->ai_addr, a->ai_addrlen) < 0 && errno != EINPROGRESS)) {
		err_set(&l->err, "%s: %s", l->authority, strerror(errno));
		return false;
	}
	l->readable = event_new(l->base, l->fd, EV_READ | EV_PERSIST, on_socket, l);
	l->writable = event_new(l->base, l->fd, EV_WRITE, on_socket, l);
	if (!l->readable || !l->writable)
		abort();
	event_add(l->writable, NULL);
	if (l->next)
		evtimer_add(l->timer, &patience);
	return true;
}

/* The address before failed with l->err: the next one, or the end. */
static void try_next(struct websocket_link *l, enum websocket_close why)
{
	event_del(l->timer);
	drop_socket(l);
	l->stage = LINK_CONNECT;
	while (l->next) {
		const struct addrinfo *a = l->next;

		l->next = a->ai_next;
		if (begin_connect(l, a))
			return;
		drop_socket(l);
	}
	down(l, why);
}

/* An address took too long, or the peer let our output pile up. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct websocket_link *l = arg;

	(void)fd;
	(void)what;
	if (l->stage == LINK_UP) {
		down(l, WEBSOCKET_CLOSE_LOST);
		return;
	}
	err_set(&l->err, "%s: no answer in %d s", l->authority, ADDRESS_SECONDS);
	try_next(l, WEBSOCKET_CLOSE_REFUSED);
}

/* The look-up is over, with or without addresses. */
static void use_addresses(struct websocket_link *l, int error, struct addrinfo *list)
{
	l->addresses = l->next = list;
	if (error)
		err_set(&l->err, "%s: %s", l->host,
			error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
	try_next(l, WEBSOCKET_CLOSE_REFUSED);
}

static void on_lookup(void *ctx, int error, struct addrinfo *list)
{
	struct websocket_link *l = ctx;

	l->lookup = NULL;
	use_addresses(l, error, list);
}

/* Asks the system for the addresses, without waiting; a numeric one is there at once. */
static void begin(struct websocket_link *l)
{
	struct addrinfo *list;

	if (l->err.text[0]) {
		down(l, WEBSOCKET_CLOSE_TLS);
		return;
	}
	if (websocket_lookup_now(l->host, l->port, AI_NUMERICHOST, &list) == 0) {
		use_addresses(l, 0, list);
		return;
	}
	l->lookup = websocket_lookup_start(l->base, l->host, l->port, on_lookup, l);
	if (!l->lookup)
		use_addresses(l, EAI_SYSTEM, NULL);
}

/* The beginning, and later the calls that websocket_link_again promised. */
static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct websocket_link *l = arg;

	(void)fd;
	(void)what;
	if (l->stage != LINK_UP)
		begin(l);
	else if (l->want)
		l->o.on_readable(l->o.ctx);
}

struct websocket_link *websocket_link_open(struct event_base *base, const struct websocket_url *url,
	const char *ca_file, const struct websocket_link_options *options)
{
	struct websocket_link *l = calloc(1, sizeof *l);

	if (!l)
		abort();
	l->o = *options;
	l->base = base;
	l->fd = -1;
	l->tls = url->tls;
	memcpy(l->host, url->host, sizeof l->host);
	memcpy(l->port, url->port, sizeof l->port);
	memcpy(l->authority, url->authority, sizeof l->authority);
	l->again = evtimer_new(base, on_again, l);
	l->timer = evtimer_new(base, on_timer, l);
	if (!l->again || !l->timer)
		abort();
	if (l->tls && tls_context(l, ca_file) < 0 && !l->err.text[0])
		tls_error(l);
	websocket_link_again(l);
	return l;
}
