/* SPDX-License-Identifier: MIT
 *
 * identities - the signing keys of a recording's accounts, from its X.diddocs.json (DID -> document)
 *
 * Owns: the loaded keys until identities_done.
 */
#ifndef TESTS_UNIT_IDENTITIES_H
#define TESTS_UNIT_IDENTITIES_H

#include "tests/unit/tap.h"

#include "domain/diddoc.h"

#include <jansson.h>

struct identity {
	char *did;
	struct sign_key key;
};

struct identities {
	struct identity *identity;
	size_t n;
};

/* False unless every document has a key. */
static bool identities_read(const char *recording, struct identities *ret)
{
	char path[4096];
	struct arena arena = ARENA_INIT;
	const char *did;
	json_t *docs, *doc;
	bool sound;

	snprintf(path, sizeof path, "%s/frames/%s.diddocs.json", shared_dir(), recording);
	docs = json_load_file(path, 0, NULL);
	ret->identity = calloc(json_object_size(docs) + 1, sizeof *ret->identity);
	ret->n = 0;
	sound = ret->identity && json_object_size(docs) > 0;
	json_object_foreach(docs, did, doc)
	{
		char *text = json_dumps(doc, 0);
		struct identity *identity = &ret->identity[ret->n++];
		struct diddoc parsed;
		struct err err;

		sound = sound && text && !diddoc_parse(slice_str(text), slice_str(did), &arena, &parsed, &err);
		identity->did = strdup(did);
		identity->key = parsed.key;
		sound = sound && identity->did && sign_key_load(&identity->key);
		free(text);
	}
	json_decref(docs);
	arena_done(&arena);
	return sound;
}

static const struct sign_key *identities_key(const struct identities *ids, struct slice did)
{
	for (size_t i = 0; i < ids->n; i++)
		if (slice_is(did, ids->identity[i].did))
			return &ids->identity[i].key;
	return NULL;
}

static void identities_done(struct identities *ids)
{
	for (size_t i = 0; i < ids->n; i++) {
		sign_key_done(&ids->identity[i].key);
		free(ids->identity[i].did);
	}
	free(ids->identity);
}

#endif
