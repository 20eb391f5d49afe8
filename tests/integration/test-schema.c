/* SPDX-License-Identifier: MIT
 *
 * test-schema - the SQL functions of 001_base against the program's own, in a real PostgreSQL
 */
#include "pg_fixture.h"

#include "codec/cid.h"
#include "codec/datetime.h"
#include "domain/ident.h"

static const char key_hex[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

static const struct pg_stmt compute = { "compute",
	"SELECT bsky.actor_id(d), bsky.rkey_id(r), bsky.rkey(bsky.rkey_id(r), CASE WHEN bsky.rkey_id(r) < 0"
	" THEN r END), bsky.cid(c) FROM unnest($1::text[], $2::text[], $3::bytea[]) u(d, r, c)" };

struct names {
	struct slice did, rkey, cid;
};

/* Compares what SQL computes for n records with what the program does; returns how many differ. */
static int differing(struct fixture *f, const struct ident *ident, const struct names *names, int n)
{
	static const enum pg_type types[3] = { PG_TEXT, PG_TEXT, PG_BYTEA };
	struct pg_array a[3];
	const struct pg_array *params[3] = { &a[0], &a[1], &a[2] };
	struct pg_outcome o;
	int bad = 0;

	for (int i = 0; i < 3; i++)
		pg_array_init(&a[i], types[i], &f->arena, n);
	for (int i = 0; i < n; i++) {
		struct cid cid;

		bad += !cid_from_text(names[i].cid, &cid);
		pg_array_bytes(&a[0], names[i].did);
		pg_array_bytes(&a[1], names[i].rkey);
		pg_array_bytes(&a[2], slice_of(cid.digest, sizeof cid.digest));
	}
	pg_tx_begin(f->pg, false);
	pg_tx_add(f->pg, &compute, params, 3);
	pg_tx_commit(f->pg);
	if (pg_run(f->pg, &o) != PG_OK || o.affected[0] != n) {
		printf("# %s\n", o.err.text);
		return n;
	}
	for (int i = 0; i < n; i++)
		bad += pg_int8(o.rows[0], i, 0) != ident_actor(ident, names[i].did) ||
			pg_int8(o.rows[0], i, 1) != ident_rkey(ident, names[i].rkey) ||
			!slice_eq(pg_bytes(o.rows[0], i, 2), names[i].rkey) ||
			!slice_eq(pg_bytes(o.rows[0], i, 3), names[i].cid);
	pg_outcome_done(&o);
	return bad;
}

/* The text between `"name":"` and the next quote, empty if it is not there. */
static struct slice field(struct fixture *f, const char *line, const char *name)
{
	char mark[32];
	const char *at;

	snprintf(mark, sizeof mark, "\"%s\":\"", name);
	at = strstr(line, mark);
	at = at ? at + strlen(mark) : "";
	return arena_copy(&f->arena, slice_of(at, strcspn(at, "\"")));
}

static void test_recorded(struct fixture *f, const struct ident *ident)
{
	enum { MAX = 20000 };
	struct names *names = arena_alloc(&f->arena, MAX * sizeof *names);
	char path[1000], *line = NULL;
	size_t cap = 0;
	FILE *file;
	int n = 0;

	snprintf(path, sizeof path, "%s/frames/synth.records.jsonl", shared_dir() ? shared_dir() : "");
	file = shared_dir() ? fopen(path, "r") : NULL;
	if (!file) {
		skip("no recorded records");
		return;
	}
	for (; n < MAX && getline(&line, &cap, file) > 0; n++)
		names[n] = (struct names){ field(f, line, "did"), field(f, line, "rkey"), field(f, line, "cid") };
	free(line);
	fclose(file);
	ok(n > 1000 && differing(f, ident, names, n) == 0,
		"actor_id, rkey_id, rkey and cid agree with the program over %d recorded records", n);
}

static void test_functions(struct fixture *f)
{
	static const char cid[] = "bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
	static const struct names edges[] = {
#define EDGE(rkey) { { (const uint8_t *)"did:web:x", 9 }, { (const uint8_t *)rkey, sizeof rkey - 1 },        \
	{ (const uint8_t *)cid, sizeof cid - 1 } }
		EDGE("2222222222222"), EDGE("bzzzzzzzzzzzz"), EDGE("c222222222222"), EDGE("jzzzzzzzzzzzz"),
		EDGE("self"), EDGE("3jzfcijpj2z2"), EDGE("3jzfcijpj2z2aa"), EDGE("3jzfcijpj2z2A"), EDGE("-"),
#undef EDGE
	};
	char text[DATETIME_TEXT + 1], sql[200];
	struct ident ident;
	struct err err;

	snprintf(sql, sizeof sql, "INSERT INTO standpipe.meta VALUES ('installation_key', '%s')", key_hex);
	must(f->pg, sql);
	if (!ok(ident_init(&ident, key_hex, &err) == 0, "the key is one"))
		return;
	ok(differing(f, &ident, edges, sizeof edges / sizeof edges[0]) == 0,
		"record keys around the borders of TIDs agree with the program");
	test_recorded(f, &ident);
	ok(answers(f->pg, "SELECT bsky.cid(sha256(''))", cid), "the CID of nothing is the known one");
	ok(answers(f->pg, "SELECT coalesce(bsky.cid(''), 'none')", "none"), "a tombstone has no CID");
	datetime_format(-62135596800000000 + 1999, text);
	ok(answers(f->pg, "SELECT bsky.time('0001-01-01 00:00:00.001999+00')", text), "time in the year 1");
	datetime_format(253402300799999999, text);
	ok(answers(f->pg, "SELECT bsky.time('9999-12-31 23:59:59.999999+00')", text), "and in the year 9999");
}

int main(void)
{
	struct fixture f;

	if (!fixture_begin(&f))
		return 0;
	test_functions(&f);
	fixture_end(&f);
	return done();
}
