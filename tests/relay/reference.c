/* SPDX-License-Identifier: MIT
 *
 * reference - what records refer to: popular posts, posts that come later, posts that never come
 */
#include "network.h"

#include <stdlib.h>

enum { HOT_SHARE = 25, HOT_LIFE = 300, UNKNOWN_DIDS = 10, UNKNOWN_ACCOUNTS = 100000 };

static const int64_t year_us = (int64_t)365 * 86400 * 1000000;

void network_make_did(
	const struct network *net, const char *kind, uint64_t number, char ret_did[RECORD_DID + 1])
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
	uint8_t digest[CID_DIGEST];
	char text[80];

	snprintf(text, sizeof text, "%s %llu %llu", kind, (unsigned long long)net->options->seed,
		(unsigned long long)number);
	sha256(slice_str(text), digest);
	memcpy(ret_did, "did:plc:", 8);
	for (int i = 0; i < RECORD_DID - 8; i++)
		ret_did[8 + i] = alphabet[digest[i] & 31];
	ret_did[RECORD_DID] = 0;
}

void network_pool_add(struct network *net, const struct pool_post *post)
{
	if (!net->n_pool)
		net->oldest = *post;
	net->pool[net->n_pool++ % NETWORK_POOL] = *post;
	if (net->n_pool <= NETWORK_HOT)
		net->hot[net->n_pool - 1] = *post;
	else if (rng_below(&net->rng, HOT_LIFE) < NETWORK_HOT)
		net->hot[rng_below(&net->rng, NETWORK_HOT)] = *post;
}

/* A post of the pool: recent ones are likelier, and a few get everything. */
static const struct pool_post *known_post(struct network *net)
{
	uint64_t n = net->n_pool < NETWORK_POOL ? net->n_pool : NETWORK_POOL;

	if (net->n_pool >= NETWORK_HOT && rng_percent(&net->rng, HOT_SHARE))
		return &net->hot[rng_skewed(&net->rng, NETWORK_HOT, 2)];
	return &net->pool[(net->n_pool - 1 - rng_skewed(&net->rng, n, 3)) % NETWORK_POOL];
}

/* A post that is made now and comes later. False if nobody can make it. */
static bool promised_post(struct network *net, struct pool_post *ret_post)
{
	struct promise *p = calloc(1, sizeof *p);
	struct record_post post = {.created_at = net->time};
	uint64_t due = net->n_frames + 1 + rng_below(&net->rng, net->options->late_span);

	if (!p)
		abort();
	p->account = network_actor(net);
	p->account->n_promises++;
	p->post.self = (struct record_ref){.collection = COLLECTION_POST, .rkey = network_tid(net)};
	memcpy(p->post.self.did, p->account->did, sizeof p->post.self.did);
	record_post(&p->block, &net->rng, &post);
	sha256(buf_slice(&p->block), p->post.self.digest);
	p->post.root = p->post.self;
	*ret_post = p->post;
	STAILQ_INSERT_TAIL(&net->promises[due % (net->options->late_span + 1)], p, link);
	return true;
}

/* A post that nobody will ever see. */
static void unknown_post(struct network *net, struct pool_post *ret_post)
{
	struct record_ref *ref = &ret_post->self;

	*ref = (struct record_ref){.collection = COLLECTION_POST};
	network_make_did(net, "unknown", rng_below(&net->rng, UNKNOWN_ACCOUNTS), ref->did);
	ref->rkey = (uint64_t)(net->now_us - (int64_t)rng_below(&net->rng, (uint64_t)year_us))
		    << 10;
	for (size_t i = 0; i < CID_DIGEST; i++)
		ref->digest[i] = (uint8_t)rng_u64(&net->rng);
	ret_post->root = *ref;
}

bool network_post(struct network *net, struct pool_post *ret_post)
{
	double roll = rng_unit(&net->rng) * 100;

	if (!net->n_pool)
		return false;
	if (net->options->hot > 0 && rng_percent(&net->rng, net->options->hot)) {
		*ret_post = net->oldest;
		return true;
	}
	if (roll < net->options->late)
		return promised_post(net, ret_post);
	if (roll < net->options->late + net->options->never)
		unknown_post(net, ret_post);
	else
		*ret_post = *known_post(net);
	return true;
}

void network_did(struct network *net, char ret_did[RECORD_DID + 1])
{
	if (rng_percent(&net->rng, UNKNOWN_DIDS))
		network_make_did(net, "unknown", rng_below(&net->rng, UNKNOWN_ACCOUNTS), ret_did);
	else
		memcpy(ret_did, network_slot(net)->did, RECORD_DID + 1);
}
