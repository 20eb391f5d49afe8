/* SPDX-License-Identifier: MIT
 *
 * row_post - columns that only posts have: languages, facets, embeds, media
 */
#include "domain/row_private.h"

#include "codec/cid.h"
#include "codec/json.h"

/* What a facet's feature is, and the field that names it. */
struct feature {
	const char *type, *field;
};

static const struct feature mention = { "app.bsky.richtext.facet#mention", "did" };
static const struct feature link_feature = { "app.bsky.richtext.facet#link", "uri" };
static const struct feature tag = { "app.bsky.richtext.facet#tag", "tag" };

/* Appends one element to an array literal under way ("{" first, "}" by close_literal). */
static void put_element(struct buf *out, struct slice s)
{
	buf_add_str(out, out->n ? ",\"" : "{\"");
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_u8(out, '\\');
		if (s.p[i])
			buf_u8(out, s.p[i]);
		else
			buf_add_str(out, "\xef\xbf\xbd");
	}
	buf_u8(out, '"');
}

static void take_literal(struct taker *t)
{
	if (!t->scratch->n) {
		take_null(t);
		return;
	}
	buf_u8(t->scratch, '}');
	take_bytes(t, arena_copy(t->arena, buf_slice(t->scratch)));
}

/* Puts every string of the array at path into the literal. */
static void put_strings(struct taker *t, const char *path)
{
	struct cbor_item array, item;
	struct slice bytes;
	struct cbor cur;

	if (cbor_path(t->record, path, &array, &bytes) != CBOR_OK || array.type != CBOR_ARRAY)
		return;
	cur = cbor_over(bytes);
	if (cbor_next(&cur, &array) != CBOR_OK)
		return;
	for (uint64_t i = 0; i < array.n; i++) {
		struct cbor one = cur;

		if (cbor_skip(&cur) != CBOR_OK || cbor_next(&one, &item) != CBOR_OK)
			return;
		if (item.type == CBOR_TEXT)
			put_element(t->scratch, item.s);
	}
}

bool take_texts(struct taker *t, const struct column *col)
{
	buf_reset(t->scratch);
	put_strings(t, col->path);
	take_literal(t);
	return false;
}

/* Steps through an array's items as whole byte ranges. */
struct items {
	struct cbor cur;
	uint64_t n_left;
};

static bool items_at(struct slice map, const char *path, struct items *ret)
{
	struct cbor_item array;
	struct slice bytes;

	if (cbor_path(map, path, &array, &bytes) != CBOR_OK || array.type != CBOR_ARRAY)
		return false;
	ret->cur = cbor_over(bytes);
	ret->n_left = array.n;
	return cbor_next(&ret->cur, &array) == CBOR_OK;
}

static bool items_next(struct items *it, struct slice *ret)
{
	const uint8_t *begin = it->cur.p;

	if (!it->n_left || cbor_skip(&it->cur) != CBOR_OK)
		return false;
	it->n_left--;
	*ret = slice_of(begin, (size_t)(it->cur.p - begin));
	return true;
}

static bool text_in(struct slice map, const char *path, struct slice *ret)
{
	struct cbor_item item;

	if (cbor_path(map, path, &item, NULL) != CBOR_OK || item.type != CBOR_TEXT)
		return false;
	*ret = item.s;
	return true;
}

/* Puts the named field of every facet feature of one type into the literal. */
static void put_features(struct taker *t, const struct feature *f)
{
	struct items facets, features;
	struct slice facet, feature, type, value;

	if (!items_at(t->record, "facets", &facets))
		return;
	while (items_next(&facets, &facet)) {
		if (!items_at(facet, "features", &features))
			continue;
		while (items_next(&features, &feature))
			if (text_in(feature, "$type", &type) && slice_is(type, f->type) &&
				text_in(feature, f->field, &value))
				put_element(t->scratch, value);
	}
}

bool take_mentions(struct taker *t, const struct column *col)
{
	(void)col;
	buf_reset(t->scratch);
	put_features(t, &mention);
	take_literal(t);
	return false;
}

bool take_links(struct taker *t, const struct column *col)
{
	(void)col;
	buf_reset(t->scratch);
	put_features(t, &link_feature);
	take_literal(t);
	return false;
}

bool take_tags(struct taker *t, const struct column *col)
{
	(void)col;
	buf_reset(t->scratch);
	put_features(t, &tag);
	put_strings(t, "tags");
	take_literal(t);
	return false;
}

bool take_embed_kind(struct taker *t, const struct column *col)
{
	struct slice type;
	const uint8_t *dot;

	(void)col;
	if (!text_in(t->record, "embed.$type", &type)) {
		take_null(t);
		return false;
	}
	dot = memrchr(type.p, '.', type.n);
	if (dot)
		type = slice_of(dot + 1, (size_t)(type.p + type.n - dot - 1));
	take_text(t, type);
	return false;
}

/* Appends {"cid", "mime", "size", "alt"} of one blob; what is missing is left out. */
static void put_media(struct buf *out, struct slice item, const char *blob_field)
{
	struct cbor_item blob, part;
	struct slice bytes, text;
	struct cid cid;
	char cid_text[CID_TEXT + 1];

	if (cbor_path(item, blob_field, &blob, &bytes) != CBOR_OK || blob.type != CBOR_MAP)
		return;
	if (cbor_path(bytes, "ref", &part, NULL) != CBOR_OK || part.type != CBOR_CID ||
		!cid_from_bytes(part.s, &cid))
		return;
	cid_to_text(&cid, cid_text);
	buf_printf(out, "%c{\"cid\":\"%s\"", out->n ? ',' : '[', cid_text);
	if (text_in(bytes, "mimeType", &text)) {
		buf_add_str(out, ",\"mime\":");
		json_put_string(out, text);
	}
	if (cbor_path(bytes, "size", &part, NULL) == CBOR_OK && part.type == CBOR_UINT)
		buf_printf(out, ",\"size\":%llu", (unsigned long long)part.n);
	if (text_in(item, "alt", &text)) {
		buf_add_str(out, ",\"alt\":");
		json_put_string(out, text);
	}
	buf_u8(out, '}');
}

/* Images and video of one embed map. */
static void put_embed_media(struct buf *out, struct slice embed)
{
	struct items images;
	struct slice image;

	if (items_at(embed, "images", &images))
		while (items_next(&images, &image))
			put_media(out, image, "image");
	put_media(out, embed, "video");
}

bool take_media(struct taker *t, const struct column *col)
{
	struct cbor_item item;
	struct slice embed, media;

	buf_reset(t->scratch);
	if (cbor_path(t->record, col->path, &item, &embed) == CBOR_OK && item.type == CBOR_MAP) {
		put_embed_media(t->scratch, embed);
		if (cbor_path(embed, "media", &item, &media) == CBOR_OK && item.type == CBOR_MAP)
			put_embed_media(t->scratch, media);
	}
	if (t->scratch->n) {
		buf_u8(t->scratch, ']');
		take_bytes(t, arena_copy(t->arena, buf_slice(t->scratch)));
	} else {
		take_null(t);
	}
	return false;
}
