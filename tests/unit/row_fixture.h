/* SPDX-License-Identifier: MIT
 *
 * row_fixture - a record's row, and the record rebuilt from it as a reader of the database would
 */
#ifndef TESTS_UNIT_ROW_FIXTURE_H
#define TESTS_UNIT_ROW_FIXTURE_H

#include "codec/cid.h"
#include "codec/datetime.h"
#include "codec/json.h"
#include "codec/tid.h"
#include "domain/row.h"

#include <stdio.h>
#include <stdlib.h>

struct fixture {
	struct ident ident;
	struct arena arena;
	struct buf scratch, cbor, json, again;
	struct row row;
	const struct collection *c;
};

/* The stored column `name` of the row just taken. */
static const struct datum *col(const struct fixture *f, const char *name)
{
	struct stored_column stored[STORED_MAX];
	int n = collection_stored(f->c, stored);

	for (int i = 0; i < n; i++)
		if (strcmp(stored[i].name, name) == 0)
			return &f->row.cols[i];
	abort();
}

/* DID and record key behind a stored reference, from the refs the row asked for. */
static const struct row_ref *ref_of(const struct fixture *f, int64_t rkey, int64_t actor)
{
	for (int i = 0; i < f->row.n_refs; i++)
		if (f->row.refs[i].actor == actor && (rkey == -1 || f->row.refs[i].rkey == rkey))
			return &f->row.refs[i];
	abort();
}

static void put_uri(struct fixture *f, const char *name)
{
	char rkey_name[64], actor_name[64], tid[TID_TEXT + 1];
	const struct row_ref *ref;

	snprintf(rkey_name, sizeof rkey_name, "%s_rkey", name);
	snprintf(actor_name, sizeof actor_name, "%s_actor", name);
	ref = ref_of(f, col(f, rkey_name)->i, col(f, actor_name)->i);
	tid_format((uint64_t)ref->rkey, tid);
	buf_printf(&f->json, "\"at://%.*s/%s/", SLICE_ARG(ref->did), collection_of_kind(ref->kind)->nsid);
	if (ref->rkey < 0)
		buf_add_slice(&f->json, ref->rkey_text);
	else
		buf_add_str(&f->json, tid);
	buf_add_str(&f->json, "\"");
}

/* The field of one FIXED column, from what is stored. */
static void put_field(struct fixture *f, const struct column *c)
{
	char text[CID_TEXT + 1], name[64];
	struct cid cid = { .codec = CID_DAG_CBOR };

	buf_printf(&f->json, ",\"%s\":", c->path);
	switch (c->type) {
	case COLUMN_TIME:
		datetime_format(col(f, c->name)->i, text);
		buf_printf(&f->json, "\"%s\"", text);
		break;
	case COLUMN_ACTOR:
		buf_printf(&f->json, "\"%.*s\"", SLICE_ARG(ref_of(f, -1, col(f, c->name)->i)->did));
		break;
	case COLUMN_REF:
		put_uri(f, c->name);
		break;
	default:
		snprintf(name, sizeof name, "%s_cid", c->name);
		memcpy(cid.digest, col(f, name)->s.p, CID_DIGEST);
		cid_to_text(&cid, text);
		buf_add_str(&f->json, "{\"uri\":");
		put_uri(f, c->name);
		buf_printf(&f->json, ",\"cid\":\"%s\"}", text);
	}
}

/* Rebuilds the record from its stored columns; true if that gives the same bytes. */
static bool gives_back(struct fixture *f)
{
	const struct datum *raw = col(f, "raw");

	if (raw->set)
		return slice_eq(raw->s, buf_slice(&f->cbor));
	buf_reset(&f->json);
	buf_reset(&f->again);
	if (f->c->shape == SHAPE_CONTENT) {
		buf_add_slice(&f->json, col(f, "value")->s);
	} else {
		struct slice extra = col(f, "extra")->s;

		buf_printf(&f->json, "{\"$type\":\"%s\"", f->c->nsid);
		for (const struct column *c = f->c->columns; c->name; c++)
			put_field(f, c);
		if (extra.n)
			buf_printf(&f->json, ",%.*s", (int)extra.n - 1, (const char *)extra.p + 1);
		else
			buf_add_str(&f->json, "}");
	}
	return json_to_cbor(buf_slice(&f->json), &f->arena, &f->again) == JSON_OK &&
	       slice_eq(buf_slice(&f->again), buf_slice(&f->cbor));
}

#endif
