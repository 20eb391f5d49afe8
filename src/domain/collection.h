/* SPDX-License-Identifier: MIT
 *
 * collection - THE table: everything the program knows about each record collection
 *
 * One row per collection: its NSID, its PostgreSQL table and how the columns follow from the record.
 * The statements that write it (domain/sql), the extraction of a row (domain/row) and the view
 * bsky.records all derive from the row. Adding a collection is one row here, one migration with the
 * table, one fixture.
 * Owns: nothing (constants). Must not know: batches, connections.
 */
#ifndef DOMAIN_COLLECTION_H
#define DOMAIN_COLLECTION_H

#include "base/slice.h"

/* Collections whose records others refer to by foreign key; the numbers are stored: never reuse one. */
enum kind { KIND_NONE = 0, KIND_POST = 1, KIND_GENERATOR = 2, KIND_LIST = 3, KIND_STARTERPACK = 4,
	KIND_LABELER = 5, N_KINDS };

#define KINDS_OF(kind) (1u << (kind))
#define KINDS_ALL (KINDS_OF(KIND_POST) | KINDS_OF(KIND_GENERATOR) | KINDS_OF(KIND_LIST) | \
	KINDS_OF(KIND_STARTERPACK) | KINDS_OF(KIND_LABELER))

/* How a column follows from the record. */
enum column_type {
	COLUMN_TEXT,	   /* string at path */
	COLUMN_TIME,	   /* datetime at path */
	COLUMN_ACTOR,	   /* DID at path; foreign key to actors */
	COLUMN_REF,	   /* at-uri at path: NAME_rkey, NAME_actor, NAME_kind; foreign key to keys */
	COLUMN_STRONGREF,  /* {uri, cid} at path: as COLUMN_REF, and NAME_cid */
	COLUMN_QUOTE,	   /* post: the embedded record; as COLUMN_REF */
	COLUMN_TEXTS,	   /* array of strings at path */
	COLUMN_MENTIONS,   /* post: DIDs of mention facets */
	COLUMN_LINKS,	   /* post: URIs of link facets */
	COLUMN_TAGS,	   /* post: tags of facets and of the field `tags` */
	COLUMN_EMBED_KIND, /* post: last part of the embed's $type */
	COLUMN_MEDIA,	   /* post: [{cid, mime, size, alt}] of images and video */
	N_COLUMN_TYPES
};

struct column {
	const char *name, *path;
	enum column_type type;
	unsigned kinds; /* REF, STRONGREF, QUOTE: which kinds the target may be */
};

/* FIXED: each column is one top-level field, and columns plus `extra` (unknown fields) rebuild the record,
 * so `value` stays NULL. CONTENT: `value` holds the record as JSON, columns repeat what people query. */
enum shape { SHAPE_FIXED, SHAPE_CONTENT };

enum { COLLECTION_MAX_COLUMNS = 16 };

struct collection {
	const char *nsid;  /* NULL: every collection without a row of its own */
	const char *table; /* in schema bsky */
	uint8_t id;	   /* stored as child_kind; equals kind where there is one */
	enum kind kind;	   /* KIND_NONE: never the target of a foreign key */
	enum shape shape;
	struct column columns[COLLECTION_MAX_COLUMNS]; /* ends at the first without a name */
};

/* SQL type of one stored column. */
enum sql_type { SQL_INT2, SQL_INT4, SQL_INT8, SQL_TEXT, SQL_BYTEA, SQL_JSONB, SQL_TIMESTAMPTZ,
	SQL_TEXTS /* text[]; travels as an array literal */, N_SQL_TYPES };

struct stored_column {
	char name[40];
	enum sql_type type;
};

enum { STORED_MAX = 48 };

/* Row 0 is the one for all other collections. */
extern const struct collection collections[];
extern const int n_collections;

/* Index of the collection's row (0 if it has none). */
int collection_find(struct slice nsid);
/* Row that keeps records of this kind; NULL for KIND_NONE. */
const struct collection *collection_of_kind(enum kind kind);
/* The kind an at-uri's collection can be a target of; KIND_NONE if it cannot. */
enum kind collection_target_kind(struct slice nsid);
/* Columns beside the key and version columns, in the order of row extraction: the row's own columns
 * (a reference gives three or four), then `extra` (FIXED only), `value`, `raw`. ret has room for
 * STORED_MAX. Returns how many. */
int collection_stored(const struct collection *c, struct stored_column *ret);

#endif
