/* SPDX-License-Identifier: MIT
 *
 * sql - the SQL of a collection, derived from its row
 *
 * Pinned by golden files and printed by `standpipe config --sql NSID`. Must not know: connections.
 */
#ifndef DOMAIN_SQL_H
#define DOMAIN_SQL_H

#include "base/buf.h"
#include "domain/collection.h"

/* SQL name of a type as it travels in a parameter's array ("text" for SQL_TEXTS). */
const char *sql_type_name(enum sql_type type);

/* Key and version columns that every record table begins with, in parameter order: [collection] rkey actor
 * rev epoch seq cid rkey_text; ret has room for STORED_MAX. Returns how many (`collection` only for the row
 * without an NSID). */
int sql_common_columns(const struct collection *c, struct stored_column *ret);

/* Rows of one collection that are not there yet, with the parameters of sql_upsert: one that is there already is an
 * error (unique_violation). Without the search for what might be there a row costs about 2 us less. */
void sql_insert(const struct collection *c, struct buf *out);

/* The one statement that merges a batch of one collection: parameters are arrays, one per column, first the
 * common ones, then those of collection_stored. Create, update and delete alike: the newest (rev, cid)
 * wins, the same version keeps the first position of the newest epoch that has shown it. Returns one
 * boolean per row it wrote, in the order given: the row is new. */
void sql_upsert(const struct collection *c, struct buf *out);

/* What became of rows that the upsert before, in the same transaction, was given: parameters are arrays
 * [collection] rkey actor rev cid. Returns (place in the arrays from 1, enum sql_fate) of the rows there are. */
void sql_fate(const struct collection *c, struct buf *out);

enum sql_fate { SQL_FATE_STALE, SQL_FATE_SAME, SQL_FATE_UPDATED, SQL_FATE_INSERTED };

/* Empties the dead rows of one range of blocks: everything but key and version becomes NULL. Parameters, as
 * text: the range [$1, $2) as tids; accounts are those deleted after ($3, $4) and up to ($5, $6) (epoch, seq).
 * Rows that are empty already are left alone. */
void sql_purge(const struct collection *c, struct buf *out);

/* The ledger's classes: collection.id of operations, this plus the kind of events. */
enum { SQL_CLASS_OF_EVENTS = 200 };

/* bsky.kind_nsid(), bsky.has_content(), standpipe.class_name() and the view bsky.records over every collection, as one script. */
void sql_records_view(struct buf *out);

#endif
