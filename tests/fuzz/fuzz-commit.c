/* SPDX-License-Identifier: MIT
 *
 * A message made to measure, hashes and all, which bytes alone would hardly ever hit: the input says what
 * the frame is to be, what is wrong with it and which of its bytes are changed at the end.
 */
#include "tests/fuzz/frame_claims.h"

#include "tests/unit/frames.h"

enum { MAX_OPS = 4, MAX_FLIPS = 3 };

/* The recipe: bytes taken from the input, zeros behind its end. */
struct recipe {
	const uint8_t *p, *end;
};

static unsigned take(struct recipe *r)
{
	return r->p < r->end ? *r->p++ : 0;
}

static struct slice take_bytes(struct recipe *r)
{
	size_t n = take(r), left = (size_t)(r->end - r->p);
	const uint8_t *p = r->p;

	n = n < left ? n : left;
	r->p += n;
	return slice_of(p, n);
}

static const char *choose(struct recipe *r, const char *const *from, size_t n)
{
	return from[take(r) % n];
}

#define CHOOSE(r, list) choose(r, list, sizeof list / sizeof *list)

static void make_ops(struct recipe *r, struct made_op *ops, size_t n)
{
	static const char *const actions[] = {"create", "update", "delete", "move", ""};
	static const char *const paths[] = {"app.bsky.feed.post/3mn6rk4rg6pii", "app.bsky.feed.like/self",
		"com.example.x/zzzzzzzzzzzzz", "com.example.x/jzzzzzzzzzzzz", "a.b/c", "com.example.x", "com.example.x/a/b",
		"com.example.x/..", ""};

	for (size_t i = 0; i < n; i++) {
		ops[i].action = CHOOSE(r, actions);
		ops[i].path = CHOOSE(r, paths);
		ops[i].twist = take(r) | (take(r) & 1) << 8;
		ops[i].record = take_bytes(r);
	}
}

/* Changes some bytes, or cuts the end. */
static void change(struct recipe *r, struct buf *frame)
{
	for (unsigned n = take(r) % (MAX_FLIPS + 1); n > 0; n--) {
		size_t at = (take(r) << 8 | take(r)) % frame->n;

		frame->p[at] = (uint8_t)take(r);
	}
	frame->n -= take(r) % 8 == 7 ? take(r) % (frame->n + 1) : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const types[] = {"#commit", "#sync"};
	static const char *const revs[] = {"3mn6rk4rg6pii", "2222222222222", "bzzzzzzzzzzzz", "jzzzzzzzzzzzz", "no"};
	static const char *const dids[] = {"did:plc:2lkhdsqkjubuz7xlsqvzpotv", "did:web:a.example.com", "did:plc:", "x"};
	static const char *const names[] = {NULL, "ops", "rev", "seq", "repo", "time", "since", "blocks", "commit",
		"prevData", "did"};
	static struct buf frame;
	struct recipe r = {data, n ? data + n : data};
	struct made_op ops[MAX_OPS] = {0};
	struct made m = {.time = "2026-06-01T00:00:00Z", .ops = ops};
	uint8_t *exact;

	m.type = CHOOSE(&r, types);
	m.seq = take(&r) | (uint64_t)take(&r) << 48;
	m.did = CHOOSE(&r, dids);
	m.rev = CHOOSE(&r, revs);
	m.since = take(&r) % 2 ? CHOOSE(&r, revs) : NULL;
	m.block_did = take(&r) % 8 ? NULL : CHOOSE(&r, dids);
	m.block_rev = take(&r) % 8 ? NULL : CHOOSE(&r, revs);
	m.without = take(&r) % 8 ? NULL : CHOOSE(&r, names);
	m.retyped = take(&r) % 8 ? NULL : CHOOSE(&r, names);
	m.twist = take(&r) & take(&r);
	m.n_ops = take(&r) % (MAX_OPS + 1);
	m.n_surplus = take(&r) % 4;
	make_ops(&r, ops, m.n_ops);
	make_frame(&m, &frame);
	change(&r, &frame);
	exact = malloc(frame.n);
	memcpy(exact, frame.p, frame.n);
	frame_claims(slice_of(exact, frame.n));
	free(exact);
	return 0;
}
