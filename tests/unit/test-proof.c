/* SPDX-License-Identifier: MIT
 *
 * The partial tree against the interop vectors and against whole trees made by the test relay's builder:
 * what a commit changed is found in it, and undoing it gives the root before, or an honest "missing".
 */
#include "tests/unit/tap.h"

#include "codec/proof.h"
#include "tests/relay/mst.h"
#include "tests/relay/rng.h"
#include "tests/relay/wire.h"

#include <jansson.h>

enum { MAX_CHANGES = 12 };

/* A key and its value before; NULL: it was not there. */
struct change {
	char key[64];
	bool had;
	uint8_t before[CID_DIGEST], after[CID_DIGEST];
	bool has;
};

/* A CAR of nodes, opened. */
struct part {
	struct buf car;
	struct arena arena;
	struct blocks blocks;
	struct proof proof;
	unsigned drop; /* percent of the blocks that are left out, but for the root */
	struct rng *rng;
	const uint8_t *root;
};

static void take(void *ctx, const uint8_t digest[CID_DIGEST], struct slice block)
{
	struct part *part = ctx;

	if (!part->drop || !rng_percent(part->rng, part->drop))
		wire_car_block(&part->car, digest, block);
}

static enum proof_status part_open(struct part *part, const uint8_t root[CID_DIGEST])
{
	struct car car;

	if (car_open(buf_slice(&part->car), &part->arena, &car) || blocks_index(&car, &part->arena, &part->blocks))
		return PROOF_E_NODE;
	return proof_open(&part->proof, &part->blocks, root, &part->arena);
}

/* Every node the tree computes now, as a CAR. */
static void part_take(struct part *part, struct mst *mst, uint8_t ret_root[CID_DIGEST])
{
	static const uint8_t any[CID_DIGEST];

	wire_car_header(&part->car, any);
	mst_root(mst, ret_root, take, part);
}

static void part_done(struct part *part)
{
	buf_done(&part->car);
	arena_done(&part->arena);
}

static bool cid_digest(const char *text, uint8_t ret[CID_DIGEST])
{
	struct cid cid;
	bool valid = text && cid_from_text(slice_str(text), &cid);

	if (valid)
		memcpy(ret, cid.digest, CID_DIGEST);
	return valid;
}

static bool same(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, CID_DIGEST) == 0;
}

/* ---- vectors ---- */

static json_t *load(const char *name)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/fixtures/atproto-interop-tests/%s", shared_dir(), name);
	return json_load_file(path, JSON_ALLOW_NUL, NULL);
}

static void check_layers(void)
{
	json_t *rows = load("mst/key_heights.json"), *row;
	size_t i, n_wrong = 0;

	json_array_foreach(rows, i, row)
	{
		const json_t *key = json_object_get(row, "key");

		n_wrong += proof_layer(slice_of(json_string_value(key), json_string_length(key))) !=
			json_integer_value(json_object_get(row, "height"));
	}
	ok(json_array_size(rows) && !n_wrong, "key_heights: %zu keys have the layer given", json_array_size(rows));
	json_decref(rows);
}

/* Are all keys of the list there (or absent), with that value? */
static size_t wrong_keys(const struct proof *p, const json_t *keys, enum proof_status wanted, const uint8_t *value)
{
	uint8_t found[CID_DIGEST];
	size_t i, n_wrong = 0;
	json_t *key;

	json_array_foreach(keys, i, key)
	{
		enum proof_status status = proof_find(p, slice_str(json_string_value(key)), found);

		n_wrong += status != wanted || (status == PROOF_OK && !same(found, value));
	}
	return n_wrong;
}

static void check_fixture(const json_t *fixture)
{
	const json_t *adds = json_object_get(fixture, "adds"), *dels = json_object_get(fixture, "dels");
	const char *comment = json_string_value(json_object_get(fixture, "comment"));
	uint8_t value[CID_DIGEST], before[CID_DIGEST], after[CID_DIGEST], root[CID_DIGEST];
	struct part part = { 0 };
	struct mst mst = { 0 };
	size_t i, n_refused = 0;
	json_t *key;
	bool valid = cid_digest(json_string_value(json_object_get(fixture, "leafValue")), value) &&
		cid_digest(json_string_value(json_object_get(fixture, "rootBeforeCommit")), before) &&
		cid_digest(json_string_value(json_object_get(fixture, "rootAfterCommit")), after);

	json_array_foreach(json_object_get(fixture, "keys"), i, key) mst_put(&mst, json_string_value(key), value);
	mst_root(&mst, root, NULL, NULL);
	json_array_foreach(adds, i, key) mst_put(&mst, json_string_value(key), value);
	json_array_foreach(dels, i, key) mst_delete(&mst, json_string_value(key));
	part_take(&part, &mst, root);
	ok(valid && same(root, after) && part_open(&part, after) == PROOF_OK, "%s: the proof opens", comment);
	ok(wrong_keys(&part.proof, adds, PROOF_OK, value) == 0 && wrong_keys(&part.proof, dels, PROOF_ABSENT, NULL) == 0,
		"%s: what was added is in it, what was deleted is proven absent", comment);
	ok(proof_root(&part.proof, root) == PROOF_OK && same(root, after), "%s: it has the root it came with", comment);
	json_array_foreach(adds, i, key) n_refused += proof_set(&part.proof, slice_str(json_string_value(key)), NULL) != 0;
	json_array_foreach(dels, i, key) n_refused += proof_set(&part.proof, slice_str(json_string_value(key)), value) != 0;
	ok(!n_refused && proof_root(&part.proof, root) == PROOF_OK && same(root, before),
		"%s: undone, it has the root before", comment);
	part_done(&part);
	mst_done(&mst);
}

static void check_fixtures(void)
{
	json_t *fixtures = load("firehose/commit-proof-fixtures.json"), *fixture;
	size_t i;

	ok(json_array_size(fixtures) > 0, "there are commit proofs");
	json_array_foreach(fixtures, i, fixture) check_fixture(fixture);
	json_decref(fixtures);
}

/* ---- against whole trees ---- */

static struct change *change_of(struct change *changes, size_t *n, const char *key, const struct mst *mst)
{
	const struct mst_leaf *leaf = mst_find(mst, key, NULL);

	for (size_t i = 0; i < *n; i++)
		if (strcmp(changes[i].key, key) == 0)
			return &changes[i];
	changes[*n] = (struct change){ .had = leaf != NULL };
	snprintf(changes[*n].key, sizeof changes[*n].key, "%s", key);
	if (leaf)
		memcpy(changes[*n].before, leaf->value, CID_DIGEST);
	return &changes[(*n)++];
}

/* Changes a few keys of the tree, remembering how they were. */
static size_t change_some(struct mst *mst, struct rng *rng, unsigned delete_percent, struct change *changes)
{
	size_t n = 0, n_wanted = 1 + (rng_percent(rng, 30) ? rng_below(rng, MAX_CHANGES - 1) : 0);

	for (size_t i = 0; i < n_wanted; i++) {
		struct change *c;
		char key[40];

		snprintf(key, sizeof key, "a.b.c/%04llu", (unsigned long long)rng_below(rng, 1500));
		c = change_of(changes, &n, key, mst);
		for (size_t k = 0; k < CID_DIGEST; k++)
			c->after[k] = (uint8_t)rng_u64(rng);
		c->has = !rng_percent(rng, delete_percent);
		if (c->has)
			mst_put(mst, key, c->after);
		else if (mst_find(mst, key, NULL))
			mst_delete(mst, key);
	}
	return n;
}

/* Forgets keys that were not there and are not there. */
static size_t real_changes(struct change *changes, size_t n)
{
	size_t n_real = 0;

	for (size_t i = 0; i < n; i++)
		if (changes[i].had || changes[i].has)
			changes[n_real++] = changes[i];
	return n_real;
}

/* Each change is seen in the part. Positive: so many are; negative: one is seen as something else. */
static int seen_changes(const struct proof *p, const struct change *changes, size_t n)
{
	uint8_t value[CID_DIGEST];
	int n_seen = 0;

	for (size_t i = 0; i < n; i++) {
		enum proof_status status = proof_find(p, slice_str(changes[i].key), value);

		if (status == PROOF_E_MISSING)
			continue;
		if (status != (changes[i].has ? PROOF_OK : PROOF_ABSENT) ||
			(status == PROOF_OK && !same(value, changes[i].after)))
			return -1;
		n_seen++;
	}
	return n_seen;
}

/* Undoes the changes in a random order. */
static enum proof_status undo(struct proof *p, struct rng *rng, struct change *changes, size_t n, uint8_t *ret_root)
{
	for (size_t i = n; i-- > 0;) {
		size_t k = rng_below(rng, i + 1);
		struct change swap = changes[k];
		enum proof_status status;

		changes[k] = changes[i];
		changes[i] = swap;
		status = proof_set(p, slice_str(changes[i].key), changes[i].had ? changes[i].before : NULL);
		if (status)
			return status;
	}
	return proof_root(p, ret_root);
}

struct tally {
	size_t n_commits, n_wrong, n_missing;
};

static void one_commit(struct mst *mst, struct rng *rng, unsigned delete_percent, unsigned drop, struct tally *t)
{
	struct change changes[MAX_CHANGES];
	uint8_t before[CID_DIGEST], after[CID_DIGEST], root[CID_DIGEST];
	struct part part = { .drop = drop, .rng = rng };
	enum proof_status status;
	size_t n;
	int n_seen;

	mst_root(mst, before, NULL, NULL);
	n = change_some(mst, rng, delete_percent, changes);
	n = real_changes(changes, n);
	part_take(&part, mst, after);
	if (!n) {
		part_done(&part);
		return;
	}
	t->n_commits++;
	status = part_open(&part, after);
	if (!status) {
		n_seen = seen_changes(&part.proof, changes, n);
		t->n_wrong += n_seen < 0 || (!drop && n_seen != (int)n);
		t->n_wrong += proof_root(&part.proof, root) != PROOF_OK || !same(root, after);
		status = undo(&part.proof, rng, changes, n, root);
		t->n_wrong += status == PROOF_OK && !same(root, before);
	}
	t->n_missing += status == PROOF_E_MISSING;
	t->n_wrong += status != PROOF_OK && (!drop || status != PROOF_E_MISSING);
	part_done(&part);
}

/* The share of deletes swings, so that the tree empties and fills again. */
static struct tally many_commits(uint64_t seed, unsigned drop)
{
	struct rng rng = rng_seeded(seed);
	struct mst mst = { 0 };
	struct tally t = { 0 };

	for (unsigned i = 0; i < 3000; i++)
		one_commit(&mst, &rng, i / 600 % 2 ? 75 : 25, drop, &t);
	while (mst.n) {
		struct part part = { 0 };
		uint8_t root[CID_DIGEST];

		mst_delete(&mst, mst.leaves[rng_below(&rng, mst.n)]->key);
		part_take(&part, &mst, root);
		t.n_wrong += part_open(&part, root) != PROOF_OK;
		part_done(&part);
	}
	mst_done(&mst);
	return t;
}

static void check_trees(void)
{
	for (uint64_t seed = 1; seed <= 3; seed++) {
		struct tally t = many_commits(seed, 0);

		ok(!t.n_wrong, "%zu random commits (seed %llu): every change is proven, undoing gives the root before",
			t.n_commits, (unsigned long long)seed);
	}
	for (uint64_t seed = 4; seed <= 5; seed++) {
		struct tally t = many_commits(seed, 30);

		ok(!t.n_wrong && t.n_missing > 100 && t.n_missing < t.n_commits,
			"the same with blocks left out: %zu times missing, never a wrong root", t.n_missing);
	}
}

/* ---- malformed ---- */

/* A tree of many keys whose nodes are all there. */
static void whole_tree(struct mst *mst, unsigned n)
{
	uint8_t value[CID_DIGEST] = { 1 };
	char key[32];

	for (unsigned i = 0; i < n; i++) {
		snprintf(key, sizeof key, "a.b.c/%05u", i);
		mst_put(mst, key, value);
	}
}

/* A damaged node is told by its hash; with the hash made to fit, by its shape, or it is another valid tree. */
static void check_damage(void)
{
	struct mst mst = { 0 };
	struct part whole = { 0 };
	uint8_t root[CID_DIGEST], changed[CID_DIGEST];
	size_t n_unsound = 0, n_refused = 0, n_valid = 0, n_bytes;
	struct slice block = { 0 };

	whole_tree(&mst, 40);
	part_take(&whole, &mst, root);
	if (part_open(&whole, root) || blocks_find(&whole.blocks, root, &block))
		block.n = 0;
	n_bytes = block.n;
	for (size_t bit = 0; bit < 8 * n_bytes; bit++) {
		uint8_t *byte = (uint8_t *)(uintptr_t)(block.p + bit / 8);
		struct part one = { 0 };
		enum proof_status status;

		*byte ^= (uint8_t)(1 << bit % 8);
		n_unsound += part_open(&whole, root) == PROOF_E_UNSOUND;
		sha256(block, changed);
		wire_car_header(&one.car, changed);
		wire_car_block(&one.car, changed, block);
		status = part_open(&one, changed);
		n_refused += status != PROOF_OK;
		n_valid += status == PROOF_OK;
		part_done(&one);
		*byte ^= (uint8_t)(1 << bit % 8);
	}
	ok(n_bytes && n_unsound == 8 * n_bytes, "each of %zu flipped bits of a node is noticed by its hash", 8 * n_bytes);
	ok(n_refused && n_refused + n_valid == 8 * n_bytes,
		"with a hash that fits %zu are refused for their shape; %zu are other links or values", n_refused, n_valid);
	part_done(&whole);
	mst_done(&mst);
}

/* One hand-made node as a tree of its own. */
static enum proof_status open_node(const char *bytes, size_t n)
{
	uint8_t root[CID_DIGEST];
	struct part part = { 0 };
	enum proof_status status;

	sha256(slice_of(bytes, n), root);
	wire_car_header(&part.car, root);
	wire_car_block(&part.car, root, slice_of(bytes, n));
	status = part_open(&part, root);
	part_done(&part);
	return status;
}

#define OPEN(bytes) open_node(bytes, sizeof(bytes) - 1)
#define CID_OF "\xd8\x2a\x58\x25\x00\x01\x71\x12\x20" "0123456789abcdef0123456789abcdef"
#define ENTRY(k, p) "\xa4\x61k" k "\x61p" p "\x61t\xf6\x61v" CID_OF

static void check_nodes(void)
{
	ok(OPEN("\xa2\x61" "e\x80\x61l\xf6") == PROOF_OK, "an empty root is a tree");
	ok(OPEN("\xa1\x61" "e\x80") == PROOF_E_NODE, "a node without l is none");
	ok(OPEN("\xa2\x61" "e\x80\x61l" CID_OF) == PROOF_E_LAYER, "a root that only points down is too high");
	ok(OPEN("\xa2\x61" "e\x81" ENTRY("\x43" "a/b", "\x00") "\x61l\xf6") == PROOF_OK, "one key is a tree");
	ok(OPEN("\xa2\x61" "e\x82" ENTRY("\x43" "a/b", "\x00") ENTRY("\x43" "a/c", "\x00") "\x61l\xf6") == PROOF_E_PREFIX,
		"a key that repeats what it shares is refused");
	ok(OPEN("\xa2\x61" "e\x82" ENTRY("\x43" "a/d", "\x00") ENTRY("\x41" "b", "\x02") "\x61l\xf6") == PROOF_E_ORDER,
		"keys in falling order are refused");
	ok(OPEN("\xa2\x61" "e\x81" ENTRY("\x43" "a/b", "\x01") "\x61l\xf6") == PROOF_E_NODE,
		"the first key shares nothing");
}

int main(void)
{
	check_nodes();
	check_damage();
	check_trees();
	if (shared_dir()) {
		check_layers();
		check_fixtures();
	} else {
		skip("no interop vectors here");
	}
	return done();
}
