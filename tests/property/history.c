/* SPDX-License-Identifier: MIT
 *
 * history - a seeded generator of what happens in a small network
 */
#include "any_order.h"

#include <stdlib.h>

/* DID characters in ASCII order: DIDs sort by instance, then by account. */
static const char digits[] = "234567abcdefghijklmnopqrstuvwxyz";

enum { INSTANCE_DIGITS = 5, DID_PREFIX = 8, N_HANDLES = 4 };

int instance_of_did(const char *did)
{
	int v = 0;

	if (strlen(did) != DID_TEXT || strncmp(did, "did:plc:", DID_PREFIX))
		return -1;
	for (int i = 0; i < INSTANCE_DIGITS; i++)
		v = v << 5 | (int)(strchr(digits, did[DID_PREFIX + i]) - digits);
	return v;
}

static void make_did(char *ret, int instance, int account, struct rng *rng)
{
	char *p = ret + DID_PREFIX;

	memcpy(ret, "did:plc:", DID_PREFIX);
	for (int i = INSTANCE_DIGITS - 1; i >= 0; i--)
		*p++ = digits[instance >> 5 * i & 31];
	*p++ = digits[account];
	while (p < ret + DID_TEXT)
		*p++ = digits[rng_below(rng, 32)];
	*p = '\0';
}

void history_begin(struct maker *m, uint64_t seed, int n_accounts)
{
	struct rng rng = rng_seeded(seed ^ (uint64_t)m->instance << 32);

	*m->h = (struct history){ .n_accounts = n_accounts };
	for (int i = 0; i <= n_accounts; i++)
		make_did(m->h->dids[i], m->instance, i, &rng);
}

uint64_t nth_rev(int n)
{
	return (uint64_t)1717200000000000 << 10 | (uint64_t)n << 20;
}

/* A digest that nothing else has. */
static void make_digest(struct maker *m, const char *of, uint8_t *ret)
{
	sha256(slice_str(text_of(m->arena, "%s %d %s", m->h->dids[0], m->h->n_events, of)), ret);
}

static struct happening *happen(struct maker *m, enum event_kind kind, int account)
{
	struct history *h = m->h;
	struct happening *more;

	if (h->n_events == h->cap) {
		h->cap = h->cap ? h->cap * 2 : 8;
		more = arena_alloc(m->arena, (size_t)h->cap * sizeof *more);
		if (h->n_events)
			memcpy(more, h->events, (size_t)h->n_events * sizeof *more);
		h->events = more;
	}
	more = &h->events[h->n_events++];
	*more = (struct happening){ .kind = kind, .account = account,
		.seq = (uint64_t)m->instance * SEQS_PER_INSTANCE + (uint64_t)h->n_events * 3 };
	return more;
}

struct happening *happen_commit(struct maker *m, int account, uint64_t rev)
{
	struct happening *e = happen(m, EVENT_COMMIT, account);

	e->rev = rev;
	make_digest(m, "commit", e->commit_cid);
	make_digest(m, "root", e->data);
	return e;
}

void happen_change(struct happening *e, const char *collection, const char *rkey, const struct record *record)
{
	e->changes[e->n_changes++] = (struct change){ collection, rkey, record, FLAW_NONE };
}

struct happening *happen_account(struct maker *m, int account, bool active, const char *status)
{
	struct happening *e = happen(m, EVENT_ACCOUNT, account);

	e->active = active;
	e->status = status;
	return e;
}

struct happening *happen_identity(struct maker *m, int account, const char *handle)
{
	struct happening *e = happen(m, EVENT_IDENTITY, account);

	e->handle = handle;
	return e;
}

struct happening *happen_sync(struct maker *m, int account, uint64_t rev, const struct happening *like)
{
	uint8_t data[CID_DIGEST];
	struct happening *e;

	if (like) /* copied first: the list may move */
		memcpy(data, like->data, sizeof data);
	else
		make_digest(m, "sync", data);
	e = happen(m, EVENT_SYNC, account);
	e->rev = rev;
	memcpy(e->data, data, sizeof data);
	make_digest(m, "commit", e->commit_cid);
	return e;
}

struct happening *happen_gap(struct maker *m)
{
	struct happening *e = happen(m, EVENT_GAP, 0);

	e->gap_first = e->seq;
	e->gap_after = e->seq - 1 - rng_below(m->rng, 2);
	return e;
}

struct happening *happen_again(struct maker *m, const struct happening *e)
{
	struct happening copy = *e, *again = happen(m, copy.kind, copy.account);

	copy.seq = again->seq;
	*again = copy;
	return again;
}

/* ---- at random ---- */

static const char *random_collection(struct maker *m)
{
	static const char *const list[] = { "app.bsky.feed.post", "app.bsky.feed.post", "app.bsky.feed.post",
		"app.bsky.feed.post", "app.bsky.feed.like", "app.bsky.feed.like", "app.bsky.feed.like",
		"app.bsky.feed.repost", "app.bsky.graph.follow", "app.bsky.graph.block", "app.bsky.graph.list",
		"app.bsky.graph.list", "app.bsky.graph.listitem", "app.bsky.graph.listblock",
		"app.bsky.graph.starterpack", "app.bsky.feed.threadgate", "app.bsky.actor.profile",
		"com.example.thing", "com.example.other" };

	return list[rng_below(m->rng, sizeof list / sizeof *list)];
}

/* One more change; in a commit of several they often meet on one path. */
static void random_change(struct maker *m, struct happening *e, const struct change *near)
{
	struct path p = path_random(m, random_collection(m));
	struct change *c = &e->changes[e->n_changes++];

	*c = (struct change){ .collection = p.collection, .rkey = p.rkey };
	if (near && rng_percent(m->rng, 50)) {
		c->collection = near->collection;
		c->rkey = near->rkey;
	}
	if (rng_percent(m->rng, 72))
		c->record = record_random(m, c->collection);
	if (rng_percent(m->rng, 3))
		c->flaw = rng_percent(m->rng, 50) ? FLAW_REFUSED : FLAW_INVALID;
}

/* The newest commit of the account so far, NULL if it has none. */
static const struct happening *last_commit(const struct history *h, int account)
{
	for (int i = h->n_events - 1; i >= 0; i--)
		if (h->events[i].kind == EVENT_COMMIT && h->events[i].account == account)
			return &h->events[i];
	return NULL;
}

/* Says a commit of any account again; true if there was one to say. */
static bool repeat_commit(struct maker *m)
{
	const struct happening *e = m->h->n_events ? &m->h->events[rng_below(m->rng, (uint64_t)m->h->n_events)] : NULL;

	if (!e || e->kind != EVENT_COMMIT)
		return false;
	happen_again(m, e);
	return true;
}

/* Mostly the next commit of the repo; also a fork (the rev of the last one, other contents on its paths), one
 * that is older than what the repo has shown, and an earlier one said again. */
static void random_commit(struct maker *m, int account)
{
	const struct happening *last = last_commit(m->h, account);
	struct happening before = last ? *last : (struct happening){ 0 };
	bool fork = last && rng_percent(m->rng, 15);
	struct happening *e;
	int n;

	if (rng_percent(m->rng, 10) && repeat_commit(m))
		return;
	n = rng_percent(m->rng, 10) ? (int)rng_below(m->rng, 60) : m->h->n_events + 1;
	e = happen_commit(m, account, fork ? before.rev : nth_rev(n));
	n = rng_percent(m->rng, 65) ? 1 : 2 + (int)rng_below(m->rng, MAX_CHANGES - 1);
	for (int i = 0; i < n; i++)
		random_change(m, e, i ? &e->changes[rng_below(m->rng, (uint64_t)i)] :
			fork && before.n_changes ? &before.changes[0] : NULL);
}

static void random_account(struct maker *m, int account)
{
	static const char *const statuses[] = { "takendown", "suspended", "deactivated", "deleted", "deleted",
		"desynchronized", "throttled", "odd-status", NULL };

	if (rng_percent(m->rng, 40))
		happen_account(m, account, true, rng_percent(m->rng, 10) ? "throttled" : NULL);
	else
		happen_account(m, account, false, statuses[rng_below(m->rng, sizeof statuses / sizeof *statuses)]);
}

static void random_identity(struct maker *m, int account)
{
	static const char *const handles[] = { "one.test", "two.test", "handle.invalid", NULL };

	happen_identity(m, account, handles[rng_below(m->rng, N_HANDLES)]);
}

static void random_sync(struct maker *m, int account)
{
	const struct happening *last = last_commit(m->h, account);
	uint64_t rev = last && rng_percent(m->rng, 70) ? last->rev : nth_rev((int)rng_below(m->rng, 60));

	happen_sync(m, account, rev, rng_percent(m->rng, 60) ? last : NULL);
}

void history_random(struct maker *m)
{
	int n = 40 + (int)rng_below(m->rng, 21);

	while (m->h->n_events < n) {
		int account = (int)rng_below(m->rng, (uint64_t)m->h->n_accounts);
		int what = (int)rng_below(m->rng, 100);

		if (what < 75)
			random_commit(m, account);
		else if (what < 85)
			random_account(m, account);
		else if (what < 91)
			random_identity(m, account);
		else if (what < 97)
			random_sync(m, account);
		else
			happen_gap(m);
	}
}
