/* SPDX-License-Identifier: MIT */
#include "codec/syntax.h"
#include "codec/tid.h"
#include "tests/unit/sound_commit.h"
#include "tests/unit/tap.h"

static void sound_commit(void)
{
	const struct made_op ops[] = { like_op(0), { "delete", "a.b.c/self", { 0 }, 0 },
		{ "update", "a.b.c/x", slice_str("\xa0"), 0 } };
	struct made m = sound(ops, 3);
	struct arena arena = ARENA_INIT;
	struct buf b = BUF_INIT;
	struct cid data = cid_of(slice_str("data")), prev = cid_of(slice_str("prev"));
	struct event e;
	struct err err;
	uint64_t rev, since, first;

	tid_parse(slice_str(REV), &rev);
	tid_parse(slice_str(m.since), &since);
	memcpy(&first, prev.digest, sizeof first);
	make_frame(&m, &b);
	ok(decode(buf_slice(&b), now_us, &arena, &e, &err) == FRAME_OK && e.kind == EVENT_COMMIT &&
			e.seq == 31000000001 && slice_is(e.did, DID) && e.time_us == now_us &&
			e.rev == rev && e.since == since && e.has_prev_data && e.prev_data == le64toh(first) && e.too_big &&
			memcmp(e.data, data.digest, CID_DIGEST) == 0,
		"a commit's fields arrive, the data root from its commit block (%s)", err.text);
	ok(e.n_ops == 3 && e.ops[0].action == OP_CREATE &&
			slice_is(e.ops[0].collection, "app.bsky.feed.like") &&
			slice_is(e.ops[0].rkey, "3mn6rk4ns6kpe") &&
			slice_eq(e.ops[0].record, ops[0].record) && e.ops[1].action == OP_DELETE &&
			!e.ops[1].record.n && e.ops[2].action == OP_UPDATE && !e.ops[0].verdict &&
			!e.ops[1].verdict && !e.ops[2].verdict,
		"ops keep their order; a delete has no block");
	m.n_ops = 0;
	m.since = NULL;
	m.without = "prevData";
	make_frame(&m, &b);
	ok(decode(buf_slice(&b), now_us, &arena, &e, &err) == FRAME_OK && !e.since && !e.prev_data,
		"since null and prevData absent are legal");
	m.type = "#sync";
	m.without = NULL;
	m.n_ops = 0;
	make_frame(&m, &b);
	ok(decode(buf_slice(&b), now_us, &arena, &e, &err) == FRAME_OK && e.kind == EVENT_SYNC &&
			e.rev == rev && memcmp(e.data, data.digest, CID_DIGEST) == 0,
		"a sync gives rev and data root");
	buf_done(&b);
	arena_done(&arena);
}

/* Claims that a frame is refused for the reason given, its seq known or not. */
static void refused(const struct made *m, const char *why, uint64_t seq)
{
	struct arena arena = ARENA_INIT;
	struct buf b = BUF_INIT;
	struct event e;
	struct err err;
	enum frame_status r;

	make_frame(m, &b);
	r = decode(buf_slice(&b), now_us, &arena, &e, &err);
	ok(r == FRAME_BAD && strcmp(err.text, why) == 0 && e.seq == seq && e.kind == EVENT_NONE,
		"refused: %s%s%s", why, strcmp(err.text, why) ? ", not " : "",
		strcmp(err.text, why) ? err.text : "");
	buf_done(&b);
	arena_done(&arena);
}

static void refusals(void)
{
	static const char *const required[] = { "rev", "seq", "repo", "time", "blocks", "commit",
		"ops" };
	static const struct {
		unsigned twist;
		const char *why;
	} twists[] = {
		{ NO_COMMIT_BLOCK, "commit block: absent" },
		{ COMMIT_BLOCK_CHANGED, "commit block: does not hash to its CID" },
		{ ROOT_DIFFERS, "car: root is not the frame's commit" },
		{ CAR_CUT, "car: truncated" },
		{ NO_DATA, "commit block: data: missing" },
		{ COMMIT_BLOCK_NOT_CBOR, "commit block: trailing bytes" },
	};
	const struct made_op op = like_op(0);
	struct made m;
	char why[64];

	for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
		bool is_seq = strcmp(required[i], "seq") == 0;

		m = sound(&op, 1);
		m.without = required[i];
		snprintf(why, sizeof why, "body: %s: missing", required[i]);
		refused(&m, why, is_seq ? 0 : m.seq);
		m.without = NULL;
		m.retyped = required[i];
		snprintf(why, sizeof why, "body: %s: wrong type", required[i]);
		refused(&m, why, is_seq ? 0 : m.seq);
	}
	for (size_t i = 0; i < sizeof twists / sizeof twists[0]; i++) {
		m = sound(&op, 1);
		m.twist = twists[i].twist;
		refused(&m, twists[i].why, m.seq);
		m.n_ops = 0;
		m.type = "#sync";
		if (m.twist == ROOT_DIFFERS)
			refused(&m, "commit block: absent", m.seq);
		else
			refused(&m, twists[i].why, m.seq);
	}
}

static void refused_values(void)
{
	struct made_op ops[EVENT_MAX_OPS + 1];
	struct made m;

	for (size_t i = 0; i <= EVENT_MAX_OPS; i++)
		ops[i] = like_op(0);
	m = sound(ops, 1);
	m.block_did = "did:plc:abcdefghijklmnopqrstuvwy";
	refused(&m, "commit block: did differs", m.seq);
	m = sound(ops, 1);
	m.block_rev = "3mn6rk4ns6lai";
	refused(&m, "commit block: rev differs", m.seq);
	m = sound(ops, 1);
	m.did = "did:plc:";
	refused(&m, "repo: not a DID", m.seq);
	m = sound(ops, 1);
	m.rev = "3mn6rk4ns6la";
	refused(&m, "rev: not a TID below 2^63", m.seq);
	m.rev = "cmn6rk4ns6lah";
	refused(&m, "rev: not a TID below 2^63", m.seq);
	m = sound(ops, 1);
	m.seq = 0;
	refused(&m, "seq: not in 1..2^53-1", 0);
	m.seq = (uint64_t)1 << 53;
	refused(&m, "seq: not in 1..2^53-1", 0);
	m = sound(ops, EVENT_MAX_OPS + 1);
	refused(&m, "ops: 201, at most 200", m.seq);
	m = sound(ops, 1);
	m.retyped = "since";
	refused(&m, "body: since: wrong type", m.seq);
	m.retyped = "prevData";
	refused(&m, "body: prevData: wrong type", m.seq);
}

/* A CAR of max bytes is read, one more is too many. */
static void block_limit(const char *type, size_t max, const char *why)
{
	struct made m = sound(NULL, 0);
	struct arena arena = ARENA_INIT;
	struct buf b = BUF_INIT;
	struct event e;
	struct err err;

	m.type = type;
	m.pad_bytes = max;
	make_car(&m, &b);
	m.pad_bytes -= b.n - max;
	make_frame(&m, &b);
	ok(decode(buf_slice(&b), now_us, &arena, &e, &err) == FRAME_OK,
		"%s: %zu bytes of blocks are read", type, max);
	m.pad_bytes++;
	refused(&m, why, m.seq);
	buf_done(&b);
	arena_done(&arena);
}

/* Claims the verdict on the one op of a commit, and what is kept of it. */
static void judged(struct made_op op, int64_t ahead_us, enum op_verdict verdict, const char *rkey,
	struct slice record)
{
	struct made m = sound(&op, 1);
	struct arena arena = ARENA_INIT;
	struct buf b = BUF_INIT;
	struct event e;
	struct err err;

	make_frame(&m, &b);
	ok(event_from_frame(buf_slice(&b), now_us - ahead_us, &arena, &e, &err) == FRAME_OK &&
			e.n_ops == 1 && e.ops[0].verdict == verdict &&
			slice_is(e.ops[0].rkey, rkey) && slice_eq(e.ops[0].record, record),
		"%s %s: %s", op.action, op.path, op_verdict_name(verdict));
	buf_done(&b);
	arena_done(&arena);
}

/* What an op that is no map leaves behind for the next one. */
static void op_between(void)
{
	const struct made_op ops[] = { like_op(0), like_op(OP_NOT_MAP), like_op(0) };
	struct made m = sound(ops, 3);
	struct arena arena = ARENA_INIT;
	struct buf b = BUF_INIT;
	struct event e;
	struct err err = { "" };

	make_frame(&m, &b);
	ok(decode(buf_slice(&b), now_us, &arena, &e, &err) == FRAME_OK && e.n_ops == 3 && !e.ops[0].verdict &&
			e.ops[1].verdict == OP_VERDICT_BAD_PATH && !e.ops[2].verdict &&
			slice_is(e.ops[2].rkey, "3mn6rk4ns6kpe") && slice_eq(e.ops[2].record, ops[2].record),
		"an op that is no map is stepped over; the one behind it is read (%s)", err.text);
	buf_done(&b);
	arena_done(&arena);
}

static void verdicts(void)
{
	static const char *const bad_paths[] = { "like/3mn6rk4ns6kpe", "app.bsky.feed.like",
		"a.b.c/d/e", "a.b.c/.", "3mn6rk4ns6kpe", "" };
	const struct slice record = like_op(0).record, none = { 0 };
	const char *key = "3mn6rk4ns6kpe";
	struct made_op op = like_op(0);

	judged(op, 0, OP_VERDICT_OK, key, record);
	for (size_t i = 0; i < sizeof bad_paths / sizeof bad_paths[0]; i++) {
		op.path = bad_paths[i];
		judged(op, 0, OP_VERDICT_BAD_PATH, bad_paths[i], record);
	}
	judged(like_op(OP_PATH_NUMBER), 0, OP_VERDICT_BAD_PATH, "", record);
	judged(like_op(OP_NOT_MAP), 0, OP_VERDICT_BAD_PATH, "", none);
	op = like_op(0);
	op.action = "replace";
	judged(op, 0, OP_VERDICT_BAD_ACTION, key, record);
	op.action = "delete";
	judged(op, 0, OP_VERDICT_BAD_ACTION, key, none);
	op.twist = OP_NULL_CID;
	judged(op, 0, OP_VERDICT_OK, key, none);
	op.twist = OP_NO_CID;
	judged(op, 0, OP_VERDICT_OK, key, none);
	judged(like_op(OP_NULL_CID), 0, OP_VERDICT_BAD_CID, key, none);
	judged(like_op(OP_NO_CID), 0, OP_VERDICT_BAD_CID, key, none);
	judged(like_op(OP_TEXT_CID), 0, OP_VERDICT_BAD_CID, key, none);
	judged(like_op(OP_RAW_CID), 0, OP_VERDICT_BAD_CID, key, record);
	judged(like_op(OP_NO_BLOCK), 0, OP_VERDICT_MISSING_BLOCK, key, none);
	judged(like_op(OP_OTHER_BLOCK), 0, OP_VERDICT_CID_MISMATCH, key, slice_str("\xa0other"));
	judged(like_op(OP_BAD_THEN_GOOD), 0, OP_VERDICT_OK, key, record);
	judged(like_op(0), EVENT_REV_AHEAD_US - 1000, OP_VERDICT_OK, key, record);
	judged(like_op(0), EVENT_REV_AHEAD_US + 1000000, OP_VERDICT_FUTURE_REV, key, record);
	judged(like_op(OP_NO_BLOCK), EVENT_REV_AHEAD_US + 1000000, OP_VERDICT_MISSING_BLOCK, key,
		none);
}

/* 200 ops, some with the same record, among as many blocks as a commit can carry. */
static void many_blocks(void)
{
	struct made_op ops[EVENT_MAX_OPS];
	uint8_t records[EVENT_MAX_OPS][5];
	struct made m = sound(ops, EVENT_MAX_OPS);
	struct arena arena = ARENA_INIT;
	struct buf b = BUF_INIT;
	struct event e;
	struct err err;
	size_t n_right = 0;

	for (uint8_t i = 0; i < EVENT_MAX_OPS; i++) {
		memcpy(records[i], "\xa1\x61\x61\x18\x20", 5);
		records[i][4] = i < 100 ? 200 : i;
		ops[i] = (struct made_op){ "create", LIKE, slice_of(records[i], 5),
			i % 10 ? 0 : OP_NO_BLOCK };
	}
	m.n_surplus = 50000;
	make_frame(&m, &b);
	ok(decode(buf_slice(&b), now_us, &arena, &e, &err) == FRAME_OK,
		"200 ops among 50,000 blocks are read %s", err.text);
	for (uint8_t i = 0; i < e.n_ops; i++) {
		bool there = i < 100 || i % 10; /* the shared record is there through another op */

		n_right += there ? !e.ops[i].verdict && slice_eq(e.ops[i].record, ops[i].record)
				 : e.ops[i].verdict == OP_VERDICT_MISSING_BLOCK;
	}
	ok(n_right == EVENT_MAX_OPS, "each op gets its own block (%zu right)", n_right);
	ok(arena.used_bytes - b.n < 65536, "with %zu bytes of memory beside the frame",
		arena.used_bytes - b.n);
	buf_done(&b);
	arena_done(&arena);
}

static void too_large_record(void)
{
	struct made_op op = like_op(0);
	uint8_t *record = calloc(1, EVENT_MAX_RECORD + 1);

	op.record = slice_of(record, EVENT_MAX_RECORD);
	judged(op, 0, OP_VERDICT_OK, "3mn6rk4ns6kpe", op.record);
	op.record.n++;
	judged(op, 0, OP_VERDICT_TOO_LARGE, "3mn6rk4ns6kpe", op.record);
	free(record);
}

/* {"op": -1} */
static void put_error_header(struct buf *b)
{
	put_head(b, MAJOR_MAP, 1);
	put_string(b, "op");
	put_head(b, MAJOR_NINT, 0);
}

/* A frame of hand-made parts, kept for the checks of one claim. */
struct hand {
	struct arena arena;
	struct buf b;
	struct event e;
	struct err err;
};

static enum frame_status hand_decode(struct hand *h)
{
	enum frame_status r = decode(buf_slice(&h->b), now_us, &h->arena, &h->e, &h->err);

	buf_reset(&h->b);
	return r;
}

static void headers(void)
{
	struct hand h = { 0 };

	put_error_header(&h.b);
	put_head(&h.b, MAJOR_MAP, 1);
	put_string(&h.b, "message");
	put_string(&h.b, "why");
	ok(hand_decode(&h) == FRAME_BAD && !strcmp(h.err.text, "body: error: missing"),
		"an error has a name");
	put_frame_header(&h.b, "#tombstone");
	put_head(&h.b, MAJOR_MAP, 1);
	put_string(&h.b, "seq");
	put_head(&h.b, MAJOR_UINT, 77);
	ok(hand_decode(&h) == FRAME_UNKNOWN && h.e.seq == 77 && slice_is(h.e.reason, "#tombstone"),
		"a type of old is unknown, its seq known");
	buf_add(&h.b, "\xa1\x62op\x02", 5);
	put_head(&h.b, MAJOR_MAP, 0);
	ok(hand_decode(&h) == FRAME_UNKNOWN && h.e.seq == 0, "so is a new op, here without seq");
	buf_add(&h.b, "\xa1\x62op\x01\xa0", 6);
	ok(hand_decode(&h) == FRAME_BAD && !strcmp(h.err.text, "header: t: missing or wrong type"),
		"op 1 needs t");
	buf_add(&h.b, "\xa1\x61t\x61x\xa0", 6);
	ok(hand_decode(&h) == FRAME_BAD && !strcmp(h.err.text, "header: op: missing or wrong type"),
		"op is required");
	buf_add(&h.b, "\x80\xa0", 2);
	ok(hand_decode(&h) == FRAME_BAD && !strcmp(h.err.text, "header: not a map"),
		"the header is a map");
	put_frame_header(&h.b, "#commit");
	put_head(&h.b, MAJOR_ARRAY, 0);
	ok(hand_decode(&h) == FRAME_BAD && !strcmp(h.err.text, "body: not a map"),
		"so is the body");
	ok(hand_decode(&h) == FRAME_BAD && !strcmp(h.err.text, "header: truncated"),
		"an empty message is malformed");
	put_error_header(&h.b);
	ok(hand_decode(&h) == FRAME_BAD && !strcmp(h.err.text, "body: truncated"),
		"so is a header alone");
	buf_add(&h.b, "\xa1\x62op\x02\xa0\xa0", 7);
	ok(hand_decode(&h) == FRAME_BAD && !strcmp(h.err.text, "body: trailing bytes"),
		"and a third item");
	memset(buf_room(&h.b, EVENT_MAX_FRAME + 1), 0, EVENT_MAX_FRAME + 1);
	h.b.n = EVENT_MAX_FRAME + 1;
	ok(hand_decode(&h) == FRAME_BAD &&
			!strcmp(h.err.text, "frame: 5000001 bytes, at most 5000000"),
		"and a message over 5,000,000 bytes");
	buf_done(&h.b);
	arena_done(&h.arena);
}

/* A body of n_more fields after did, seq and time, to be appended by the caller. */
static void put_account_start(struct buf *b, const char *type, unsigned n_more)
{
	put_frame_header(b, type);
	put_head(b, MAJOR_MAP, 3 + n_more);
	put_string(b, "did");
	put_string(b, DID);
	put_string(b, "seq");
	put_head(b, MAJOR_UINT, 9);
	put_string(b, "time");
	put_string(b, "yesterday");
}

static void accounts(void)
{
	struct hand h = { 0 };

	put_account_start(&h.b, "#identity", 1);
	put_string(&h.b, "handle");
	put_string(&h.b, "a.example");
	ok(hand_decode(&h) == FRAME_OK && h.e.kind == EVENT_IDENTITY && h.e.has_handle &&
			slice_is(h.e.handle, "a.example") && slice_is(h.e.did, DID) &&
			h.e.time_us == 0,
		"an identity with a handle; an unreadable time is 0");
	put_account_start(&h.b, "#identity", 0);
	ok(hand_decode(&h) == FRAME_OK && !h.e.has_handle && !h.e.handle.n, "an identity without");
	put_account_start(&h.b, "#account", 2);
	put_string(&h.b, "active");
	put_bool(&h.b, false);
	put_string(&h.b, "status");
	put_string(&h.b, "vanished");
	ok(hand_decode(&h) == FRAME_OK && h.e.kind == EVENT_ACCOUNT && !h.e.active &&
			slice_is(h.e.status, "vanished"),
		"an account of unknown status");
	put_account_start(&h.b, "#account", 2);
	put_string(&h.b, "active");
	put_bool(&h.b, true);
	put_string(&h.b, "status");
	put_null(&h.b);
	ok(hand_decode(&h) == FRAME_OK && h.e.active && !h.e.status.n,
		"an active account, status null");
	put_account_start(&h.b, "#account", 1);
	put_string(&h.b, "active");
	put_head(&h.b, MAJOR_UINT, 1);
	ok(hand_decode(&h) == FRAME_BAD && !strcmp(h.err.text, "body: active: wrong type") &&
			h.e.seq == 9,
		"active is a bool");
	buf_done(&h.b);
	arena_done(&h.arena);
}

/* Whatever passes has ops that are what they claim, inside the frame. */
static bool holds(const struct event *e, struct slice frame)
{
	for (uint32_t i = 0; i < e->n_ops; i++) {
		const struct op *op = &e->ops[i];
		struct cid cid = { .codec = CID_DAG_CBOR };

		memcpy(cid.digest, op->cid, CID_DIGEST);
		if (op->record.n &&
			(op->record.p < frame.p || op->record.p + op->record.n > frame.p + frame.n))
			return false;
		if (op->verdict == OP_VERDICT_OK &&
			(!nsid_valid(op->collection) || !rkey_valid(op->rkey) ||
				(op->action != OP_DELETE && !cid_matches(&cid, op->record))))
			return false;
	}
	return true;
}

static void damage(void)
{
	const struct made_op ops[] = { like_op(0), like_op(OP_NO_BLOCK),
		{ "delete", "a.b.c/self", { 0 }, 0 } };
	struct made m = sound(ops, 3);
	struct buf b = BUF_INIT;
	size_t n_ok = 0, n_bad = 0, n_wrong = 0;
	uint32_t x = 1;

	make_frame(&m, &b);
	for (size_t i = 0; i < 20000; i++) {
		struct arena arena = ARENA_INIT;
		struct slice frame = arena_copy(&arena, buf_slice(&b));
		struct event e;
		struct err err;
		enum frame_status r;

		if (i < b.n)
			frame.n = i;
		for (size_t k = 0; i >= b.n && k <= i % 3; k++) {
			x = x * 1664525 + 1013904223;
			((uint8_t *)frame.p)[(x >> 8) % frame.n] ^= (uint8_t)(1u << (x >> 29));
		}
		r = event_from_frame(frame, now_us, &arena, &e, &err);
		n_ok += r == FRAME_OK;
		n_bad += r == FRAME_BAD;
		n_wrong += (r == FRAME_OK && !holds(&e, frame)) || (i < b.n && r != FRAME_BAD);
		arena_done(&arena);
	}
	ok(n_ok && n_bad && !n_wrong,
		"of 20000 damaged frames %zu are refused, %zu pass with sound ops or verdicts",
		n_bad, n_ok);
	buf_done(&b);
}

int main(void)
{
	headers();
	accounts();
	sound_commit();
	refusals();
	refused_values();
	block_limit("#commit", EVENT_MAX_BLOCKS, "blocks: 2000001 bytes, at most 2000000");
	block_limit("#sync", 10000, "blocks: 10001 bytes, at most 10000");
	verdicts();
	op_between();
	many_blocks();
	too_large_record();
	damage();
	return done();
}
