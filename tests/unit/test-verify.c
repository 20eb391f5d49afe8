/* SPDX-License-Identifier: MIT
 *
 * Recorded streams pass every check; each of 10 000 single-bit flips in them is noticed, or changes nothing
 * that is stored. Which check noticed how many is printed, and the cost of a verification.
 */
#include "tests/unit/frames.h"
#include "tests/unit/identities.h"
#include "tests/relay/rng.h"

#include "domain/verify.h"

#include <time.h>

enum { N_FLIPS = 10000, MAX_FRAMES = 8192 };

static const char *const recordings[] = { "pds", "synth" };
enum { N_RECORDINGS = 2 };

struct stream {
	const char *name;
	struct recording recording;
	struct identities ids;
	struct slice frames[MAX_FRAMES];
	uint64_t seqs[MAX_FRAMES];
	size_t n, n_bytes;
};

static int64_t cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static bool stream_open(const char *name, struct stream *s)
{
	char path[64];

	*s = (struct stream){ .name = name };
	snprintf(path, sizeof path, "frames/%s.frames", name);
	if (!recording_open(path, &s->recording) || !identities_read(name, &s->ids))
		return false;
	while (s->n < MAX_FRAMES && recording_next(&s->recording, &s->frames[s->n]))
		s->n_bytes += s->frames[s->n++].n;
	return s->n > 0;
}

static bool is_signed(const struct event *e)
{
	return e->kind == EVENT_COMMIT || e->kind == EVENT_SYNC;
}

/* Every frame passes; what that costs. */
static void check_passes(struct stream *s)
{
	struct arena arena = ARENA_INIT;
	size_t n_signed = 0, n_failed = 0, n_inverted = 0;
	int64_t decode_us = 0, verify_us = 0, at_us;
	struct event e;
	struct err err;

	for (size_t i = 0; i < s->n; i++) {
		enum verify_check check = VERIFY_OK;

		arena_reset(&arena);
		at_us = cpu_us();
		if (event_from_frame(s->frames[i], INT64_MAX, &arena, &e, &err) != FRAME_OK)
			continue;
		decode_us += cpu_us() - at_us;
		s->seqs[i] = e.seq;
		if (!is_signed(&e))
			continue;
		at_us = cpu_us();
		check = verify_event(&e, identities_key(&s->ids, e.did), &arena, &err);
		verify_us += cpu_us() - at_us;
		n_signed++;
		n_inverted += e.has_prev_data;
		if (check && ++n_failed < 5)
			printf("# seq %llu %s: %s: %s\n", (unsigned long long)e.seq, event_kind_name(e.kind),
				verify_check_name(check), err.text);
	}
	ok(n_signed > 1000 && n_inverted > 1000 && !n_failed, "%s: %zu commits and syncs pass every check, %zu of them undone",
		s->name, n_signed, n_inverted);
	printf("# %s: decoding %.1f, verifying %.1f CPU-us per event\n", s->name, (double)decode_us / (double)s->n,
		(double)verify_us / (double)n_signed);
	arena_done(&arena);
}

/* ---- each check by itself: an event that is sound but for one thing ---- */

/* What a frame is like that a case can be made of. */
static bool fits_update(const struct event *e)
{
	return e->kind == EVENT_COMMIT && e->n_ops == 1 && e->ops[0].action == OP_UPDATE && e->has_prev_data;
}

static bool fits_many(const struct event *e)
{
	return e->kind == EVENT_COMMIT && e->n_ops > 1 && e->has_prev_data;
}

static bool fits_delete(const struct event *e)
{
	return e->kind == EVENT_COMMIT && e->n_ops == 1 && e->ops[0].action == OP_DELETE && e->has_prev_data;
}

static void leave_out_op(struct event *e)
{
	e->n_ops--;
}

static void claim_old_value(struct event *e)
{
	memcpy(e->ops[0].cid, e->ops[0].prev, CID_DIGEST);
}

static void claim_create(struct event *e)
{
	e->ops[0].action = OP_CREATE;
}

static void claim_no_prev(struct event *e)
{
	e->ops[0].prev = NULL;
}

static void claim_another_root(struct event *e)
{
	e->prev_root = e->data;
}

static void claim_unreadable_root(struct event *e)
{
	e->prev_root = NULL;
}

static void claim_nothing(struct event *e)
{
	e->n_ops = 0;
}

static void claim_too_big(struct event *e)
{
	e->n_ops--;
	e->too_big = true;
}

static void leave_as_is(struct event *e)
{
	(void)e;
}

static void drop_chain(struct event *e)
{
	e->has_prev_data = false;
	e->prev_root = NULL;
}

static void read_other_tree(struct event *e)
{
	memcpy(e->data, e->commit_cid, CID_DIGEST);
}

static const struct {
	const char *claim;
	bool (*fits)(const struct event *);
	void (*spoil)(struct event *);
	enum verify_check check;
} spoiled[] = {
	{ "an update as it came", fits_update, leave_as_is, VERIFY_OK },
	{ "an update without prevData is not undone", fits_update, drop_chain, VERIFY_OK },
	{ "an operation left out", fits_many, leave_out_op, VERIFY_INVERSION },
	{ "tooBig does not excuse operations", fits_many, claim_too_big, VERIFY_INVERSION },
	{ "all operations left out", fits_many, claim_nothing, VERIFY_INVERSION },
	{ "an update to what was there before", fits_update, claim_old_value, VERIFY_OP_PROOF },
	{ "an update that says it is a create", fits_update, claim_create, VERIFY_INVERSION },
	{ "a delete that says it is a create", fits_delete, claim_create, VERIFY_OP_PROOF },
	{ "an update that does not say of what", fits_update, claim_no_prev, VERIFY_INVERSION },
	{ "another prevData", fits_update, claim_another_root, VERIFY_INVERSION },
	{ "a prevData that is no CID", fits_update, claim_unreadable_root, VERIFY_INVERSION },
	{ "a root that is no node", fits_update, read_other_tree, VERIFY_TREE },
};

static bool find_frame(struct stream *s, bool (*fits)(const struct event *), struct event *ret, struct arena *arena)
{
	struct err err;

	for (size_t i = 0; i < s->n; i++) {
		arena_reset(arena);
		if (event_from_frame(s->frames[i], INT64_MAX, arena, ret, &err) == FRAME_OK && fits(ret))
			return true;
	}
	return false;
}

static void check_spoiled(struct stream *s)
{
	struct arena arena = ARENA_INIT;
	struct event e;

	for (size_t i = 0; i < sizeof spoiled / sizeof spoiled[0]; i++) {
		enum verify_check check = N_VERIFY_CHECKS;
		struct err err = { "no such frame" };

		if (find_frame(s, spoiled[i].fits, &e, &arena)) {
			spoiled[i].spoil(&e);
			check = verify_event(&e, identities_key(&s->ids, e.did), &arena, &err);
		}
		ok(check == spoiled[i].check, "%s: %s", spoiled[i].claim, verify_check_name(check));
	}
	arena_done(&arena);
}

static void check_keys(struct stream *s)
{
	struct arena arena = ARENA_INIT;
	const struct sign_key *other;
	struct event e;
	struct err err;

	if (!find_frame(s, fits_update, &e, &arena))
		return;
	other = &s->ids.identity[slice_is(e.did, s->ids.identity[0].did)].key;
	ok(verify_event(&e, other, &arena, &err) == VERIFY_SIGNATURE, "another account's key: signature");
	ok(verify_event(&e, NULL, &arena, &err) == VERIFY_NO_KEY, "no key: no_key");
	arena_done(&arena);
}

/* ---- flips ---- */

/* What noticed a flip, or where an unnoticed one went. */
#define FATES(X)                                                                                   \
	X(NOTHING, "nothing stored changes")                                                       \
	X(FRAME, "frame (malformed, set aside whole)")                                             \
	X(OP, "operation (its block, its CID or its path)")                                        \
	X(ORDER, "order (the seq repeats or falls)")                                               \
	X(UNKNOWN_DID, "no_key (no such account)")                                                 \
	X(CHAIN, "chain (since or prevData: only the chain audit reads them)")                     \
	X(POSITION, "not noticed: the seq, still between its neighbours")                          \
	X(UNSIGNED, "not noticed: handle or status, which nobody signs")                           \
	X(KIND, "unknown type (skipped and counted; only the chain audit misses it)")              \
	X(MISSED, "NOT NOTICED")

enum fate {
#define X(name, text) FATE_##name,
	FATES(X)
#undef X
	N_FATES
};

static const char *const fate_names[N_FATES] = {
#define X(name, text) [FATE_##name] = text,
	FATES(X)
#undef X
};

struct flips {
	size_t fates[N_FATES], checks[N_VERIFY_CHECKS];
};

/* Does the database hold the same after both? Position aside. */
static bool same_stored(const struct event *a, const struct event *b)
{
	if (a->kind != b->kind || !slice_eq(a->did, b->did) || a->rev != b->rev || a->n_ops != b->n_ops ||
		memcmp(a->commit_cid, b->commit_cid, CID_DIGEST) != 0 || memcmp(a->data, b->data, CID_DIGEST) != 0)
		return false;
	if (a->has_handle != b->has_handle || !slice_eq(a->handle, b->handle) || a->active != b->active ||
		!slice_eq(a->status, b->status))
		return false;
	for (uint32_t i = 0; i < a->n_ops; i++) {
		const struct op *x = &a->ops[i], *y = &b->ops[i];

		if (x->action != y->action || x->verdict != y->verdict || !slice_eq(x->collection, y->collection) ||
			!slice_eq(x->rkey, y->rkey) || !slice_eq(x->record, y->record) ||
			memcmp(x->cid, y->cid, CID_DIGEST) != 0)
			return false;
	}
	return true;
}

static bool op_refused(const struct event *a, const struct event *b)
{
	for (uint32_t i = 0; i < b->n_ops; i++)
		if (b->ops[i].verdict != OP_VERDICT_OK && (i >= a->n_ops || a->ops[i].verdict == OP_VERDICT_OK))
			return true;
	return false;
}

/* What the decoded, and if it can be, verified frame became. */
static enum fate fate_of(struct stream *s, size_t at, const struct event *was, struct event *now, struct flips *f,
	struct arena *arena)
{
	const struct sign_key *key = identities_key(&s->ids, now->did);
	struct err err;

	if (now->seq != was->seq) {
		bool above = at == 0 || now->seq > s->seqs[at - 1], below = at + 1 == s->n || now->seq < s->seqs[at + 1];

		if (!above || !below)
			return FATE_ORDER;
	}
	if (is_signed(now)) {
		enum verify_check check = verify_event(now, key, arena, &err);

		f->checks[check]++;
		if (check)
			return N_FATES;
	} else if (!key) {
		return FATE_UNKNOWN_DID;
	}
	if (op_refused(was, now))
		return FATE_OP;
	if (now->seq != was->seq)
		return FATE_POSITION;
	if (!same_stored(was, now))
		return is_signed(now) || is_signed(was) ? FATE_MISSED : FATE_UNSIGNED;
	return now->since == was->since && now->prev_data == was->prev_data ? FATE_NOTHING : FATE_CHAIN;
}

static void flip_one(struct stream *s, struct rng *rng, struct flips *f, struct arena *arena)
{
	size_t at = 0;
	uint64_t byte = rng_below(rng, s->n_bytes);
	struct event was, now;
	enum frame_status first, status;
	enum fate fate;
	struct slice frame;
	struct err err;

	while (byte >= s->frames[at].n)
		byte -= s->frames[at++].n;
	arena_reset(arena);
	first = event_from_frame(s->frames[at], INT64_MAX, arena, &was, &err);
	frame = arena_copy(arena, s->frames[at]);
	((uint8_t *)(uintptr_t)frame.p)[byte] ^= (uint8_t)(1 << rng_below(rng, 8));
	status = event_from_frame(frame, INT64_MAX, arena, &now, &err);
	if (first != FRAME_OK)
		fate = status == first || status == FRAME_BAD ? FATE_NOTHING : FATE_KIND;
	else if (status == FRAME_BAD)
		fate = FATE_FRAME;
	else
		fate = status == FRAME_OK ? fate_of(s, at, &was, &now, f, arena) : FATE_KIND;
	if (fate == FATE_MISSED)
		printf("# missed: %s frame %zu byte %llu\n", s->name, at, (unsigned long long)byte);
	if (fate != N_FATES)
		f->fates[fate]++;
}

static size_t print_flips(const struct flips *f)
{
	size_t n = 0;

	for (int i = 0; i < N_FATES; i++) {
		n += f->fates[i];
		if (f->fates[i])
			printf("# %5zu  %s\n", f->fates[i], fate_names[i]);
	}
	for (int i = VERIFY_OK + 1; i < N_VERIFY_CHECKS; i++) {
		n += f->checks[i];
		if (f->checks[i])
			printf("# %5zu  %s\n", f->checks[i], verify_check_name((enum verify_check)i));
	}
	return n;
}

static void check_flips(struct stream *streams, uint64_t seed)
{
	struct rng rng = rng_seeded(seed);
	struct arena arena = ARENA_INIT;
	struct flips f = { 0 };
	size_t n_quiet;

	for (int i = 0; i < N_FLIPS; i++)
		flip_one(&streams[i % N_RECORDINGS], &rng, &f, &arena);
	ok(print_flips(&f) == N_FLIPS, "each of %d flipped bits has one fate", N_FLIPS);
	ok(f.fates[FATE_MISSED] == 0, "each is noticed or changes nothing stored of what is signed");
	n_quiet = f.fates[FATE_POSITION] + f.fates[FATE_UNSIGNED] + f.fates[FATE_KIND];
	ok(n_quiet < N_FLIPS / 50, "those in what nobody signs (seq, frame type, handle, status): %zu", n_quiet);
	arena_done(&arena);
}

int main(void)
{
	static struct stream streams[N_RECORDINGS];
	int n = 0;

	for (; n < N_RECORDINGS && stream_open(recordings[n], &streams[n]); n++)
		check_passes(&streams[n]);
	if (n == N_RECORDINGS) {
		check_spoiled(&streams[0]);
		check_keys(&streams[0]);
		check_flips(streams, 7);
	} else {
		skip("no recordings here");
	}
	for (int i = 0; i < n; i++) {
		recording_done(&streams[i].recording);
		identities_done(&streams[i].ids);
	}
	return done();
}
