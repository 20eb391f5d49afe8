/* SPDX-License-Identifier: MIT */
#include "domain/row.h"

#include "codec/cid.h"
#include "codec/datetime.h"
#include "codec/json.h"
#include "codec/syntax.h"
#include "domain/row_private.h"

#include <assert.h>

static struct datum *next_col(struct taker *t)
{
	assert(t->row->n_cols < STORED_MAX);
	return &t->row->cols[t->row->n_cols++];
}

void take_null(struct taker *t)
{
	*next_col(t) = (struct datum){ 0 };
}

void take_int(struct taker *t, int64_t v)
{
	*next_col(t) = (struct datum){ .set = true, .i = v };
}

void take_bytes(struct taker *t, struct slice s)
{
	*next_col(t) = (struct datum){ .set = true, .s = s };
}

struct slice row_text(struct arena *arena, struct slice s)
{
	uint8_t *out;
	size_t n = 0;

	if (!s.n || !memchr(s.p, 0, s.n))
		return s;
	out = arena_alloc(arena, s.n * 3);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i]) {
			out[n++] = s.p[i];
		} else {
			memcpy(out + n, "\xef\xbf\xbd", 3);
			n += 3;
		}
	}
	return slice_of(out, n);
}

void take_text(struct taker *t, struct slice s)
{
	take_bytes(t, row_text(t->arena, s));
}

/* Reads the text at path; false if there is none. */
static bool text_at(struct taker *t, const char *path, struct slice *ret)
{
	struct cbor_item item;

	if (cbor_path(t->record, path, &item, NULL) != CBOR_OK || item.type != CBOR_TEXT)
		return false;
	*ret = item.s;
	return true;
}

static bool take_column_text(struct taker *t, const struct column *col)
{
	struct slice s;

	if (!text_at(t, col->path, &s)) {
		take_null(t);
		return false;
	}
	take_text(t, s);
	return true;
}

static bool take_time(struct taker *t, const struct column *col)
{
	struct slice s;
	int64_t us;

	if (!text_at(t, col->path, &s) || !datetime_parse(s, &us)) {
		take_null(t);
		return false;
	}
	take_int(t, us);
	return datetime_canonical(s, &us);
}

static void add_ref(struct taker *t, const struct row_ref *ref)
{
	assert(t->row->n_refs < ROW_MAX_REFS);
	t->row->refs[t->row->n_refs++] = *ref;
}

static bool take_actor(struct taker *t, const struct column *col)
{
	struct row_ref ref = { .kind = KIND_NONE };

	if (!text_at(t, col->path, &ref.did) || !did_valid(ref.did)) {
		take_null(t);
		return false;
	}
	ref.actor = ident_actor(t->ident, ref.did);
	take_int(t, ref.actor);
	add_ref(t, &ref);
	return true;
}

/* A reference that can be a foreign key: DID authority, a kind the column allows, a record key, and
 * nothing else in the text. */
static bool ref_of(struct taker *t, struct slice uri, unsigned kinds, struct row_ref *ret)
{
	struct aturi u;

	if (!aturi_parse(uri, &u) || !u.authority_is_did || !u.rkey.n)
		return false;
	ret->kind = collection_target_kind(u.collection);
	if (ret->kind == KIND_NONE || !(kinds & KINDS_OF(ret->kind)))
		return false;
	if (uri.n != sizeof "at://" - 1 + u.authority.n + 1 + u.collection.n + 1 + u.rkey.n)
		return false;
	ret->did = u.authority;
	ret->actor = ident_actor(t->ident, u.authority);
	ret->rkey = ident_rkey(t->ident, u.rkey);
	ret->rkey_text = ret->rkey < 0 ? u.rkey : slice_of(NULL, 0);
	return true;
}

/* Appends the three columns of the reference uri (NULLs if it cannot be a foreign key). */
static bool take_uri(struct taker *t, struct slice uri, unsigned kinds)
{
	struct row_ref ref;

	if (!ref_of(t, uri, kinds, &ref)) {
		for (int i = 0; i < 3; i++)
			take_null(t);
		return false;
	}
	take_int(t, ref.rkey);
	take_int(t, ref.actor);
	take_int(t, ref.kind);
	add_ref(t, &ref);
	return true;
}

static bool take_ref(struct taker *t, const struct column *col)
{
	struct slice uri = { 0 };

	return text_at(t, col->path, &uri) & take_uri(t, uri, col->kinds);
}

static bool take_quote(struct taker *t, const struct column *col)
{
	struct slice uri = { 0 };

	if (!text_at(t, "embed.record.uri", &uri) && !text_at(t, "embed.record.record.uri", &uri))
		uri.n = 0;
	return take_uri(t, uri, col->kinds);
}

/* {uri, cid} and nothing else, the cid of a dag-cbor block: then three numbers and a digest say it all. */
static bool take_strongref(struct taker *t, const struct column *col)
{
	struct slice map, cid_text = { 0 }, uri = { 0 };
	struct cbor_item item, part;
	struct cid cid;
	bool exact;

	if (cbor_path(t->record, col->path, &item, &map) != CBOR_OK || item.type != CBOR_MAP)
		map = slice_of(NULL, 0);
	exact = map.n && item.n == 2;
	if (map.n && cbor_path(map, "uri", &part, NULL) == CBOR_OK && part.type == CBOR_TEXT)
		uri = part.s;
	if (map.n && cbor_path(map, "cid", &part, NULL) == CBOR_OK && part.type == CBOR_TEXT)
		cid_text = part.s;
	exact &= take_uri(t, uri, col->kinds);
	if (!cid_from_text(cid_text, &cid) || cid.codec != CID_DAG_CBOR) {
		take_null(t);
		return false;
	}
	take_bytes(t, arena_copy(t->arena, slice_of(cid.digest, sizeof cid.digest)));
	return exact;
}

static take_fn *const takers[N_COLUMN_TYPES] = {
	[COLUMN_TEXT] = take_column_text,
	[COLUMN_TIME] = take_time,
	[COLUMN_ACTOR] = take_actor,
	[COLUMN_REF] = take_ref,
	[COLUMN_STRONGREF] = take_strongref,
	[COLUMN_QUOTE] = take_quote,
	[COLUMN_TEXTS] = take_texts,
	[COLUMN_MENTIONS] = take_mentions,
	[COLUMN_LINKS] = take_links,
	[COLUMN_TAGS] = take_tags,
	[COLUMN_EMBED_KIND] = take_embed_kind,
	[COLUMN_MEDIA] = take_media,
};

/* JSON text of one item into the arena; false if it does not give the same bytes back. Empty if the item
 * is nested too deep for JSON. */
static bool json_of(struct taker *t, struct slice cbor, struct slice *ret)
{
	enum json_status status;

	buf_reset(t->scratch);
	status = json_from_cbor(cbor, t->scratch);
	if (status != JSON_OK && status != JSON_INEXACT)
		buf_reset(t->scratch);
	*ret = arena_copy(t->arena, buf_slice(t->scratch));
	return status == JSON_OK;
}

static void take_json(struct taker *t, struct slice json)
{
	if (json.n)
		take_bytes(t, json);
	else
		take_null(t);
}

static bool is_column(const struct collection *c, struct slice key)
{
	for (const struct column *col = c->columns; col->name; col++)
		if (slice_is(key, col->path))
			return true;
	return false;
}

/* Collects the fields of a FIXED record that are no columns as one JSON object (empty if there are none).
 * False if that object is not exact. */
static bool extra_of(struct taker *t, const struct collection *c, struct slice *ret)
{
	struct cbor cur = cbor_over(t->record);
	struct cbor_item map, key;
	bool exact = true;

	*ret = slice_of(NULL, 0);
	buf_reset(t->scratch);
	if (cbor_next(&cur, &map) != CBOR_OK)
		return false;
	for (uint64_t i = 0; i < map.n; i++) {
		const uint8_t *value;

		if (cbor_next(&cur, &key) != CBOR_OK)
			return false;
		value = cur.p;
		if (cbor_skip(&cur) != CBOR_OK)
			return false;
		if (slice_is(key.s, "$type") || is_column(c, key.s))
			continue;
		buf_u8(t->scratch, t->scratch->n ? ',' : '{');
		exact &= json_put_string(t->scratch, key.s);
		/* a top-level $link or $bytes would read as a link when put back */
		exact &= !slice_is(key.s, "$link") && !slice_is(key.s, "$bytes");
		buf_u8(t->scratch, ':');
		switch (json_from_cbor(slice_of(value, (size_t)(cur.p - value)), t->scratch)) {
		case JSON_OK:
			break;
		case JSON_INEXACT:
			exact = false;
			break;
		default:
			return false;
		}
	}
	if (t->scratch->n) {
		buf_u8(t->scratch, '}');
		*ret = arena_copy(t->arena, buf_slice(t->scratch));
	}
	return exact;
}

/* True if the record is a map whose $type is the collection's: only then do its fields mean anything. */
static bool typed_as(const struct collection *c, struct slice record)
{
	struct cbor_item item;

	return c->nsid && cbor_path(record, "$type", &item, NULL) == CBOR_OK &&
	       item.type == CBOR_TEXT && slice_is(item.s, c->nsid);
}

/* Appends every column of c; true if all of them are exact. */
static bool take_columns(struct taker *t, const struct collection *c)
{
	bool exact = true;

	for (const struct column *col = c->columns; col->name; col++)
		exact &= takers[col->type](t, col);
	return exact;
}

static void null_columns(const struct collection *c, struct row *ret, int n_tail)
{
	struct stored_column stored[STORED_MAX];
	int n = collection_stored(c, stored) - n_tail;

	for (int i = 0; i < n; i++)
		ret->cols[i] = (struct datum){ 0 };
	ret->n_cols = n;
}

void row_extract(const struct collection *c, const struct ident *ident, struct slice record,
	struct arena *arena, struct buf *scratch, struct row *ret)
{
	struct taker t = { ident, arena, record, ret, scratch };
	struct slice json = { 0 }, extra = { 0 };
	bool typed, exact = false;

	ret->n_cols = ret->n_refs = 0;
	typed = typed_as(c, record);
	if (typed)
		exact = take_columns(&t, c);
	else
		null_columns(c, ret, c->shape == SHAPE_FIXED ? 3 : 2);
	if (c->shape == SHAPE_FIXED) {
		if (!extra_of(&t, c, &extra) || !exact)
			exact = false;
		take_json(&t, exact ? extra : slice_of(NULL, 0));
		if (!exact)
			(void)json_of(&t, record, &json);
	} else {
		exact = json_of(&t, record, &json);
	}
	take_json(&t, json);
	if (exact)
		take_null(&t);
	else
		take_bytes(&t, record);
}

void row_tombstone(const struct collection *c, struct row *ret)
{
	ret->n_refs = 0;
	null_columns(c, ret, 0);
}
