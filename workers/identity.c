/* SPDX-License-Identifier: MIT */
#include "workers/identity.h"

#include "base/clock.h"

#include <stdlib.h>
#include <sys/random.h>

enum {
	N_SLOTS = 1 << 17,
	MAX_CACHED = N_SLOTS / 4, /* 32 768 accounts; the batch at hand comes on top */
};

static const struct pg_stmt sql_identities = { "identities",
	"SELECT did, curve, key FROM standpipe.identities WHERE did = ANY ($1::text[]) AND fetched_at IS NOT NULL" };

/* FNV-1a from a secret start: nobody outside can choose DIDs that meet. */
static uint64_t hash_of(const struct identities *ids, struct slice did)
{
	uint64_t h = ids->seed;

	for (size_t i = 0; i < did.n; i++)
		h = (h ^ did.p[i]) * 0x100000001b3u;
	return h ^ h >> 32;
}

/* The slot that holds it, or the free one where it belongs. */
static struct identity **slot_of(const struct identities *ids, struct slice did, uint64_t hash)
{
	size_t i = hash & (N_SLOTS - 1);

	while (ids->slots[i] && (ids->slots[i]->hash != hash || !slice_eq(ids->slots[i]->did, did)))
		i = (i + 1) & (N_SLOTS - 1);
	return &ids->slots[i];
}

static void clear(struct identities *ids)
{
	for (int i = 0; i < ids->n_slots && ids->n; i++) {
		if (!ids->slots[i])
			continue;
		sign_key_done(&ids->slots[i]->key);
		free(ids->slots[i]);
		ids->slots[i] = NULL;
		ids->n--;
	}
}

static void prepare(struct identities *ids)
{
	if (ids->n > MAX_CACHED)
		clear(ids);
	if (ids->slots)
		return;
	ids->slots = calloc(N_SLOTS, sizeof *ids->slots);
	if (!ids->slots || getrandom(&ids->seed, sizeof ids->seed, 0) != (ssize_t)sizeof ids->seed)
		abort();
	ids->n_slots = N_SLOTS;
}

static struct identity *add(struct identities *ids, struct slice did, uint64_t hash)
{
	struct identity *id = calloc(1, sizeof *id + did.n);

	if (!id)
		abort();
	memcpy(id + 1, did.p, did.n);
	id->did = slice_of(id + 1, did.n);
	id->hash = hash;
	ids->n++;
	return id;
}

/* Takes the key of one row; a key that is no point (a database changed by hand) counts as none. */
static void take_row(struct identities *ids, const struct pg_result *r, int row)
{
	struct slice did = pg_bytes(r, row, 0), point;
	struct identity *id = *slot_of(ids, did, hash_of(ids, did));

	if (!id)
		return;
	id->known = true;
	if (pg_is_null(r, row, 1) || pg_is_null(r, row, 2))
		return;
	point = pg_bytes(r, row, 2);
	if (point.n != SIGN_POINT)
		return;
	id->key.curve = (uint8_t)pg_int8(r, row, 1);
	memcpy(id->key.point, point.p, SIGN_POINT);
	if (!sign_key_load(&id->key))
		id->key.curve = SIGN_NONE;
}

static enum pg_class read_rows(struct identities *ids, struct pg *pg, const struct pg_array *dids, struct err *err)
{
	const struct pg_array *params[] = { dids };
	struct pg_outcome o;
	enum pg_class class;

	pg_tx_begin(pg, false);
	pg_tx_add(pg, &sql_identities, params, 1);
	pg_tx_commit(pg);
	class = pg_run(pg, &o);
	for (int i = 0; class == PG_OK && o.rows[0] && i < pg_rows(o.rows[0]); i++)
		take_row(ids, o.rows[0], i);
	*err = o.err;
	pg_outcome_done(&o);
	return class;
}

/* Whether there is an answer by now is asked every time. */
static bool is_current(const struct identity *id, int64_t now_us)
{
	return id->known && now_us - id->loaded_us < IDENTITY_TTL_US;
}

enum pg_class identities_load(struct identities *ids, struct pg *pg, struct arena *arena, const struct slice *dids,
	int n, bool fresh, struct err *err)
{
	int64_t now_us = clock_mono_us();
	struct pg_array missing;
	enum pg_class class;

	prepare(ids);
	pg_array_init(&missing, PG_TEXT, arena, n);
	for (int i = 0; i < n; i++) {
		uint64_t hash = hash_of(ids, dids[i]);
		struct identity **slot = slot_of(ids, dids[i], hash);

		if (*slot && ((*slot)->loaded_us == now_us || (!fresh && is_current(*slot, now_us))))
			continue;
		if (!*slot)
			*slot = add(ids, dids[i], hash);
		sign_key_done(&(*slot)->key);
		(*slot)->key = (struct sign_key){ 0 };
		(*slot)->known = false;
		(*slot)->loaded_us = now_us;
		pg_array_bytes(&missing, dids[i]);
	}
	if (!missing.n)
		return PG_OK;
	class = read_rows(ids, pg, &missing, err);
	if (class != PG_OK)
		clear(ids);
	return class;
}

const struct identity *identities_find(const struct identities *ids, struct slice did)
{
	return *slot_of(ids, did, hash_of(ids, did));
}

void identities_forget(struct identities *ids, struct slice did)
{
	struct identity *id = ids->slots ? *slot_of(ids, did, hash_of(ids, did)) : NULL;

	if (id)
		id->loaded_us = INT64_MIN / 2;
}

void identities_done(struct identities *ids)
{
	clear(ids);
	free(ids->slots);
	*ids = (struct identities){ 0 };
}
