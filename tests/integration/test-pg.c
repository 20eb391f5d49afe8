/* SPDX-License-Identifier: MIT
 *
 * test-pg - io/pg against a real PostgreSQL
 */
#include "pg_fixture.h"

#include "base/clock.h"

/* ---- connecting ---- */

static void test_session(struct fixture *f)
{
	ok(strstr(pg_address(f->pg), "standpipe_test_pg_") != NULL, "the address names the database");
	ok(answers(f->pg, "SELECT current_setting('synchronous_commit') || current_setting('statement_timeout')"
		" || current_setting('lock_timeout') || current_setting('idle_in_transaction_session_timeout')"
		" || current_setting('timezone') || current_setting('application_name')",
		"on1min20s1minUTCtest-pg"), "the session has its timeouts, zone and name");
	ok(answers(f->pg, "SELECT count(*) FROM pg_settings WHERE setting = 'off' AND name IN"
		" ('enable_hashjoin', 'enable_mergejoin', 'enable_seqscan', 'jit')", "4"),
		"plans cannot flip to a scan of a whole table");
}

/* Class of an attempt to connect; its message must hold `says` and must not hold the password. */
static enum pg_class refused(const char *conninfo, const char *says)
{
	struct pg_options options = { .conninfo = conninfo, .application_name = "test-pg",
		.waiter = { wait_poll, NULL } };
	struct pg *pg = NULL;
	struct err err = { "" };
	enum pg_class class = PG_OK;

	if (pg_new(&options, &pg, &err) == 0)
		class = pg_connect(pg, &err);
	else
		class = N_PG_CLASSES;
	ok(strstr(err.text, says) && !strstr(err.text, "hunter2"), "says where and why, no password: %s",
		err.text);
	pg_free(pg);
	return class;
}

static void test_refusals(void)
{
	ok(refused("host=/nonexistent dbname=d password=hunter2", "/nonexistent") == PG_DOWN,
		"no server: down");
	ok(refused("dbname=no_such_database password=hunter2", "no_such_database") == PG_SCHEMA,
		"no such database: a person is needed");
	ok(refused("user=no_such_role password=hunter2", "no_such_role") == PG_SCHEMA,
		"no such role: a person is needed");
	ok(refused("dbname=d password=x hunter2", "conninfo") == N_PG_CLASSES,
		"a malformed string is refused without quoting it");
}

/* A waiter that does not look at its socket: notes the deadline and answers what it was told to; told
 * WAIT_READY it is a good one. */
struct deaf {
	enum wait_result answer;
	int64_t deadline_us;
};

static enum wait_result deaf_wait(void *ctx, int fd, short events, int64_t deadline_us)
{
	struct deaf *deaf = ctx;

	deaf->deadline_us = deadline_us;
	return deaf->answer == WAIT_READY ? wait_poll(NULL, fd, events, deadline_us) : deaf->answer;
}

static void test_classes(void)
{
	static const struct {
		const char *sqlstate;
		enum pg_class class;
	} cases[] = { { "22021", PG_DATA }, { "23505", PG_DATA }, { "23503", PG_FK }, { "21000", PG_DATA },
		{ "54000", PG_DATA }, { "40P01", PG_RETRY }, { "55P03", PG_RETRY }, { "25P02", PG_RETRY },
		{ "57014", PG_RETRY }, { "57P01", PG_DOWN }, { "08006", PG_DOWN }, { "53300", PG_DOWN },
		{ "42P01", PG_SCHEMA }, { "28P01", PG_SCHEMA }, { "3D000", PG_SCHEMA },
		{ "3F000", PG_SCHEMA }, { "XX000", PG_RETRY }, { "P0001", PG_RETRY } };

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		ok(pg_classify(cases[i].sqlstate) == cases[i].class, "%s is %s", cases[i].sqlstate,
			pg_class_name(cases[i].class));
}

static void test_query(struct fixture *f)
{
	const char *params[] = { "7", NULL };
	struct pg_result *r = NULL;
	struct err err;

	ok(pg_query(f->pg, "SELECT $1::int + 1, $2::text", 2, params, &r, &err) == PG_OK && pg_rows(r) == 1 &&
		strcmp(pg_text(r, 0, 0), "8") == 0 && !pg_text(r, 0, 1), "text parameters, NULL both ways");
	pg_result_free(r);
	ok(pg_query(f->pg, "BEGIN; CREATE TABLE half (i int); SELECT 1/0", 0, NULL, NULL, &err) == PG_DATA &&
		strstr(err.text, "22012"), "an error in a script has its SQLSTATE: %s", err.text);
	ok(answers(f->pg, "SELECT coalesce(to_regclass('half')::text, 'gone')", "gone"),
		"and its transaction is rolled back");
	ok(pg_query(f->pg, "SELECT pg_terminate_backend(pg_backend_pid())", 0, NULL, NULL, &err) == PG_DOWN &&
		strstr(err.text, "57P01"), "a terminated backend: down, with the server's words: %s", err.text);
	ok(pg_connect(f->pg, &err) == PG_OK, "and can be connected again");
}

/* ---- pipeline ---- */

static const struct pg_stmt add_parents = { "add_parents",
	"INSERT INTO parents SELECT * FROM unnest($1::bigint[]) ON CONFLICT DO NOTHING" };
static const struct pg_stmt add_children = { "add_children",
	"INSERT INTO children (id, parent) SELECT * FROM unnest($1::bigint[], $2::bigint[])"
	" ON CONFLICT (id) DO UPDATE SET parent = excluded.parent RETURNING id, parent" };
static const struct pg_stmt add_late = { "add_late",
	"INSERT INTO late (parent) SELECT * FROM unnest($1::bigint[])" };
static const struct pg_stmt cast_text = { "cast_text", "SELECT t::int FROM unnest($1::text[]) t" };
static const struct pg_stmt echo = { "echo", "SELECT t FROM unnest($1::text[]) t" };
static const struct pg_stmt from_later = { "from_later", "SELECT i FROM later, unnest($1::bigint[])" };
static const struct pg_stmt every_type = { "every_type",
	"SELECT concat_ws(' ', s, i, b, t, y, j, w, o) FROM unnest($1::smallint[], $2::integer[], $3::bigint[],"
	" $4::text[], $5::bytea[], $6::jsonb[], $7::timestamptz[], $8::boolean[]) u(s, i, b, t, y, j, w, o)" };

static const char tables_sql[] =
	"CREATE TABLE parents (id bigint PRIMARY KEY);"
	"CREATE TABLE children (id bigint PRIMARY KEY, parent bigint REFERENCES parents);"
	"CREATE TABLE late (parent bigint REFERENCES parents DEFERRABLE INITIALLY DEFERRED)";

static struct pg_array *one(struct fixture *f, int64_t v)
{
	struct pg_array *a = arena_alloc(&f->arena, sizeof *a);

	pg_array_init(a, PG_INT8, &f->arena, 1);
	pg_array_int(a, v);
	return a;
}

/* Queues stmt over one bigint per parameter (n: how many there are). */
static void add(struct fixture *f, const struct pg_stmt *stmt, int n, int64_t a, int64_t b)
{
	const struct pg_array *params[] = { one(f, a), one(f, b) };

	pg_tx_add(f->pg, stmt, params, n);
}

/* Queues a transaction of one such statement. */
static void tx(struct fixture *f, const struct pg_stmt *stmt, int n, int64_t a, int64_t b)
{
	pg_tx_begin(f->pg, false);
	add(f, stmt, n, a, b);
	pg_tx_commit(f->pg);
}

/* Runs what is queued and holds the outcome against what it should be. */
static bool runs(struct fixture *f, enum pg_class class, const char *sqlstate, int n_committed, int failed)
{
	struct pg_outcome o;
	bool same = pg_run(f->pg, &o) == class && strcmp(o.sqlstate, sqlstate) == 0 &&
		o.n_committed == n_committed && o.failed == failed;

	if (!same)
		printf("# %s %s, %d committed, failed %d: %s\n", pg_class_name(o.class), o.sqlstate,
			o.n_committed, o.failed, o.err.text);
	pg_outcome_done(&o);
	return same;
}

static void test_two_transactions(struct fixture *f)
{
	struct pg_outcome o;

	pg_tx_begin(f->pg, true);
	add(f, &add_parents, 1, 1, 0);
	pg_tx_commit(f->pg);
	pg_tx_begin(f->pg, false);
	add(f, &add_parents, 1, 1, 0);
	add(f, &add_children, 2, -5, 1);
	pg_tx_commit(f->pg);
	ok(pg_run(f->pg, &o) == PG_OK && o.n_committed == 2 && o.failed == -1 && o.n_statements == 3,
		"keys first, rows second, in one pipeline");
	ok(o.affected[0] == 1 && o.affected[1] == 0 && o.affected[2] == 1, "rows affected, per statement");
	ok(!o.rows[0] && o.rows[2] && pg_int8(o.rows[2], 0, 0) == -5 && pg_int8(o.rows[2], 0, 1) == 1,
		"rows returned, in binary");
	pg_outcome_done(&o);
	ok(runs(f, PG_OK, "", 0, -1), "an empty pipeline is nothing to do");
}

static void test_held(struct fixture *f)
{
	pg_tx_begin(f->pg, true);
	add(f, &add_parents, 1, 50, 0);
	pg_tx_commit(f->pg);
	pg_tx_begin(f->pg, false);
	add(f, &add_children, 2, 51, 50);
	pg_tx_hold(f->pg);
	ok(runs(f, PG_OK, "", 1, -1), "a transaction is held at the end of a pipeline");
	ok(answers(f->other, "SELECT count(*) FROM children WHERE id = 51", "0"), "and not committed");
	pg_tx_resume(f->pg);
	add(f, &add_children, 2, 52, 50);
	pg_tx_hold(f->pg);
	ok(runs(f, PG_OK, "", 0, -1), "goes on in the next, and is held again");
	pg_tx_resume(f->pg);
	pg_tx_commit(f->pg);
	ok(runs(f, PG_OK, "", 1, -1) && answers(f->other, "SELECT count(*) FROM children WHERE id IN (51, 52)", "2"),
		"until a third commits it, whole");
	pg_tx_begin(f->pg, false);
	add(f, &add_children, 2, 53, 50);
	pg_tx_hold(f->pg);
	ok(runs(f, PG_OK, "", 0, -1), "another one is held");
	pg_tx_resume(f->pg);
	add(f, &add_children, 2, 54, 404);
	pg_tx_commit(f->pg);
	ok(runs(f, PG_FK, "23503", 0, 0), "and fails later");
	tx(f, &add_parents, 1, 55, 0);
	ok(runs(f, PG_OK, "", 1, -1) && answers(f->other, "SELECT count(*) FROM children WHERE id = 53", "0"),
		"then all of it is rolled back, and the session goes on");
}

static void test_types(struct fixture *f)
{
	struct pg_array a[8];
	const struct pg_array *params[8];
	const char *expected = "-3 70000 -9000000000 h\xc3\xa9 \\x00ff {\"a\": \"b\"} 2024-02-29 12:00:00.000001+00 t";
	struct pg_outcome o;

	for (int i = 0; i < 8; i++) {
		static const enum pg_type types[] = { PG_INT2, PG_INT4, PG_INT8, PG_TEXT, PG_BYTEA, PG_JSONB,
			PG_TIMESTAMPTZ, PG_BOOL };

		pg_array_init(&a[i], types[i], &f->arena, 2);
		params[i] = &a[i];
	}
	for (int i = 0; i < 8; i++)
		pg_array_null(&a[i]);
	pg_array_int(&a[0], -3);
	pg_array_int(&a[1], 70000);
	pg_array_int(&a[2], -9000000000);
	pg_array_bytes(&a[3], slice_str("h\xc3\xa9"));
	pg_array_bytes(&a[4], slice_of("\0\xff", 2));
	pg_array_bytes(&a[5], slice_str("{\"a\":\"b\"}"));
	pg_array_time(&a[6], 1709208000000001);
	pg_array_int(&a[7], 1);
	pg_array_int(&a[0], 7);
	for (int i = 1; i < 8; i++)
		pg_array_null(&a[i]);
	pg_tx_begin(f->pg, false);
	pg_tx_add(f->pg, &every_type, params, 8);
	pg_tx_commit(f->pg);
	ok(pg_run(f->pg, &o) == PG_OK && o.affected[0] == 3 && pg_bytes(o.rows[0], 0, 0).n == 0 &&
		slice_is(pg_bytes(o.rows[0], 1, 0), expected) && slice_is(pg_bytes(o.rows[0], 2, 0), "7"),
		"PostgreSQL reads every type of array, its nulls, and fills the shorter ones up with them");
	pg_outcome_done(&o);
}

static void test_errors(struct fixture *f)
{
	struct pg_array *texts = arena_alloc(&f->arena, sizeof *texts);
	const struct pg_array *params[] = { texts };

	tx(f, &add_parents, 1, 2, 0);
	pg_tx_begin(f->pg, false);
	add(f, &add_children, 2, 20, 2);
	add(f, &add_children, 2, 21, 404);
	pg_tx_commit(f->pg);
	ok(runs(f, PG_FK, "23503", 1, 2), "a missing parent: fk, the first transaction stands");
	ok(answers(f->other, "SELECT count(*) || ' ' || (SELECT count(*) FROM children WHERE id IN (20, 21))"
		" FROM parents WHERE id = 2", "1 0"), "and the second is rolled back whole");

	tx(f, &add_children, 2, 30, 404);
	tx(f, &add_parents, 1, 3, 0);
	ok(runs(f, PG_FK, "23503", 0, 0), "behind a failed transaction nothing runs");
	ok(answers(f->other, "SELECT count(*) FROM parents WHERE id = 3", "0"), "and nothing is stored");

	tx(f, &add_late, 1, 404, 0);
	ok(runs(f, PG_FK, "23503", 0, -1), "a COMMIT that fails does not count");

	pg_array_init(texts, PG_TEXT, &f->arena, 1);
	pg_array_bytes(texts, slice_str("no number"));
	pg_tx_begin(f->pg, false);
	pg_tx_add(f->pg, &cast_text, params, 1);
	pg_tx_commit(f->pg);
	ok(runs(f, PG_DATA, "22P02", 0, 0), "a value PostgreSQL refuses: data");

	tx(f, &from_later, 1, 1, 0);
	tx(f, &add_parents, 1, 4, 0);
	ok(runs(f, PG_SCHEMA, "42P01", 0, 0), "a statement that cannot be prepared: schema");
	must(f->other, "CREATE TABLE later AS SELECT 1 AS i");
	tx(f, &from_later, 1, 1, 0);
	ok(runs(f, PG_OK, "", 1, -1), "is prepared again on the same connection once it can be");
}

static void test_locks(struct fixture *f)
{
	must(f->pg, "SET lock_timeout = '50ms'");
	must(f->other, "BEGIN; LOCK TABLE parents");
	tx(f, &add_parents, 1, 5, 0);
	ok(runs(f, PG_RETRY, "55P03", 0, 0), "a lock that is not granted: retry");
	must(f->other, "COMMIT");
	must(f->pg, "SET statement_timeout = '50ms'; SET lock_timeout = 0");
	must(f->other, "BEGIN; LOCK TABLE parents");
	tx(f, &add_parents, 1, 5, 0);
	ok(runs(f, PG_RETRY, "57014", 0, 0), "a statement that takes too long: retry");
	must(f->other, "COMMIT");
	must(f->pg, "SET statement_timeout = '60s'");
	tx(f, &add_parents, 1, 5, 0);
	ok(runs(f, PG_OK, "", 1, -1), "and the same connection goes on");
}

/* Terminates the backend of f->pg while its pipeline waits for a lock. */
static void test_killed(struct fixture *f)
{
	struct pg_result *r = NULL;
	struct pg_outcome o;
	char sql[100];
	struct err err;

	if (!ok(pg_query(f->pg, "SELECT pg_backend_pid()", 0, NULL, &r, &err) == PG_OK, "pg_query"))
		return;
	snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%s, 10000)", pg_text(r, 0, 0));
	pg_result_free(r);
	must(f->other, "BEGIN; LOCK TABLE parents");
	tx(f, &add_parents, 1, 6, 0);
	ok(pg_run_send(f->pg, &o) == PG_OK, "sent, and the server waits");
	must(f->other, sql);
	must(f->other, "COMMIT");
	ok(pg_run_finish(f->pg, &o) == PG_DOWN && o.n_committed == 0 && strstr(o.err.text, "57P01"),
		"the backend is terminated: down, with the server's words: %s", o.err.text);
	pg_outcome_done(&o);
	tx(f, &add_parents, 1, 6, 0);
	ok(runs(f, PG_DOWN, "", 0, -1), "until connected again");
	ok(pg_connect(f->pg, &err) == PG_OK, "connects again");
	tx(f, &add_parents, 1, 6, 0);
	ok(runs(f, PG_OK, "", 1, -1), "and prepares its statements again");
}

/* Stopping and hanging; at the end pipelines must work as before. */
static void test_waiting(struct fixture *f)
{
	struct deaf deaf = { WAIT_TIMEOUT, 0 };
	struct pg_options options = { .conninfo = f->conninfo, .application_name = "test-pg",
		.waiter = { deaf_wait, &deaf } };
	struct pg *pg = NULL, *mine = f->pg;
	struct err err;

	if (!ok(pg_new(&options, &pg, &err) == 0, "pg_new"))
		return;
	f->pg = pg;
	ok(pg_connect(pg, &err) == PG_DOWN && deaf.deadline_us - clock_mono_us() <= 10000000,
		"a server that does not answer in 10 s is down");
	deaf.answer = WAIT_STOP;
	ok(pg_connect(pg, &err) == PG_STOP, "asked to stop while connecting");
	ok(pg_query(pg, "SELECT 1", 0, NULL, NULL, &err) == PG_DOWN, "then it is not connected");
	deaf.answer = WAIT_READY;
	ok(pg_connect(pg, &err) == PG_OK, "connects when it may go on");
	deaf.answer = WAIT_STOP;
	tx(f, &add_parents, 1, 7, 0);
	ok(runs(f, PG_STOP, "", 0, -1), "asked to stop in a pipeline");
	deaf.answer = WAIT_TIMEOUT;
	ok(pg_connect(pg, &err) == PG_DOWN, "and is disconnected");
	deaf.answer = WAIT_READY;
	ok(pg_connect(pg, &err) == PG_OK, "connects again");
	tx(f, &add_parents, 1, 7, 0);
	ok(runs(f, PG_OK, "", 1, -1), "and the transaction is repeated");
	pg_free(pg);
	f->pg = mine;
}

/* 12 statements of 4 MB each way: whoever only writes, or only reads, waits for ever here. */
static void test_large(struct fixture *f)
{
	struct pg_array *a = arena_alloc(&f->arena, sizeof *a);
	const struct pg_array *params[] = { a };
	char *text = arena_alloc(&f->arena, 4096);
	struct pg_outcome o;
	bool all = true;

	memset(text, 'x', 4096);
	pg_array_init(a, PG_TEXT, &f->arena, 1);
	for (int i = 0; i < 1024; i++)
		pg_array_bytes(a, slice_of(text, 4096));
	pg_tx_begin(f->pg, false);
	for (int i = 0; i < 12; i++)
		pg_tx_add(f->pg, &echo, params, 1);
	pg_tx_commit(f->pg);
	ok(pg_run(f->pg, &o) == PG_OK, "48 MB there and back in one pipeline");
	for (int i = 0; i < 12; i++)
		all = all && o.affected[i] == 1024 && o.rows[i] && pg_bytes(o.rows[i], 1023, 0).n == 4096;
	ok(all, "every row came back");
	pg_outcome_done(&o);
}

int main(void)
{
	struct fixture f;

	if (!fixture_begin(&f))
		return 0;
	test_session(&f);
	test_refusals();
	test_classes();
	test_query(&f);
	must(f.pg, tables_sql);
	test_two_transactions(&f);
	test_held(&f);
	test_types(&f);
	test_errors(&f);
	test_locks(&f);
	test_killed(&f);
	test_waiting(&f);
	test_large(&f);
	fixture_end(&f);
	return done();
}
