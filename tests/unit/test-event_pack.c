/* SPDX-License-Identifier: MIT */
#include "codec/pack.h"
#include "codec/syntax.h"
#include "codec/tid.h"
#include "tests/unit/frames.h"
#include "tests/unit/tap.h"

static const int64_t now_us = 1893456000000000; /* 2030, later than all recordings */

static bool ops_same(const struct op *a, const struct op *b)
{
	return a->action == b->action && a->verdict == b->verdict &&
	       slice_eq(a->collection, b->collection) && slice_eq(a->rkey, b->rkey) &&
	       slice_eq(a->record, b->record) && memcmp(a->cid, b->cid, CID_DIGEST) == 0;
}

static bool same(const struct event *a, const struct event *b)
{
	bool r = a->kind == b->kind && a->flags == b->flags && a->seq == b->seq &&
		 a->time_us == b->time_us && slice_eq(a->did, b->did) && a->rev == b->rev &&
		 a->since == b->since && memcmp(a->commit_cid, b->commit_cid, CID_DIGEST) == 0 &&
		 memcmp(a->data, b->data, CID_DIGEST) == 0 && a->prev_data == b->prev_data &&
		 a->n_ops == b->n_ops && a->n_filtered == b->n_filtered &&
		 slice_eq(a->handle, b->handle) && a->has_handle == b->has_handle &&
		 a->active == b->active && slice_eq(a->status, b->status) &&
		 a->gap_after_epoch == b->gap_after_epoch && a->gap_after_seq == b->gap_after_seq &&
		 a->gap_first_seq == b->gap_first_seq && slice_eq(a->reason, b->reason) &&
		 slice_eq(a->bytes, b->bytes) && a->n_filtered_collections == b->n_filtered_collections;

	for (uint32_t i = 0; r && i < a->n_ops; i++)
		r = ops_same(&a->ops[i], &b->ops[i]);
	for (uint32_t i = 0; r && i < a->n_filtered_collections; i++)
		r = slice_eq(a->filtered[i].collection, b->filtered[i].collection) && a->filtered[i].n == b->filtered[i].n;
	return r;
}

/* True if e is the same after encoding and decoding, also with fields of a later version behind it.
 */
static bool round_trips(const struct event *e, size_t *ret_bytes)
{
	struct arena arena = ARENA_INIT;
	struct buf out = BUF_INIT;
	struct event again;
	struct err err;
	bool r;

	event_encode(e, &out);
	*ret_bytes = out.n;
	r = event_decode((uint8_t)e->kind, e->flags, e->seq, arena_copy(&arena, buf_slice(&out)),
		    &arena, &again, &err) == 0 &&
	    same(e, &again);
	buf_add_str(&out, "later fields");
	r = r &&
	    event_decode((uint8_t)e->kind, e->flags, e->seq, buf_slice(&out), &arena, &again,
		    &err) == 0 &&
	    same(e, &again);
	buf_done(&out);
	arena_done(&arena);
	return r;
}

/* --- the format as it is in streams --- */

static bool encodes_to(const struct event *e, const char *hex)
{
	struct buf out = BUF_INIT, text = BUF_INIT;
	bool r;

	event_encode(e, &out);
	for (size_t i = 0; i < out.n; i++)
		buf_printf(&text, "%02x", out.p[i]);
	r = strcmp(buf_str(&text), hex) == 0;
	if (!r)
		printf("# %s\n", buf_str(&text));
	buf_done(&out);
	buf_done(&text);
	return r;
}

static void bytes_are_fixed(void)
{
	struct op op = { .action = OP_CREATE,
		.verdict = OP_VERDICT_OK,
		.collection = slice_str("app.bsky.feed.like"),
		.rkey = slice_str("3mn6rk4ns6kpe"),
		.record = slice_str("\xa0") };
	struct event e = { .kind = EVENT_IDENTITY,
		.did = slice_str("did:plc:abcdefghijklmnopqrstuv27"),
		.time_us = 1780272000000000,
		.has_handle = true,
		.handle = slice_str("a.b") };

	ok(encodes_to(&e, "0700e029e02553060000443214c74254b635cf84653a575f03612e62"),
		"an identity's bytes");
	e = (struct event){
		.kind = EVENT_ACCOUNT, .did = slice_str("did:web:a.b"), .status = slice_str("x")
	};
	ok(encodes_to(&e, "080b6469643a7765623a612e620178"), "an account's bytes");
	e = (struct event){ .kind = EVENT_GAP,
		.gap_after_epoch = 1,
		.gap_after_seq = 2,
		.gap_first_seq = 3,
		.reason = slice_str("y") };
	ok(encodes_to(&e, "000100000000000000020000000000000003000000000000000179"),
		"a gap's bytes");
	sha256(op.record, op.cid);
	e = (struct event){ .kind = EVENT_COMMIT,
		.did = slice_str("did:web:a.b"),
		.rev = 5,
		.since = 4,
		.prev_data = 6,
		.ops = &op,
		.n_ops = 1 };
	memset(e.commit_cid, 0x22, CID_DIGEST);
	memset(e.data, 0x33, CID_DIGEST);
	ok(encodes_to(&e, "1c0b6469643a7765623a612e620500000000000000"
			  "2222222222222222222222222222222222222222222222222222222222222222"
			  "3333333333333333333333333333333333333333333333333333333333333333"
			  "040000000000000006000000000000000501"
			  "aa4282a780974c19"
			  "01a0"),
		"a commit's bytes: a sound record's CID is its hash");
	op.verdict = OP_VERDICT_CID_MISMATCH;
	memset(op.cid, 0x11, CID_DIGEST);
	ok(encodes_to(&e, "1c0b6469643a7765623a612e620500000000000000"
			  "2222222222222222222222222222222222222222222222222222222222222222"
			  "3333333333333333333333333333333333333333333333333333333333333333"
			  "040000000000000006000000000000005d01"
			  "aa4282a780974c19"
			  "1111111111111111111111111111111111111111111111111111111111111111"
			  "01a0"),
		"a commit's bytes: any other CID is written out");
}

/* As packs were written before CIDs were left out. */
static void written_cid_is_taken(void)
{
	struct op op = { .action = OP_CREATE,
		.verdict = OP_VERDICT_CID_MISMATCH,
		.collection = slice_str("app.bsky.feed.like"),
		.rkey = slice_str("3mn6rk4ns6kpe"),
		.cid = { 0x11 },
		.record = slice_str("\xa0") };
	struct event e = { .kind = EVENT_COMMIT, .did = slice_str("did:web:a.b"), .rev = 5, .ops = &op, .n_ops = 1 };
	struct arena arena = ARENA_INIT;
	struct buf out = BUF_INIT;
	struct err err;
	uint8_t *head;

	event_encode(&e, &out);
	head = &out.p[out.n - 2 - CID_DIGEST - 8 - 2];
	*head &= 0x0f; /* the verdict: OK */
	ok(event_decode(EVENT_COMMIT, 0, 1, buf_slice(&out), &arena, &e, &err) == 0 && e.ops[0].verdict == OP_VERDICT_OK &&
			e.ops[0].cid[0] == 0x11 && e.ops[0].cid[1] == 0,
		"a sound op's CID that is written is taken as it is");
	buf_done(&out);
	arena_done(&arena);
}

static void collection_numbers_are_fixed(void)
{
	static const char *const names[] = { "", "app.bsky.feed.like", "app.bsky.feed.post",
		"app.bsky.feed.repost", "app.bsky.graph.follow", "app.bsky.graph.block",
		"app.bsky.graph.listitem", "app.bsky.graph.list", "app.bsky.graph.listblock",
		"app.bsky.graph.starterpack", "app.bsky.graph.verification",
		"app.bsky.feed.threadgate", "app.bsky.feed.postgate", "app.bsky.feed.generator",
		"app.bsky.actor.profile", "app.bsky.actor.status",
		"app.bsky.actor.contentVisibilityDeclaration", "app.bsky.notification.declaration",
		"app.bsky.labeler.service", "chat.bsky.actor.declaration" };
	size_t n_right = 0, n = sizeof names / sizeof names[0];
	struct buf out = BUF_INIT;

	for (size_t i = 1; i < n; i++) {
		struct op op = { .action = OP_DELETE,
			.collection = slice_str(names[i]),
			.rkey = slice_str("k") };
		struct event e = {
			.kind = EVENT_COMMIT, .did = slice_str("did:web:a"), .ops = &op, .n_ops = 1
		};

		buf_reset(&out);
		event_encode(&e, &out);
		n_right += out.n > 4 && out.p[out.n - 4] == i; /* number, 1, "k", 0 */
	}
	ok(n_right == n - 1, "%zu collections keep their numbers", n_right);
	buf_done(&out);
}

static void like_is_small(void)
{
	uint8_t record[211] = { 0 };
	struct op op = { .action = OP_CREATE,
		.collection = slice_str("app.bsky.feed.like"),
		.rkey = slice_str("3mn6rk4ns6kpe"),
		.record = slice_of(record, sizeof record) };
	struct event e = { .kind = EVENT_COMMIT,
		.did = slice_str("did:plc:abcdefghijklmnopqrstuv27"),
		.time_us = now_us,
		.rev = 1,
		.since = 2,
		.prev_data = 3,
		.ops = &op,
		.n_ops = 1 };
	size_t n = 0;
	bool same_again;

	sha256(op.record, op.cid);
	same_again = round_trips(&e, &n);
	ok(same_again && n + PACK_EVENT_HEAD <= 352, "a like of 211 bytes takes %zu of a pack",
		n + PACK_EVENT_HEAD);
}

/* --- random events --- */

static uint64_t draw(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * 0x2545f4914f6cdd1du >> 8;
}

/* Up to max bytes of anything. */
static struct slice draw_bytes(uint64_t *s, struct arena *arena, size_t max)
{
	size_t n = draw(s) % (max + 1);
	uint8_t *p = arena_alloc(arena, n);

	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)draw(s);
	return slice_of(p, n);
}

/* from behind a prefix, n characters of an alphabet. */
static struct slice draw_text(
	uint64_t *s, struct arena *arena, const char *prefix, const char *alphabet, size_t n)
{
	size_t n_prefix = strlen(prefix), n_alphabet = strlen(alphabet);
	char *p = arena_alloc(arena, n_prefix + n);

	memcpy(p, prefix, n_prefix);
	for (size_t i = 0; i < n; i++)
		p[n_prefix + i] = alphabet[draw(s) % n_alphabet];
	return slice_of(p, n_prefix + n);
}

static struct slice draw_did(uint64_t *s, struct arena *arena)
{
	switch (draw(s) % 4) {
	case 0: /* nearly a did:plc, or by chance one */
		return draw_text(s, arena, "did:plc:", "abcdefghijklmnopqrstuvwxyz234567189A", 24);
	case 1:
		return draw_text(s, arena, "did:web:", "ab.", draw(s) % 200 + 1);
	default:
		return draw_text(s, arena, "did:plc:", "abcdefghijklmnopqrstuvwxyz234567", 24);
	}
}

static void draw_digest(uint64_t *s, uint8_t *ret)
{
	for (size_t i = 0; i < CID_DIGEST; i++)
		ret[i] = (uint8_t)draw(s);
}

static struct op draw_op(uint64_t *s, struct arena *arena)
{
	static const char *const collections[] = { "app.bsky.feed.like", "app.bsky.feed.post",
		"a.b.c", "app.bsky.feed.likes", "chat.bsky.actor.declaration" };
	struct op op = { .action = (uint8_t)(draw(s) % 3 + 1),
		.collection = slice_str(collections[draw(s) % 5]) };
	char *tid = arena_alloc(arena, TID_TEXT + 1);

	tid_format(draw(s) << 10, tid);
	op.rkey = draw(s) % 2 ? slice_of(tid, TID_TEXT)
			      : draw_text(s, arena, "k", "2345abcdkz.~:-_", draw(s) % 511);
	if (op.action != OP_DELETE) {
		draw_digest(s, op.cid);
		op.record = draw_bytes(s, arena, 300);
	}
	if (draw(s) % 4 == 0)
		op.verdict = (uint8_t)(draw(s) % 8);
	if (op.verdict == OP_VERDICT_BAD_ACTION)
		op.action = 0;
	if (op.verdict == OP_VERDICT_BAD_CID)
		memset(op.cid, 0, sizeof op.cid);
	if (op.verdict == OP_VERDICT_BAD_PATH) {
		op.collection = slice_of(NULL, 0);
		op.rkey = draw_bytes(s, arena, 200);
	}
	if (op.verdict == OP_VERDICT_OK && op.action != OP_DELETE && op.record.n > 0)
		sha256(op.record, op.cid);
	return op;
}

static void draw_commit(uint64_t *s, struct arena *arena, struct event *e)
{
	e->since = draw(s) % 2 ? draw(s) : 0;
	e->prev_data = draw(s) % 2 ? draw(s) << 8 | 1 : 0;
	e->n_filtered = draw(s) % 4 ? 0 : (uint32_t)(draw(s) % 201);
	e->n_ops = draw(s) % 3 ? 1 : (uint32_t)(draw(s) % (draw(s) % 8 ? 6 : EVENT_MAX_OPS + 1));
	e->ops = arena_zalloc(arena, e->n_ops, sizeof *e->ops);
	for (uint32_t i = 0; i < e->n_ops; i++)
		e->ops[i] = draw_op(s, arena);
}

static void draw_skip(uint64_t *s, struct arena *arena, struct event *e)
{
	static const char *const of[] = { "", "app.bsky.feed.like", "com.example.record" };
	struct filtered *list = arena_zalloc(arena, 4, sizeof *list);

	e->n_filtered_collections = (uint32_t)(draw(s) % 4);
	for (uint32_t i = 0; i < e->n_filtered_collections; i++)
		list[i] = (struct filtered){ slice_str(of[draw(s) % 3]), (uint32_t)(draw(s) >> 40) };
	e->filtered = list;
}

static struct event draw_event(uint64_t *s, struct arena *arena)
{
	struct event e = { .kind = (enum event_kind)(draw(s) % 3 ? EVENT_COMMIT : draw(s) % 8 + 1),
		.flags = (uint8_t)draw(s),
		.seq = draw(s) };

	e.time_us = draw(s) % 4 ? (int64_t)(draw(s) << 9) : 0;
	if (e.kind <= EVENT_SYNC)
		e.did = draw_did(s, arena);
	if (e.kind == EVENT_COMMIT || e.kind == EVENT_SYNC) {
		e.rev = draw(s);
		draw_digest(s, e.commit_cid);
		draw_digest(s, e.data);
	}
	if (e.kind == EVENT_COMMIT)
		draw_commit(s, arena, &e);
	if (e.kind == EVENT_SKIP)
		draw_skip(s, arena, &e);
	e.has_handle = e.kind == EVENT_IDENTITY && draw(s) % 2;
	if (e.has_handle)
		e.handle = draw_bytes(s, arena, 253);
	e.active = e.kind == EVENT_ACCOUNT && draw(s) % 2;
	if (e.kind == EVENT_ACCOUNT)
		e.status = draw_bytes(s, arena, 20);
	if (e.kind == EVENT_GAP) {
		e.gap_after_epoch = draw(s);
		e.gap_after_seq = draw(s);
		e.gap_first_seq = draw(s);
	}
	if (e.kind == EVENT_GAP || e.kind == EVENT_BAD)
		e.reason = draw_bytes(s, arena, 100);
	if (e.kind == EVENT_BAD || e.kind == EVENT_FRAME)
		e.bytes = draw_bytes(s, arena, 20000);
	return e;
}

/* DIDs that end in "." or ":" are none and must not be drawn. */
static void random_events(uint64_t seed)
{
	struct arena arena = ARENA_INIT;
	uint64_t s = seed;
	size_t n_wrong = 0, n_kind[EVENT_SKIP + 1] = { 0 }, n, n_rare = 0;

	for (size_t i = 0; i < 5000; i++, arena_reset(&arena)) {
		struct event e = draw_event(&s, &arena);

		if (e.did.n && !did_valid(e.did))
			continue;
		n_kind[e.kind]++;
		n_wrong += !round_trips(&e, &n);
	}
	for (size_t i = EVENT_COMMIT; i <= EVENT_SKIP; i++)
		n_rare += n_kind[i] < 50;
	ok(!n_wrong && !n_rare,
		"5000 random events of every kind round-trip (seed %llu, %zu differ)",
		(unsigned long long)seed, n_wrong);
	arena_done(&arena);
}

/* --- damaged payloads --- */

/* What was decoded is what event.h promises, and all of it can be read. */
static bool holds(const struct event *e)
{
	static volatile uint8_t sink;
	bool r = e->kind > EVENT_SYNC || did_valid(e->did);
	const struct slice all[] = { e->did, e->handle, e->status, e->reason, e->bytes };

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		for (size_t k = 0; k < all[i].n; k++)
			sink = all[i].p[k];
	for (uint32_t i = 0; i < e->n_ops; i++) {
		const struct op *op = &e->ops[i];

		for (size_t k = 0; k < op->record.n; k++)
			sink = op->record.p[k];
		if (op->verdict == OP_VERDICT_OK)
			r = r && op->action && nsid_valid(op->collection) && rkey_valid(op->rkey);
	}
	(void)sink;
	return r && e->n_ops <= EVENT_MAX_OPS && e->rev <= INT64_MAX && e->since <= INT64_MAX;
}

/* A copy of a payload, cut or with a few bits turned, in memory of exactly its size. */
static struct slice damaged(uint64_t *s, struct slice payload, struct arena *arena)
{
	struct slice cut = { payload.p, draw(s) % 2 ? payload.n : draw(s) % (payload.n + 1) };
	struct slice copy = arena_copy(arena, cut);
	uint8_t *p = (uint8_t *)copy.p;

	for (size_t n_flips = cut.n == payload.n ? draw(s) % 4 + 1 : 0; n_flips && copy.n;
		n_flips--)
		p[draw(s) % (draw(s) % 2 ? copy.n : (copy.n < 40 ? copy.n : 40))] ^=
			(uint8_t)(1u << draw(s) % 8);
	return copy;
}

static void damage(uint64_t seed)
{
	uint64_t s = seed;
	struct buf out = BUF_INIT;
	size_t n_ok = 0, n_bad = 0, n_wrong = 0;

	for (size_t i = 0; i < 20000; i++) {
		struct arena arena = ARENA_INIT;
		struct event e = draw_event(&s, &arena);
		struct slice bytes;
		uint8_t kind = (uint8_t)(draw(&s) % 8 ? e.kind : (enum event_kind)(draw(&s) % 256));
		struct err err;
		int r;

		buf_reset(&out);
		event_encode(&e, &out);
		bytes = damaged(&s, buf_slice(&out), &arena);
		r = event_decode(kind, 0, 1, bytes, &arena, &e, &err);
		n_ok += r == 0;
		n_bad += r < 0;
		n_wrong += (r == 0 && !holds(&e)) ||
			   (r == FRAME_UNKNOWN) != (kind < 1 || kind > EVENT_SKIP);
		arena_done(&arena);
	}
	ok(n_ok && n_bad && !n_wrong,
		"of 20000 damaged payloads %zu are refused, %zu keep every promise", n_bad, n_ok);
	buf_done(&out);
}

/* 200 ops in a payload with room for none. */
static void number_of_ops_is_checked(void)
{
	struct event e = { .kind = EVENT_COMMIT, .did = slice_str("did:web:a") };
	struct arena arena = ARENA_INIT;
	struct buf out = BUF_INIT;
	struct err err;

	event_encode(&e, &out);
	out.p[out.n - 1] = 200;
	buf_add(&out, "\x01\x00", 2);
	ok(event_decode(EVENT_COMMIT, 0, 1, buf_slice(&out), &arena, &e, &err) < 0 && !arena.used_bytes,
		"a number of ops the payload cannot hold is refused before room is made");
	buf_done(&out);
	arena_done(&arena);
}

/* Every frame of a recording comes back from its pack as it was. */
static void recording_round_trips(const char *name, size_t n_expected)
{
	struct recording r;
	struct arena arena = ARENA_INIT;
	struct slice frame;
	struct event e;
	struct err err;
	size_t n = 0, n_wrong = 0, bytes, sum = 0;

	if (!recording_open(name, &r)) {
		skip("%s: no recording here", name);
		return;
	}
	for (; recording_next(&r, &frame); arena_reset(&arena)) {
		if (decode(frame, now_us, &arena, &e, &err) != FRAME_OK)
			continue;
		n_wrong += !round_trips(&e, &bytes);
		sum += bytes + PACK_EVENT_HEAD;
		n++;
	}
	ok(n == n_expected && !n_wrong, "%s: %zu events round-trip, %zu bytes each", name, n,
		n ? sum / n : 0);
	arena_done(&arena);
	recording_done(&r);
}

int main(void)
{
	bytes_are_fixed();
	written_cid_is_taken();
	collection_numbers_are_fixed();
	like_is_small();
	random_events(20260601);
	damage(42);
	number_of_ops_is_checked();
	recording_round_trips("frames/synth.frames", 2997);
	recording_round_trips("frames/pds.frames", 4172);
	return done();
}
