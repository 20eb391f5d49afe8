/* SPDX-License-Identifier: MIT */
#include "workers/write_verify.h"

#include "workers/write_params.h"

/* The row is locked from here to the commit, as the resolver locks it to claim and to answer: an answer is in
 * time, and sql_park below sees it, or comes later and finds the parked event. */
static const struct pg_stmt sql_want = { "want",
	"INSERT INTO standpipe.identities AS t (did, wanted_at)\n"
	"SELECT u, clock_timestamp() FROM (SELECT DISTINCT u FROM unnest($1::text[]) u) x ORDER BY u\n"
	"ON CONFLICT (did) DO UPDATE SET wanted_at = excluded.wanted_at" };

/* Whoever lacked a key is ready if there is an answer by now; whoever failed with one needs an answer that was
 * asked for after this. A row without a DID is ready: opening it tells. */
static const struct pg_stmt sql_park = { "park",
	"INSERT INTO standpipe.parked AS t (epoch, seq, did, failed, ready, parked_at, bytes)\n"
	"SELECT u.epoch, u.seq, u.did, u.failed, u.did IS NULL OR NOT u.failed AND EXISTS (\n"
	"    SELECT FROM standpipe.identities i WHERE i.did = u.did AND i.fetched_at IS NOT NULL), clock_timestamp(), u.bytes\n"
	"FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::boolean[], $5::bytea[]) AS u (epoch, seq, did, failed, bytes)\n"
	"ORDER BY 1, 2 ON CONFLICT (epoch, seq) DO UPDATE SET did = coalesce(excluded.did, t.did), failed = excluded.failed,\n"
	"  ready = excluded.ready, parked_at = excluded.parked_at" };

static const struct pg_stmt sql_unpark = { "unpark",
	"DELETE FROM standpipe.parked t USING unnest($1::bigint[], $2::bigint[]) AS u (epoch, seq)\n"
	"WHERE t.epoch = u.epoch AND t.seq = u.seq" };

static const struct pg_stmt sql_chain = { "chain",
	"INSERT INTO standpipe.chain (actor, rev, since, data, prev_data, epoch, seq)\n"
	"SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bigint[], $7::bigint[])\n"
	"ORDER BY 1, 2 ON CONFLICT DO NOTHING" };

static bool is_parked(const struct batch_event *be)
{
	return be->e.kind == EVENT_FRAME;
}

static struct params *park_params(struct writer *w, const struct batch_event *events, int n)
{
	struct params *s = PARAMS_OF(w, 16, PG_INT8, PG_INT8, PG_TEXT, PG_BOOL, PG_BYTEA);

	for (int i = 0; i < n; i++) {
		const struct batch_event *be = &events[i];

		if (!is_parked(be))
			continue;
		pg_array_int(&s->a[0], (int64_t)be->epoch);
		pg_array_int(&s->a[1], (int64_t)be->e.seq);
		put_text(&s->a[2], be->e.did);
		pg_array_int(&s->a[3], be->failed);
		pg_array_bytes(&s->a[4], be->bytes);
	}
	return s;
}

/* all: those too that would have been parked again. */
static struct params *unpark_params(struct writer *w, const struct batch_event *events, int n, bool all)
{
	struct params *s = PARAMS_OF(w, 16, PG_INT8, PG_INT8);

	for (int i = 0; i < n; i++) {
		if (!events[i].resumed || (is_parked(&events[i]) && !all))
			continue;
		pg_array_int(&s->a[0], (int64_t)events[i].epoch);
		pg_array_int(&s->a[1], (int64_t)events[i].e.seq);
	}
	return s;
}

static struct params *want_params(struct writer *w, const struct batch_event *events, int n)
{
	struct params *s = PARAMS_OF(w, 16, PG_TEXT);

	for (int i = 0; i < n; i++)
		if (events[i].wanted && events[i].e.did.n)
			pg_array_bytes(&s->a[0], events[i].e.did);
	return s;
}

static void put_rev(struct pg_array *a, uint64_t rev)
{
	if (rev)
		pg_array_int(a, (int64_t)rev);
	else
		pg_array_null(a);
}

static struct params *chain_params(struct writer *w, const struct batch_event *events, int n)
{
	struct params *s = PARAMS_OF(w, n, PG_INT8, PG_INT8, PG_INT8, PG_BYTEA, PG_BYTEA, PG_INT8, PG_INT8);

	for (int i = 0; i < n; i++) {
		const struct event *e = &events[i].e;

		if (!events[i].verified || e->kind != EVENT_COMMIT || e->flags & FRAME_AHEAD)
			continue;
		pg_array_int(&s->a[0], ident_actor(&w->ident, e->did));
		pg_array_int(&s->a[1], (int64_t)e->rev);
		put_rev(&s->a[2], e->since);
		pg_array_bytes(&s->a[3], slice_of(e->data, CID_DIGEST));
		put_text(&s->a[4], slice_of(e->prev_root, e->prev_root ? CID_DIGEST : 0));
		pg_array_int(&s->a[5], (int64_t)events[i].epoch);
		pg_array_int(&s->a[6], (int64_t)e->seq);
	}
	return s;
}

void write_queue_verify(struct writer *w, const struct batch_event *events, int n, int *n_sent)
{
	params_send(w, n_sent, &sql_chain, chain_params(w, events, n));
	params_send(w, n_sent, &sql_want, want_params(w, events, n));
	params_send(w, n_sent, &sql_park, park_params(w, events, n));
	params_send(w, n_sent, &sql_unpark, unpark_params(w, events, n, false));
}

void write_queue_unpark(struct writer *w, const struct batch_event *events, int n, int *n_sent)
{
	params_send(w, n_sent, &sql_unpark, unpark_params(w, events, n, true));
}
