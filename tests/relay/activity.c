/* SPDX-License-Identifier: MIT
 *
 * activity - everyday life of the network: THE table of what happens and how often
 */
#include "network.h"

#include <assert.h>

enum { REPLIES = 40, QUOTES = 8, MENTIONS = 10, VIAS = 3, INACTIVE_SHARE = 10 };

/* Makes net->record a new, empty buffer. */
static struct buf *new_record(struct network *net)
{
	buf_reset(&net->record);
	return &net->record;
}

/* An account to write with. A full one falls silent: the next writes for it. */
static struct account *writer(struct network *net)
{
	struct account *a = network_actor(net);

	if (a->repo.n >= net->options->max_records && !a->n_promises)
		network_replace(net, a, false);
	return a;
}

static bool like(struct network *net, struct buf *out)
{
	struct account *a = writer(net);
	uint64_t n_vias = net->n_vias < NETWORK_VIAS ? net->n_vias : NETWORK_VIAS;
	struct pool_post post;
	bool via = n_vias && rng_percent(&net->rng, VIAS);

	if (!network_post(net, &post))
		return false;
	record_reaction(new_record(net), COLLECTION_LIKE, &post.self,
		via ? &net->vias[rng_below(&net->rng, n_vias)] : NULL, net->time);
	network_create(net, a, COLLECTION_LIKE, out);
	return true;
}

static bool repost(struct network *net, struct buf *out)
{
	struct account *a = writer(net);
	struct record_ref *via;
	struct pool_post post;

	if (!network_post(net, &post))
		return false;
	record_reaction(new_record(net), COLLECTION_REPOST, &post.self, NULL, net->time);
	via = &net->vias[net->n_vias++ % NETWORK_VIAS];
	*via = (struct record_ref){.collection = COLLECTION_REPOST};
	memcpy(via->did, a->did, sizeof via->did);
	sha256(buf_slice(&net->record), via->digest);
	via->rkey = network_create(net, a, COLLECTION_REPOST, out);
	return true;
}

static bool post(struct network *net, struct buf *out)
{
	struct account *a = writer(net);
	struct record_post parts = {.created_at = net->time};
	struct pool_post parent, quoted, self = {.self = {.collection = COLLECTION_POST}};
	char mentioned[RECORD_DID + 1];

	if (rng_percent(&net->rng, REPLIES) && network_post(net, &parent)) {
		parts.parent = &parent.self;
		parts.root = &parent.root;
	}
	if (rng_percent(&net->rng, QUOTES) && network_post(net, &quoted))
		parts.quote = &quoted.self;
	if (rng_percent(&net->rng, MENTIONS)) {
		network_did(net, mentioned);
		parts.mention = mentioned;
	}
	record_post(new_record(net), &net->rng, &parts);
	memcpy(self.self.did, a->did, sizeof self.self.did);
	sha256(buf_slice(&net->record), self.self.digest);
	self.self.rkey = a->last_post = network_create(net, a, COLLECTION_POST, out);
	self.root = parts.root ? *parts.root : self.self;
	network_pool_add(net, &self);
	return true;
}

/* A follow or a block. */
static bool relation(struct network *net, const char *collection, struct buf *out)
{
	struct account *a = writer(net);
	char did[RECORD_DID + 1];

	network_did(net, did);
	record_relation(new_record(net), collection, did, net->time);
	network_create(net, a, collection, out);
	return true;
}

static bool follow(struct network *net, struct buf *out)
{
	return relation(net, COLLECTION_FOLLOW, out);
}

static bool block(struct network *net, struct buf *out)
{
	return relation(net, COLLECTION_BLOCK, out);
}

/* Deletes any record that was seen created. */
static bool unsay(struct network *net, struct buf *out)
{
	struct account *a = network_actor(net);
	const struct mst_leaf *leaf;
	char path[NETWORK_PATH];
	struct change change = {.path = path};

	if (!a->repo.n)
		return false;
	leaf = a->repo.leaves[rng_below(&net->rng, a->repo.n)];
	if (leaf->hidden)
		return false;
	memcpy(path, leaf->key, leaf->n_key + 1u);
	network_commit(net, a, &change, 1, out);
	return true;
}

/* Creates or updates the profile. */
static bool profile(struct network *net, struct buf *out)
{
	struct account *a = writer(net);
	struct change change = {.path = COLLECTION_PROFILE "/self"};

	record_profile(new_record(net), &net->rng, net->time);
	change.block = buf_slice(&net->record);
	network_commit(net, a, &change, 1, out);
	return true;
}

static bool list(struct network *net, struct buf *out)
{
	struct account *a = writer(net);

	record_list(new_record(net), &net->rng, net->time);
	a->last_list = network_create(net, a, COLLECTION_LIST, out);
	return true;
}

static bool listitem(struct network *net, struct buf *out)
{
	struct account *a = writer(net);
	struct record_ref ref = {.collection = COLLECTION_LIST, .rkey = a->last_list};
	char did[RECORD_DID + 1];

	if (!a->last_list)
		return list(net, out);
	memcpy(ref.did, a->did, sizeof ref.did);
	network_did(net, did);
	record_listitem(new_record(net), &ref, did, net->time);
	network_create(net, a, COLLECTION_LISTITEM, out);
	return true;
}

/* Its rkey is the post's. */
static bool threadgate(struct network *net, struct buf *out)
{
	struct account *a = writer(net);
	struct record_ref ref = {.collection = COLLECTION_POST, .rkey = a->last_post};
	char path[NETWORK_PATH];
	struct change change = {.path = path};

	if (!a->last_post)
		return false;
	memcpy(ref.did, a->did, sizeof ref.did);
	record_threadgate(new_record(net), &ref, net->time);
	network_path(COLLECTION_THREADGATE, a->last_post, path);
	change.block = buf_slice(&net->record);
	network_commit(net, a, &change, 1, out);
	return true;
}

static bool handle_change(struct network *net, struct buf *out)
{
	struct account *a = network_actor(net);
	struct wire_head head = network_head(net, a);

	snprintf(a->handle, sizeof a->handle, "u%llu-%llu.example.com",
		(unsigned long long)a->number, (unsigned long long)++a->n_handles);
	wire_identity(out, &head, a->handle);
	return true;
}

/* An account comes back: status, identity, state of its repo, as the PDS says it. */
static bool reactivate(struct network *net, struct buf *out)
{
	struct account *a = network_slot(net);

	while (a->active)
		a = a + 1 < net->accounts + net->n_accounts ? a + 1 : net->accounts;
	network_status(net, a, true, NULL, out);
	network_step(net, STEP_IDENTITY, a, NULL);
	network_step(net, STEP_SYNC, a, NULL);
	return true;
}

static bool account_change(struct network *net, struct buf *out)
{
	static const char *const statuses[] = {"deactivated", "deactivated", "deactivated",
		"deactivated", "deactivated", "takendown", "takendown", "suspended", "suspended",
		"deleted"};
	size_t most = net->n_accounts * INACTIVE_SHARE / 100;
	const char *status = statuses[rng_below(&net->rng, sizeof statuses / sizeof statuses[0])];
	struct account *a;

	if (net->n_inactive && (net->n_inactive >= most || rng_percent(&net->rng, 50)))
		return reactivate(net, out);
	a = network_actor(net);
	if (a->n_promises || net->n_inactive >= most)
		return false;
	network_status(net, a, false, status, out);
	if (strcmp(status, "deleted") == 0)
		network_replace(net, a, true);
	return true;
}

static bool sync_state(struct network *net, struct buf *out)
{
	struct account *a = network_actor(net);

	if (!a->seen)
		return false;
	network_sync(net, a, out);
	return true;
}

/* A new account takes the slot of one that falls silent. */
static bool newcomer(struct network *net, struct buf *out)
{
	struct account *a = network_slot(net);
	struct wire_head head;

	if (a->n_promises || !a->active)
		return false;
	network_replace(net, a, false);
	head = network_head(net, a);
	wire_identity(out, &head, a->handle);
	network_step(net, STEP_ACCOUNT, a, NULL);
	network_step(net, STEP_COMMIT, a, NULL);
	network_step(net, STEP_SYNC, a, NULL);
	return true;
}

/* Shares of 1000, as measured on the public firehose where that is possible. */
static const struct activity {
	unsigned share;
	bool (*perform)(struct network *net, struct buf *out);
} activities[] = {
	{670, like},
	{120, post},
	{100, repost},
	{60, follow},
	{29, unsay},
	{4, profile},
	{5, block},
	{1, list},
	{3, listitem},
	{2, threadgate},
	{2, handle_change},
	{2, account_change},
	{1, sync_state},
	{1, newcomer},
};

enum { N_ACTIVITIES = sizeof activities / sizeof activities[0], SHARES = 1000 };

void activity_next(struct network *net, struct buf *out)
{
	bool done = false;

	/* Posting is always possible, so this ends. */
	while (!done) {
		uint64_t roll = rng_below(&net->rng, SHARES);
		size_t i = 0;

		while (i < N_ACTIVITIES - 1 && roll >= activities[i].share)
			roll -= activities[i++].share;
		done = activities[i].perform(net, out);
	}
}
