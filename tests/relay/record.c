/* SPDX-License-Identifier: MIT */
#include "record.h"
#include "cbor_write.h"
#include "codec/tid.h"

#include <stdio.h>

static const char *const words[] = {
	"the",
	"sky",
	"is",
	"blue",
	"today",
	"and",
	"nobody",
	"told",
	"me",
	"about",
	"this",
	"new",
	"thing",
	"so",
	"I",
	"went",
	"outside",
	"with",
	"a",
	"cat",
	"who",
	"likes",
	"rain",
	"more",
	"than",
	"coffee",
	"please",
	"read",
	"thread",
	"before",
	"you",
	"answer",
	"never",
	"mind",
	"good",
	"morning",
	"everyone",
	"it",
	"works",
	"on",
	"my",
	"machine",
	"\xc3\xa9t\xc3\xa9",
	"\xce\xbb\xcf\x8c\xce\xb3\xce\xbf\xcf\x82",
	"\xe7\x8c\xab",
	"\xec\x95\x88\xeb\x85\x95",
	"\xf0\x9f\xa6\x8b",
	"stra\xc3\x9f"
	"e",
	"\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d",
	"\"quoted\"",
	"back\\slash",
	"tab\there",
	"https://example.com/a?b=c",
};

enum { N_WORDS = sizeof words / sizeof words[0] };

static const char *a_word(struct rng *rng)
{
	return words[rng_below(rng, N_WORDS)];
}

/* A text of that many words. */
static void write_text(struct buf *out, struct rng *rng, size_t n_words, bool with_nul)
{
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < n_words; i++) {
		if (i)
			buf_u8(&text, ' ');
		buf_add_str(&text, a_word(rng));
	}
	if (with_nul)
		buf_add(&text, "\0 after nul", 11);
	cbor_write_text(out, buf_slice(&text));
	buf_done(&text);
}

void record_uri(const struct record_ref *ref, char ret_uri[RECORD_URI_MAX])
{
	char rkey[TID_TEXT + 1];

	tid_format(ref->rkey, rkey);
	snprintf(ret_uri, RECORD_URI_MAX, "at://%s/%s/%s", ref->did, ref->collection, rkey);
}

static void write_uri(struct buf *out, const char *key, const struct record_ref *ref)
{
	char uri[RECORD_URI_MAX];

	record_uri(ref, uri);
	cbor_write_pair(out, key, uri);
}

static void write_strong_ref(struct buf *out, const struct record_ref *ref)
{
	struct cid cid = {.codec = CID_DAG_CBOR};
	char text[CID_TEXT + 1];

	/* The lexicon has the CID of a strong reference as text, not as a link. */
	memcpy(cid.digest, ref->digest, CID_DIGEST);
	cid_to_text(&cid, text);
	cbor_write_map(out, 2);
	cbor_write_pair(out, "cid", text);
	write_uri(out, "uri", ref);
}

/* A picture nobody will ever fetch. */
static void write_blob(struct buf *out, struct rng *rng)
{
	uint8_t digest[CID_DIGEST];

	for (size_t i = 0; i < CID_DIGEST; i++)
		digest[i] = (uint8_t)rng_u64(rng);
	cbor_write_map(out, 4);
	cbor_write_str(out, "ref");
	cbor_write_cid(out, CID_RAW, digest);
	cbor_write_str(out, "size");
	cbor_write_uint(out, 20000 + rng_below(rng, 900000));
	cbor_write_pair(out, "$type", "blob");
	cbor_write_pair(out, "mimeType", "image/jpeg");
}

static void write_images(struct buf *out, struct rng *rng)
{
	size_t n = 1 + rng_below(rng, 4);

	cbor_write_map(out, 2);
	cbor_write_pair(out, "$type", "app.bsky.embed.images");
	cbor_write_str(out, "images");
	cbor_write_array(out, n);
	while (n--) {
		cbor_write_map(out, 3);
		cbor_write_str(out, "alt");
		write_text(out, rng, rng_below(rng, 12), false);
		cbor_write_str(out, "image");
		write_blob(out, rng);
		cbor_write_str(out, "aspectRatio");
		cbor_write_map(out, 2);
		cbor_write_str(out, "width");
		cbor_write_uint(out, 1000);
		cbor_write_str(out, "height");
		cbor_write_uint(out, 500 + rng_below(rng, 1000));
	}
}

static void write_quote(struct buf *out, const struct record_ref *ref)
{
	cbor_write_map(out, 2);
	cbor_write_pair(out, "$type", "app.bsky.embed.record");
	cbor_write_str(out, "record");
	write_strong_ref(out, ref);
}

static void write_reply(struct buf *out, const struct record_post *post)
{
	cbor_write_map(out, 2);
	cbor_write_str(out, "root");
	write_strong_ref(out, post->root);
	cbor_write_str(out, "parent");
	write_strong_ref(out, post->parent);
}

static void write_mention(struct buf *out, const char *did)
{
	cbor_write_array(out, 1);
	cbor_write_map(out, 2);
	cbor_write_str(out, "index");
	cbor_write_map(out, 2);
	cbor_write_str(out, "byteEnd");
	cbor_write_uint(out, 3);
	cbor_write_str(out, "byteStart");
	cbor_write_uint(out, 0);
	cbor_write_str(out, "features");
	cbor_write_array(out, 1);
	cbor_write_map(out, 2);
	cbor_write_pair(out, "did", did);
	cbor_write_pair(out, "$type", "app.bsky.richtext.facet#mention");
}

void record_post(struct buf *out, struct rng *rng, const struct record_post *post)
{
	bool images = !post->quote && rng_percent(rng, 20);

	cbor_write_map(out,
		4u + (post->quote || images) + (post->parent != NULL) + (post->mention != NULL));
	cbor_write_str(out, "text");
	write_text(out, rng, 2 + rng_below(rng, 40), post->with_nul);
	cbor_write_pair(out, "$type", COLLECTION_POST);
	if (post->quote || images)
		cbor_write_str(out, "embed");
	if (post->quote)
		write_quote(out, post->quote);
	else if (images)
		write_images(out, rng);
	cbor_write_str(out, "langs");
	cbor_write_array(out, 1);
	cbor_write_str(out, rng_percent(rng, 70) ? "en" : "ja");
	if (post->parent) {
		cbor_write_str(out, "reply");
		write_reply(out, post);
	}
	if (post->mention) {
		cbor_write_str(out, "facets");
		write_mention(out, post->mention);
	}
	cbor_write_pair(out, "createdAt", post->created_at);
}

void record_reaction(struct buf *out, const char *collection, const struct record_ref *subject,
	const struct record_ref *via, const char *created_at)
{
	cbor_write_map(out, via ? 4 : 3);
	if (via) {
		cbor_write_str(out, "via");
		write_strong_ref(out, via);
	}
	cbor_write_pair(out, "$type", collection);
	cbor_write_str(out, "subject");
	write_strong_ref(out, subject);
	cbor_write_pair(out, "createdAt", created_at);
}

void record_relation(
	struct buf *out, const char *collection, const char *subject_did, const char *created_at)
{
	cbor_write_map(out, 3);
	cbor_write_pair(out, "$type", collection);
	cbor_write_pair(out, "subject", subject_did);
	cbor_write_pair(out, "createdAt", created_at);
}

void record_list(struct buf *out, struct rng *rng, const char *created_at)
{
	cbor_write_map(out, 5);
	cbor_write_str(out, "name");
	write_text(out, rng, 1 + rng_below(rng, 4), false);
	cbor_write_pair(out, "$type", COLLECTION_LIST);
	cbor_write_pair(out, "purpose",
		rng_percent(rng, 60) ? "app.bsky.graph.defs#curatelist"
				     : "app.bsky.graph.defs#modlist");
	cbor_write_pair(out, "createdAt", created_at);
	cbor_write_str(out, "description");
	write_text(out, rng, rng_below(rng, 20), false);
}

void record_listitem(struct buf *out, const struct record_ref *list, const char *subject_did,
	const char *created_at)
{
	cbor_write_map(out, 4);
	write_uri(out, "list", list);
	cbor_write_pair(out, "$type", COLLECTION_LISTITEM);
	cbor_write_pair(out, "subject", subject_did);
	cbor_write_pair(out, "createdAt", created_at);
}

void record_threadgate(struct buf *out, const struct record_ref *post, const char *created_at)
{
	cbor_write_map(out, 4);
	write_uri(out, "post", post);
	cbor_write_pair(out, "$type", COLLECTION_THREADGATE);
	cbor_write_str(out, "allow");
	cbor_write_array(out, 1);
	cbor_write_map(out, 1);
	cbor_write_pair(out, "$type", "app.bsky.feed.threadgate#mentionRule");
	cbor_write_pair(out, "createdAt", created_at);
}

void record_profile(struct buf *out, struct rng *rng, const char *created_at)
{
	bool avatar = rng_percent(rng, 70);

	cbor_write_map(out, avatar ? 5 : 4);
	cbor_write_pair(out, "$type", COLLECTION_PROFILE);
	if (avatar) {
		cbor_write_str(out, "avatar");
		write_blob(out, rng);
	}
	cbor_write_pair(out, "createdAt", created_at);
	cbor_write_str(out, "description");
	write_text(out, rng, rng_below(rng, 25), false);
	cbor_write_str(out, "displayName");
	write_text(out, rng, 1 + rng_below(rng, 3), false);
}

void record_thing(struct buf *out, struct rng *rng, const char *collection)
{
	uint8_t bytes[20];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)rng_u64(rng);
	cbor_write_map(out, 8);
	cbor_write_str(out, "");
	cbor_write_str(out, "the empty key");
	cbor_write_str(out, "n");
	cbor_write_uint(out, rng_u64(rng) >> 11);
	cbor_write_str(out, "no");
	cbor_write_null(out);
	cbor_write_str(out, "neg");
	buf_u8(out, 0x38); /* -1 - the next byte */
	buf_u8(out, 99);
	cbor_write_pair(out, "$type", collection);
	cbor_write_str(out, "bytes");
	cbor_write_bytes(out, slice_of(bytes, 1 + rng_below(rng, sizeof bytes)));
	cbor_write_str(out, "items");
	cbor_write_array(out, 3);
	cbor_write_bool(out, true);
	cbor_write_map(out, 0);
	write_text(out, rng, 3, false);
	cbor_write_pair(out, "createdAt", "not a date");
}

void record_deep(struct buf *out, const char *collection, unsigned depth)
{
	cbor_write_map(out, 2);
	cbor_write_str(out, "deep");
	for (unsigned i = 1; i < depth; i++) {
		if (i % 2) {
			cbor_write_array(out, 1);
		} else {
			cbor_write_map(out, 1);
			cbor_write_str(out, "in");
		}
	}
	cbor_write_str(out, "bottom");
	cbor_write_pair(out, "$type", collection);
}
