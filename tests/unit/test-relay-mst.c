/* SPDX-License-Identifier: MIT
 *
 * The MST builder against the interop vectors and against itself built afresh.
 */
#include "tests/unit/tap.h"

#include "tests/relay/mst.h"
#include "tests/relay/rng.h"

#include <jansson.h>

#define EMPTY_ROOT "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm"

/* The CIDs that mst_root emitted. */
struct emitted {
	char cids[64][CID_TEXT + 1];
	size_t n;
	bool sound;
};

static void digest_text(const uint8_t digest[CID_DIGEST], char ret_text[CID_TEXT + 1])
{
	struct cid cid = {.codec = CID_DAG_CBOR};

	memcpy(cid.digest, digest, CID_DIGEST);
	cid_to_text(&cid, ret_text);
}

static void take(void *ctx, const uint8_t digest[CID_DIGEST], struct slice block)
{
	struct emitted *e = ctx;
	uint8_t real[CID_DIGEST];

	sha256(block, real);
	e->sound = e->sound && memcmp(real, digest, CID_DIGEST) == 0;
	if (e->n < 64)
		digest_text(digest, e->cids[e->n]);
	e->n++;
}

static bool has(const struct emitted *e, const char *cid)
{
	for (size_t i = 0; i < e->n && i < 64; i++)
		if (strcmp(e->cids[i], cid) == 0)
			return true;
	return false;
}

static bool root_is(struct mst *mst, const char *wanted, struct emitted *e)
{
	uint8_t root[CID_DIGEST];
	char text[CID_TEXT + 1];

	*e = (struct emitted){.sound = true};
	mst_root(mst, root, take, e);
	digest_text(root, text);
	if (strcmp(text, wanted))
		printf("# root %s, wanted %s\n", text, wanted);
	return strcmp(text, wanted) == 0;
}

static json_t *load(const char *name)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/fixtures/atproto-interop-tests/%s", shared_dir(), name);
	return json_load_file(path, JSON_ALLOW_NUL, NULL);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* A text that may hold U+0000. */
static struct slice slice_of_text(const json_t *object, const char *key)
{
	const json_t *text = json_object_get(object, key);

	return slice_of(json_string_value(text), json_string_length(text));
}

static void check_layers(void)
{
	json_t *rows = load("mst/key_heights.json"), *row;
	size_t i, n_wrong = 0;

	json_array_foreach(rows, i, row) n_wrong +=
		mst_layer(slice_of_text(row, "key")) !=
		json_integer_value(json_object_get(row, "height"));
	ok(json_array_size(rows) && !n_wrong, "key_heights: %zu keys have the layer given",
		json_array_size(rows));
	json_decref(rows);
}

static void check_prefixes(void)
{
	json_t *rows = load("mst/common_prefix.json"), *row;
	size_t i, n_wrong = 0;

	json_array_foreach(rows, i, row) n_wrong +=
		mst_common_prefix(slice_of_text(row, "left"), slice_of_text(row, "right")) !=
		(size_t)json_integer_value(json_object_get(row, "len"));
	ok(json_array_size(rows) && !n_wrong, "common_prefix: %zu pairs share as much as given",
		json_array_size(rows));
	json_decref(rows);
}

static void put_all(struct mst *mst, const json_t *keys, const uint8_t value[CID_DIGEST])
{
	json_t *key;
	size_t i;

	json_array_foreach(keys, i, key) mst_put(mst, json_string_value(key), value);
}

/* One commit: roots before and after, and the blocks that must travel with it. */
static void check_proof(const json_t *fixture)
{
	const json_t *wanted = json_object_get(fixture, "blocksInProof");
	const char *value = text_of(fixture, "leafValue"), *comment = text_of(fixture, "comment");
	struct mst mst = {0};
	struct emitted e;
	struct cid cid;
	json_t *key;
	size_t i, n_missing = 0;
	bool parsed = cid_from_text(slice_str(value), &cid);

	put_all(&mst, json_object_get(fixture, "keys"), cid.digest);
	ok(parsed && root_is(&mst, text_of(fixture, "rootBeforeCommit"), &e), "%s: root before",
		comment);
	put_all(&mst, json_object_get(fixture, "adds"), cid.digest);
	json_array_foreach(json_object_get(fixture, "dels"), i, key)
		mst_delete(&mst, json_string_value(key));
	ok(root_is(&mst, text_of(fixture, "rootAfterCommit"), &e), "%s: root after", comment);
	json_array_foreach(wanted, i, key) n_missing += !has(&e, json_string_value(key));
	ok(e.sound && !n_missing && e.n == json_array_size(wanted),
		"%s: the nodes computed are the %zu of the proof (%zu, %zu missing)", comment,
		json_array_size(wanted), e.n, n_missing);
	mst_done(&mst);
}

static void check_proofs(void)
{
	json_t *fixtures = load("firehose/commit-proof-fixtures.json"), *fixture;
	size_t i;

	ok(json_array_size(fixtures) > 0, "there are commit proofs");
	json_array_foreach(fixtures, i, fixture) check_proof(fixture);
	json_decref(fixtures);
}

/* The same keys and values in a new tree. */
static bool same_as_fresh(struct mst *mst)
{
	struct mst fresh = {0};
	uint8_t a[CID_DIGEST], b[CID_DIGEST];

	for (size_t i = mst->n; i-- > 0;)
		mst_put(&fresh, mst->leaves[i]->key, mst->leaves[i]->value);
	mst_root(mst, a, NULL, NULL);
	mst_root(&fresh, b, NULL, NULL);
	mst_done(&fresh);
	return memcmp(a, b, CID_DIGEST) == 0;
}

/* Random changes, several between two roots. */
static void check_changes(uint64_t seed)
{
	struct rng rng = rng_seeded(seed);
	struct mst mst = {0};
	uint8_t value[CID_DIGEST] = {0};
	size_t n_wrong = 0;
	char key[32];

	for (int i = 0; i < 3000; i++) {
		/* The share of deletes swings, so that the tree empties and fills again. */
		bool delete = rng_percent(&rng, i / 500 % 2 ? 70 : 30);

		snprintf(key, sizeof key, "a.b.c/%03llu", (unsigned long long)rng_below(&rng, 300));
		value[0] = (uint8_t)rng_u64(&rng);
		if (!delete)
			mst_put(&mst, key, value);
		else if (mst_find(&mst, key, NULL))
			mst_delete(&mst, key);
		if (rng_percent(&rng, 40))
			n_wrong += !same_as_fresh(&mst);
	}
	ok(!n_wrong,
		"3000 random changes (seed %llu): the root is always that of a tree built afresh",
		(unsigned long long)seed);
	while (mst.n)
		mst_delete(&mst, mst.leaves[rng_below(&rng, mst.n)]->key);
	ok(root_is(&mst, EMPTY_ROOT, &(struct emitted){0}), "the emptied tree has the empty root");
	mst_done(&mst);
}

int main(void)
{
	struct mst empty = {0};
	struct emitted e;

	ok(root_is(&empty, EMPTY_ROOT, &e) && e.n == 1,
		"an empty tree is one node with the known CID");
	for (uint64_t seed = 1; seed <= 3; seed++)
		check_changes(seed);
	if (shared_dir()) {
		check_layers();
		check_prefixes();
		check_proofs();
	} else {
		skip("no interop vectors here");
	}
	return done();
}
