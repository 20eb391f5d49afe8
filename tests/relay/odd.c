/* SPDX-License-Identifier: MIT
 *
 * odd - the odd cases of the wild, all of them valid frames that a consumer must take
 */
#include "network.h"

#include <assert.h>

enum { LONG_RKEY = 512, DEEP = 60, MULTI_MAX = 20, SEARCHES = 64 };

#define COLLECTION_THING "com.example.odd.thing"

/* One record at a path. */
static void create_at(struct network *net, struct account *a, const char *path, struct buf *out)
{
	struct change change = {.path = path, .block = buf_slice(&net->record)};

	network_commit(net, a, &change, 1, out);
}

static bool nul_text(struct network *net, struct buf *out)
{
	struct record_post post = {.created_at = net->time, .with_nul = true};

	record_post(&net->record, &net->rng, &post);
	network_create(net, network_actor(net), COLLECTION_POST, out);
	return true;
}

static bool odd_date(struct network *net, struct buf *out)
{
	static const char *const dates[] = {"yesterday", "", "2026-02-30T00:00:00Z",
		"0000-01-01T00:00:00Z", "2026-01-01T00:00:00.123456789+23:59",
		"9999-12-31T23:59:59.999999Z", "1985-04-12T23:20:50-00:00"};
	struct record_post post = {
		.created_at = dates[rng_below(&net->rng, sizeof dates / sizeof dates[0])]};

	record_post(&net->record, &net->rng, &post);
	network_create(net, network_actor(net), COLLECTION_POST, out);
	return true;
}

static bool deep_nesting(struct network *net, struct buf *out)
{
	record_deep(&net->record, COLLECTION_THING, DEEP);
	network_create(net, network_actor(net), COLLECTION_THING, out);
	return true;
}

static bool long_rkey(struct network *net, struct buf *out)
{
	static const char alphabet[] = "ABCxyz0189.-_:~";
	struct account *a = network_actor(net);
	char path[NETWORK_PATH] = COLLECTION_THING "/";
	size_t n = strlen(path);

	for (size_t i = 0; i < LONG_RKEY; i++)
		path[n + i] = alphabet[rng_below(&net->rng, sizeof alphabet - 1)];
	record_thing(&net->record, &net->rng, COLLECTION_THING);
	create_at(net, a, path, out);
	return true;
}

/* A reaction whose subject is named by handle: no stable reference. */
static bool handle_uri(struct network *net, struct buf *out)
{
	struct account *a = network_actor(net);
	struct pool_post post;

	if (!network_post(net, &post))
		return false;
	snprintf(post.self.did, sizeof post.self.did, "%.24s", network_slot(net)->handle);
	buf_reset(&net->record);
	record_reaction(&net->record, COLLECTION_REPOST, &post.self, NULL, net->time);
	network_create(net, a, COLLECTION_REPOST, out);
	return true;
}

/* The shape of something else under a well-known collection. */
static bool wrong_shape(struct network *net, struct buf *out)
{
	record_thing(&net->record, &net->rng, COLLECTION_LIKE);
	network_create(net, network_actor(net), COLLECTION_LIKE, out);
	return true;
}

static bool unknown_collection(struct network *net, struct buf *out)
{
	static const char *const names[] = {"fm.example.play", "sh.example.repo",
		"place.example.stream", "com.example.blog.entry"};
	const char *name = names[rng_below(&net->rng, sizeof names / sizeof names[0])];

	record_thing(&net->record, &net->rng, name);
	network_create(net, network_actor(net), name, out);
	return true;
}

static bool unknown_type(struct network *net, struct buf *out)
{
	struct account *a = network_slot(net);
	bool seen = a->seen;
	struct wire_head head = network_head(net, a);

	/* A consumer skips it, so it does not make the account known. */
	a->seen = seen;
	wire_unknown(out, &head);
	return true;
}

static bool unknown_status(struct network *net, struct buf *out)
{
	struct account *a = network_actor(net);

	if (a->n_promises || net->n_inactive >= net->n_accounts / 20)
		return false;
	network_status(net, a, false, "hibernating", out);
	return true;
}

static bool no_ops(struct network *net, struct buf *out)
{
	network_commit(net, network_actor(net), NULL, 0, out);
	return true;
}

/* Creates up to MULTI_MAX follows and deletes a few old records, all in one commit. */
static bool many_ops(struct network *net, struct buf *out)
{
	struct account *a = network_actor(net);
	struct change changes[NETWORK_OPS];
	char paths[NETWORK_OPS][NETWORK_PATH], did[RECORD_DID + 1];
	size_t ends[MULTI_MAX], n = 0, n_creates = 2 + rng_below(&net->rng, MULTI_MAX - 1);

	for (; n < n_creates; n++) {
		network_did(net, did);
		record_relation(&net->record, COLLECTION_FOLLOW, did, net->time);
		ends[n] = net->record.n;
		network_path(COLLECTION_FOLLOW, network_tid(net), paths[n]);
	}
	for (size_t i = 0; i < n; i++) {
		size_t start = i ? ends[i - 1] : 0;

		changes[i] =
			(struct change){paths[i], slice_of(net->record.p + start, ends[i] - start)};
	}
	for (size_t i = 0; i < a->repo.n && n < NETWORK_OPS; i += 7) {
		const struct mst_leaf *leaf = a->repo.leaves[i];

		if (leaf->hidden)
			continue;
		memcpy(paths[n], leaf->key, leaf->n_key + 1u);
		changes[n] = (struct change){.path = paths[n]};
		n++;
	}
	network_commit(net, a, changes, n, out);
	return true;
}

/* A record that existed before the stream began. */
static const struct mst_leaf *find_hidden(struct network *net, struct account **ret_account)
{
	for (int i = 0; i < SEARCHES; i++) {
		struct account *a = network_slot(net);

		if (!a->active || !a->n_hidden)
			continue;
		*ret_account = a;
		for (size_t j = 0; j < a->repo.n; j++)
			if (a->repo.leaves[j]->hidden)
				return a->repo.leaves[j];
	}
	return NULL;
}

/* Deletes (block empty) or updates it. */
static bool change_hidden(struct network *net, struct slice block, struct buf *out)
{
	struct account *a;
	const struct mst_leaf *leaf = find_hidden(net, &a);
	char path[NETWORK_PATH];
	struct change change = {.path = path, .block = block};

	if (!leaf)
		return false;
	memcpy(path, leaf->key, leaf->n_key + 1u);
	network_commit(net, a, &change, 1, out);
	return true;
}

static bool delete_unseen(struct network *net, struct buf *out)
{
	return change_hidden(net, slice_of(NULL, 0), out);
}

static bool update_unseen(struct network *net, struct buf *out)
{
	record_thing(&net->record, &net->rng, COLLECTION_LIKE);
	return change_hidden(net, buf_slice(&net->record), out);
}

/* Deletes the newest post of an account; the next frame creates another at the same rkey. */
static bool create_again(struct network *net, struct buf *out)
{
	struct account *a = network_actor(net);
	char path[NETWORK_PATH];
	struct change change = {.path = path};

	network_path(COLLECTION_POST, a->last_post, path);
	if (!a->last_post || !mst_find(&a->repo, path, NULL))
		return false;
	network_commit(net, a, &change, 1, out);
	network_step(net, STEP_RECREATE, a, path);
	return true;
}

static bool (*const makers[])(struct network *net, struct buf *out) = {
	nul_text,
	odd_date,
	deep_nesting,
	long_rkey,
	handle_uri,
	wrong_shape,
	unknown_collection,
	unknown_type,
	unknown_status,
	no_ops,
	many_ops,
	delete_unseen,
	update_unseen,
	create_again,
};

bool odd_next(struct network *net, struct buf *out)
{
	buf_reset(&net->record);
	return makers[rng_below(&net->rng, sizeof makers / sizeof makers[0])](net, out);
}
