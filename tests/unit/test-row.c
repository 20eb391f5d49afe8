/* SPDX-License-Identifier: MIT */
#include "domain/row.h"

#include "codec/cid.h"
#include "codec/datetime.h"
#include "codec/json.h"
#include "codec/syntax.h"
#include "codec/tid.h"
#include "tap.h"

static const char key[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

struct fixture {
	struct ident ident;
	struct arena arena;
	struct buf scratch, cbor, json, again;
	struct row row;
	const struct collection *c;
};

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

/* The stored column `name` of the row just taken. */
static const struct datum *col(const struct fixture *f, const char *name)
{
	struct stored_column stored[STORED_MAX];
	int n = collection_stored(f->c, stored);

	for (int i = 0; i < n; i++)
		if (strcmp(stored[i].name, name) == 0)
			return &f->row.cols[i];
	abort();
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

/* DID and record key behind a stored reference, from the refs the row asked for. */
static const struct row_ref *ref_of(const struct fixture *f, int64_t rkey, int64_t actor)
{
	for (int i = 0; i < f->row.n_refs; i++)
		if (f->row.refs[i].actor == actor && (rkey == -1 || f->row.refs[i].rkey == rkey))
			return &f->row.refs[i];
	abort();
}

static void put_uri(struct fixture *f, const char *name)
{
	char rkey_name[64], actor_name[64], tid[TID_TEXT + 1];
	const struct row_ref *ref;

	snprintf(rkey_name, sizeof rkey_name, "%s_rkey", name);
	snprintf(actor_name, sizeof actor_name, "%s_actor", name);
	ref = ref_of(f, col(f, rkey_name)->i, col(f, actor_name)->i);
	tid_format((uint64_t)ref->rkey, tid);
	buf_printf(&f->json, "\"at://%.*s/%s/", SLICE_ARG(ref->did), collection_of_kind(ref->kind)->nsid);
	if (ref->rkey < 0)
		buf_add_slice(&f->json, ref->rkey_text);
	else
		buf_add_str(&f->json, tid);
	buf_add_str(&f->json, "\"");
}

/* The field of one FIXED column, from what is stored. */
static void put_field(struct fixture *f, const struct column *c)
{
	char text[CID_TEXT + 1], name[64];
	struct cid cid = { .codec = CID_DAG_CBOR };

	buf_printf(&f->json, ",\"%s\":", c->path);
	switch (c->type) {
	case COLUMN_TIME:
		datetime_format(col(f, c->name)->i, text);
		buf_printf(&f->json, "\"%s\"", text);
		break;
	case COLUMN_ACTOR:
		buf_printf(&f->json, "\"%.*s\"", SLICE_ARG(ref_of(f, -1, col(f, c->name)->i)->did));
		break;
	case COLUMN_REF:
		put_uri(f, c->name);
		break;
	default:
		snprintf(name, sizeof name, "%s_cid", c->name);
		memcpy(cid.digest, col(f, name)->s.p, CID_DIGEST);
		cid_to_text(&cid, text);
		buf_add_str(&f->json, "{\"uri\":");
		put_uri(f, c->name);
		buf_printf(&f->json, ",\"cid\":\"%s\"}", text);
	}
}

/* Rebuilds the record from its stored columns; true if that gives the same bytes. */
static bool gives_back(struct fixture *f)
{
	const struct datum *raw = col(f, "raw");

	if (raw->set)
		return slice_eq(raw->s, buf_slice(&f->cbor));
	buf_reset(&f->json);
	buf_reset(&f->again);
	if (f->c->shape == SHAPE_CONTENT) {
		buf_add_slice(&f->json, col(f, "value")->s);
	} else {
		struct slice extra = col(f, "extra")->s;

		buf_printf(&f->json, "{\"$type\":\"%s\"", f->c->nsid);
		for (const struct column *c = f->c->columns; c->name; c++)
			put_field(f, c);
		if (extra.n)
			buf_printf(&f->json, ",%.*s", (int)extra.n - 1, (const char *)extra.p + 1);
		else
			buf_add_str(&f->json, "}");
	}
	return json_to_cbor(buf_slice(&f->json), &f->arena, &f->again) == JSON_OK &&
	       slice_eq(buf_slice(&f->again), buf_slice(&f->cbor));
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
