/* SPDX-License-Identifier: MIT */
#include "workers/write_arrays.h"

#include "domain/sql.h"
#include "workers/write_params.h"
#include "workers/write_verify.h"

static void put_int_if(struct pg_array *a, bool set, uint64_t v)
{
	if (set)
		pg_array_int(a, (int64_t)v);
	else
		pg_array_null(a);
}

static const enum pg_type pg_types[N_SQL_TYPES] = {
	[SQL_INT2] = PG_INT2,
	[SQL_INT4] = PG_INT4,
	[SQL_INT8] = PG_INT8,
	[SQL_TEXT] = PG_TEXT,
	[SQL_BYTEA] = PG_BYTEA,
	[SQL_JSONB] = PG_JSONB,
	[SQL_TIMESTAMPTZ] = PG_TIMESTAMPTZ,
	[SQL_TEXTS] = PG_TEXT,
};

static void put_datum(struct pg_array *a, const struct datum *d)
{
	if (!d->set)
		pg_array_null(a);
	else if (a->type == PG_TIMESTAMPTZ)
		pg_array_time(a, d->i);
	else if (a->type == PG_INT8 || a->type == PG_INT4 || a->type == PG_INT2)
		pg_array_int(a, d->i);
	else
		pg_array_bytes(a, d->s);
}

/* The common columns in the order of sql_common_columns. */
static void put_common(struct pg_array *a, const struct collection *c, const struct merged_record *r)
{
	if (!c->nsid)
		pg_array_bytes(a++, r->nsid);
	pg_array_int(a++, r->rkey);
	pg_array_int(a++, r->actor);
	pg_array_int(a++, (int64_t)r->rev);
	pg_array_int(a++, (int64_t)r->at.epoch);
	pg_array_int(a++, (int64_t)r->at.seq);
	pg_array_bytes(a++, r->cid);
	put_text(a, r->rkey_text);
}

/* A range of records as arrays. */
static struct params *record_params(struct writer *w, struct merge *m, const struct write_range *range)
{
	const struct collection *col = &collections[range->c];
	const struct merged_list *l = &m->records[range->c];
	struct stored_column stored[STORED_MAX];
	struct params *p = params_new(w);
	int n_common = sql_common_columns(col, stored), n;
	struct row row;

	for (int i = 0; i < n_common; i++)
		params_add(w, p, pg_types[stored[i].type], range->to - range->from);
	n = collection_stored(col, stored);
	for (int i = 0; i < n; i++)
		params_add(w, p, pg_types[stored[i].type], range->to - range->from);
	for (int i = range->from; i < range->to; i++) {
		put_common(p->a, col, l->items[i]);
		merge_row(m, range->c, l->items[i], &w->scratch, &row);
		for (int j = 0; j < n; j++)
			put_datum(&p->a[n_common + j], &row.cols[j]);
	}
	return p;
}

static struct params *actor_params(struct writer *w, const struct merge *m)
{
	struct params *p = PARAMS_OF(w, 64, PG_INT8, PG_TEXT);

	for (int i = 0; i < m->actors.n; i++) {
		const struct merged_actor *a = m->actors.items[i];

		if (known_has(&w->known_actors, (uint64_t)a->id))
			continue;
		pg_array_int(&p->a[0], a->id);
		pg_array_bytes(&p->a[1], a->did);
	}
	return p;
}

uint64_t write_key_id(const struct merged_key *k)
{
	uint64_t h = (uint64_t)k->rkey * 0x9e3779b97f4a7c15u;

	h = (h ^ h >> 32 ^ (uint64_t)k->actor) * 0xd6e8feb86659fd93u;
	return h ^ h >> 32 ^ (uint64_t)k->kind;
}

static struct params *key_params(struct writer *w, const struct merge *m)
{
	struct params *p = PARAMS_OF(w, m->keys.n, PG_INT8, PG_INT8, PG_INT2, PG_TEXT, PG_BOOL, PG_INT8, PG_INT8, PG_INT2);

	for (int i = 0; i < m->keys.n; i++) {
		const struct merged_key *k = m->keys.items[i];

		if (known_has(&w->known_keys, write_key_id(k)))
			continue;
		pg_array_int(&p->a[0], k->rkey);
		pg_array_int(&p->a[1], k->actor);
		pg_array_int(&p->a[2], k->kind);
		put_text(&p->a[3], k->rkey_text);
		pg_array_int(&p->a[4], k->own);
		pg_array_int(&p->a[5], k->child_rkey);
		pg_array_int(&p->a[6], k->child_actor);
		pg_array_int(&p->a[7], k->child_id);
	}
	return p;
}

/* Keys whose content this batch brings: their pending rows are over. */
static struct params *own_key_params(struct writer *w, const struct merge *m)
{
	struct params *p = PARAMS_OF(w, 64, PG_INT8, PG_INT8, PG_INT2);

	for (int i = 0; i < m->keys.n; i++) {
		const struct merged_key *k = m->keys.items[i];

		if (!k->own)
			continue;
		pg_array_int(&p->a[0], k->rkey);
		pg_array_int(&p->a[1], k->actor);
		pg_array_int(&p->a[2], k->kind);
	}
	return p;
}

static struct params *repo_params(struct writer *w, const struct merge *m)
{
	struct params *p = PARAMS_OF(w, m->actors.n, PG_INT8, PG_INT8, PG_BYTEA, PG_BYTEA);

	for (int i = 0; i < m->actors.n; i++) {
		const struct merged_actor *a = m->actors.items[i];

		if (!a->has_commit)
			continue;
		pg_array_int(&p->a[0], a->id);
		pg_array_int(&p->a[1], (int64_t)a->rev);
		pg_array_bytes(&p->a[2], slice_of(a->data, CID_DIGEST));
		pg_array_bytes(&p->a[3], slice_of(a->commit_cid, CID_DIGEST));
	}
	return p;
}

static struct params *repo_sync_params(struct writer *w, const struct merge *m)
{
	struct params *p = PARAMS_OF(w, 16, PG_INT8, PG_INT8, PG_BYTEA);

	for (int i = 0; i < m->actors.n; i++) {
		const struct merged_actor *a = m->actors.items[i];

		if (!a->has_sync)
			continue;
		pg_array_int(&p->a[0], a->id);
		pg_array_int(&p->a[1], (int64_t)a->sync_rev);
		pg_array_bytes(&p->a[2], slice_of(a->sync_data, CID_DIGEST));
	}
	return p;
}

static void put_position_if(struct pg_array *epoch, struct pg_array *seq, bool set, struct position at)
{
	put_int_if(epoch, set, at.epoch);
	put_int_if(seq, set, at.seq);
}

static struct params *account_params(struct writer *w, const struct merge *m)
{
	struct params *p = PARAMS_OF(w, 16, PG_INT8, PG_TEXT, PG_INT8, PG_INT8, PG_BOOL, PG_TEXT, PG_INT8, PG_INT8, PG_INT8,
		PG_INT8);

	for (int i = 0; i < m->actors.n; i++) {
		const struct merged_actor *a = m->actors.items[i];

		if (!a->has_state)
			continue;
		pg_array_int(&p->a[0], a->id);
		put_text(&p->a[1], row_text(&w->arena, a->handle));
		put_position_if(&p->a[2], &p->a[3], a->has_handle, a->handle_at);
		put_int_if(&p->a[4], a->has_account, a->active);
		put_text(&p->a[5], row_text(&w->arena, a->status));
		put_position_if(&p->a[6], &p->a[7], a->has_account, a->account_at);
		put_position_if(&p->a[8], &p->a[9], a->has_purge, a->purge_at);
	}
	return p;
}

static struct params *gap_params(struct writer *w, const struct merge *m)
{
	struct params *p = PARAMS_OF(w, 4, PG_INT8, PG_INT8, PG_INT8, PG_INT8, PG_TEXT);

	for (int i = 0; i < m->n_gaps; i++) {
		const struct batch_event *be = m->gaps[i];

		pg_array_int(&p->a[0], (int64_t)be->epoch);
		pg_array_int(&p->a[1], (int64_t)be->e.gap_after_epoch);
		pg_array_int(&p->a[2], (int64_t)be->e.gap_after_seq);
		pg_array_int(&p->a[3], (int64_t)be->e.gap_first_seq);
		pg_array_bytes(&p->a[4], be->e.reason);
	}
	return p;
}

/* A reason may be cut in the middle of a character or quote foreign bytes; storing it must never fail. */
static struct slice printable(struct writer *w, struct slice s)
{
	uint8_t *p;

	if (utf8_valid(s))
		return row_text(&w->arena, s);
	p = arena_alloc(&w->arena, s.n);
	for (size_t i = 0; i < s.n; i++)
		p[i] = s.p[i] >= 0x20 && s.p[i] < 0x7f ? s.p[i] : '?';
	return slice_of(p, s.n);
}

static struct params *dead_params(struct writer *w, const struct merge *m)
{
	struct params *p = PARAMS_OF(w, 4, PG_INT8, PG_INT8, PG_INT4, PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT,
		PG_BYTEA);

	for (int i = 0; i < m->n_dead; i++) {
		const struct merged_dead *d = &m->dead[i];

		pg_array_int(&p->a[0], (int64_t)d->epoch);
		pg_array_int(&p->a[1], (int64_t)d->seq);
		pg_array_int(&p->a[2], d->op);
		pg_array_bytes(&p->a[3], slice_str(d->class));
		pg_array_bytes(&p->a[4], printable(w, d->reason));
		put_text(&p->a[5], slice_str(d->sqlstate));
		put_text(&p->a[6], printable(w, d->did));
		put_text(&p->a[7], printable(w, d->collection));
		put_text(&p->a[8], printable(w, d->rkey));
		pg_array_bytes(&p->a[9], d->bytes);
	}
	return p;
}

/* Targets of foreign keys; a key left over after a crash is harmless, so this commit may be relaxed: the
 * next one, of the same session, makes it durable. */
static void queue_targets(struct writer *w, const struct params *actors, const struct params *keys, int *n_sent,
	struct write_sent *ret)
{
	ret->keys = -1;
	if (!actors->a[0].n && !keys->a[0].n)
		return;
	pg_tx_begin(w->pg, true);
	params_send(w, n_sent, &sql_actors, actors);
	ret->keys = params_send(w, n_sent, &sql_keys, keys);
	pg_tx_commit(w->pg);
}

static void add_range(struct write_sent *sent, int c, int from, int to, bool insert)
{
	if (from < to)
		sent->upserts[sent->n_upserts++] = (struct write_range){ c, from, to, insert };
}

/* Records that were only updated or deleted come behind all that were created: the worker that writes the events
 * just before these may have created them and not committed yet. Whoever has to wait for it then has little left
 * to do (measured: with both in one statement, two workers that catch up wait a fifth of their time). */
static void plan_upserts(const struct merge *m, bool careful, struct write_sent *ret)
{
	ret->n_upserts = 0;
	for (int c = 0; c < n_collections; c++)
		add_range(ret, c, 0, m->records[c].n_fresh, !careful);
	for (int c = 0; c < n_collections; c++)
		add_range(ret, c, m->records[c].n_fresh, m->records[c].n, false);
}

static const struct pg_stmt *statement_of(const struct writer *w, const struct write_range *range)
{
	return range->insert ? &w->sql.insert[range->c] : &w->sql.upsert[range->c];
}

void write_queue(struct writer *w, struct merge *m, struct write_sent *ret)
{
	struct params *records[64], *actors;
	int n_sent = 0;

	plan_upserts(m, w->careful > 0, ret);
	for (int i = 0; i < ret->n_upserts; i++)
		records[i] = record_params(w, m, &ret->upserts[i]);
	merge_sort_needs(m);
	actors = actor_params(w, m);
	queue_targets(w, actors, key_params(w, m), &n_sent, ret);
	pg_tx_begin(w->pg, false);
	params_send(w, &n_sent, &sql_actors_check, actors);
	ret->first_upsert = n_sent;
	for (int i = 0; i < ret->n_upserts; i++)
		params_send(w, &n_sent, statement_of(w, &ret->upserts[i]), records[i]);
	ret->pending_done = params_send(w, &n_sent, &sql_pending_done, own_key_params(w, m));
	params_send(w, &n_sent, &sql_repos, repo_params(w, m));
	params_send(w, &n_sent, &sql_repo_syncs, repo_sync_params(w, m));
	params_send(w, &n_sent, &sql_account_states, account_params(w, m));
	params_send(w, &n_sent, &sql_gaps, gap_params(w, m));
	ret->dead_letters = params_send(w, &n_sent, &sql_dead_letters, dead_params(w, m));
	write_queue_verify(w, m->events, m->n_events, &n_sent);
	pg_tx_hold(w->pg);
}

void write_queue_dead(struct writer *w, struct merge *m, const struct merged_dead *dead, struct write_sent *ret)
{
	struct row row;
	int n_sent = 0;

	for (int c = 0; c < n_collections; c++)
		for (int i = 0; i < m->records[c].n; i++)
			merge_row(m, c, m->records[c].items[i], &w->scratch, &row);
	merge_sort_needs(m);
	m->n_dead = 0;
	merge_dead(m, dead);
	*ret = (struct write_sent){ .keys = -1, .pending_done = -1 };
	pg_tx_begin(w->pg, false);
	params_send(w, &n_sent, &sql_pending_again, own_key_params(w, m));
	ret->dead_letters = params_send(w, &n_sent, &sql_dead_letters, dead_params(w, m));
	write_queue_unpark(w, m->events, m->n_events, &n_sent);
	pg_tx_hold(w->pg);
	m->actors.n = m->keys.n = 0; /* nothing was made that could be known */
}
