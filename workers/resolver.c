/* SPDX-License-Identifier: MIT
 *
 * resolver - the one process that asks strangers: DID documents of accounts whose key is wanted
 *
 * What is wanted stands in standpipe.identities. A look claims what is due for a while, so that a killed
 * resolver loses nothing but time. A definite answer, a key or none, is stored together with the mark on the
 * events that were parked before it was asked for; then the workers go on. No answer is asked for again with
 * growing pauses, until it has been wanted for pending.expire.
 * Owns: its connections. Must not know: Redis, events.
 */
#include "workers/child.h"

#include "base/clock.h"
#include "domain/diddoc.h"
#include "io/fetch.h"
#include "io/pg.h"
#include "workers/did_place.h"
#include "workers/resolver_store.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	TICK_US = 100000,
	RETRY_US = 2000000, /* PostgreSQL is away */
	MAX_RUNNING = 16,
	MAX_AT_ADDRESS = 4,
	PER_SECOND = 50, /* questions begun, of all kinds: a directory of everybody deserves some calm */
	HTTP_OK = 200,
	HTTP_NOT_FOUND = 404,
	HTTP_GONE = 410,
	HTTP_TOO_MANY = 429,
};

/* One DID, from the claim until its answer is written. */
struct question {
	struct resolver *resolver;
	bool taken, answered;
	struct arena arena; /* of what the answer borrows */
	struct did_answer answer;
};

struct resolver {
	struct child *child;
	struct event_base *base;
	struct event *tick;
	struct pg *pg;
	struct fetcher *fetcher;
	struct resolver_store store;
	struct question questions[MAX_RUNNING];
	double tokens;
	int64_t tokens_us, next_look_us;
	struct complaint no_postgres;
};

static enum wait_result wait_postgres(void *ctx, int fd, short events, int64_t deadline_us)
{
	struct resolver *r = ctx;

	return child_wait_through(r->child, fd, events, deadline_us);
}

/* ---- answers ---- */

/* What a status other than 200 means. */
static void judge_status(int status, struct did_answer *a)
{
	a->definite = status == HTTP_NOT_FOUND || status == HTTP_GONE ||
		(status >= 300 && status < 500 && status != HTTP_TOO_MANY);
	if (status == HTTP_NOT_FOUND || status == HTTP_GONE)
		err_set(&a->err, "there is no such DID (any more): HTTP %d", status);
	else if (status >= 300 && status < 400)
		err_set(&a->err, "HTTP %d: redirects are not followed", status);
	else
		err_set(&a->err, "HTTP %d", status);
}

static void judge_document(struct slice body, struct arena *arena, struct did_answer *a)
{
	struct diddoc doc;

	a->definite = true;
	if (diddoc_parse(body, a->did, arena, &doc, &a->err) < 0)
		return;
	a->key = doc.key;
	a->pds = doc.pds;
	a->handle = doc.handle;
	if (doc.key.curve == SIGN_NONE)
		err_set(&a->err, "the document has no usable #atproto key");
}

static void on_answer(void *ctx, const struct fetch_answer *answer)
{
	struct question *q = ctx;
	struct did_answer *a = &q->answer;

	q->answered = true;
	if (answer->result != FETCH_ANSWER) {
		a->definite = answer->result == FETCH_REFUSED;
		a->err = answer->err;
	} else if (answer->http_status != HTTP_OK) {
		judge_status(answer->http_status, a);
	} else {
		judge_document(answer->body, &q->arena, a);
	}
}

/* ---- questions ---- */

static struct question *free_question(struct resolver *r)
{
	for (int i = 0; i < MAX_RUNNING; i++)
		if (!r->questions[i].taken)
			return &r->questions[i];
	return NULL;
}

static int n_free(const struct resolver *r)
{
	int n = 0;

	for (int i = 0; i < MAX_RUNNING; i++)
		n += !r->questions[i].taken;
	return n;
}

static void ask(struct resolver *r, const char *did, const char *asked_at)
{
	const struct conf *conf = r->child->conf;
	struct question *q = free_question(r);
	struct did_place place;

	arena_reset(&q->arena);
	q->resolver = r;
	q->taken = true;
	q->answered = false;
	q->answer = (struct did_answer){ .did = arena_copy(&q->arena, slice_str(did)),
		.asked_at = arena_copy(&q->arena, slice_str(asked_at)) };
	r->tokens -= 1;
	if (did_place_find(q->answer.did, conf->identity.plc_url, conf->identity.allow_loopback, &place, &q->answer.err)) {
		q->answered = q->answer.definite = true;
		return;
	}
	fetch_start(r->fetcher,
		&(struct fetch_target){ .tls = place.tls, .host = place.host, .port = place.port, .path = place.path,
			.max_per_address = place.is_plc ? MAX_RUNNING : MAX_AT_ADDRESS },
		on_answer, q);
}

/* How many questions may begin now. */
static int allowance(struct resolver *r)
{
	int64_t now_us = clock_mono_us();
	int n = n_free(r);

	r->tokens += (double)(now_us - r->tokens_us) * PER_SECOND / 1e6;
	r->tokens_us = now_us;
	if (r->tokens > PER_SECOND)
		r->tokens = PER_SECOND;
	return r->tokens < n ? (int)r->tokens : n;
}

static enum pg_class look(struct resolver *r, struct err *err)
{
	struct pg_result *due = NULL;
	int n = allowance(r);
	enum pg_class class;

	if (n <= 0)
		return PG_OK;
	class = resolver_store_claim(r->pg, n, &due, err);
	for (int i = 0; class == PG_OK && i < pg_rows(due); i++)
		ask(r, pg_text(due, i, 0), pg_text(due, i, 1));
	pg_result_free(due);
	return class;
}

/* Whatever becomes of them, answered questions are over: what could not be written is due again. */
static enum pg_class write_answers(struct resolver *r, struct err *err)
{
	const struct did_answer *answers[MAX_RUNNING];
	int n = 0;

	for (int i = 0; i < MAX_RUNNING; i++) {
		struct question *q = &r->questions[i];

		if (!q->taken || !q->answered)
			continue;
		q->taken = false;
		answers[n++] = &q->answer;
		stats_add(r->child->stats, q->answer.definite ? STAT_identities_fetched : STAT_identities_failed, 1);
		if (q->answer.err.text[0])
			log_info("resolver.no_key", "did=%.*s definite=%d error=%s", SLICE_ARG(q->answer.did),
				q->answer.definite, LOG_QUOTED(q->answer.err.text));
	}
	return resolver_store_write(&r->store, r->pg, r->child->conf, answers, n, err);
}

/* ---- the loop ---- */

static enum pg_class connect_postgres(struct resolver *r, struct err *err)
{
	return r->store.connected ? PG_OK : resolver_store_connect(&r->store, r->pg, err);
}

static void trouble(struct resolver *r, const struct err *err)
{
	r->store.connected = false;
	r->next_look_us = clock_mono_us() + RETRY_US;
	child_set_state(r->child, CHILD_WAITING, err->text);
	if (complaint_due(&r->no_postgres))
		log_error("resolver.postgres_failed", "error=%s action=\"retrying\"%s", LOG_QUOTED(err->text),
			r->no_postgres.repeated);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct resolver *r = ctx;
	enum pg_class class;
	struct err err;

	(void)fd;
	(void)what;
	if (clock_mono_us() < r->next_look_us)
		return;
	class = connect_postgres(r, &err);
	if (class == PG_OK)
		class = write_answers(r, &err);
	if (class == PG_OK)
		class = look(r, &err);
	if (class != PG_OK) {
		trouble(r, &err);
		return;
	}
	complaint_clear(&r->no_postgres);
	child_set_state(r->child, n_free(r) < MAX_RUNNING ? CHILD_BUSY : CHILD_IDLE, NULL);
	child_ready(r->child);
}

static void on_drain(void *ctx)
{
	struct resolver *r = ctx;

	event_base_loopbreak(r->base);
}

/* Plain http would let anybody on the way answer with a key of his own. */
static bool is_safe(struct child *c)
{
	if (strncmp(c->conf->identity.plc_url, "https:", 6) == 0 || c->conf->identity.allow_loopback)
		return true;
	child_refused(c, "identity.plc_url must be https: http is for tests, with identity.allow_loopback");
	return false;
}

static int resolver_init(struct resolver *r, struct child *c, struct event_base *base, struct err *err)
{
	const struct pg_options options = { .conninfo = c->conf->postgres.conninfo,
		.application_name = "standpipe resolver", .waiter = { wait_postgres, r } };
	struct timeval interval = { 0, TICK_US };

	*r = (struct resolver){ .child = c, .base = base, .tokens_us = clock_mono_us() };
	r->tick = event_new(base, -1, EV_PERSIST, on_tick, r);
	if (!r->tick)
		abort();
	if (pg_new(&options, &r->pg, err) < 0 ||
		fetcher_new(base, c->conf->identity.allow_loopback, &r->fetcher, err) < 0)
		return -1;
	if (is_safe(c))
		event_add(r->tick, &interval);
	else
		child_set_state(c, CHILD_WAITING, "identity.plc_url must be https");
	return child_attach(c, base, on_drain, r, err);
}

int resolver_main(struct child *c)
{
	struct event_base *base = event_base_new();
	struct resolver r;
	struct err err;
	int code = 0;

	if (!base)
		abort();
	if (resolver_init(&r, c, base, &err) < 0) {
		log_error("resolver.not_started", "error=%s", LOG_QUOTED(err.text));
		code = 70;
	} else {
		event_base_dispatch(base);
	}
	fetcher_free(r.fetcher);
	for (int i = 0; i < MAX_RUNNING; i++)
		arena_done(&r.questions[i].arena);
	resolver_store_done(&r.store);
	pg_free(r.pg);
	event_free(r.tick);
	child_done(c);
	event_base_free(base);
	return code;
}
