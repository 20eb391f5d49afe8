/* SPDX-License-Identifier: MIT */
#include "io/fetch.h"

#include "base/buf.h"
#include "io/address.h"
#include "io/websocket_lookup.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_HEADER_BYTES = 16384 };

struct fetcher {
	struct event_base *base;
	SSL_CTX *tls;
	bool any_address;
	struct fetch *first;
};

struct fetch {
	struct fetcher *fetcher;
	struct fetch *next;
	bool tls;
	char host[256], port[8];
	char *path;
	int max_per_address;
	char address[NI_MAXHOST]; /* numeric; empty until known */
	struct websocket_lookup *lookup;
	struct evhttp_connection *connection;
	struct event *timeout, *finished;
	struct buf body;
	struct fetch_answer answer;
	bool answered;
	fetch_done *on_done;
	void *ctx;
};

/* ---- the end of a fetch ---- */

static void fetch_free(struct fetch *f)
{
	struct fetch **at = &f->fetcher->first;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	websocket_lookup_cancel(f->lookup);
	if (f->connection)
		evhttp_connection_free(f->connection);
	event_free(f->timeout);
	event_free(f->finished);
	buf_done(&f->body);
	free(f->path);
	free(f);
}

/* From a turn of the loop of its own: nothing of libevent's is on the stack. */
static void on_finished(evutil_socket_t fd, short what, void *ctx)
{
	struct fetch *f = ctx;

	(void)fd;
	(void)what;
	f->answer.body = buf_slice(&f->body);
	f->on_done(f->ctx, &f->answer);
	fetch_free(f);
}

/* The first word counts. */
static void finish(struct fetch *f, enum fetch_result result)
{
	struct timeval now = { 0 };

	if (f->answered)
		return;
	f->answered = true;
	f->answer.result = result;
	evtimer_add(f->finished, &now);
}

static void fail(struct fetch *f, enum fetch_result result, const char *what)
{
	if (f->answered)
		return;
	err_set(&f->answer.err, "%s: %s", f->host, what);
	finish(f, result);
}

static void on_timeout(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	fail(ctx, FETCH_FAILED, "no answer in time");
}

/* ---- the request ---- */

static void on_error(enum evhttp_request_error error, void *ctx)
{
	if (error == EVREQ_HTTP_DATA_TOO_LONG)
		fail(ctx, FETCH_REFUSED, "the answer is too large");
	else if (error == EVREQ_HTTP_TIMEOUT)
		fail(ctx, FETCH_FAILED, "no answer in time");
	else
		fail(ctx, FETCH_FAILED, "no HTTP answer: connection refused or cut, or its certificate is not trusted");
}

static void on_response(struct evhttp_request *request, void *ctx)
{
	struct fetch *f = ctx;
	struct evbuffer *body;
	size_t n;

	if (!request || !evhttp_request_get_response_code(request)) {
		on_error(EVREQ_HTTP_EOF, f);
		return;
	}
	body = evhttp_request_get_input_buffer(request);
	n = evbuffer_get_length(body);
	if (n > FETCH_MAX_BYTES) {
		on_error(EVREQ_HTTP_DATA_TOO_LONG, f);
		return;
	}
	f->answer.http_status = evhttp_request_get_response_code(request);
	if (n && evbuffer_copyout(body, buf_room(&f->body, n), n) == (ev_ssize_t)n)
		f->body.n += n;
	finish(f, FETCH_ANSWER);
}

/* TLS that wants a certificate for the name, or, for the operator's own directory, for the address. */
static struct bufferevent *tls_event(struct fetch *f)
{
	SSL *ssl = SSL_new(f->fetcher->tls);
	uint8_t binary[sizeof(struct in6_addr)];
	struct bufferevent *event;
	bool named, numeric = inet_pton(AF_INET, f->host, binary) == 1 || inet_pton(AF_INET6, f->host, binary) == 1;

	if (!ssl)
		abort();
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	named = numeric ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), f->host) == 1 :
			  SSL_set_tlsext_host_name(ssl, f->host) == 1 && SSL_set1_host(ssl, f->host) == 1;
	event = named ? bufferevent_openssl_socket_new(f->fetcher->base, -1, ssl, BUFFEREVENT_SSL_CONNECTING,
				BEV_OPT_CLOSE_ON_FREE) : NULL;
	if (event)
		bufferevent_openssl_set_allow_dirty_shutdown(event, 1);
	else
		SSL_free(ssl);
	return event;
}

/* Everything but the sending. */
static bool open_connection(struct fetch *f)
{
	struct bufferevent *event = f->tls ? tls_event(f) :
		bufferevent_socket_new(f->fetcher->base, -1, BEV_OPT_CLOSE_ON_FREE);

	if (event)
		f->connection = evhttp_connection_base_bufferevent_new(
			f->fetcher->base, NULL, event, f->address, (unsigned short)atoi(f->port));
	if (!f->connection)
		return false;
	evhttp_connection_set_max_body_size(f->connection, FETCH_MAX_BYTES);
	evhttp_connection_set_max_headers_size(f->connection, MAX_HEADER_BYTES);
	evhttp_connection_set_timeout(f->connection, FETCH_TIMEOUT_S);
	return true;
}

static void send_request(struct fetch *f)
{
	struct evhttp_request *request;
	struct evkeyvalq *headers;

	if (!open_connection(f)) {
		fail(f, FETCH_FAILED, "no connection can be made");
		return;
	}
	request = evhttp_request_new(on_response, f);
	if (!request)
		abort();
	evhttp_request_set_error_cb(request, on_error);
	headers = evhttp_request_get_output_headers(request);
	evhttp_add_header(headers, "Host", f->host);
	evhttp_add_header(headers, "Accept", "application/did+ld+json, application/json");
	evhttp_add_header(headers, "User-Agent", "standpipe/" STANDPIPE_VERSION);
	evhttp_add_header(headers, "Connection", "close");
	if (evhttp_make_request(f->connection, request, EVHTTP_REQ_GET, f->path) < 0)
		fail(f, FETCH_FAILED, "no request can be sent");
}

/* ---- the address ---- */

static int n_at_address(const struct fetch *f)
{
	int n = 0;

	for (const struct fetch *other = f->fetcher->first; other; other = other->next)
		n += other != f && strcmp(other->address, f->address) == 0;
	return n;
}

/* One address that is not public spoils all: whoever owns the name could mean that one. */
static bool all_public(const struct addrinfo *list)
{
	for (; list; list = list->ai_next)
		if (!address_is_public(list->ai_addr))
			return false;
	return true;
}

static void on_lookup(void *ctx, int error, struct addrinfo *list)
{
	struct fetch *f = ctx;

	f->lookup = NULL;
	if (error == EAI_NONAME || error == EAI_NODATA)
		fail(f, FETCH_FAILED, "no such name");
	else if (error || !list)
		fail(f, FETCH_FAILED, gai_strerror(error));
	else if (!f->fetcher->any_address && !all_public(list))
		fail(f, FETCH_REFUSED, "its address is not public");
	else if (getnameinfo(list->ai_addr, list->ai_addrlen, f->address, sizeof f->address, NULL, 0, NI_NUMERICHOST))
		fail(f, FETCH_FAILED, "its address cannot be written");
	else if (n_at_address(f) >= f->max_per_address)
		fail(f, FETCH_FAILED, "too many questions for its address at the same time");
	else if (!f->answered)
		send_request(f);
	if (list)
		freeaddrinfo(list);
}

struct fetch *fetch_start(struct fetcher *fetcher, const struct fetch_target *target, fetch_done *on_done, void *ctx)
{
	struct timeval timeout = { FETCH_TIMEOUT_S, 0 };
	struct fetch *f = calloc(1, sizeof *f);

	if (!f)
		abort();
	*f = (struct fetch){ .fetcher = fetcher, .next = fetcher->first, .tls = target->tls,
		.max_per_address = target->max_per_address, .on_done = on_done, .ctx = ctx };
	fetcher->first = f;
	snprintf(f->host, sizeof f->host, "%s", target->host);
	snprintf(f->port, sizeof f->port, "%s", target->port);
	f->path = strdup(target->path);
	f->timeout = evtimer_new(fetcher->base, on_timeout, f);
	f->finished = evtimer_new(fetcher->base, on_finished, f);
	if (!f->path || !f->timeout || !f->finished)
		abort();
	evtimer_add(f->timeout, &timeout);
	f->lookup = websocket_lookup_start(fetcher->base, f->host, f->port, on_lookup, f);
	if (!f->lookup)
		fail(f, FETCH_FAILED, "its address cannot be looked up now");
	return f;
}

void fetch_cancel(struct fetch *fetch)
{
	fetch_free(fetch);
}

/* ---- what all share ---- */

int fetcher_new(struct event_base *base, bool any_address, struct fetcher **ret, struct err *err)
{
	struct fetcher *f = calloc(1, sizeof *f);

	if (!f)
		abort();
	*f = (struct fetcher){ .base = base, .any_address = any_address, .tls = SSL_CTX_new(TLS_client_method()) };
	*ret = f;
	if (!f->tls || SSL_CTX_set_min_proto_version(f->tls, TLS1_2_VERSION) != 1 ||
		SSL_CTX_set_default_verify_paths(f->tls) != 1) {
		ERR_clear_error();
		return err_set(err, "the system's certificate authorities cannot be read: install ca-certificates");
	}
	SSL_CTX_set_verify(f->tls, SSL_VERIFY_PEER, NULL);
	return 0;
}

struct fetcher *fetcher_free(struct fetcher *fetcher)
{
	if (!fetcher)
		return NULL;
	while (fetcher->first)
		fetch_free(fetcher->first);
	SSL_CTX_free(fetcher->tls);
	free(fetcher);
	return NULL;
}
