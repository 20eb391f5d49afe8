/* SPDX-License-Identifier: MIT
 *
 * Limits of a frame: what is just within them is taken, one beyond is refused. Of ops, blocks and records:
 * test-event.
 */
#include "codec/tid.h"
#include "tests/unit/sound_commit.h"

/* A sync or a commit of n_ops (0 or 1) whose rev is that far ahead of the clock, as an event. */
static struct event ahead(const char *type, size_t n_ops, int64_t ahead_us, struct arena *arena)
{
	const struct made_op op = like_op(0);
	struct made m = sound(&op, n_ops);
	struct buf b = BUF_INIT;
	char rev[TID_TEXT + 1];
	struct event e;
	struct err err;

	tid_format((uint64_t)(now_us + ahead_us) << 10 | 7, rev);
	m.type = type;
	m.rev = rev;
	make_frame(&m, &b);
	if (decode(buf_slice(&b), now_us, arena, &e, &err) != FRAME_OK)
		e = (struct event){ 0 };
	buf_done(&b);
	return e;
}

static bool is_whole_refusal(const struct event *e)
{
	return e->kind == EVENT_BAD && e->flags == FRAME_AHEAD && slice_is(e->reason, "future_rev") &&
	       e->seq == 31000000001 && e->bytes.n > 100;
}

static void rev_ahead_of_the_clock(void)
{
	struct arena arena = ARENA_INIT;
	struct event e = ahead("#commit", 1, EVENT_REV_AHEAD_US, &arena);

	ok(e.kind == EVENT_COMMIT && !e.flags && !e.ops[0].verdict, "a commit 5 minutes ahead is taken");
	e = ahead("#commit", 1, EVENT_REV_AHEAD_US + 1, &arena);
	ok(e.kind == EVENT_COMMIT && e.flags == FRAME_AHEAD && e.ops[0].verdict == OP_VERDICT_FUTURE_REV,
		"one microsecond more and its operations are refused, and the event says so");
	e = ahead("#commit", 0, EVENT_REV_AHEAD_US, &arena);
	ok(e.kind == EVENT_COMMIT && !e.flags, "an empty commit 5 minutes ahead is taken");
	e = ahead("#commit", 0, EVENT_REV_AHEAD_US + 1, &arena);
	ok(is_whole_refusal(&e), "one microsecond more and it is kept as a refused message");
	e = ahead("#sync", 0, EVENT_REV_AHEAD_US, &arena);
	ok(e.kind == EVENT_SYNC && !e.flags, "a sync 5 minutes ahead is taken");
	e = ahead("#sync", 0, EVENT_REV_AHEAD_US + 1, &arena);
	ok(is_whole_refusal(&e), "one microsecond more and it is kept as a refused message");
	arena_done(&arena);
}

/* {t: "#identity", op: 1} {did, pad, seq, time} of that many bytes. */
static void make_identity(struct buf *b, size_t n_bytes)
{
	size_t n_pad;

	buf_reset(b);
	put_frame_header(b, "#identity");
	put_head(b, MAJOR_MAP, 4);
	put_string(b, "did");
	put_string(b, DID);
	put_string(b, "pad");
	n_pad = n_bytes - b->n - 5 - (4 + 5 + 5 + 26);
	put_head(b, MAJOR_TEXT, n_pad);
	memset(buf_room(b, n_pad), 'x', n_pad);
	b->n += n_pad;
	put_string(b, "seq");
	put_head(b, MAJOR_UINT, 31000000);
	put_string(b, "time");
	put_string(b, "2026-06-01T00:00:00.000Z");
}

static void whole_frame(void)
{
	struct arena arena = ARENA_INIT;
	struct buf b = BUF_INIT;
	struct event e;
	struct err err;

	make_identity(&b, EVENT_MAX_FRAME);
	ok(b.n == EVENT_MAX_FRAME && decode(buf_slice(&b), now_us, &arena, &e, &err) == FRAME_OK &&
			e.kind == EVENT_IDENTITY, "a frame of 5,000,000 bytes is taken");
	make_identity(&b, EVENT_MAX_FRAME + 1);
	ok(b.n == EVENT_MAX_FRAME + 1 && decode(buf_slice(&b), now_us, &arena, &e, &err) == FRAME_BAD &&
			strcmp(err.text, "frame: 5000001 bytes, at most 5000000") == 0,
		"one of 5,000,001 is refused: %s", err.text);
	buf_done(&b);
	arena_done(&arena);
}

int main(void)
{
	rev_ahead_of_the_clock();
	whole_frame();
	return done();
}
