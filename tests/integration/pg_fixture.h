/* SPDX-License-Identifier: MIT
 *
 * pg_fixture - a database of its own for one test program, on the server that PGHOST and PGDATABASE name
 */
#ifndef TESTS_INTEGRATION_PG_FIXTURE_H
#define TESTS_INTEGRATION_PG_FIXTURE_H

#include "io/pg.h"
#include "supervisor/commands/migrations.h"

#include "tests/unit/tap.h"

#include <unistd.h>

struct fixture {
	struct pg *admin;
	struct pg *pg, *other; /* the one under test, and one that gets in its way */
	struct arena arena;
	char conninfo[100];
};

/* A connection that must come about; ends the test otherwise. */
__attribute__((unused)) static struct pg *connected(const char *conninfo)
{
	struct pg_options options = { .conninfo = conninfo, .application_name = "test-pg",
		.waiter = { wait_poll, NULL } };
	struct pg *pg = NULL;
	struct err err;

	if (pg_new(&options, &pg, &err) || pg_connect(pg, &err) != PG_OK) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
	return pg;
}

/* Statements that must succeed; ends the test otherwise. */
__attribute__((unused)) static void must(struct pg *pg, const char *sql)
{
	struct err err;

	if (pg_query(pg, sql, 0, NULL, NULL, &err) != PG_OK) {
		printf("Bail out! %s: %s\n", sql, err.text);
		exit(1);
	}
}

/* True if the one value sql answers is `expected`. */
__attribute__((unused)) static bool answers(struct pg *pg, const char *sql, const char *expected)
{
	struct pg_result *r = NULL;
	struct err err = { "" };
	enum pg_class class = pg_query(pg, sql, 0, NULL, &r, &err);
	const char *text = class == PG_OK && pg_rows(r) == 1 ? pg_text(r, 0, 0) : NULL;
	bool same = text && strcmp(text, expected) == 0;

	if (!same)
		printf("# %s: got %s %s, expected %s\n", sql, text ? text : "NULL", err.text, expected);
	pg_result_free(r);
	return same;
}

/* False, with the plan printed, if no server is given. The new database has 001_base. */
static bool fixture_begin(struct fixture *f)
{
	char sql[120];

	if (!getenv("PGHOST") || !getenv("PGDATABASE")) {
		printf("1..0 # SKIP no PostgreSQL given in PGHOST and PGDATABASE\n");
		return false;
	}
	*f = (struct fixture){ .arena = ARENA_INIT };
	f->admin = connected("");
	snprintf(sql, sizeof sql, "CREATE DATABASE standpipe_test_pg_%d ENCODING 'UTF8' TEMPLATE template0",
		(int)getpid());
	must(f->admin, sql);
	snprintf(f->conninfo, sizeof f->conninfo, "dbname=standpipe_test_pg_%d", (int)getpid());
	f->pg = connected(f->conninfo);
	f->other = connected(f->conninfo);
	must(f->pg, migrations[0].sql);
	return true;
}

static void fixture_end(struct fixture *f)
{
	char sql[120];

	pg_free(f->pg);
	pg_free(f->other);
	snprintf(sql, sizeof sql, "DROP DATABASE standpipe_test_pg_%d WITH (FORCE)", (int)getpid());
	must(f->admin, sql);
	pg_free(f->admin);
	arena_done(&f->arena);
}

#endif
