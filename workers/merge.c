/* SPDX-License-Identifier: MIT */
#include "workers/merge.h"

#include "base/rules.h"

#include <assert.h>
#include <stdlib.h>

_Static_assert(sizeof((struct merge){ 0 }.records) / sizeof(struct merged_list) >= 20, "room for collections");

/* Whatever ends the process from here to decoded() is that event's doing. */
static void decoding(struct merge *m, uint64_t epoch, uint64_t seq)
{
	if (m->stats)
		stats_decode(m->stats, epoch, seq);
}

static void decoded(struct merge *m)
{
	if (m->stats)
		stats_decoded(m->stats);
}

/* ---- lists with a hash ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 29;
}

static uint64_t record_hash(const void *p)
{
	const struct merged_record *r = p;

	return mix(mix(0, (uint64_t)r->rkey), (uint64_t)r->actor);
}

static bool record_same(const void *a, const void *b)
{
	const struct merged_record *x = a, *y = b;

	return x->rkey == y->rkey && x->actor == y->actor && slice_eq(x->nsid, y->nsid);
}

static uint64_t actor_hash(const void *p)
{
	return mix(0, (uint64_t)((const struct merged_actor *)p)->id);
}

static bool actor_same(const void *a, const void *b)
{
	return ((const struct merged_actor *)a)->id == ((const struct merged_actor *)b)->id;
}

static uint64_t key_hash(const void *p)
{
	const struct merged_key *k = p;

	return mix(mix(0, (uint64_t)k->rkey), (uint64_t)k->actor);
}

static bool key_same(const void *a, const void *b)
{
	const struct merged_key *x = a, *y = b;

	return x->rkey == y->rkey && x->actor == y->actor && x->kind == y->kind;
}

static struct merged_actor *actor_of(struct merge *m, int64_t id, struct slice did)
{
	struct merged_actor key = { .id = id, .did = did };
	bool is_new;

	return merge_list_get(&m->actors, m->arena, &key, sizeof key, actor_hash, actor_same, &is_new);
}

/* ---- outcomes ---- */

uint32_t *merge_outcomes(struct merge *m, int pack, int class)
{
	assert(pack >= m->first_pack && pack < m->first_pack + m->n_packs);
	return m->tallies[pack - m->first_pack].n[class];
}

static void note_event(struct merge *m, const struct batch_event *be, enum ledger_outcome outcome)
{
	merge_outcomes(m, be->pack, LEDGER_EVENTS + (int)be->e.kind)[outcome]++;
}

/* What was left out, by the reader or after verification. */
static void note_filtered(struct merge *m, const struct batch_event *be)
{
	for (uint32_t i = 0; i < be->e.n_filtered_collections; i++) {
		const struct filtered *f = &be->e.filtered[i];

		merge_outcomes(m, be->pack, collection_find(f->collection))[LEDGER_FILTERED] += f->n;
	}
}

void merge_all_dead(struct merge *m, const struct batch_event *be)
{
	memset(m->tallies, 0, (size_t)m->n_packs * sizeof *m->tallies);
	note_event(m, be, LEDGER_DEAD);
	note_filtered(m, be);
	for (uint32_t i = 0; i < be->e.n_ops; i++)
		merge_outcomes(m, be->pack, collection_find(be->e.ops[i].collection))[LEDGER_DEAD]++;
}

/* ---- joins ---- */

static int position_cmp(struct position a, struct position b)
{
	if (a.epoch != b.epoch)
		return a.epoch < b.epoch ? -1 : 1;
	return a.seq < b.seq ? -1 : a.seq > b.seq;
}

/* Negative if version a is older than b: by rev, then by CID; a deletion's is empty and below all. */
static int version_cmp(const struct merged_record *a, const struct merged_record *b)
{
	if (a->rev != b->rev)
		return a->rev < b->rev ? -1 : 1;
	return RULE(cid_order) ? slice_cmp(a->cid, b->cid) : 0;
}

/* A version counts from where it was seen first. A later epoch says everything anew: there the account's
 * deletion has another position too, and only positions of one epoch can be compared. */
static bool counts_from(struct position now, struct position have)
{
	if (RULE(newest_epoch) && now.epoch != have.epoch)
		return now.epoch > have.epoch;
	return RULE(minimal_position) && position_cmp(now, have) < 0;
}

/* The newest version stays, with the position it counts from; the other one's outcome is decided here. */
static void join_record(struct merge *m, int c, struct merged_record *have, const struct merged_record *now)
{
	int order = version_cmp(now, have), loser = now->pack;
	bool fresh = have->fresh || now->fresh;

	if (order > 0 || !RULE(batch_merge_order)) {
		loser = have->pack;
		*have = *now;
	} else if (!order && counts_from(now->at, have->at)) {
		loser = have->pack;
		have->at = now->at;
		have->pack = now->pack;
	}
	have->said_by = now->said_by;
	have->fresh = fresh;
	merge_outcomes(m, loser, c)[order ? LEDGER_STALE : LEDGER_UNCHANGED]++;
}

void merge_dead(struct merge *m, const struct merged_dead *dead)
{
	if (m->n_dead == m->dead_cap) {
		struct merged_dead *more;

		m->dead_cap = m->dead_cap ? m->dead_cap * 2 : 16;
		more = arena_alloc(m->arena, (size_t)m->dead_cap * sizeof *more);
		if (m->n_dead)
			memcpy(more, m->dead, (size_t)m->n_dead * sizeof *more);
		m->dead = more;
	}
	m->dead[m->n_dead++] = *dead;
}

static void dead_op(struct merge *m, const struct batch_event *be, int op, const char *class, const char *reason)
{
	const struct op *o = &be->e.ops[op];

	merge_outcomes(m, be->pack, collection_find(o->collection))[LEDGER_DEAD]++;
	merge_dead(m, &(struct merged_dead){ .epoch = be->epoch, .seq = be->e.seq, .op = op, .class = class,
		.reason = slice_str(reason), .did = be->e.did, .collection = o->collection, .rkey = o->rkey,
		.bytes = o->record });
}

/* Joins one op; the caller takes a commit's ops from last to first, because the last one on a path is what
 * the commit says of it, whatever the CIDs: the earlier ones are no versions. */
static void add_op(struct merge *m, const struct batch_event *be, int64_t actor, int op)
{
	const struct op *o = &be->e.ops[op];
	int c = collection_find(o->collection);
	struct merged_record now = { .rkey = ident_rkey(m->ident, o->rkey), .actor = actor,
		.nsid = o->collection, .did = be->e.did, .rev = be->e.rev, .at = { be->epoch, be->e.seq },
		.pack = be->pack, .said_by = be };
	struct merged_record *have;
	enum cbor_status status;
	bool is_new;

	if (o->verdict != OP_VERDICT_OK) {
		dead_op(m, be, op, "refused", op_verdict_name((enum op_verdict)o->verdict));
		return;
	}
	/* a name that is no TID, like self, may be created again and again */
	now.fresh = o->action == OP_CREATE && now.rkey >= 0;
	if (now.rkey < 0)
		now.rkey_text = o->rkey;
	if (o->action != OP_DELETE) {
		/* before the join: an invalid version must not hide a valid older one */
		status = cbor_check(o->record, m->arena);
		if (status != CBOR_OK) {
			dead_op(m, be, op, "invalid_record", cbor_status_name(status));
			return;
		}
		now.cid = slice_of(o->cid, sizeof o->cid);
		now.record = o->record;
	}
	have = merge_list_get(&m->records[c], m->arena, &now, sizeof now, record_hash, record_same, &is_new);
	if (is_new)
		return;
	if (RULE(last_op) && have->said_by == be) {
		have->fresh |= now.fresh;
		merge_outcomes(m, be->pack, c)[LEDGER_STALE]++;
	} else {
		join_record(m, c, have, &now);
	}
}

/* Is this the repo's newest commit? One whose ops are refused for its rev is none. */
static bool is_newer_state(const struct event *e, const struct merged_actor *a)
{
	if (e->flags & FRAME_AHEAD)
		return false;
	return !RULE(repo_order) || !a->has_commit || e->rev > a->rev ||
	       (e->rev == a->rev && memcmp(e->commit_cid, a->commit_cid, CID_DIGEST) > 0);
}

static void add_commit(struct merge *m, const struct batch_event *be, struct merged_actor *a)
{
	const struct event *e = &be->e;

	if (!RULE(per_record_rev) && a->has_commit && e->rev < a->rev)
		return;
	if (is_newer_state(e, a)) {
		a->has_commit = true;
		a->rev = e->rev;
		a->commit_cid = e->commit_cid;
		a->data = e->data;
	}
	for (uint32_t i = e->n_ops; i-- > 0;)
		add_op(m, be, a->id, (int)i);
	note_filtered(m, be);
	m->n_ops += (int)e->n_ops;
}

static void add_sync(const struct event *e, struct merged_actor *a)
{
	if (a->has_sync && (e->rev < a->sync_rev ||
		(e->rev == a->sync_rev && memcmp(e->data, a->sync_data, CID_DIGEST) <= 0)))
		return;
	a->has_sync = true;
	a->sync_rev = e->rev;
	a->sync_data = e->data;
}

/* Where an event counts that only the newest of its kind matters of; without the rule the first to come wins. */
static struct position place_of(struct position at, bool by_position)
{
	return by_position ? at : (struct position){ 0 };
}

static void add_identity(const struct event *e, struct position at, struct merged_actor *a)
{
	a->has_state = true;
	at = place_of(at, RULE(handle_position));
	if (!e->has_handle || (a->has_handle && position_cmp(at, a->handle_at) <= 0))
		return;
	a->has_handle = true;
	a->handle = e->handle;
	a->handle_at = at;
}

static void add_account(const struct event *e, struct position at, struct merged_actor *a)
{
	struct position place = place_of(at, RULE(account_position));

	a->has_state = true;
	if (!a->has_account || position_cmp(place, a->account_at) > 0) {
		a->has_account = true;
		a->active = e->active;
		a->status = e->status;
		a->account_at = place;
	}
	if (e->active || !slice_is(e->status, "deleted"))
		return;
	if (!a->has_purge || position_cmp(at, a->purge_at) > 0) {
		a->has_purge = true;
		a->purge_at = at;
	}
}

static void dead_event(struct merge *m, const struct batch_event *be, const char *class, struct slice reason,
	struct slice bytes)
{
	note_event(m, be, LEDGER_DEAD);
	merge_dead(m, &(struct merged_dead){ .epoch = be->epoch, .seq = be->e.seq, .op = -1, .class = class,
		.reason = reason, .did = be->e.did, .bytes = bytes });
}

/* Events about an actor. */
static void add_actor_event(struct merge *m, const struct batch_event *be)
{
	struct position at = { be->epoch, be->e.seq };
	struct merged_actor *a = actor_of(m, ident_actor(m->ident, be->e.did), be->e.did);

	note_event(m, be, LEDGER_APPLIED);
	switch (be->e.kind) {
	case EVENT_COMMIT:
		add_commit(m, be, a);
		break;
	case EVENT_SYNC:
		add_sync(&be->e, a);
		break;
	case EVENT_IDENTITY:
		add_identity(&be->e, at, a);
		break;
	default:
		add_account(&be->e, at, a);
	}
}

static void add_event(struct merge *m, const struct batch_event *be)
{
	switch (be->e.kind) {
	case EVENT_COMMIT:
	case EVENT_SYNC:
	case EVENT_IDENTITY:
	case EVENT_ACCOUNT:
		add_actor_event(m, be);
		break;
	case EVENT_GAP:
		m->gaps[m->n_gaps++] = be;
		note_event(m, be, LEDGER_APPLIED);
		break;
	case EVENT_BAD:
		dead_event(m, be, be->class ? be->class : "bad", be->e.reason, be->e.bytes);
		break;
	case EVENT_FRAME: /* not verified yet: it is parked */
		note_event(m, be, LEDGER_APPLIED);
		break;
	case EVENT_SKIP:
		note_event(m, be, LEDGER_UNCHANGED);
		note_filtered(m, be);
		break;
	case EVENT_NONE:
		break;
	}
}

/* ---- rows ---- */

static void need_key(struct merge *m, const struct merged_key *key)
{
	bool is_new;
	struct merged_key *have = merge_list_get(&m->keys, m->arena, key, sizeof *key, key_hash, key_same, &is_new);

	have->own |= key->own;
}

static void need_refs(
	struct merge *m, const struct collection *c, const struct merged_record *r, const struct row *row)
{
	for (int i = 0; i < row->n_refs; i++) {
		const struct row_ref *ref = &row->refs[i];

		actor_of(m, ref->actor, ref->did);
		if (ref->kind != KIND_NONE)
			need_key(m, &(struct merged_key){ .rkey = ref->rkey, .actor = ref->actor,
				.kind = ref->kind, .rkey_text = ref->rkey_text, .child_rkey = r->rkey,
				.child_actor = r->actor, .child_id = c->id });
	}
	if (c->kind != KIND_NONE)
		need_key(m, &(struct merged_key){ .rkey = r->rkey, .actor = r->actor, .kind = c->kind,
			.rkey_text = r->rkey_text, .own = true, .child_id = c->id });
}

static int record_order(const void *a, const void *b)
{
	const struct merged_record *x = *(void *const *)a, *y = *(void *const *)b;
	int r = slice_cmp(x->nsid, y->nsid);

	if (x->fresh != y->fresh)
		return x->fresh ? -1 : 1;
	if (r)
		return r;
	if (x->rkey != y->rkey)
		return x->rkey < y->rkey ? -1 : 1;
	return x->actor < y->actor ? -1 : x->actor > y->actor;
}

static int actor_order(const void *a, const void *b)
{
	const struct merged_actor *x = *(void *const *)a, *y = *(void *const *)b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int key_order(const void *a, const void *b)
{
	const struct merged_key *x = *(void *const *)a, *y = *(void *const *)b;

	if (x->rkey != y->rkey)
		return x->rkey < y->rkey ? -1 : 1;
	if (x->actor != y->actor)
		return x->actor < y->actor ? -1 : 1;
	return (int)x->kind - (int)y->kind;
}

static void sort_records(struct merged_list *l)
{
	merge_list_sort(l, record_order);
	while (l->n_fresh < l->n && ((struct merged_record *)l->items[l->n_fresh])->fresh)
		l->n_fresh++;
}

void merge_row(struct merge *m, int c, const struct merged_record *r, struct buf *scratch, struct row *ret)
{
	const struct collection *col = &collections[c];

	decoding(m, r->at.epoch, r->at.seq);
	if (r->cid.n)
		row_extract(col, m->ident, r->record, m->arena, scratch, ret);
	else
		row_tombstone(col, ret);
	need_refs(m, col, r, ret);
	decoded(m);
}

void merge_sort_needs(struct merge *m)
{
	merge_list_sort(&m->actors, actor_order);
	merge_list_sort(&m->keys, key_order);
}

void merge_events(struct merge *m, struct arena *arena, const struct ident *ident,
	const struct batch_event *events, int n, struct stats_slot *stats)
{
	*m = (struct merge){ .arena = arena, .ident = ident, .stats = stats, .events = events, .n_events = n };
	if (n > 0) {
		m->first_pack = events[0].pack;
		m->n_packs = events[n - 1].pack - events[0].pack + 1;
	}
	m->tallies = arena_zalloc(arena, (size_t)m->n_packs, sizeof *m->tallies);
	m->gaps = arena_alloc(arena, (size_t)n * sizeof *m->gaps);
	for (int i = 0; i < n; i++) {
		if (events[i].e.kind != EVENT_BAD) /* its bytes stay closed */
			decoding(m, events[i].epoch, events[i].e.seq);
		add_event(m, &events[i]);
		decoded(m);
	}
	for (int c = 0; c < n_collections; c++)
		sort_records(&m->records[c]);
}
