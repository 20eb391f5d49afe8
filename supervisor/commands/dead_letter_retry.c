/* SPDX-License-Identifier: MIT
 *
 * Writes dead letters again, as a worker would; what must be verified is parked for the workers. That is
 * idempotent, so workers may run meanwhile. A letter is deleted only if the event is stored and nobody, this
 * command included, has set it aside again.
 */
#include "supervisor/commands/dead_letter.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/pack.h"
#include "supervisor/commands/report.h"
#include "supervisor/exit_codes.h"
#include "workers/write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_TRIES = 40, BETWEEN_TRIES_US = 250000 };

struct retry {
	struct pg *pg;
	struct writer writer;
	struct stats_slot stats;
	struct arena arena;
	struct buf packed;
	long n_stored, n_refused, n_unfit;
	bool full; /* source.verify */
};

/* Deletes the letter unless it, or what was decoded from it ($6, $7), was refused again. */
static const char delete_sql[] =
	"WITH done AS (DELETE FROM standpipe.dead_letters d WHERE epoch = $1::bigint AND seq = $2::bigint"
	" AND op = $3::integer AND id = decode($4, 'hex') AND attempts = $5::integer"
	" AND NOT EXISTS (SELECT FROM standpipe.dead_letters n WHERE n.epoch = d.epoch AND n.seq = $6::bigint"
	"  AND n.op = -1 AND n.id = decode($7, 'hex') AND (n.seq, n.id) <> (d.seq, d.id)) RETURNING 1)"
	" SELECT count(*) FROM done";

static bool is(const struct letter *l, const char *class)
{
	return strcmp(l->class, class) == 0;
}

/* A frame goes the way it would have gone through the stream. */
static int event_of_frame(struct retry *r, struct slice frame, struct batch_event *be, struct err *err)
{
	struct buf payload = BUF_INIT;
	enum frame_status status;
	struct event e;

	status = event_from_frame(frame, clock_wall_us(), &r->arena, &e, err);
	if (status != FRAME_OK)
		return status == FRAME_BAD ? -1 : err_set(err, "no frame with an event of a known type");
	if (e.kind == EVENT_NONE) {
		be->e = (struct event){ .kind = EVENT_SKIP, .seq = e.seq };
		return 0;
	}
	if (r->full && event_is_signed(&e))
		e = (struct event){ .kind = EVENT_FRAME, .flags = e.flags, .seq = e.seq, .bytes = frame };
	event_encode(&e, &payload);
	pack_begin(&r->packed);
	pack_add(&r->packed, (uint8_t)e.kind, e.flags, e.seq, buf_slice(&payload));
	buf_done(&payload);
	be->bytes = slice_of(r->packed.p + PACK_PREFIX, r->packed.n - PACK_PREFIX);
	return letter_event(be->bytes, &r->arena, &be->e, err);
}

/* What to write for a letter. What still cannot be decoded is set aside once more, so its attempts rise. */
static void event_of(struct retry *r, const struct letter *l, struct batch_event *be)
{
	struct slice bytes = buf_slice(&l->bytes);
	struct err err;
	int status;

	*be = (struct batch_event){ .epoch = strtoull(l->epoch, NULL, 10), .bytes = bytes };
	status = is(l, "bad") ? event_of_frame(r, bytes, be, &err) : letter_event(bytes, &r->arena, &be->e, &err);
	if (status == 0)
		return;
	be->bytes = bytes;
	be->e = (struct event){ .kind = EVENT_BAD, .seq = strtoull(l->seq, NULL, 10), .bytes = bytes,
		.reason = arena_copy(&r->arena, slice_str(err.text)) };
}

/* Writes one event, patiently: deadlocks and missing keys go away. */
static enum write_status write_event(struct retry *r, struct batch_event *be, struct err *err)
{
	struct batch b = { .events = be, .n_events = 1 };
	enum write_status status = WRITE_E_RETRY;

	for (int i = 0; i < MAX_TRIES && status == WRITE_E_RETRY; i++) {
		if (i)
			(void)wait_poll(NULL, -1, 0, clock_mono_us() + BETWEEN_TRIES_US);
		status = writer_write(&r->writer, &b, err);
	}
	return status;
}

/* Deletes the letter if it is done; *ret_done says whether. */
static enum pg_class finish(struct retry *r, const struct letter *l, const struct batch_event *be, bool *ret_done,
	struct err *err)
{
	char seq[24], id[LETTER_ID + 1];
	const char *params[] = { l->epoch, l->seq, l->op, l->id, l->attempts, seq, id };
	struct pg_result *row = NULL;
	uint8_t digest[CID_DIGEST];
	enum pg_class class;

	sha256(be->bytes, digest);
	for (int i = 0; i < CID_DIGEST; i++)
		snprintf(id + 2 * i, 3, "%02x", digest[i]);
	snprintf(seq, sizeof seq, "%" PRIu64, be->e.seq);
	class = pg_query(r->pg, delete_sql, 7, params, &row, err);
	*ret_done = class == PG_OK && strcmp(pg_text(row, 0, 0), "1") == 0;
	pg_result_free(row);
	return class;
}

/* A letter that cannot be written on its own: what helps instead. */
static void tell_unfit(struct retry *r, const struct letter *l)
{
	r->n_unfit++;
	if (is(l, "foreign"))
		printf("%s %.12s: not ours: find out who writes to the stream, then: standpipe dead-letter drop %.12s\n",
			l->place, l->id, l->id);
	else if (is(l, "missing_parent"))
		printf("%s %.12s: a missing parent is looked for with: standpipe pending retry %s\n", l->place, l->id,
			l->reason);
	else
		printf("%s %.12s: one operation (%s) is not written without its commit; stop and read it again with: "
			"standpipe rewind %s\n", l->place, l->id, l->class, l->seq);
}

/* One letter; not EXIT_DONE if it makes no sense to go on. */
static int retry_letter(struct retry *r, const struct letter *l)
{
	struct batch_event be;
	enum write_status status;
	enum pg_class class;
	struct err err;
	bool done;

	if (strcmp(l->op, "-1") != 0 || !(is(l, "data") || is(l, "bad") || is(l, "crash") || is(l, "unverified"))) {
		tell_unfit(r, l);
		return EXIT_DONE;
	}
	arena_reset(&r->arena);
	event_of(r, l, &be);
	status = write_event(r, &be, &err);
	if (status != WRITE_OK)
		return report_fail("dead-letter", status == WRITE_E_DOWN ? PG_DOWN :
			status == WRITE_E_SCHEMA ? PG_SCHEMA : PG_RETRY, &err);
	class = finish(r, l, &be, &done, &err);
	if (class != PG_OK)
		return report_fail("dead-letter", class, &err);
	printf("%s %.12s: %s\n", l->place, l->id, done ? "stored" : "still refused");
	*(done ? &r->n_stored : &r->n_refused) += 1;
	return EXIT_DONE;
}

static int retry_all(struct retry *r, const struct letter_choice *choice)
{
	struct letter l = { 0 };
	struct err err;
	int status = EXIT_DONE;
	enum pg_class class = letter_next(r->pg, choice, &l, &err);

	while (class == PG_OK && l.row && status == EXIT_DONE) {
		status = retry_letter(r, &l);
		if (status == EXIT_DONE)
			class = letter_next(r->pg, choice, &l, &err);
	}
	letter_done(&l);
	return class == PG_OK ? status : report_fail("dead-letter", class, &err);
}

int dead_letter_retry(struct pg *pg, const struct conf *conf, const struct letter_choice *choice)
{
	struct waiter waiter = { wait_poll, NULL };
	struct retry r = { .pg = pg, .full = strcmp(conf->source.verify, "full") == 0 };
	struct err err;
	int status;

	log_init("dead-letter", LOG_WARNING);
	if (writer_init(&r.writer, conf->postgres.conninfo, "standpipe dead-letter", waiter, &r.stats, &err) < 0)
		status = report_fail("dead-letter", PG_DATA, &err);
	else
		status = retry_all(&r, choice);
	writer_done(&r.writer);
	arena_done(&r.arena);
	buf_done(&r.packed);
	if (status != EXIT_DONE)
		return status;
	if (r.n_stored + r.n_refused + r.n_unfit == 0)
		return letter_none();
	printf("%ld stored, %ld still refused, %ld not to be retried alone\n", r.n_stored, r.n_refused, r.n_unfit);
	return r.n_stored > 0 && r.n_refused == 0 ? EXIT_DONE : EXIT_CHECK;
}
