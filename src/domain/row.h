/* SPDX-License-Identifier: MIT
 *
 * row - the columns of one record, taken from its DAG-CBOR by the collection's row
 *
 * Invariant: whatever the record holds, the row can give back its exact bytes: from its columns and
 * `extra` (FIXED), from `value` (CONTENT), or, where neither would, from `raw`, the verbatim record.
 * Nothing here fails for a record's shape: fields of the wrong type or form leave their columns NULL and
 * no reference. Text has U+0000 replaced by U+FFFD.
 * Owns: nothing; slices borrow from the record or live in the arena.
 */
#ifndef DOMAIN_ROW_H
#define DOMAIN_ROW_H

#include "base/arena.h"
#include "base/buf.h"
#include "codec/cbor.h"
#include "domain/collection.h"
#include "domain/ident.h"

/* One stored column's value; SQL_INT*: i; SQL_TIMESTAMPTZ: i, microseconds since 1970; else s. */
struct datum {
	bool set;
	int64_t i;
	struct slice s;
};

/* Something the row's foreign keys need: an actor (kind KIND_NONE) or a key. */
struct row_ref {
	enum kind kind;
	int64_t rkey, actor;
	struct slice did, rkey_text; /* rkey_text empty where rkey >= 0 */
};

enum { ROW_MAX_REFS = 8 };

struct row {
	struct datum cols[STORED_MAX];
	int n_cols;
	struct row_ref refs[ROW_MAX_REFS];
	int n_refs;
};

/* record must have passed cbor_check. scratch is reset and used meanwhile. */
void row_extract(const struct collection *c, const struct ident *ident, struct slice record,
	struct arena *arena, struct buf *scratch, struct row *ret);
/* s itself, or a copy with U+0000 replaced by U+FFFD: PostgreSQL's text cannot hold it. */
struct slice row_text(struct arena *arena, struct slice s);
/* The row of a tombstone: every column NULL. */
void row_tombstone(const struct collection *c, struct row *ret);

#endif
