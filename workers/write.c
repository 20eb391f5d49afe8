/* SPDX-License-Identifier: MIT */
#include "workers/write.h"

#include "base/failpoint.h"
#include "base/log.h"
#include "base/rules.h"
#include "domain/schema.h"
#include "workers/write_ledger.h"

#include <assert.h>
#include <stdlib.h>

/* Half a million actors in 2 MB, a quarter of a million keys in 1 MB. Actors come back for weeks, keys within
 * hours; and an actor that is sent again costs more. */
enum { KNOWN_ACTORS_BITS = 19, KNOWN_KEYS_BITS = 18 };

/* How many batches, from the failed one on, do not try what has failed: doubled each time. */
enum { CAREFUL_MIN = 1, CAREFUL_MAX = 1024 };

int writer_init(struct writer *w, const char *conninfo, const char *application_name,
	struct waiter waiter, struct stats_slot *stats, struct err *err)
{
	struct pg_options options = { .conninfo = conninfo, .application_name = application_name, .waiter = waiter };

	*w = (struct writer){ .stats = stats, .known_actors.bits = KNOWN_ACTORS_BITS, .known_keys.bits = KNOWN_KEYS_BITS,
		.careful_next = CAREFUL_MIN };
	write_sql_init(&w->sql);
	return pg_new(&options, &w->pg, err);
}

void writer_done(struct writer *w)
{
	pg_free(w->pg);
	write_sql_done(&w->sql);
	known_done(&w->known_actors);
	known_done(&w->known_keys);
	arena_done(&w->arena);
	buf_done(&w->scratch);
}

/* What a class of PostgreSQL error means for the batch. PG_DATA is the caller's business. */
static enum write_status status_of(enum pg_class class)
{
	static const enum write_status of[N_PG_CLASSES] = {
		[PG_OK] = WRITE_OK,
		[PG_DATA] = WRITE_E_RETRY,
		[PG_FK] = WRITE_E_RETRY,
		[PG_RETRY] = WRITE_E_RETRY,
		[PG_DOWN] = WRITE_E_DOWN,
		[PG_SCHEMA] = WRITE_E_SCHEMA,
		[PG_STOP] = WRITE_E_STOP,
	};

	return of[class];
}

enum write_status writer_judge(struct writer *w, enum pg_class class)
{
	if (class == PG_DOWN || class == PG_STOP)
		w->have_ident = false; /* not connected any more */
	return status_of(class);
}

static enum write_status read_key(struct writer *w, struct err *err)
{
	static const char sql[] =
		"SELECT (SELECT max(version) FROM standpipe.schema_version),"
		" (SELECT value FROM standpipe.meta WHERE key = 'installation_key')";
	struct pg_result *r = NULL;
	enum pg_class class = pg_query(w->pg, sql, 0, NULL, &r, err);
	enum write_status status = WRITE_OK;

	if (class != PG_OK) {
		if (class == PG_SCHEMA)
			err_wrap(err, "no schema in %s: run `standpipe migrate`", pg_address(w->pg));
		return status_of(class);
	}
	if (!pg_text(r, 0, 0) || !pg_text(r, 0, 1) || atoi(pg_text(r, 0, 0)) != SCHEMA_VERSION) {
		err_set(err, "schema version is %s, this program needs %d: run `standpipe migrate`",
			pg_text(r, 0, 0) ? pg_text(r, 0, 0) : "none", SCHEMA_VERSION);
		status = WRITE_E_SCHEMA;
	} else if (ident_init(&w->ident, pg_text(r, 0, 1), err) < 0) {
		status = WRITE_E_SCHEMA;
	} else {
		w->have_ident = true;
	}
	pg_result_free(r);
	return status;
}

enum write_status writer_connect(struct writer *w, struct err *err)
{
	enum pg_class class;

	if (w->have_ident)
		return WRITE_OK;
	/* It may be another database, or an older state of the same. */
	known_clear(&w->known_actors);
	known_clear(&w->known_keys);
	class = pg_connect(w->pg, err);
	if (class != PG_OK)
		return status_of(class);
	return read_key(w, err);
}

/* Remembers what the first transaction has made durable. */
static void learn(struct writer *w, const struct merge *m)
{
	for (int i = 0; i < m->actors.n; i++)
		known_add(&w->known_actors, (uint64_t)((struct merged_actor *)m->actors.items[i])->id);
	for (int i = 0; i < m->keys.n; i++)
		known_add(&w->known_keys, write_key_id(m->keys.items[i]));
}

static void count(struct writer *w, const struct write_sent *sent, const struct pg_outcome *o)
{
	uint64_t changed = 0, rows = 0;

	for (int i = 0; i < sent->n_upserts; i++) {
		changed += (uint64_t)o->affected[sent->first_upsert + i];
		rows += (uint64_t)(sent->upserts[i].to - sent->upserts[i].from);
	}
	stats_add(w->stats, STAT_rows_changed, changed);
	stats_add(w->stats, STAT_rows_unchanged, rows - changed);
	if (sent->keys >= 0)
		stats_add(w->stats, STAT_pending_created, (uint64_t)o->affected[sent->keys]);
	if (sent->pending_done >= 0)
		stats_add(w->stats, STAT_pending_completed, (uint64_t)o->affected[sent->pending_done]);
	if (sent->dead_letters >= 0)
		stats_add(w->stats, STAT_dead_letters, (uint64_t)o->affected[sent->dead_letters]);
}

static void log_dead(const struct merge *m)
{
	for (int i = 0; i < m->n_dead; i++) {
		const struct merged_dead *d = &m->dead[i];

		log_often(LOG_WARNING, "worker.dead_lettered", "class=%s epoch=%llu seq=%llu op=%d did=%.*s reason=%s",
			d->class, (unsigned long long)d->epoch, (unsigned long long)d->seq, d->op, SLICE_ARG(d->did),
			LOG_QUOTED_SLICE(d->reason));
	}
}

/* What follows from the outcome of a pipeline. */
static enum pg_class finish(struct writer *w, const struct merge *m, const struct write_sent *sent,
	const struct pg_outcome *o)
{
	if (o->class == PG_OK) {
		learn(w, m);
		count(w, sent, o);
		log_dead(m);
	} else {
		known_clear(&w->known_actors);
		known_clear(&w->known_keys);
	}
	if (o->class == PG_DOWN || o->class == PG_STOP)
		w->have_ident = false; /* not connected any more */
	return o->class;
}

/* Runs what is queued; an error becomes that of the attempt. */
static bool run(struct writer *w, struct pg_outcome *step, struct pg_outcome *o)
{
	if (pg_run(w->pg, step) == PG_OK)
		return true;
	o->class = step->class;
	memcpy(o->sqlstate, step->sqlstate, sizeof o->sqlstate);
	o->err = step->err;
	return false;
}

/* The rows are written, uncommitted: finds out what became of each and ends the transaction with the ledger. */
static void settle(struct writer *w, struct merge *m, const struct write_sent *sent, int to, struct pg_outcome *o)
{
	struct pg_outcome step = { 0 };
	struct write_fates fates;

	if (write_count_rows(w, m, sent, o, &fates)) {
		if (run(w, &step, o))
			write_count_fates(m, &fates, &step);
		pg_outcome_done(&step);
	}
	if (o->class != PG_OK)
		return;
	write_queue_ledger(w, m, to);
	if (run(w, &step, o))
		write_ledger_done(w, m, to);
	pg_outcome_done(&step);
}

/* A record was there that was taken for new: no error of the event's, only the wrong way. */
static bool collided(struct writer *w, const struct write_sent *sent, const struct pg_outcome *o)
{
	int i = o->failed - sent->first_upsert;

	if (o->class != PG_DATA || strcmp(o->sqlstate, "23505") != 0 || i < 0 || i >= sent->n_upserts ||
		!sent->upserts[i].insert)
		return false;
	log_debug("worker.not_new", "table=%s careful_batches=%d", collections[sent->upserts[i].c].table, w->careful_next);
	w->careful = w->careful_next;
	w->careful_next = w->careful_next * 2 < CAREFUL_MAX ? w->careful_next * 2 : CAREFUL_MAX;
	return true;
}

/* One pipeline for n events from the batch's `from` on. */
static enum pg_class attempt_once(struct writer *w, const struct batch_event *events, int from, int n, struct pg_outcome *o,
	bool *ret_again)
{
	struct merge m;
	struct write_sent sent;

	arena_reset(&w->arena);
	merge_events(&m, &w->arena, &w->ident, events + from, n, w->stats);
	write_queue(w, &m, &sent);
	if (FAILPOINT(write_begin))
		pg_disconnect(w->pg);
	if (pg_run(w->pg, o) == PG_OK)
		settle(w, &m, &sent, from + n, o);
	*ret_again = collided(w, &sent, o);
	return finish(w, &m, &sent, o);
}

/* One attempt; what is not new is no failure of it. */
static enum pg_class attempt(struct writer *w, const struct batch_event *events, int from, int n, struct pg_outcome *o)
{
	bool again;
	enum pg_class class = attempt_once(w, events, from, n, o, &again);

	if (!again)
		return class;
	pg_outcome_done(o);
	return attempt_once(w, events, from, n, o, &again);
}

/* The event alone is refused by PostgreSQL: it becomes a dead letter, verbatim. */
static enum pg_class dead_letter(struct writer *w, const struct batch_event *events, int at,
	const struct pg_outcome *why, struct pg_outcome *o)
{
	const struct batch_event *be = &events[at];
	struct merged_dead d = { .epoch = be->epoch, .seq = be->e.seq, .op = -1, .class = "data",
		.reason = slice_str(why->err.text), .did = be->e.did, .bytes = be->bytes };
	struct merge m;
	struct write_sent sent;

	memcpy(d.sqlstate, why->sqlstate, sizeof d.sqlstate);
	arena_reset(&w->arena);
	merge_events(&m, &w->arena, &w->ident, be, 1, w->stats);
	write_queue_dead(w, &m, &d, &sent);
	merge_all_dead(&m, be);
	if (pg_run(w->pg, o) == PG_OK)
		settle(w, &m, &sent, at + 1, o);
	(void)FAILPOINT(dead_letter);
	return finish(w, &m, &sent, o);
}

struct range {
	int from, n;
};

/* Writes events[0..n); halves whatever PostgreSQL refuses for its data until the event is found. The halves
 * still to do are kept in a small stack: halving n events never needs more than 2 * log2(n) places. */
static enum pg_class write_ranges(struct writer *w, const struct batch_event *events, int n, struct err *err)
{
	struct range stack[80] = { { 0, n } };
	int depth = 1;

	while (depth) {
		struct range r = stack[--depth];
		struct pg_outcome o, dead;
		enum pg_class class = attempt(w, events, r.from, r.n, &o);

		if (class == PG_RETRY && !RULE(only_data_dead))
			class = PG_DATA;
		if (class == PG_DATA && r.n > 1) {
			stats_add(w->stats, STAT_bisections, 1);
			assert(depth + 2 <= 80);
			stack[depth++] = (struct range){ r.from + r.n / 2, r.n - r.n / 2 };
			stack[depth++] = (struct range){ r.from, r.n / 2 };
		} else if (class == PG_DATA && r.n == 1) {
			class = dead_letter(w, events, r.from, &o, &dead);
			if (class != PG_OK)
				*err = dead.err;
			if (class == PG_DATA)
				class = PG_RETRY; /* not even the dead letter: never give up on the event */
			pg_outcome_done(&dead);
		} else if (class != PG_OK) {
			*err = o.err;
		}
		pg_outcome_done(&o);
		if (class != PG_OK && class != PG_DATA)
			return class;
	}
	return PG_OK;
}

/* A batch is done: one less to be careful with; where inserting went well, the times it did not are forgotten. */
static void one_more(struct writer *w)
{
	if (w->careful > 0)
		w->careful--;
	else
		w->careful_next = CAREFUL_MIN;
}

enum write_status writer_write(struct writer *w, const struct batch *b, struct err *err)
{
	enum write_status status = writer_connect(w, err);

	if (status != WRITE_OK || !(b->n_events + b->n_ledger))
		return status;
	/* whatever an earlier try at this batch has committed is there already, and will be seen to be */
	w->packs = b->ledger;
	w->n_packs = b->n_ledger;
	w->n_finished = 0;
	w->before = (struct ledger_tally){ 0 };
	status = status_of(write_ranges(w, b->events, b->n_events, err));
	if (status == WRITE_OK)
		one_more(w);
	return status;
}
