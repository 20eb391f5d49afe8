/* SPDX-License-Identifier: MIT */
#include "domain/event_commit.h"

#include "codec/car.h"
#include "codec/cbor.h"
#include "codec/syntax.h"
#include "codec/tid.h"
#include "domain/event_field.h"

#include <endian.h>
#include <stdlib.h>

enum { SYNC_MAX_BLOCKS = 10000 };

/* A block somebody needs; digest comes first, so that a digest can be compared with a want. */
struct want {
	uint8_t digest[CID_DIGEST];
	bool found, sound; /* sound: the block hashes to the digest */
	struct slice block;
};

/* Sorted by digest, each once: any number of blocks is matched in n log n whatever digests are
 * chosen. */
struct wants {
	struct want *want;
	size_t n;
};

/* For qsort and bsearch: of wants, or of a digest and a want. */
static int digest_cmp(const void *a, const void *b)
{
	return memcmp(a, b, CID_DIGEST);
}

/* NULL if nobody needs that block. */
static struct want *want_of(const struct wants *wants, const uint8_t *digest)
{
	return bsearch(digest, wants->want, wants->n, sizeof *wants->want, digest_cmp);
}

/* An op without a readable CID has the digest zero, which no block has. */
static bool has_cid(const struct op *op)
{
	static const uint8_t none[CID_DIGEST];

	return memcmp(op->cid, none, CID_DIGEST) != 0;
}

/* The blocks of the commit and of its ops. */
static struct wants wants_of(const uint8_t *commit, const struct event *e, struct arena *arena)
{
	struct wants wants = { arena_zalloc(arena, (size_t)e->n_ops + 1, sizeof *wants.want), 1 };
	size_t n_unique = 1;

	memcpy(wants.want[0].digest, commit, CID_DIGEST);
	for (uint32_t i = 0; i < e->n_ops; i++)
		if (has_cid(&e->ops[i]))
			memcpy(wants.want[wants.n++].digest, e->ops[i].cid, CID_DIGEST);
	if (wants.n == 1)
		return wants;
	qsort(wants.want, wants.n, sizeof *wants.want, digest_cmp);
	for (size_t i = 1; i < wants.n; i++)
		if (digest_cmp(&wants.want[i], &wants.want[n_unique - 1]) != 0)
			wants.want[n_unique++] = wants.want[i];
	wants.n = n_unique;
	return wants;
}

/* Walks the whole CAR once, keeping the blocks that are wanted. */
static int collect(struct car *car, struct wants *wants, struct err *err)
{
	enum car_status r;
	struct slice block;
	struct cid cid;

	while ((r = car_next(car, &cid, &block)) == CAR_OK) {
		struct want *want = want_of(wants, cid.digest);

		if (!want || want->sound)
			continue; /* surplus or a duplicate */
		want->found = true;
		want->block = block;
		want->sound = cid_matches(&cid, block);
	}
	return r == CAR_END ? 0 : err_set(err, "car: %s", car_status_name(r));
}

/* Opens the CAR and checks its size. */
static int open_car(const struct field *blocks, size_t max_bytes, struct arena *arena,
	struct car *ret_car, struct err *err)
{
	enum car_status r;

	if (blocks->item.s.n > max_bytes)
		return err_set(err, "blocks: %zu bytes, at most %zu", blocks->item.s.n, max_bytes);
	r = car_open(blocks->item.s, arena, ret_car);
	if (r)
		return err_set(err, "car: %s", car_status_name(r));
	if (ret_car->root.codec != CID_DAG_CBOR)
		return err_set(err, "car: root is not a dag-cbor CID");
	return 0;
}

/* Holds the commit block against what the frame says; takes the data root from it. */
static int read_commit_block(const struct want *want, struct slice rev, struct arena *arena,
	struct event *e, struct err *err)
{
	enum { DID, REV, DATA, N_FIELDS };
	static const struct field_spec specs[N_FIELDS] = {
		[DID] = FIELD("did", CBOR_TEXT, FIELD_REQUIRED),
		[REV] = FIELD("rev", CBOR_TEXT, FIELD_REQUIRED),
		[DATA] = FIELD("data", CBOR_CID, FIELD_REQUIRED),
	};
	struct field f[N_FIELDS];
	enum cbor_status r;
	struct cid data;

	if (!want->found)
		return err_set(err, "commit block: absent");
	if (!want->sound)
		return err_set(err, "commit block: does not hash to its CID");
	r = cbor_check(want->block, arena);
	if (r)
		return err_set(err, "commit block: %s", cbor_status_name(r));
	if (fields_read(want->block, specs, N_FIELDS, f, err))
		return err_wrap(err, "commit block");
	if (!slice_eq(f[DID].item.s, e->did))
		return err_set(err, "commit block: did differs");
	if (!slice_eq(f[REV].item.s, rev))
		return err_set(err, "commit block: rev differs");
	if (!cid_from_bytes(f[DATA].item.s, &data) || data.codec != CID_DAG_CBOR)
		return err_set(err, "commit block: data is not a dag-cbor CID");
	memcpy(e->commit_cid, want->digest, CID_DIGEST);
	memcpy(e->data, data.digest, CID_DIGEST);
	return 0;
}

/* rev of a commit or sync. */
static int read_rev(struct slice text, uint64_t *ret_rev, struct err *err)
{
	if (!tid_parse(text, ret_rev) || *ret_rev > INT64_MAX)
		return err_set(err, "rev: not a TID below 2^63");
	return 0;
}

/* The first complaint about an op stays. */
static void complain(struct op *op, enum op_verdict verdict)
{
	if (op->verdict == OP_VERDICT_OK)
		op->verdict = (uint8_t)verdict;
}

/* enum op_action, 0 if it is none. */
static uint8_t action_of(const struct field *action)
{
	if (!field_is(action, CBOR_TEXT))
		return 0;
	for (uint8_t i = OP_CREATE; i <= OP_DELETE; i++)
		if (slice_is(action->item.s, op_action_name(i)))
			return i;
	return 0;
}

/* The digest of a dag-cbor CID, where it stands in the frame; NULL if there is none. */
static const uint8_t *digest_in(const struct field *field)
{
	struct cid cid;

	if (!field_is(field, CBOR_CID) || !cid_from_bytes(field->item.s, &cid) || cid.codec != CID_DAG_CBOR)
		return NULL;
	return field->item.s.p + CID_BYTES - CID_DIGEST;
}

/* What an op says of itself; c then stands behind it. Nothing in it can fail the frame. */
static int read_op(struct cbor *c, struct op *op)
{
	enum { CID, PATH, PREV, ACTION, N_FIELDS };
	static const struct field_spec specs[N_FIELDS] = {
		[CID] = FIELD("cid", CBOR_CID, FIELD_ANY),
		[PATH] = FIELD("path", CBOR_TEXT, FIELD_ANY),
		[PREV] = FIELD("prev", CBOR_CID, FIELD_ANY),
		[ACTION] = FIELD("action", CBOR_TEXT, FIELD_ANY),
	};
	struct field f[N_FIELDS];
	struct cid cid;
	struct err err;

	if (fields_take(c, specs, N_FIELDS, f, &err)) {
		complain(op, OP_VERDICT_BAD_PATH); /* no map, so no path either */
		if (cbor_skip(c))
			return -1;
	}
	if (field_is(&f[PATH], CBOR_TEXT))
		op->rkey = f[PATH].item.s;
	if (!repo_path_parse(op->rkey, &op->collection, &op->rkey))
		complain(op, OP_VERDICT_BAD_PATH);
	op->action = action_of(&f[ACTION]);
	op->prev = digest_in(&f[PREV]);
	if (!op->action)
		complain(op, OP_VERDICT_BAD_ACTION);
	if (op->action == OP_DELETE) {
		if (f[CID].present && f[CID].item.type != CBOR_NULL)
			complain(op, OP_VERDICT_BAD_ACTION);
		return 0;
	}
	if (!field_is(&f[CID], CBOR_CID) || !cid_from_bytes(f[CID].item.s, &cid)) {
		complain(op, OP_VERDICT_BAD_CID);
		return 0;
	}
	memcpy(op->cid, cid.digest, CID_DIGEST);
	if (cid.codec != CID_DAG_CBOR)
		complain(op, OP_VERDICT_BAD_CID);
	return 0;
}

/* All ops, before their blocks are known. */
static int read_ops(
	const struct field *array, struct arena *arena, struct event *e, struct err *err)
{
	struct cbor c = cbor_over(array->bytes);
	struct cbor_item head;

	if (array->item.n > EVENT_MAX_OPS)
		return err_set(err, "ops: %llu, at most %d", (unsigned long long)array->item.n,
			EVENT_MAX_OPS);
	e->n_ops = (uint32_t)array->item.n;
	e->ops = arena_zalloc(arena, e->n_ops, sizeof *e->ops);
	if (cbor_next(&c, &head))
		return err_set(err, "ops: truncated");
	for (uint32_t i = 0; i < e->n_ops; i++)
		if (read_op(&c, &e->ops[i]))
			return err_set(err, "ops: truncated");
	return 0;
}

/* Gives an op its block and its final verdict. */
static void judge_op(struct op *op, const struct wants *wants, bool rev_ahead)
{
	const struct want *want = has_cid(op) ? want_of(wants, op->cid) : NULL;

	if (want && want->found)
		op->record = want->block;
	if (op->action != OP_DELETE) {
		if (!want || !want->found)
			complain(op, OP_VERDICT_MISSING_BLOCK);
		else if (!want->sound)
			complain(op, OP_VERDICT_CID_MISMATCH);
		else if (op->record.n > EVENT_MAX_RECORD)
			complain(op, OP_VERDICT_TOO_LARGE);
	}
	if (rev_ahead)
		complain(op, OP_VERDICT_FUTURE_REV);
}

/* since and prevData only feed the chain audit: a value that cannot be read counts as absent. */
static void read_chain(const struct field *since, const struct field *prev_data, struct event *e)
{
	if (since->present && (!tid_parse(since->item.s, &e->since) || e->since > INT64_MAX))
		e->since = 0;
	e->has_prev_data = prev_data->present;
	e->prev_root = digest_in(prev_data);
	if (e->prev_root) {
		memcpy(&e->prev_data, e->prev_root, sizeof e->prev_data);
		e->prev_data = le64toh(e->prev_data);
	}
}

bool event_is_ahead(const struct event *e, int64_t now_us)
{
	return tid_time_us(e->rev) - EVENT_REV_AHEAD_US > now_us;
}

int event_read_commit(
	struct slice body, int64_t now_us, struct arena *arena, struct event *e, struct err *err)
{
	enum { OPS, REV, SEQ, REPO, TIME, SINCE, BLOCKS, COMMIT, TOO_BIG, PREV_DATA, N_FIELDS };
	static const struct field_spec specs[N_FIELDS] = {
		[OPS] = FIELD("ops", CBOR_ARRAY, FIELD_REQUIRED),
		[REV] = FIELD("rev", CBOR_TEXT, FIELD_REQUIRED),
		[SEQ] = FIELD("seq", CBOR_UINT, FIELD_REQUIRED),
		[REPO] = FIELD("repo", CBOR_TEXT, FIELD_REQUIRED),
		[TIME] = FIELD("time", CBOR_TEXT, FIELD_REQUIRED),
		[SINCE] = FIELD("since", CBOR_TEXT, FIELD_OPTIONAL),
		[BLOCKS] = FIELD("blocks", CBOR_BYTES, FIELD_REQUIRED),
		[COMMIT] = FIELD("commit", CBOR_CID, FIELD_REQUIRED),
		[TOO_BIG] = FIELD("tooBig", CBOR_BOOL, FIELD_ANY),
		[PREV_DATA] = FIELD("prevData", CBOR_CID, FIELD_OPTIONAL),
	};
	struct field f[N_FIELDS];
	struct wants wants;
	struct cid commit;
	struct car car;

	if (fields_read(body, specs, N_FIELDS, f, err))
		return err_wrap(err, "body");
	if (fields_common(&f[SEQ], &f[REPO], &f[TIME], "repo", e, err) ||
		read_rev(f[REV].item.s, &e->rev, err) || read_ops(&f[OPS], arena, e, err) ||
		open_car(&f[BLOCKS], EVENT_MAX_BLOCKS, arena, &car, err))
		return -1;
	read_chain(&f[SINCE], &f[PREV_DATA], e);
	e->blocks = f[BLOCKS].item.s;
	e->too_big = field_is(&f[TOO_BIG], CBOR_BOOL) && f[TOO_BIG].item.n;
	if (!cid_from_bytes(f[COMMIT].item.s, &commit) || !cid_eq(&commit, &car.root))
		return err_set(err, "car: root is not the frame's commit");
	wants = wants_of(commit.digest, e, arena);
	if (collect(&car, &wants, err) ||
		read_commit_block(want_of(&wants, commit.digest), f[REV].item.s, arena, e, err))
		return -1;
	for (uint32_t i = 0; i < e->n_ops; i++)
		judge_op(&e->ops[i], &wants, event_is_ahead(e, now_us));
	return 0;
}

int event_read_sync(struct slice body, struct arena *arena, struct event *e, struct err *err)
{
	enum { DID, REV, SEQ, TIME, BLOCKS, N_FIELDS };
	static const struct field_spec specs[N_FIELDS] = {
		[DID] = FIELD("did", CBOR_TEXT, FIELD_REQUIRED),
		[REV] = FIELD("rev", CBOR_TEXT, FIELD_REQUIRED),
		[SEQ] = FIELD("seq", CBOR_UINT, FIELD_REQUIRED),
		[TIME] = FIELD("time", CBOR_TEXT, FIELD_REQUIRED),
		[BLOCKS] = FIELD("blocks", CBOR_BYTES, FIELD_REQUIRED),
	};
	struct field f[N_FIELDS];
	struct wants wants;
	struct car car;

	if (fields_read(body, specs, N_FIELDS, f, err))
		return err_wrap(err, "body");
	if (fields_common(&f[SEQ], &f[DID], &f[TIME], "did", e, err) ||
		read_rev(f[REV].item.s, &e->rev, err) ||
		open_car(&f[BLOCKS], SYNC_MAX_BLOCKS, arena, &car, err))
		return -1;
	e->blocks = f[BLOCKS].item.s;
	wants = wants_of(car.root.digest, e, arena);
	if (collect(&car, &wants, err))
		return -1;
	return read_commit_block(&wants.want[0], f[REV].item.s, arena, e, err);
}
