/* SPDX-License-Identifier: MIT
 *
 * A record's row, in each collection: the first byte chooses it, the rest is the record. Whatever the
 * record holds, the row has every column, no text that PostgreSQL would refuse, and gives the record's
 * bytes back.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/row_fixture.h"

static const char key[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/* PostgreSQL's own parsers must find nothing to say about a column. */
static void must_be_storable(enum sql_type type, const struct datum *d)
{
	if (!d->set || (type != SQL_TEXT && type != SQL_JSONB && type != SQL_TEXTS))
		return;
	MUST(utf8_valid(d->s) && (d->s.n == 0 || !memchr(d->s.p, 0, d->s.n)));
	if (type == SQL_TEXTS)
		MUST(d->s.n >= 2 && d->s.p[0] == '{' && d->s.p[d->s.n - 1] == '}');
}

static void check_row(struct fixture *f)
{
	struct stored_column stored[STORED_MAX];
	int n = collection_stored(f->c, stored);

	MUST(f->row.n_cols == n && f->row.n_refs <= ROW_MAX_REFS);
	for (int i = 0; i < n; i++)
		must_be_storable(stored[i].type, &f->row.cols[i]);
	for (int i = 0; i < f->row.n_refs; i++)
		MUST(f->row.refs[i].did.n > 0 && f->row.refs[i].actor >= 0);
	MUST(gives_back(f));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct fixture f;
	static bool begun;
	struct slice record;
	struct err err;

	if (!begun && ident_init(&f.ident, key, &err) < 0)
		abort();
	begun = true;
	if (n == 0)
		return 0;
	record = slice_of(data + 1, n - 1);
	arena_reset(&f.arena);
	if (cbor_check(record, &f.arena) != CBOR_OK)
		return 0;
	f.c = &collections[data[0] % n_collections];
	buf_reset(&f.cbor);
	buf_add_slice(&f.cbor, record);
	row_extract(f.c, &f.ident, record, &f.arena, &f.scratch, &f.row);
	check_row(&f);
	return 0;
}
