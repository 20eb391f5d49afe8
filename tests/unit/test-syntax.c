/* SPDX-License-Identifier: MIT */
#include "tests/unit/tap.h"
#include "tests/unit/vectors.h"

#include "codec/syntax.h"

static bool is_aturi(struct slice s)
{
	struct aturi uri;

	return aturi_parse(s, &uri);
}

/* n times c behind a text. */
static struct slice stretched(char *room, const char *text, char c, size_t n)
{
	size_t n_text = strlen(text);

	memcpy(room, text, n_text);
	memset(room + n_text, c, n);
	return slice_of(room, n_text + n);
}

static void limits(void)
{
	char room[ATURI_MAX + 64];

	ok(did_valid(stretched(room, "did:a:", 'x', DID_MAX - 6)),
		"a DID of 2048 characters is one");
	ok(!did_valid(stretched(room, "did:a:", 'x', DID_MAX - 5)),
		"a DID of 2049 characters is none");
	ok(!did_valid(slice_str("did:a:b%")) && !did_valid(slice_str("did:a:b:")),
		"a DID ends neither in a percent sign nor in a colon");
	ok(nsid_valid(stretched(room, "a.b.", 'c', 63)), "an NSID's name may have 63 characters");
	ok(!nsid_valid(stretched(room, "a.b.", 'c', 64)),
		"an NSID's name may not have 64 characters");
	ok(rkey_valid(stretched(room, "", '~', RKEY_MAX)) &&
			!rkey_valid(stretched(room, "", '~', RKEY_MAX + 1)),
		"a record key has at most 512 characters");
	ok(!did_valid(slice_of("did:a:b\0c", 9)) && !handle_valid(slice_of("a.b\0c", 5)) &&
			!nsid_valid(slice_of("a.b.c\0", 6)) && !rkey_valid(slice_of("a\0", 2)) &&
			!is_aturi(slice_of("at://a.b\0", 9)),
		"U+0000 is nowhere allowed");
	ok(!did_valid(slice_of(NULL, 0)) && !handle_valid(slice_of(NULL, 0)) &&
			!nsid_valid(slice_of(NULL, 0)) && !rkey_valid(slice_of(NULL, 0)) &&
			!is_aturi(slice_of(NULL, 0)),
		"nothing is no identifier");
}

static void uris(void)
{
	struct aturi uri;

	ok(aturi_parse(slice_str("at://did:plc:abc/app.bsky.feed.post/3jui"), &uri) &&
			uri.authority_is_did && slice_is(uri.authority, "did:plc:abc") &&
			slice_is(uri.collection, "app.bsky.feed.post") &&
			slice_is(uri.rkey, "3jui"),
		"an AT-URI falls into authority, collection and rkey");
	ok(aturi_parse(slice_str("at://a.example.com/x.y.z"), &uri) && !uri.authority_is_did &&
			slice_is(uri.authority, "a.example.com") &&
			slice_is(uri.collection, "x.y.z") && uri.rkey.n == 0,
		"a URI with a handle and without rkey");
	ok(aturi_parse(slice_str("at://did:web:a.b"), &uri) && uri.collection.n == 0 &&
			uri.rkey.n == 0,
		"an authority alone");
	ok(!is_aturi(slice_str("at://did:plc:abc/x.y.z/k?a=b")) &&
			!is_aturi(slice_str("at://did:plc:abc/x.y.z/k#f")),
		"neither query nor fragment");
}

static void paths(void)
{
	struct slice collection, rkey;

	ok(repo_path_parse(slice_str("app.bsky.feed.like/3jui:x"), &collection, &rkey) &&
			slice_is(collection, "app.bsky.feed.like") && slice_is(rkey, "3jui:x"),
		"a path is collection/rkey");
	ok(!repo_path_parse(slice_str("app.bsky.feed.like"), &collection, &rkey) &&
			!repo_path_parse(slice_str("app.bsky.feed.like/"), &collection, &rkey) &&
			!repo_path_parse(slice_str("/3jui"), &collection, &rkey) &&
			!repo_path_parse(slice_str("a.b.c/d/e"), &collection, &rkey) &&
			!repo_path_parse(slice_str("like/3jui"), &collection, &rkey) &&
			!repo_path_parse(slice_str("a.b.c/.."), &collection, &rkey) &&
			!repo_path_parse(slice_str(""), &collection, &rkey),
		"a path has exactly one slash between an NSID and a record key");
}

int main(void)
{
	vectors_check("did_syntax_valid.txt", did_valid, true);
	vectors_check("did_syntax_invalid.txt", did_valid, false);
	vectors_check("handle_syntax_valid.txt", handle_valid, true);
	vectors_check("handle_syntax_invalid.txt", handle_valid, false);
	vectors_check("nsid_syntax_valid.txt", nsid_valid, true);
	vectors_check("nsid_syntax_invalid.txt", nsid_valid, false);
	vectors_check("recordkey_syntax_valid.txt", rkey_valid, true);
	vectors_check("recordkey_syntax_invalid.txt", rkey_valid, false);
	vectors_check("aturi_syntax_valid.txt", is_aturi, true);
	vectors_check("aturi_syntax_invalid.txt", is_aturi, false);
	limits();
	uris();
	paths();
	return done();
}
