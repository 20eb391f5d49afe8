/* SPDX-License-Identifier: MIT */
#include "workers/resolver_store.h"

#include "domain/schema.h"

#include <stdio.h>
#include <stdlib.h>

/* Longer than a fetch may take. */
static const char claim_sql[] =
	"UPDATE standpipe.identities SET next_try = now() + interval '15 s' WHERE did IN ("
	"SELECT did FROM standpipe.identities WHERE wanted_at IS NOT NULL AND next_try <= now()"
	" ORDER BY next_try LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING did, clock_timestamp()";

/* In the order in which workers lock them. */
static const struct pg_stmt sql_lock = { "resolver_lock",
	"SELECT FROM standpipe.identities WHERE did = ANY ($1::text[]) ORDER BY did FOR UPDATE" };

/* A definite answer counts for what was wanted before it was asked for; $8: seconds of calm. */
static const struct pg_stmt sql_answers = { "resolver_answers",
	"UPDATE standpipe.identities t SET curve = u.curve, key = u.key, pds = u.pds, handle = u.handle, error = u.error,\n"
	"  fetched_at = clock_timestamp(), attempts = 0, next_try = now() + u.calm * interval '1 ms',\n"
	"  wanted_at = CASE WHEN t.wanted_at > u.asked::timestamptz THEN t.wanted_at END\n"
	"FROM unnest($1::text[], $2::text[], $3::smallint[], $4::bytea[], $5::text[], $6::text[], $7::text[], $8::bigint[])\n"
	"  AS u (did, asked, curve, key, pds, handle, error, calm) WHERE t.did = u.did" };

static const struct pg_stmt sql_ready = { "resolver_ready",
	"UPDATE standpipe.parked p SET ready = true FROM unnest($1::text[], $2::text[]) AS u (did, asked)\n"
	"WHERE p.did = u.did AND (NOT p.failed OR p.parked_at <= u.asked::timestamptz) AND NOT p.ready" };

/* Nobody answered. After $4 milliseconds that is an answer too: what is stored stays, and counts. */
static const struct pg_stmt sql_failures = { "resolver_failures",
	"WITH u AS MATERIALIZED (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])\n"
	"  AS u (did, asked, error, patience)),\n"
	"over AS (UPDATE standpipe.identities t SET error = u.error, attempts = t.attempts + 1,\n"
	"    next_try = now() + least(600, power(2, least(t.attempts, 20))) * interval '1 s',\n"
	"    fetched_at = CASE WHEN now() - t.wanted_at > u.patience * interval '1 ms' THEN clock_timestamp() ELSE t.fetched_at END,\n"
	"    wanted_at = CASE WHEN now() - t.wanted_at > u.patience * interval '1 ms' THEN NULL ELSE t.wanted_at END\n"
	"  FROM u WHERE t.did = u.did RETURNING t.did, u.asked, t.wanted_at IS NULL AS given_up)\n"
	"UPDATE standpipe.parked p SET ready = true FROM over WHERE over.given_up AND p.did = over.did\n"
	"  AND (NOT p.failed OR p.parked_at <= over.asked::timestamptz) AND NOT p.ready" };

enum pg_class resolver_store_connect(struct resolver_store *s, struct pg *pg, struct err *err)
{
	struct pg_result *r = NULL;
	enum pg_class class = pg_connect(pg, err);

	if (class == PG_OK)
		class = pg_query(pg, "SELECT max(version) FROM standpipe.schema_version", 0, NULL, &r, err);
	if (class == PG_OK && (!pg_text(r, 0, 0) || atoi(pg_text(r, 0, 0)) != SCHEMA_VERSION)) {
		err_set(err, "PostgreSQL at %s: another schema version than %d: run `standpipe migrate`", pg_address(pg),
			SCHEMA_VERSION);
		class = PG_SCHEMA;
	}
	pg_result_free(r);
	s->connected = class == PG_OK;
	return class;
}

enum pg_class resolver_store_claim(struct pg *pg, int max, struct pg_result **ret, struct err *err)
{
	char limit[12];
	const char *params[] = { limit };

	snprintf(limit, sizeof limit, "%d", max);
	return pg_query(pg, claim_sql, 1, params, ret, err);
}

static void put_text(struct pg_array *a, struct slice s)
{
	if (s.n)
		pg_array_bytes(a, s);
	else
		pg_array_null(a);
}

/* Texts of strangers: PostgreSQL takes no U+0000, and nobody needs it here. */
static struct slice printable(struct arena *arena, struct slice s)
{
	uint8_t *p = arena_alloc(arena, s.n);

	for (size_t i = 0; i < s.n; i++)
		p[i] = s.p[i] >= 0x20 && s.p[i] < 0x7f ? s.p[i] : '?';
	return slice_of(p, s.n);
}

static void queue_answers(struct resolver_store *s, struct pg *pg, const struct conf *conf,
	const struct did_answer *const *answers, int n)
{
	static const enum pg_type types[] = { PG_TEXT, PG_TEXT, PG_INT2, PG_BYTEA, PG_TEXT, PG_TEXT, PG_TEXT, PG_INT8 };
	enum { N = sizeof types / sizeof types[0] };
	struct pg_array *a = arena_alloc(&s->arena, N * sizeof *a);
	const struct pg_array *params[N];

	for (int i = 0; i < N; i++) {
		pg_array_init(&a[i], types[i], &s->arena, n);
		params[i] = &a[i];
	}
	for (int i = 0; i < n; i++) {
		const struct did_answer *x = answers[i];

		if (!x->definite)
			continue;
		pg_array_bytes(&a[0], x->did);
		pg_array_bytes(&a[1], x->asked_at);
		if (x->key.curve) {
			pg_array_int(&a[2], x->key.curve);
			pg_array_bytes(&a[3], slice_of(x->key.point, SIGN_POINT));
		} else {
			pg_array_null(&a[2]);
			pg_array_null(&a[3]);
		}
		put_text(&a[4], printable(&s->arena, x->pds));
		put_text(&a[5], printable(&s->arena, x->handle));
		put_text(&a[6], printable(&s->arena, slice_str(x->err.text)));
		pg_array_int(&a[7], (int64_t)(conf->identity.refresh * 1e3));
	}
	if (!a[0].n)
		return;
	pg_tx_add(pg, &sql_answers, params, N);
	pg_tx_add(pg, &sql_ready, params, 2);
}

static void queue_failures(struct resolver_store *s, struct pg *pg, const struct conf *conf,
	const struct did_answer *const *answers, int n)
{
	static const enum pg_type types[] = { PG_TEXT, PG_TEXT, PG_TEXT, PG_INT8 };
	enum { N = sizeof types / sizeof types[0] };
	struct pg_array *a = arena_alloc(&s->arena, N * sizeof *a);
	const struct pg_array *params[N];

	for (int i = 0; i < N; i++) {
		pg_array_init(&a[i], types[i], &s->arena, n);
		params[i] = &a[i];
	}
	for (int i = 0; i < n; i++) {
		const struct did_answer *x = answers[i];

		if (x->definite)
			continue;
		pg_array_bytes(&a[0], x->did);
		pg_array_bytes(&a[1], x->asked_at);
		put_text(&a[2], printable(&s->arena, slice_str(x->err.text)));
		pg_array_int(&a[3], (int64_t)(conf->pending.expire * 1e3));
	}
	if (a[0].n)
		pg_tx_add(pg, &sql_failures, params, N);
}

static void queue_lock(struct resolver_store *s, struct pg *pg, const struct did_answer *const *answers, int n)
{
	struct pg_array *a = arena_alloc(&s->arena, sizeof *a);
	const struct pg_array *params[] = { a };

	pg_array_init(a, PG_TEXT, &s->arena, n);
	for (int i = 0; i < n; i++)
		pg_array_bytes(a, answers[i]->did);
	pg_tx_add(pg, &sql_lock, params, 1);
}

enum pg_class resolver_store_write(struct resolver_store *s, struct pg *pg, const struct conf *conf,
	const struct did_answer *const *answers, int n, struct err *err)
{
	struct pg_outcome o;
	enum pg_class class;

	if (!n)
		return PG_OK;
	arena_reset(&s->arena);
	pg_tx_begin(pg, false);
	queue_lock(s, pg, answers, n);
	queue_answers(s, pg, conf, answers, n);
	queue_failures(s, pg, conf, answers, n);
	pg_tx_commit(pg);
	class = pg_run(pg, &o);
	*err = o.err;
	pg_outcome_done(&o);
	return class == PG_RETRY ? PG_OK : class; /* a deadlock: asked again soon */
}

void resolver_store_done(struct resolver_store *s)
{
	arena_done(&s->arena);
}
