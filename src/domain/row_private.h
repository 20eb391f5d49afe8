/* SPDX-License-Identifier: MIT
 *
 * row_private - shared by row.c (references, scalars, shapes) and row_post.c (what only posts have)
 */
#ifndef DOMAIN_ROW_PRIVATE_H
#define DOMAIN_ROW_PRIVATE_H

#include "base/buf.h"
#include "domain/row.h"

struct taker {
	const struct ident *ident;
	struct arena *arena;
	struct slice record;
	struct row *row;
	struct buf *scratch; /* reset by whoever uses it */
};

/* Appends one stored column. */
void take_null(struct taker *t);
void take_int(struct taker *t, int64_t v);
void take_bytes(struct taker *t, struct slice s);
/* Appends text, with U+0000 replaced. */
void take_text(struct taker *t, struct slice s);

/* Each appends the stored columns of one column. True if they alone give the field back. */
typedef bool take_fn(struct taker *t, const struct column *col);

take_fn take_texts, take_mentions, take_links, take_tags, take_embed_kind, take_media;

#endif
