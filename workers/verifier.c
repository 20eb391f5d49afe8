/* SPDX-License-Identifier: MIT */
#include "workers/verifier.h"

#include "base/clock.h"
#include "domain/filter.h"
#include "domain/verify.h"

#include <assert.h>
#include <time.h>

/* A frame of the batch, opened. */
struct opened {
	struct batch_event *be;
	struct event e;
};

void verifier_init(struct verifier *v, const struct conf *conf, struct stats_slot *stats)
{
	*v = (struct verifier){ .conf = conf, .stats = stats, .full = strcmp(conf->source.verify, "full") == 0 };
}

void verifier_done(struct verifier *v)
{
	identities_done(&v->identities);
}

static uint64_t cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* The event turned out to be something else than a frame: so that was received. */
static void receive_as(struct batch *b, const struct batch_event *be)
{
	struct ledger_pack *pack = b->n_ledger ? &b->ledger[be->pack] : NULL;

	if (!pack)
		return;
	pack->received[LEDGER_EVENTS + EVENT_FRAME]--;
	ledger_receive(pack, &be->e);
}

/* The event becomes a dead letter, with its bytes as they were in the stream, so that it can be tried again. */
static void refuse(struct batch *b, struct batch_event *be, const struct err *why)
{
	be->class = "unverified";
	be->e = (struct event){ .kind = EVENT_BAD, .seq = be->e.seq, .did = be->e.did, .bytes = be->bytes,
		.reason = arena_copy(&b->arena, slice_str(why->text)) };
	receive_as(b, be);
}

/* Opens one frame. What the reader could open and we cannot is refused. */
static bool open_frame(struct batch *b, struct batch_event *be, struct event *ret)
{
	int64_t now_us = be->e.flags & FRAME_AHEAD ? INT64_MIN : INT64_MAX;
	enum frame_status status;
	struct err err;

	status = event_from_frame(be->e.bytes, now_us, &b->arena, ret, &err);
	if (status == FRAME_OK && event_is_signed(ret)) {
		be->e.did = ret->did;
		return true;
	}
	if (status != FRAME_BAD)
		err_set(&err, "not a frame that can be verified");
	refuse(b, be, &err);
	return false;
}

static struct opened *open_frames(struct verifier *v, struct batch *b, int *ret_n)
{
	struct opened *opened = arena_alloc(&b->arena, (size_t)b->n_events * sizeof *opened);
	int n = 0;

	for (int i = 0; i < b->n_events; i++) {
		struct batch_event *be = &b->events[i];

		be->wanted = v->full && be->e.kind == EVENT_IDENTITY;
		if (be->wanted)
			identities_forget(&v->identities, be->e.did);
		if (be->e.kind != EVENT_FRAME)
			continue;
		stats_decode(v->stats, be->epoch, be->e.seq);
		opened[n].be = be;
		n += open_frame(b, be, &opened[n].e);
		stats_decoded(v->stats);
	}
	*ret_n = n;
	return opened;
}

static enum pg_class load_keys(struct verifier *v, struct writer *w, struct batch *b, const struct opened *opened, int n,
	struct err *err)
{
	struct slice *dids = arena_alloc(&b->arena, (size_t)n * sizeof *dids);

	for (int i = 0; i < n; i++)
		dids[i] = opened[i].e.did;
	return identities_load(&v->identities, w->pg, &b->arena, dids, n, b->resumed, err);
}

/* What nobody asked for only counts, one by one: it is few. */
static void filter(struct verifier *v, struct arena *arena, struct event *e)
{
	uint32_t n = filter_ops(e, v->conf->source.collections, v->conf->source.n_collections);
	struct filtered *filtered = n ? arena_alloc(arena, n * sizeof *filtered) : NULL;

	for (uint32_t i = 0; i < n; i++)
		filtered[i] = (struct filtered){ e->ops[e->n_ops + i].collection, 1 };
	e->filtered = filtered;
	e->n_filtered_collections = n;
}

/* It passed: from here on it is what it holds. */
static void accept(struct verifier *v, struct batch *b, struct opened *o, bool verified)
{
	o->be->e = o->e;
	o->be->verified = verified;
	filter(v, &b->arena, &o->be->e);
	receive_as(b, o->be);
}

/* A check failed, or there is no key to check with: the account's document is asked for once more. */
static void refuse_or_park(struct verifier *v, struct batch *b, struct opened *o, enum verify_check check,
	const struct err *why)
{
	struct err reason;

	o->be->wanted = o->be->failed = !b->resumed;
	if (!b->resumed) {
		stats_add(v->stats, STAT_events_parked, 1);
		return;
	}
	err_set(&reason, "%s: %.400s", verify_check_name(check), why->text);
	refuse(b, o->be, &reason);
	stats_add(v->stats, STAT_events_unverified, 1);
}

static void judge(struct verifier *v, struct batch *b, struct opened *o, struct arena *scratch)
{
	const struct identity *id = identities_find(&v->identities, o->e.did);
	const struct sign_key *key = id && id->key.curve != SIGN_NONE ? &id->key : NULL;
	struct err why = { "" };
	enum verify_check check;

	if (!id || !id->known) { /* also what was parked without a DID, and after the database went back */
		o->be->wanted = true;
		stats_add(v->stats, STAT_events_parked, 1);
		return;
	}
	arena_reset(scratch);
	stats_decode(v->stats, o->be->epoch, o->be->e.seq);
	check = verify_event(&o->e, key, scratch, &why);
	stats_decoded(v->stats);
	if (check == VERIFY_OK)
		accept(v, b, o, true);
	else
		refuse_or_park(v, b, o, check, &why);
}

enum write_status verifier_run(struct verifier *v, struct writer *w, struct batch *b, struct err *err)
{
	enum write_status status = writer_connect(w, err);
	struct arena scratch = ARENA_INIT;
	struct opened *opened;
	uint64_t begun_us = cpu_us();
	enum pg_class class;
	int n;

	if (status != WRITE_OK)
		return status;
	opened = open_frames(v, b, &n);
	if (!n)
		return WRITE_OK;
	if (!v->full) {
		for (int i = 0; i < n; i++)
			accept(v, b, &opened[i], false);
		return WRITE_OK;
	}
	class = load_keys(v, w, b, opened, n, err);
	if (class != PG_OK)
		return writer_judge(w, class);
	for (int i = 0; i < n; i++)
		judge(v, b, &opened[i], &scratch);
	arena_done(&scratch);
	stats_add(v->stats, STAT_events_verified, (uint64_t)n);
	stats_add(v->stats, STAT_verify_us, cpu_us() - begun_us);
	return WRITE_OK;
}

enum write_status verifier_write(struct verifier *v, struct writer *w, struct batch *b, struct err *err)
{
	enum write_status status = verifier_run(v, w, b, err);

	return status == WRITE_OK ? writer_write(w, b, err) : status;
}
