/* SPDX-License-Identifier: MIT
 *
 * migrate - creates or upgrades the schema, as the role that owns it
 */
#include "supervisor/commands/commands.h"

#include "domain/schema.h"
#include "domain/sql.h"
#include "io/pg.h"
#include "supervisor/commands/migrations.h"

#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum { KEY_HEX = 64 };

struct arguments {
	const char *config, *conninfo, *key;
};

/* 64 lower-case hex digits from the kernel, or from the one given. */
struct key {
	char hex[KEY_HEX + 1];
};

/* Complains; returns the exit code: unreachable is one thing, refused another. */
static int fail(enum pg_class class, const struct err *err)
{
	fprintf(stderr, "standpipe migrate: %s\n", err->text);
	return class == PG_DOWN || class == PG_STOP ? EXIT_DEPENDENCY : EXIT_CHECK;
}

/* Runs sql and puts the one value it answers into ret; "" for NULL or no row. */
static enum pg_class ask(
	struct pg *pg, const char *sql, const char *param, struct buf *ret, struct err *err)
{
	const char *params[] = { param };
	struct pg_result *r = NULL;
	enum pg_class class = pg_query(pg, sql, param ? 1 : 0, params, &r, err);

	buf_reset(ret);
	if (class == PG_OK && pg_rows(r) > 0 && pg_text(r, 0, 0))
		buf_add_str(ret, pg_text(r, 0, 0));
	(void)buf_str(ret);
	pg_result_free(r);
	return class;
}

/* ---- what must be so before anything is changed ---- */

/* Refuses a server whose answers we could not store text in. */
static enum pg_class check_server(struct pg *pg, struct err *err)
{
	struct buf answer = BUF_INIT;
	enum pg_class class = ask(pg,
		"SELECT CASE WHEN current_setting('server_version_num')::int < 140000"
		" THEN 'PostgreSQL 14 or newer is needed, this is ' || current_setting('server_version')"
		" WHEN current_setting('server_encoding') <> 'UTF8' THEN 'the database is encoded in '"
		" || current_setting('server_encoding') || ', it must be made with ENCODING ''UTF8'''"
		" ELSE '' END", NULL, &answer, err);

	if (class == PG_OK && answer.n > 0) {
		err_set(err, "%s: %s", pg_address(pg), buf_str(&answer));
		class = PG_SCHEMA;
	}
	buf_done(&answer);
	return class;
}

/* One migrate at a time in a database; the lock ends with the session. */
static enum pg_class lock(struct pg *pg, struct err *err)
{
	/* "standpip" as a number */
	static const char try_sql[] = "SELECT pg_try_advisory_lock(8319675075286920560)";
	struct buf answer = BUF_INIT;
	enum pg_class class = ask(pg, try_sql, NULL, &answer, err);

	if (class == PG_OK && strcmp(buf_str(&answer), "t") != 0) {
		fprintf(stderr, "standpipe migrate: another migrate runs, waiting for it\n");
		class = ask(pg, "SELECT pg_advisory_lock(8319675075286920560)", NULL, &answer, err);
	}
	buf_done(&answer);
	return class;
}

/* *ret_version is 0 for a database without our schema. Refuses one made by a newer program. */
static enum pg_class schema_version(struct pg *pg, int *ret_version, struct err *err)
{
	struct buf answer = BUF_INIT;
	enum pg_class class = ask(pg, "SELECT to_regclass('standpipe.schema_version')", NULL, &answer, err);

	if (class == PG_OK && answer.n > 0)
		class = ask(pg, "SELECT max(version) FROM standpipe.schema_version", NULL, &answer, err);
	*ret_version = (int)strtol(buf_str(&answer), NULL, 10);
	buf_done(&answer);
	if (class == PG_OK && *ret_version > SCHEMA_VERSION) {
		err_set(err, "the schema is at version %d, this standpipe knows only %d: use a newer standpipe",
			*ret_version, SCHEMA_VERSION);
		class = PG_SCHEMA;
	}
	return class;
}

/* ---- changes ---- */

/* Runs a script in one transaction; waits for locks briefly, since all workers would wait behind it. */
static enum pg_class run_script(struct pg *pg, const char *name, struct buf *script, struct err *err)
{
	struct buf all = BUF_INIT;
	enum pg_class class;

	buf_add_str(&all, "BEGIN; SET LOCAL lock_timeout = '20s';\n");
	buf_add(&all, script->p, script->n);
	buf_add_str(&all, "\nCOMMIT;");
	class = pg_query(pg, buf_str(&all), 0, NULL, NULL, err);
	buf_done(&all);
	if (class != PG_OK)
		err_wrap(err, "%s", name);
	return class;
}

/* Applies what is newer than from, each with its row in schema_version, and says so. */
static enum pg_class apply(struct pg *pg, int from, struct err *err)
{
	struct buf script = BUF_INIT;
	enum pg_class class = PG_OK;

	for (int i = 0; i < n_migrations && class == PG_OK; i++) {
		const struct migration *m = &migrations[i];

		if (m->version <= from)
			continue;
		buf_reset(&script);
		buf_printf(&script, "%s\nINSERT INTO standpipe.schema_version (version, name) VALUES (%d, '%s');",
			m->sql, m->version, m->name);
		class = run_script(pg, m->name, &script, err);
		if (class == PG_OK)
			printf("applied %s\n", m->name);
	}
	buf_done(&script);
	return class;
}

/* Gives the database its identity, once. A given key must be the one that is there. */
static enum pg_class identify(struct pg *pg, const struct key *key, bool given, struct err *err)
{
	const char *params[] = { key->hex };
	struct buf answer = BUF_INIT;
	enum pg_class class = pg_query(pg,
		"INSERT INTO standpipe.meta (key, value)"
		" VALUES ('installation_key', $1), ('uuid', gen_random_uuid()) ON CONFLICT DO NOTHING",
		1, params, NULL, err);

	if (class == PG_OK)
		class = ask(pg, "SELECT value FROM standpipe.meta WHERE key = 'installation_key'", NULL,
			&answer, err);
	if (class == PG_OK && given && strcmp(buf_str(&answer), key->hex) != 0) {
		err_set(err, "the database has another installation key; every number in it was derived with "
			"that one, so it cannot change");
		class = PG_SCHEMA;
	}
	buf_done(&answer);
	return class;
}

/* (Re)writes what follows from the collection table. */
static enum pg_class derive_views(struct pg *pg, struct err *err)
{
	struct buf script = BUF_INIT;
	enum pg_class class;

	sql_records_view(&script);
	class = run_script(pg, "bsky.records", &script, err);
	buf_done(&script);
	return class;
}

/* What the workers' role needs and no more: no DDL, nothing owned, no DELETE of data. Keys are immutable. */
static const char grants_sql[] =
	"SELECT format('GRANT USAGE ON SCHEMA bsky, standpipe TO %1$I;"
	" GRANT SELECT ON ALL TABLES IN SCHEMA bsky, standpipe TO %1$I;"
	" GRANT INSERT ON bsky.actors, bsky.keys TO %1$I;"
	" GRANT INSERT, UPDATE ON %2$s TO %1$I;"
	" GRANT INSERT, UPDATE ON standpipe.watermark, standpipe.epochs, standpipe.gaps,"
	" standpipe.purge, standpipe.ledger_totals, standpipe.identities TO %1$I;"
	" GRANT INSERT, UPDATE, DELETE ON standpipe.pending, standpipe.dead_letters, standpipe.suspects,"
	" standpipe.ledger, standpipe.parked, standpipe.chain, standpipe.chain_breaks TO %1$I;', $1::text,"
	" (SELECT string_agg(format('bsky.%I', relname), ', ') FROM pg_class"
	" WHERE relnamespace = 'bsky'::regnamespace AND relkind = 'r' AND relname NOT IN ('actors', 'keys')))";

/* Lets the role of the configured connection work, when another one owns the schema. */
static enum pg_class grant(struct pg *pg, const char *role, struct err *err)
{
	struct buf script = BUF_INIT;
	char name[200];
	enum pg_class class;

	if (strcmp(role, pg_user(pg)) == 0)
		return PG_OK;
	class = ask(pg, grants_sql, role, &script, err);
	snprintf(name, sizeof name, "privileges for %.100s, whom postgres.conninfo logs in as", role);
	if (class == PG_OK)
		class = run_script(pg, name, &script, err);
	buf_done(&script);
	return class;
}

/* ---- the command ---- */

static int parse(int argc, char **argv, struct arguments *ret)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "conninfo", required_argument, NULL, 'i' },
		{ "installation-key", required_argument, NULL, 'k' },
		{ 0 },
	};
	int c;

	*ret = (struct arguments){ .key = getenv("STANDPIPE_INSTALLATION_KEY") };
	optind = 0;
	while ((c = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		if (c == 'c')
			ret->config = optarg;
		else if (c == 'i')
			ret->conninfo = optarg;
		else if (c == 'k')
			ret->key = optarg;
		else
			return command_usage(argv[0]);
	}
	return optind == argc ? EXIT_DONE : command_usage(argv[0]);
}

/* The given key, checked, or a new one. */
static int make_key(const char *given, struct key *ret)
{
	uint8_t bytes[KEY_HEX / 2];

	if (given) {
		if (strlen(given) != KEY_HEX || strspn(given, "0123456789abcdefABCDEF") != KEY_HEX) {
			fprintf(stderr, "standpipe migrate: an installation key is %d hex digits\n", KEY_HEX);
			return EXIT_USAGE_ERROR;
		}
		for (int i = 0; i <= KEY_HEX; i++)
			ret->hex[i] = (char)tolower((unsigned char)given[i]);
		return EXIT_DONE;
	}
	if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
		fprintf(stderr, "standpipe migrate: the kernel gives no random bytes\n");
		return EXIT_INTERNAL;
	}
	for (int i = 0; i < KEY_HEX / 2; i++)
		snprintf(ret->hex + 2 * i, 3, "%02x", bytes[i]);
	return EXIT_DONE;
}

static int migrate(struct pg *pg, const struct key *key, bool given, const char *role)
{
	enum pg_class class;
	struct err err;
	int version = 0;

	class = pg_connect(pg, &err);
	if (class != PG_OK)
		/* whatever keeps us from connecting, to the caller PostgreSQL is not there */
		return fail(PG_DOWN, &err);
	class = check_server(pg, &err);
	if (class == PG_OK)
		class = lock(pg, &err);
	if (class == PG_OK)
		class = schema_version(pg, &version, &err);
	if (class == PG_OK)
		class = apply(pg, version, &err);
	if (class == PG_OK)
		class = identify(pg, key, given, &err);
	if (class == PG_OK)
		class = derive_views(pg, &err);
	if (class == PG_OK)
		class = grant(pg, role, &err);
	if (class != PG_OK)
		return fail(class, &err);
	if (version == SCHEMA_VERSION)
		printf("schema is at version %d: nothing to do\n", version);
	return EXIT_DONE;
}

/* Opens both connection strings (the configured one only tells the role) and does the work. */
static int with_connections(const struct conf *conf, const struct arguments *a, const struct key *key)
{
	struct pg_options options = { .conninfo = conf->postgres.conninfo,
		.application_name = "standpipe migrate", .waiter = { wait_poll, NULL }, .whole_tables = true };
	struct pg *configured = NULL, *owner = NULL;
	struct err err;
	int status;

	if (pg_new(&options, &configured, &err))
		return fail(PG_SCHEMA, &err);
	if (a->conninfo)
		options.conninfo = a->conninfo;
	if (pg_new(&options, &owner, &err)) {
		fprintf(stderr, "standpipe migrate: --conninfo is no valid connection string\n");
		status = EXIT_USAGE_ERROR;
	} else {
		status = migrate(owner, key, a->key != NULL, pg_user(a->conninfo ? configured : owner));
	}
	pg_free(owner);
	pg_free(configured);
	return status;
}

int command_migrate(int argc, char **argv)
{
	struct arguments arguments;
	struct conf *conf = NULL;
	struct key key;
	int status = parse(argc, argv, &arguments);

	if (status == EXIT_DONE)
		status = make_key(arguments.key, &key);
	if (status == EXIT_DONE)
		status = command_conf(arguments.config, &conf);
	if (status == EXIT_DONE)
		status = with_connections(conf, &arguments, &key);
	conf_free(conf);
	return status;
}
