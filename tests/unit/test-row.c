/* SPDX-License-Identifier: MIT */
#include "tests/unit/row_fixture.h"

#include "tap.h"

static const char key[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

static void fixture_init(struct fixture *f)
{
	struct err err;

	*f = (struct fixture){ 0 };
	if (ident_init(&f->ident, key, &err) < 0)
		abort();
}

static void fixture_done(struct fixture *f)
{
	arena_done(&f->arena);
	buf_done(&f->scratch);
	buf_done(&f->cbor);
	buf_done(&f->json);
	buf_done(&f->again);
}

/* Takes the row of a record given as JSON. */
static void extract(struct fixture *f, const char *nsid, const char *json)
{
	arena_reset(&f->arena);
	buf_reset(&f->cbor);
	f->c = &collections[collection_find(slice_str(nsid))];
	if (json_to_cbor(slice_str(json), &f->arena, &f->cbor) != JSON_OK)
		abort();
	row_extract(f->c, &f->ident, buf_slice(&f->cbor), &f->arena, &f->scratch, &f->row);
}

#define LIKE "app.bsky.feed.like"
#define DID "did:plc:2lkhdsqkjubuz7xlsqvzpotv"
#define URI "at://" DID "/app.bsky.feed.post/3mn6rk4rg6pii"
#define CID "bafyreihio57bsmqtorw6eej3tbwqr6zgnnvhru42u633wsq6uqsmls4sr4"
#define SUBJECT "\"subject\":{\"uri\":\"" URI "\",\"cid\":\"" CID "\"}"
#define CREATED "\"createdAt\":\"2026-06-01T00:00:00.131Z\""

static void a_plain_like_is_columns_alone(struct fixture *f)
{
	extract(f, LIKE, "{\"$type\":\"" LIKE "\"," SUBJECT "," CREATED "}");
	ok(!col(f, "raw")->set && !col(f, "value")->set && !col(f, "extra")->set, "a plain like needs no value, no raw");
	ok(col(f, "created_at")->i == 1780272000131000, "its time is in microseconds");
	ok(col(f, "subject_kind")->i == KIND_POST && f->row.n_refs == 1, "its subject is a post's key");
	ok(gives_back(f), "it gives back its bytes");
}

static void unknown_fields_are_kept_beside(struct fixture *f)
{
	extract(f, LIKE, "{\"$type\":\"" LIKE "\"," SUBJECT "," CREATED ",\"via\":{\"uri\":\"" URI "\",\"cid\":\"" CID "\"}}");
	ok(col(f, "extra")->set && !col(f, "raw")->set, "a like with `via` has it in extra");
	ok(gives_back(f), "and gives back its bytes");
}

static void odd_likes_keep_their_bytes(struct fixture *f)
{
	static const struct {
		const char *what, *json;
		bool referring;
	} odd[] = {
		{ "no time", "{\"$type\":\"" LIKE "\"," SUBJECT "}", true },
		{ "microseconds", "{\"$type\":\"" LIKE "\"," SUBJECT ",\"createdAt\":\"2026-06-01T00:00:00.131123Z\"}", true },
		{ "an absurd time", "{\"$type\":\"" LIKE "\"," SUBJECT ",\"createdAt\":\"infinity\"}", true },
		{ "a third field in its subject",
			"{\"$type\":\"" LIKE "\",\"subject\":{\"uri\":\"" URI "\",\"cid\":\"" CID "\",\"x\":1}," CREATED "}", true },
		{ "a handle as authority",
			"{\"$type\":\"" LIKE "\",\"subject\":{\"uri\":\"at://a.example.com/app.bsky.feed.post/3mn6rk4rg6pii\",\"cid\":\""
			CID "\"}," CREATED "}", false },
		{ "another collection as subject",
			"{\"$type\":\"" LIKE "\",\"subject\":{\"uri\":\"at://" DID "/com.example.x/3mn6rk4rg6pii\",\"cid\":\"" CID
			"\"}," CREATED "}", false },
		{ "a number as subject", "{\"$type\":\"" LIKE "\",\"subject\":7," CREATED "}", false },
		{ "another $type", "{\"$type\":\"app.bsky.feed.post\"," SUBJECT "," CREATED "}", false },
		{ "U+0000 in an unknown field", "{\"$type\":\"" LIKE "\"," SUBJECT "," CREATED ",\"x\":\"a\\u0000b\"}", true },
		{ "no map at all", "[1,2,3]", false },
	};

	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
		extract(f, LIKE, odd[i].json);
		ok(col(f, "raw")->set && col(f, "value")->set && gives_back(f), "a like with %s keeps its bytes", odd[i].what);
		ok((f->row.n_refs == 1) == odd[i].referring, "a like with %s %s", odd[i].what,
			odd[i].referring ? "still refers to its post" : "refers to nothing");
	}
}

static void a_post_breaks_out_what_people_query(struct fixture *f)
{
	extract(f, "app.bsky.feed.post",
		"{\"$type\":\"app.bsky.feed.post\"," CREATED ",\"text\":\"hi @x #y\",\"langs\":[\"en\",\"q\\\"t\"],\"tags\":[\"z\"],"
		"\"reply\":{\"root\":{\"uri\":\"" URI "\",\"cid\":\"" CID "\"},\"parent\":{\"uri\":\"" URI "\",\"cid\":\"" CID "\"}},"
		"\"facets\":[{\"features\":[{\"$type\":\"app.bsky.richtext.facet#mention\",\"did\":\"" DID "\"}]},"
		"{\"features\":[{\"$type\":\"app.bsky.richtext.facet#tag\",\"tag\":\"y\"}]}],"
		"\"embed\":{\"$type\":\"app.bsky.embed.images\",\"images\":[{\"alt\":\"a cat\",\"image\":{\"$type\":\"blob\",\"ref\":"
		"{\"$link\":\"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku\"},\"mimeType\":\"image/png\",\"size\":7}}]}}");
	ok(slice_is(col(f, "text")->s, "hi @x #y"), "text");
	ok(slice_is(col(f, "langs")->s, "{\"en\",\"q\\\"t\"}"), "langs, quoted as an array literal");
	ok(slice_is(col(f, "tags")->s, "{\"y\",\"z\"}"), "tags of facets and of the field");
	ok(slice_is(col(f, "mentions")->s, "{\"" DID "\"}"), "mentions");
	ok(slice_is(col(f, "embed_kind")->s, "images"), "kind of embed");
	ok(slice_is(col(f, "media")->s,
		   "[{\"cid\":\"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku\",\"mime\":\"image/png\",\"size\":7,"
		   "\"alt\":\"a cat\"}]"),
		"media with alt text");
	ok(f->row.n_refs == 2 && col(f, "reply_root_kind")->i == KIND_POST, "reply root and parent");
	ok(!col(f, "raw")->set && gives_back(f), "and it gives back its bytes");
}

static void u0000_in_text_is_shown_and_kept(struct fixture *f)
{
	extract(f, "app.bsky.feed.post", "{\"$type\":\"app.bsky.feed.post\"," CREATED ",\"text\":\"a\\u0000b\"}");
	ok(slice_is(col(f, "text")->s, "a\xef\xbf\xbd" "b"), "U+0000 in a text column becomes U+FFFD");
	ok(col(f, "raw")->set && gives_back(f), "and the record keeps its bytes");
}

/* Every record of a recording, through columns and back. */
static void recorded_records_give_back_their_bytes(struct fixture *f, const char *set)
{
	char path[1024], *line = NULL;
	size_t size = 0;
	int n = 0, bad = 0, raw = 0;
	FILE *in;

	if (!shared_dir()) {
		skip("records of %s give back their bytes: no shared vectors", set);
		return;
	}
	snprintf(path, sizeof path, "%s/frames/%s.records.jsonl", shared_dir(), set);
	in = fopen(path, "r");
	while (in && getline(&line, &size, in) > 0) {
		char nsid[400], *value = strstr(line, "\"value\":"), *c = strstr(line, "\"collection\":\"");

		sscanf(c + 14, "%399[^\"]", nsid);
		value[strlen(value) - 2] = 0;
		extract(f, nsid, value + 8);
		bad += !gives_back(f);
		raw += col(f, "raw")->set;
		n++;
	}
	ok(n > 1000 && !bad, "%d records of %s give back their bytes (%d of them through raw)", n, set, raw);
	if (in)
		fclose(in);
	free(line);
}

static void numbers_follow_from_names(struct fixture *f)
{
	/* HMAC-SHA256 with the key above, computed with another implementation */
	ok(ident_rkey(&f->ident, slice_str("3mn6rk4rg6pii")) == 1822998528121787854, "a TID is its own number");
	ok(ident_rkey(&f->ident, slice_str("self")) == -1724193857019584928, "another record key is a negative hash");
	ok(ident_actor(&f->ident, slice_str(DID)) == 3036353999438968549, "an actor's id is its keyed hash");
	ok(ident_actor(&f->ident, slice_str(DID)) != ident_actor(&f->ident, slice_str("did:web:a.example.com")),
		"two DIDs have two ids");
}

int main(void)
{
	struct fixture f;

	fixture_init(&f);
	a_plain_like_is_columns_alone(&f);
	unknown_fields_are_kept_beside(&f);
	odd_likes_keep_their_bytes(&f);
	a_post_breaks_out_what_people_query(&f);
	u0000_in_text_is_shown_and_kept(&f);
	recorded_records_give_back_their_bytes(&f, "pds");
	recorded_records_give_back_their_bytes(&f, "synth");
	numbers_follow_from_names(&f);
	fixture_done(&f);
	return done();
}
