/* SPDX-License-Identifier: MIT
 *
 * record - DAG-CBOR values of records, shaped as the app.bsky lexicons say (and, for odd ones, as
 * they don't)
 *
 * Owns: nothing; appends to the caller's buffer. Errors: none. Must not know: accounts, commits.
 */
#ifndef RELAY_RECORD_H
#define RELAY_RECORD_H

#include "base/buf.h"
#include "codec/cid.h"
#include "rng.h"

enum { RECORD_DID = 32, RECORD_URI_MAX = 128 };

#define COLLECTION_POST "app.bsky.feed.post"
#define COLLECTION_LIKE "app.bsky.feed.like"
#define COLLECTION_REPOST "app.bsky.feed.repost"
#define COLLECTION_THREADGATE "app.bsky.feed.threadgate"
#define COLLECTION_FOLLOW "app.bsky.graph.follow"
#define COLLECTION_BLOCK "app.bsky.graph.block"
#define COLLECTION_LIST "app.bsky.graph.list"
#define COLLECTION_LISTITEM "app.bsky.graph.listitem"
#define COLLECTION_PROFILE "app.bsky.actor.profile"

/* What a strong reference names. did is a handle where a test wants that. */
struct record_ref {
	char did[RECORD_DID + 1];
	const char *collection;
	uint64_t rkey;
	uint8_t digest[CID_DIGEST];
};

struct record_post {
	const char *created_at;
	const struct record_ref *root, *parent; /* both or none */
	const struct record_ref *quote;         /* or NULL */
	const char *mention;                    /* a DID, or NULL */
	bool with_nul;                          /* U+0000 in the text */
};

void record_uri(const struct record_ref *ref, char ret_uri[RECORD_URI_MAX]);
void record_post(struct buf *out, struct rng *rng, const struct record_post *post);
/* A like or repost; via may be NULL. */
void record_reaction(struct buf *out, const char *collection, const struct record_ref *subject,
	const struct record_ref *via, const char *created_at);
/* A follow or block. */
void record_relation(
	struct buf *out, const char *collection, const char *subject_did, const char *created_at);
void record_list(struct buf *out, struct rng *rng, const char *created_at);
void record_listitem(struct buf *out, const struct record_ref *list, const char *subject_did,
	const char *created_at);
void record_threadgate(struct buf *out, const struct record_ref *post, const char *created_at);
void record_profile(struct buf *out, struct rng *rng, const char *created_at);
/* A record of a collection that nobody here knows, with every type of value. */
void record_thing(struct buf *out, struct rng *rng, const char *collection);
/* A record nested that deep. */
void record_deep(struct buf *out, const char *collection, unsigned depth);

#endif
