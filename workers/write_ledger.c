/* SPDX-License-Identifier: MIT */
#include "workers/write_ledger.h"

#include "domain/sql.h"
#include "workers/write_params.h"

#include <assert.h>
#include <stdlib.h>

/* ---- outcomes ---- */

static void count_fate(struct merge *m, int c, const struct merged_record *r, enum sql_fate fate)
{
	static const enum ledger_outcome of[] = {
		[SQL_FATE_STALE] = LEDGER_STALE,
		[SQL_FATE_SAME] = LEDGER_UNCHANGED,
		[SQL_FATE_UPDATED] = LEDGER_APPLIED,
		[SQL_FATE_INSERTED] = LEDGER_APPLIED,
	};
	uint32_t *n = merge_outcomes(m, r->pack, c);

	n[of[fate]]++;
	n[LEDGER_INSERTED] += fate == SQL_FATE_INSERTED;
}

/* Every row was written. */
static void count_written(struct merge *m, const struct write_range *range, const struct pg_result *rows)
{
	for (int i = range->from; i < range->to; i++)
		count_fate(m, range->c, m->records[range->c].items[i],
			range->insert || pg_int8(rows, i - range->from, 0) ? SQL_FATE_INSERTED : SQL_FATE_UPDATED);
}

static struct params *fate_params(struct writer *w, const struct merge *m, const struct write_range *range)
{
	const struct merged_list *l = &m->records[range->c];
	const char *nsid = collections[range->c].nsid;
	int n = range->to - range->from;
	struct params *p = params_new(w);
	struct pg_array *a;

	if (!nsid)
		params_add(w, p, PG_TEXT, n);
	for (int i = 0; i < 3; i++)
		params_add(w, p, PG_INT8, n);
	params_add(w, p, PG_BYTEA, n);
	for (int i = range->from; i < range->to; i++) {
		const struct merged_record *r = l->items[i];

		a = p->a;
		if (!nsid)
			pg_array_bytes(a++, r->nsid);
		pg_array_int(a++, r->rkey);
		pg_array_int(a++, r->actor);
		pg_array_int(a++, (int64_t)r->rev);
		pg_array_bytes(a++, r->cid);
	}
	return p;
}

bool write_count_rows(struct writer *w, struct merge *m, const struct write_sent *sent, const struct pg_outcome *o,
	struct write_fates *ret)
{
	struct params *p;

	ret->n = 0;
	for (int i = 0; i < sent->n_upserts; i++) {
		const struct write_range *range = &sent->upserts[i];
		int place = sent->first_upsert + i;

		if (o->affected[place] == range->to - range->from) {
			count_written(m, range, o->rows[place]);
			continue;
		}
		if (!ret->n)
			pg_tx_resume(w->pg);
		p = fate_params(w, m, range);
		pg_tx_add(w->pg, &w->sql.fate[range->c], p->p, p->n);
		ret->of[ret->n++] = *range;
	}
	if (ret->n)
		pg_tx_hold(w->pg);
	return ret->n > 0;
}

void write_count_fates(struct merge *m, const struct write_fates *fates, const struct pg_outcome *o)
{
	for (int i = 0; i < fates->n; i++) {
		const struct write_range *range = &fates->of[i];
		const struct merged_list *l = &m->records[range->c];
		int n = o->rows[i] ? pg_rows(o->rows[i]) : 0;

		for (int j = 0; j < n; j++) {
			int64_t at = range->from + pg_int8(o->rows[i], j, 0) - 1;

			assert(at >= range->from && at < range->to);
			count_fate(m, range->c, l->items[at], (enum sql_fate)pg_int8(o->rows[i], j, 1));
		}
	}
}

/* ---- rows ---- */

static int pack_order(const void *a, const void *b)
{
	const struct ledger_pack *x = *(void *const *)a, *y = *(void *const *)b;

	if (x->id.epoch != y->id.epoch)
		return x->id.epoch < y->id.epoch ? -1 : 1;
	return x->id.seq < y->id.seq ? -1 : x->id.seq > y->id.seq;
}

/* The packs that end with this transaction, by id: workers that hold the same ones must not wait in a circle. */
static const struct ledger_pack **finished(struct writer *w, int to, int *ret_n)
{
	const struct ledger_pack **list = arena_alloc(&w->arena, (size_t)(w->n_packs + 1) * sizeof *list);
	int n = 0;

	for (int i = w->n_finished; i < w->n_packs && w->packs[i].end <= to; i++)
		list[n++] = &w->packs[i];
	qsort(list, (size_t)n, sizeof *list, pack_order);
	*ret_n = n;
	return list;
}

static void put_if(struct pg_array *a, bool set, uint64_t v)
{
	if (set)
		pg_array_int(a, (int64_t)v);
	else
		pg_array_null(a);
}

static void put_pack(struct writer *w, struct params *p, const struct merge *m, const struct ledger_pack *pack,
	int n_again)
{
	struct ledger_tally all = { 0 };
	int at = (int)(pack - w->packs), place = at - m->first_pack;

	if (at == w->n_finished)
		all = w->before;
	if (place >= 0 && place < m->n_packs)
		ledger_tally_add(&all, &m->tallies[place]);
	ledger_put_counts(pack, &all, &w->scratch);
	pg_array_int(&p->a[0], (int64_t)pack->id.epoch);
	pg_array_int(&p->a[1], (int64_t)pack->id.seq);
	put_if(&p->a[2], pack->has_prefix, pack->prev.epoch);
	put_if(&p->a[3], pack->has_prefix, pack->prev.seq);
	put_if(&p->a[4], pack->has_prefix, pack->first_ordinal);
	pg_array_int(&p->a[5], pack->n_events);
	pg_array_int(&p->a[6], n_again);
	pg_array_bytes(&p->a[7], buf_slice(&w->scratch));
}

static struct params *pack_params(struct writer *w, const struct merge *m, int to)
{
	struct params *p;
	const struct ledger_pack **list;
	int n, same;

	list = finished(w, to, &n);
	p = PARAMS_OF(w, n, PG_INT8, PG_INT8, PG_INT8, PG_INT8, PG_INT8, PG_INT4, PG_INT4, PG_TEXT);
	for (int i = 0; i < n; i += same) {
		for (same = 1; i + same < n && !pack_order(&list[i], &list[i + same]); same++)
			;
		put_pack(w, p, m, list[i], same - 1);
	}
	return p;
}

/* Where each finished pack begins and ends. */
static struct params *cut_params(struct writer *w, int to)
{
	struct params *p;
	const struct ledger_pack **list;
	int n;

	list = finished(w, to, &n);
	p = PARAMS_OF(w, n, PG_INT8, PG_INT8, PG_INT8, PG_INT8);
	for (int i = 0; i < n; i++) {
		if (!list[i]->has_prefix)
			continue;
		pg_array_int(&p->a[0], (int64_t)list[i]->id.epoch);
		pg_array_int(&p->a[1], (int64_t)list[i]->id.seq);
		pg_array_int(&p->a[2], (int64_t)list[i]->prev.epoch);
		pg_array_int(&p->a[3], (int64_t)list[i]->prev.seq);
	}
	return p;
}

/* Is it the end of the pack with this place among m's? Events that are of no pack have no end. */
static bool ends(const struct writer *w, const struct merge *m, int place, int to)
{
	int pack = m->first_pack + place;

	return pack < w->n_packs && w->packs[pack].end <= to;
}

/* New rows of packs that go on in another transaction. */
static struct params *part_params(struct writer *w, const struct merge *m, int to)
{
	struct params *p = PARAMS_OF(w, 16, PG_INT2, PG_INT8);

	for (int c = 0; c < n_collections; c++) {
		uint64_t n = 0;

		for (int i = 0; i < m->n_packs; i++)
			if (!ends(w, m, i, to))
				n += m->tallies[i].n[c][LEDGER_INSERTED];
		if (!n)
			continue;
		pg_array_int(&p->a[0], ledger_class_id(c));
		pg_array_int(&p->a[1], (int64_t)n);
	}
	return p;
}

void write_queue_ledger(struct writer *w, struct merge *m, int to)
{
	int n_sent = 0;

	pg_tx_resume(w->pg);
	params_send(w, &n_sent, &sql_ledger_recut, cut_params(w, to));
	params_send(w, &n_sent, &sql_ledger, pack_params(w, m, to));
	params_send(w, &n_sent, &sql_ledger_part, part_params(w, m, to));
	pg_tx_commit(w->pg);
}

void write_ledger_done(struct writer *w, const struct merge *m, int to)
{
	int next = w->n_finished, place;

	while (next < w->n_packs && w->packs[next].end <= to)
		next++;
	if (next > w->n_finished)
		w->before = (struct ledger_tally){ 0 };
	w->n_finished = next;
	place = next - m->first_pack;
	if (place < 0 || place >= m->n_packs)
		return;
	ledger_tally_add(&w->before, &m->tallies[place]);
	for (int c = 0; c < n_collections; c++) /* they are in the totals already */
		w->before.n[c][LEDGER_INSERTED] = 0;
}
