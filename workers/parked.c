/* SPDX-License-Identifier: MIT */
#include "workers/parked.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/pack.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOOK_US = 500000 };

/* $1 of $2 shares; with $3 also those that nobody has asked about: signatures are not checked (any more). */
static const char ready_sql[] =
	"SELECT epoch, seq, coalesce(did, ''), encode(bytes, 'hex') FROM standpipe.parked"
	" WHERE (ready OR $3::boolean) AND (hashtext(coalesce(did, '')) & 1023) % $2::integer = $1::integer"
	" ORDER BY epoch, seq LIMIT 256";

static int hex_value(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

static struct slice from_hex(struct arena *arena, const char *text)
{
	size_t n = strlen(text) / 2;
	uint8_t *p = arena_alloc(arena, n);

	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(hex_value(text[2 * i]) << 4 | hex_value(text[2 * i + 1]));
	return slice_of(p, n);
}

static void refuse(struct batch_event *be, const char *class, struct slice reason)
{
	be->class = class;
	be->e = (struct event){ .kind = EVENT_BAD, .seq = be->e.seq, .bytes = be->bytes, .reason = reason };
}

/* One row as an event of the batch; one over which a process has crashed is not opened again. */
static void take_row(struct parked *p, const struct pg_result *r, int row)
{
	struct arena *arena = &p->batch.arena;
	struct batch_event *be = batch_new_event(&p->batch);
	struct err err;

	*be = (struct batch_event){ .epoch = strtoull(pg_text(r, row, 0), NULL, 10), .resumed = true };
	be->e.seq = strtoull(pg_text(r, row, 1), NULL, 10);
	be->bytes = from_hex(arena, pg_text(r, row, 3));
	if (suspects_have(p->suspects, be->epoch, be->e.seq))
		refuse(be, "crash", slice_str("verifying it ended a process"));
	else if (be->bytes.n < PACK_EVENT_HEAD || batch_decode(be, arena, &err) < 0 || be->e.kind != EVENT_FRAME)
		refuse(be, "unverified", slice_str("not a frame as the reader writes it"));
	be->e.did = arena_copy(arena, slice_str(pg_text(r, row, 2)));
}

/* Fills the batch; none ready: n_events is 0, and it is not time for a while. */
static enum write_status take(struct parked *p, struct writer *w, struct err *err)
{
	const struct child *c = p->child;
	enum write_status status = writer_connect(w, err);
	char share[12], shares[12];
	const char *params[] = { share, shares, p->verifier->full ? "f" : "t" };
	struct pg_result *r = NULL;
	enum pg_class class;

	batch_reset(&p->batch);
	p->batch.resumed = true;
	if (status != WRITE_OK)
		return status;
	snprintf(share, sizeof share, "%d", c->slot);
	snprintf(shares, sizeof shares, "%d", c->n_workers > c->slot ? c->n_workers : c->slot + 1);
	class = pg_query(w->pg, ready_sql, 3, params, &r, err);
	for (int i = 0; class == PG_OK && i < pg_rows(r); i++)
		take_row(p, r, i);
	pg_result_free(r);
	return writer_judge(w, class);
}

void parked_work(struct parked *p, struct writer *w)
{
	enum write_status status;
	struct err err;

	if (clock_mono_us() < p->next_us)
		return;
	status = take(p, w, &err);
	if (status == WRITE_OK && p->batch.n_events)
		status = verifier_write(p->verifier, w, &p->batch, &err);
	/* the stream has its turn in between */
	p->more = status == WRITE_OK && p->batch.n_events;
	p->next_us = p->more ? 0 : clock_mono_us() + LOOK_US;
	if (status == WRITE_OK)
		complaint_clear(&p->complaint);
	else if (status != WRITE_E_STOP && complaint_due(&p->complaint))
		log_error("worker.parked_failed", "error=%s action=\"retrying\"%s", LOG_QUOTED(err.text), p->complaint.repeated);
}

void parked_done(struct parked *p)
{
	batch_done(&p->batch);
}
