/* SPDX-License-Identifier: MIT */
#include "domain/collection.h"

#include "domain/sql.h"
#include "tap.h"

static void every_row_is_found_by_its_nsid(void)
{
	bool pass = true;

	for (int i = 1; i < n_collections; i++)
		pass &= collection_find(slice_str(collections[i].nsid)) == i;
	ok(pass, "every row is found by its NSID");
	ok(collection_find(slice_str("com.example.thing")) == 0, "an unknown NSID gives the general row");
}

static void ids_and_tables_are_unique(void)
{
	bool pass = true;

	for (int i = 0; i < n_collections; i++)
		for (int j = 0; j < i; j++)
			pass &= collections[i].id != collections[j].id &&
				strcmp(collections[i].table, collections[j].table) != 0;
	ok(pass, "ids and tables are unique");
}

static void every_kind_has_a_row(void)
{
	bool pass = true;

	for (int k = 1; k < N_KINDS; k++) {
		const struct collection *c = collection_of_kind((enum kind)k);

		pass &= c && c->id == k && collection_target_kind(slice_str(c->nsid)) == (enum kind)k;
	}
	ok(pass, "every kind of reference target has a row with its number as id");
	ok(collection_target_kind(slice_str("app.bsky.feed.like")) == KIND_NONE, "a like is no target");
}

static void a_reference_is_stored_in_three_columns(void)
{
	struct stored_column cols[STORED_MAX];
	int n = collection_stored(&collections[collection_find(slice_str("app.bsky.feed.like"))], cols);

	ok(n == 8, "a like stores 8 columns beside key and version (%d)", n);
	ok(strcmp(cols[0].name, "created_at") == 0 && cols[0].type == SQL_TIMESTAMPTZ, "created_at is a timestamptz");
	ok(strcmp(cols[1].name, "subject_rkey") == 0 && strcmp(cols[4].name, "subject_cid") == 0,
		"a strong reference stores rkey, actor, kind and cid");
	ok(strcmp(cols[5].name, "extra") == 0 && strcmp(cols[7].name, "raw") == 0, "extra, value and raw come last");
}

static void the_upsert_merges_by_version(void)
{
	struct buf sql = BUF_INIT;
	const char *text;

	sql_upsert(&collections[collection_find(slice_str("app.bsky.feed.like"))], &sql);
	text = buf_str(&sql);
	ok(strstr(text, "INSERT INTO bsky.likes AS t (rkey, actor, rev, epoch, seq, cid, rkey_text, created_at,"),
		"the upsert names key, version, position first");
	ok(strstr(text, "ON CONFLICT (rkey, actor) DO UPDATE SET rev = excluded.rev"), "the key is (rkey, actor)");
	ok(strstr(text, "excluded.rev > t.rev OR"), "only a newer version replaces");
	buf_reset(&sql);
	sql_upsert(&collections[0], &sql);
	ok(strstr(buf_str(&sql), "ON CONFLICT (collection, rkey, actor)"),
		"records without a table of their own are keyed by collection too");
	buf_done(&sql);
}

int main(void)
{
	every_row_is_found_by_its_nsid();
	ids_and_tables_are_unique();
	every_kind_has_a_row();
	a_reference_is_stored_in_three_columns();
	the_upsert_merges_by_version();
	return done();
}
