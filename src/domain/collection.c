/* SPDX-License-Identifier: MIT */
#include "domain/collection.h"

#include <assert.h>
#include <stdio.h>

#define CREATED_AT { "created_at", "createdAt", COLUMN_TIME, 0 }

const struct collection collections[] = {
	{
		.nsid = NULL,
		.table = "other_records",
		.id = 100,
		.shape = SHAPE_CONTENT,
	},
	{
		.nsid = "app.bsky.feed.like",
		.table = "likes",
		.id = 10,
		.shape = SHAPE_FIXED,
		.columns = {
			CREATED_AT,
			{ "subject", "subject", COLUMN_STRONGREF, KINDS_ALL },
		},
	},
	{
		.nsid = "app.bsky.feed.post",
		.table = "posts",
		.id = KIND_POST,
		.kind = KIND_POST,
		.shape = SHAPE_CONTENT,
		.columns = {
			CREATED_AT,
			{ "reply_root", "reply.root.uri", COLUMN_REF, KINDS_OF(KIND_POST) },
			{ "reply_parent", "reply.parent.uri", COLUMN_REF, KINDS_OF(KIND_POST) },
			{ "quote", "embed", COLUMN_QUOTE, KINDS_ALL },
			{ "text", "text", COLUMN_TEXT, 0 },
			{ "langs", "langs", COLUMN_TEXTS, 0 },
			{ "mentions", "facets", COLUMN_MENTIONS, 0 },
			{ "tags", "facets", COLUMN_TAGS, 0 },
			{ "links", "facets", COLUMN_LINKS, 0 },
			{ "embed_kind", "embed", COLUMN_EMBED_KIND, 0 },
			{ "media", "embed", COLUMN_MEDIA, 0 },
		},
	},
	{
		.nsid = "app.bsky.feed.repost",
		.table = "reposts",
		.id = 11,
		.shape = SHAPE_FIXED,
		.columns = {
			CREATED_AT,
			{ "subject", "subject", COLUMN_STRONGREF, KINDS_ALL },
		},
	},
	{
		.nsid = "app.bsky.graph.follow",
		.table = "follows",
		.id = 12,
		.shape = SHAPE_FIXED,
		.columns = {
			CREATED_AT,
			{ "subject", "subject", COLUMN_ACTOR, 0 },
		},
	},
	{
		.nsid = "app.bsky.graph.block",
		.table = "blocks",
		.id = 13,
		.shape = SHAPE_FIXED,
		.columns = {
			CREATED_AT,
			{ "subject", "subject", COLUMN_ACTOR, 0 },
		},
	},
	{
		.nsid = "app.bsky.graph.list",
		.table = "lists",
		.id = KIND_LIST,
		.kind = KIND_LIST,
		.shape = SHAPE_CONTENT,
		.columns = {
			CREATED_AT,
			{ "name", "name", COLUMN_TEXT, 0 },
			{ "purpose", "purpose", COLUMN_TEXT, 0 },
			{ "description", "description", COLUMN_TEXT, 0 },
		},
	},
	{
		.nsid = "app.bsky.graph.listitem",
		.table = "listitems",
		.id = 14,
		.shape = SHAPE_FIXED,
		.columns = {
			CREATED_AT,
			{ "subject", "subject", COLUMN_ACTOR, 0 },
			{ "list", "list", COLUMN_REF, KINDS_OF(KIND_LIST) },
		},
	},
	{
		.nsid = "app.bsky.graph.listblock",
		.table = "listblocks",
		.id = 15,
		.shape = SHAPE_FIXED,
		.columns = {
			CREATED_AT,
			{ "subject", "subject", COLUMN_REF, KINDS_OF(KIND_LIST) },
		},
	},
	{
		.nsid = "app.bsky.graph.starterpack",
		.table = "starterpacks",
		.id = KIND_STARTERPACK,
		.kind = KIND_STARTERPACK,
		.shape = SHAPE_CONTENT,
		.columns = {
			CREATED_AT,
			{ "list", "list", COLUMN_REF, KINDS_OF(KIND_LIST) },
			{ "name", "name", COLUMN_TEXT, 0 },
			{ "description", "description", COLUMN_TEXT, 0 },
		},
	},
	{
		.nsid = "app.bsky.graph.verification",
		.table = "verifications",
		.id = 16,
		.shape = SHAPE_CONTENT,
		.columns = {
			CREATED_AT,
			{ "subject", "subject", COLUMN_ACTOR, 0 },
			{ "handle", "handle", COLUMN_TEXT, 0 },
			{ "display_name", "displayName", COLUMN_TEXT, 0 },
		},
	},
	{
		.nsid = "app.bsky.actor.profile",
		.table = "profiles",
		.id = 17,
		.shape = SHAPE_CONTENT,
		.columns = {
			CREATED_AT,
			{ "joined_via", "joinedViaStarterPack.uri", COLUMN_REF, KINDS_OF(KIND_STARTERPACK) },
			{ "display_name", "displayName", COLUMN_TEXT, 0 },
			{ "description", "description", COLUMN_TEXT, 0 },
		},
	},
	{
		.nsid = "app.bsky.actor.status",
		.table = "statuses",
		.id = 18,
		.shape = SHAPE_CONTENT,
		.columns = {
			CREATED_AT,
			{ "status", "status", COLUMN_TEXT, 0 },
		},
	},
	{
		.nsid = "app.bsky.feed.generator",
		.table = "generators",
		.id = KIND_GENERATOR,
		.kind = KIND_GENERATOR,
		.shape = SHAPE_CONTENT,
		.columns = {
			CREATED_AT,
			{ "did", "did", COLUMN_TEXT, 0 },
			{ "display_name", "displayName", COLUMN_TEXT, 0 },
			{ "description", "description", COLUMN_TEXT, 0 },
		},
	},
	{
		.nsid = "app.bsky.feed.threadgate",
		.table = "threadgates",
		.id = 19,
		.shape = SHAPE_CONTENT,
		.columns = {
			CREATED_AT,
			{ "post", "post", COLUMN_REF, KINDS_OF(KIND_POST) },
		},
	},
	{
		.nsid = "app.bsky.feed.postgate",
		.table = "postgates",
		.id = 20,
		.shape = SHAPE_CONTENT,
		.columns = {
			CREATED_AT,
			{ "post", "post", COLUMN_REF, KINDS_OF(KIND_POST) },
		},
	},
	{
		.nsid = "app.bsky.labeler.service",
		.table = "labelers",
		.id = KIND_LABELER,
		.kind = KIND_LABELER,
		.shape = SHAPE_CONTENT,
		.columns = { CREATED_AT },
	},
	{
		.nsid = "app.bsky.notification.declaration",
		.table = "notification_declarations",
		.id = 21,
		.shape = SHAPE_CONTENT,
		.columns = {
			{ "allow_subscriptions", "allowSubscriptions", COLUMN_TEXT, 0 },
		},
	},
	{
		.nsid = "chat.bsky.actor.declaration",
		.table = "chat_declarations",
		.id = 22,
		.shape = SHAPE_CONTENT,
		.columns = {
			{ "allow_incoming", "allowIncoming", COLUMN_TEXT, 0 },
		},
	},
};

const int n_collections = sizeof collections / sizeof *collections;

int collection_find(struct slice nsid)
{
	for (int i = 1; i < n_collections; i++)
		if (slice_is(nsid, collections[i].nsid))
			return i;
	return 0;
}

const struct collection *collection_of_kind(enum kind kind)
{
	for (int i = 1; i < n_collections; i++)
		if (kind != KIND_NONE && collections[i].kind == kind)
			return &collections[i];
	return NULL;
}

enum kind collection_target_kind(struct slice nsid)
{
	return collections[collection_find(nsid)].kind;
}

struct stored_part {
	const char *suffix;
	enum sql_type type;
};

enum { MAX_PARTS = 4 };

/* What each type of column is stored as. */
static const struct stored_part parts[N_COLUMN_TYPES][MAX_PARTS] = {
	[COLUMN_TEXT] = { { "", SQL_TEXT } },
	[COLUMN_TIME] = { { "", SQL_TIMESTAMPTZ } },
	[COLUMN_ACTOR] = { { "", SQL_INT8 } },
	[COLUMN_REF] = { { "_rkey", SQL_INT8 }, { "_actor", SQL_INT8 }, { "_kind", SQL_INT2 } },
	[COLUMN_STRONGREF] = { { "_rkey", SQL_INT8 }, { "_actor", SQL_INT8 }, { "_kind", SQL_INT2 },
		{ "_cid", SQL_BYTEA } },
	[COLUMN_QUOTE] = { { "_rkey", SQL_INT8 }, { "_actor", SQL_INT8 }, { "_kind", SQL_INT2 } },
	[COLUMN_TEXTS] = { { "", SQL_TEXTS } },
	[COLUMN_MENTIONS] = { { "", SQL_TEXTS } },
	[COLUMN_LINKS] = { { "", SQL_TEXTS } },
	[COLUMN_TAGS] = { { "", SQL_TEXTS } },
	[COLUMN_EMBED_KIND] = { { "", SQL_TEXT } },
	[COLUMN_MEDIA] = { { "", SQL_JSONB } },
};

/* Appends one stored column. */
static int put(struct stored_column *ret, int n, const char *name, const char *suffix, enum sql_type type)
{
	assert(n < STORED_MAX);
	snprintf(ret[n].name, sizeof ret[n].name, "%s%s", name, suffix);
	ret[n].type = type;
	return n + 1;
}

int collection_stored(const struct collection *c, struct stored_column *ret)
{
	int n = 0;

	for (const struct column *col = c->columns; col->name; col++) {
		const struct stored_part *part = parts[col->type];

		for (int i = 0; i < MAX_PARTS && part[i].suffix; i++)
			n = put(ret, n, col->name, part[i].suffix, part[i].type);
	}
	if (c->shape == SHAPE_FIXED)
		n = put(ret, n, "extra", "", SQL_JSONB);
	n = put(ret, n, "value", "", SQL_JSONB);
	return put(ret, n, "raw", "", SQL_BYTEA);
}
