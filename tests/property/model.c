/* SPDX-License-Identifier: MIT
 *
 * model - what must be stored of a set of events, computed naively from the rules of the data's meaning
 *
 * Written from DESIGN section 4 and not from the code it judges: no merging, no hashing, no SQL; it looks
 * at all events as often as it likes. The order of the events has no influence but by their positions.
 */
#include "any_order.h"

#include "codec/tid.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_PATHS = 400, MAX_LINES = 1000 };

/* One record that was ever written or deleted. */
struct stored {
	struct path path;
	uint64_t rev, first_seq;
	const struct record *record; /* NULL: deleted */
	bool dead;
};

struct model {
	const struct history *h;
	struct arena *arena;
	struct stored stored[MAX_PATHS];
	int n_stored;
	const char *lines[MAX_LINES];
	int n_lines;
};

static bool path_same(struct path a, struct path b)
{
	return a.account == b.account && !strcmp(a.collection, b.collection) && !strcmp(a.rkey, b.rkey);
}

static struct stored *find(struct model *m, struct path path)
{
	for (int i = 0; i < m->n_stored; i++)
		if (path_same(m->stored[i].path, path))
			return &m->stored[i];
	return NULL;
}

/* What a commit says of a record: the last of its sound ops on the path, NULL if there is none. */
static const struct change *said_by(const struct happening *e, struct path path)
{
	if (e->kind != EVENT_COMMIT || e->account != path.account)
		return NULL;
	for (int i = e->n_changes - 1; i >= 0; i--) {
		const struct change *c = &e->changes[i];

		if (c->flaw == FLAW_NONE && !strcmp(c->collection, path.collection) && !strcmp(c->rkey, path.rkey))
			return c;
	}
	return NULL;
}

/* Order of contents under one rev: by CID, a deletion below all. */
static int content_order(const struct record *a, const struct record *b)
{
	if (!a || !b)
		return (a != NULL) - (b != NULL);
	return memcmp(a->digest, b->digest, CID_DIGEST);
}

/* The newest version of one path and the first position that showed it. */
static struct stored newest(const struct history *h, struct path path)
{
	struct stored s = { .path = path };
	bool any = false;

	for (int i = 0; i < h->n_events; i++) {
		const struct happening *e = &h->events[i];
		const struct change *c = said_by(e, path);
		int order;

		if (!c)
			continue;
		order = !any || e->rev > s.rev ? 1 : e->rev < s.rev ? -1 : content_order(c->record, s.record);
		if (order > 0) {
			s.rev = e->rev;
			s.record = c->record;
			s.first_seq = e->seq;
		} else if (!order && e->seq < s.first_seq) {
			s.first_seq = e->seq;
		}
		any = true;
	}
	return s;
}

/* The last event of a kind about an account that matters, NULL if there is none. */
static const struct happening *last(
	const struct history *h, int account, enum event_kind kind, bool (*matters)(const struct happening *))
{
	const struct happening *ret = NULL;

	for (int i = 0; i < h->n_events; i++) {
		const struct happening *e = &h->events[i];

		if (e->kind == kind && e->account == account && matters(e) && (!ret || e->seq > ret->seq))
			ret = e;
	}
	return ret;
}

static bool always(const struct happening *e)
{
	(void)e;
	return true;
}

static bool is_deletion(const struct happening *e)
{
	return !e->active && e->status && !strcmp(e->status, "deleted");
}

static bool has_handle(const struct happening *e)
{
	return e->handle != NULL;
}

static bool is_active(const struct model *m, int account)
{
	const struct happening *e = last(m->h, account, EVENT_ACCOUNT, always);

	return !e || e->active;
}

static void find_stored(struct model *m)
{
	const struct history *h = m->h;

	for (int i = 0; i < h->n_events; i++)
		for (int j = 0; j < h->events[i].n_changes; j++) {
			const struct change *c = &h->events[i].changes[j];
			struct path path = { h->events[i].account, c->collection, c->rkey };
			const struct happening *deletion = last(h, path.account, EVENT_ACCOUNT, is_deletion);
			struct stored s;

			if (c->flaw != FLAW_NONE || find(m, path))
				continue;
			s = newest(h, path);
			s.dead = !s.record || (deletion && s.first_seq <= deletion->seq);
			if (m->n_stored == MAX_PATHS)
				abort();
			m->stored[m->n_stored++] = s;
		}
}

static const char *state_of(struct model *m, const struct stored *s)
{
	if (s->dead)
		return "deleted";
	for (int i = 0; i < s->record->n_refs; i++)
		if (!find(m, s->record->refs[i].to))
			return "waiting";
	return "live";
}

/* How many shown records of a collection refer to the post in one role. */
static int count(const struct model *m, const struct stored *post, const char *collection, enum role role)
{
	int n = 0;

	for (int i = 0; i < m->n_stored; i++) {
		const struct stored *s = &m->stored[i];
		bool refers = false;

		if (s->dead || strcmp(s->path.collection, collection) || !is_active(m, s->path.account))
			continue;
		for (int j = 0; j < s->record->n_refs; j++)
			refers |= s->record->refs[j].role == role && path_same(s->record->refs[j].to, post->path);
		n += refers;
	}
	return n;
}

/* ---- lines ---- */

static void put(struct model *m, const char *line)
{
	if (m->n_lines == MAX_LINES)
		abort();
	m->lines[m->n_lines++] = line;
}

static const char *hex(struct model *m, const uint8_t *digest)
{
	char text[2 * CID_DIGEST + 1];

	for (int i = 0; i < CID_DIGEST; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	return text_of(m->arena, "%s", text);
}

static void put_record(struct model *m, const struct stored *s)
{
	const char *did = m->h->dids[s->path.account];
	char rev[TID_TEXT + 1], cid[CID_TEXT + 1] = "-";

	tid_format(s->rev, rev);
	if (!s->dead) {
		struct cid c = { .codec = CID_DAG_CBOR };

		memcpy(c.digest, s->record->digest, sizeof c.digest);
		cid_to_text(&c, cid);
	}
	put(m, text_of(m->arena, "%s record %s %s %s %s %s %s", did, s->path.collection, s->path.rkey, state_of(m, s), rev,
		cid, s->dead ? "-" : s->record->value));
	if (s->dead || strcmp(s->path.collection, "app.bsky.feed.post") || !is_active(m, s->path.account))
		return;
	put(m, text_of(m->arena, "%s counts at://%s/%s/%s %d %d %d %d", did, did, s->path.collection, s->path.rkey,
		count(m, s, "app.bsky.feed.like", ROLE_SUBJECT), count(m, s, "app.bsky.feed.repost", ROLE_SUBJECT),
		count(m, s, "app.bsky.feed.post", ROLE_PARENT), count(m, s, "app.bsky.feed.post", ROLE_QUOTE)));
}

/* The newest commit or #sync of a repo: by rev, then by the digest that tells two of one rev apart. */
static const struct happening *newest_of_repo(const struct history *h, int account, enum event_kind kind)
{
	const struct happening *ret = NULL;

	for (int i = 0; i < h->n_events; i++) {
		const struct happening *e = &h->events[i];
		size_t which = kind == EVENT_COMMIT ? offsetof(struct happening, commit_cid) :
						      offsetof(struct happening, data);

		if (e->kind != kind || e->account != account)
			continue;
		if (!ret || e->rev > ret->rev ||
			(e->rev == ret->rev && memcmp((const char *)e + which, (const char *)ret + which, CID_DIGEST) > 0))
			ret = e;
	}
	return ret;
}

/* The repo's line; true if the #sync contradicts what the commits lead to. */
static bool put_repo(struct model *m, int account)
{
	const struct happening *commit = newest_of_repo(m->h, account, EVENT_COMMIT);
	const struct happening *sync = newest_of_repo(m->h, account, EVENT_SYNC);
	const char *c = "- - -", *s = "- -";

	if (!commit && !sync)
		return false;
	if (commit)
		c = text_of(m->arena, "%llu %s %s", (unsigned long long)commit->rev, hex(m, commit->commit_cid),
			hex(m, commit->data));
	if (sync)
		s = text_of(m->arena, "%llu %s", (unsigned long long)sync->rev, hex(m, sync->data));
	put(m, text_of(m->arena, "%s repo %s %s", m->h->dids[account], c, s));
	return commit && sync && sync->rev >= commit->rev && memcmp(sync->data, commit->data, CID_DIGEST) != 0;
}

static void put_account(struct model *m, int account)
{
	const struct happening *state = last(m->h, account, EVENT_ACCOUNT, always);
	const struct happening *named = last(m->h, account, EVENT_IDENTITY, has_handle);
	bool present = false, desynchronized = put_repo(m, account);

	for (int i = 0; i < m->h->n_events; i++)
		present |= m->h->events[i].account == account && m->h->events[i].kind != EVENT_GAP;
	if (present)
		put(m, text_of(m->arena, "%s account handle=%s active=%s status=%s desynchronized=%s", m->h->dids[account],
			named ? named->handle : "-", is_active(m, account) ? "true" : "false",
			state && state->status ? state->status : "-", desynchronized ? "true" : "false"));
}

static int line_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_gaps(const struct history *h, struct buf *out)
{
	for (int i = 0; i < h->n_events; i++)
		if (h->events[i].kind == EVENT_GAP)
			buf_printf(out, "gap after 1 %llu before 1 %llu unproven\n",
				(unsigned long long)h->events[i].gap_after,
				(unsigned long long)h->events[i].gap_first);
}

void model_lines(const struct history *h, struct arena *arena, struct buf *out)
{
	struct model *m = arena_alloc(arena, sizeof *m);

	*m = (struct model){ .h = h, .arena = arena };
	find_stored(m);
	for (int i = 0; i < m->n_stored; i++)
		put_record(m, &m->stored[i]);
	for (int i = 0; i < h->n_accounts; i++)
		put_account(m, i);
	qsort(m->lines, (size_t)m->n_lines, sizeof *m->lines, line_order);
	for (int i = 0; i < m->n_lines; i++)
		buf_printf(out, "%s\n", m->lines[i]);
	put_gaps(h, out);
}
