/* SPDX-License-Identifier: MIT
 *
 * config - the configuration in force; or the SQL that follows from the table of collections
 */
#include "supervisor/commands/commands.h"

#include "codec/syntax.h"
#include "domain/sql.h"
#include "workers/write_sql.h"

#include <getopt.h>
#include <stdio.h>

struct arguments {
	const char *config, *sql;
};

/* ---- --sql ---- */

/* True if a record of c can need a key: its own, or one that it refers to. */
static bool needs_keys(const struct collection *c)
{
	bool any = c->kind != KIND_NONE;

	for (const struct column *col = c->columns; col->name; col++)
		any |= col->kinds != 0;
	return any;
}

static void put_comment(const char *text, struct buf *out)
{
	for (const char *end; (end = strchr(text, '\n')); text = end + 1)
		buf_printf(out, "-- %.*s\n", (int)(end - text), text);
	buf_printf(out, "-- %s\n", text);
}

/* A statement that only goes with the collection's own. */
static void put_beside(const char *when, const struct pg_stmt *stmt, struct buf *out)
{
	buf_printf(out, "--\n-- %s:\n", when);
	put_comment(stmt->sql, out);
}

static void put_collection(const struct collection *c, struct buf *out)
{
	buf_printf(out, "-- %s: bsky.%s\n", c->nsid ? c->nsid : "every other collection", c->table);
	sql_upsert(c, out);
	buf_add_str(out, ";\n"
			 "--\n-- Records created under a TID: the same up to ON CONFLICT. Should one be there already, the "
			 "batch is done\n-- again with the whole statement.\n");
	if (needs_keys(c))
		put_beside("In the transaction before it, what its foreign keys refer to, and the "
			   "pending rows of what is missing",
			&sql_keys, out);
	if (c->kind != KIND_NONE)
		put_beside("After it, the end of the pending rows of the records that it brought",
			&sql_pending_done, out);
}

/* Prints the statements of one collection, or with "all" of each. */
static int print_sql(const char *nsid)
{
	struct buf out = BUF_INIT;
	int i = collection_find(slice_str(nsid));

	if (strcmp(nsid, "all") == 0) {
		for (int j = 0; j < n_collections; j++) {
			buf_add_str(&out, j ? "\n" : "");
			put_collection(&collections[j], &out);
		}
	} else if (i > 0) {
		put_collection(&collections[i], &out);
	} else if (nsid_valid(slice_str(nsid))) {
		buf_printf(&out, "-- %s has no table of its own\n", nsid);
		put_collection(&collections[0], &out);
	} else {
		fprintf(stderr,
			"standpipe config: %s is neither the NSID of a collection nor \"all\"\n",
			nsid);
		return EXIT_USAGE_ERROR;
	}
	fputs(buf_str(&out), stdout);
	buf_done(&out);
	return EXIT_DONE;
}

/* ---- the command ---- */

static int print_conf(const char *path)
{
	struct buf text = BUF_INIT;
	struct conf *conf;
	int code = command_conf(path, &conf);

	if (code != EXIT_DONE)
		return code;
	conf_print(conf, false, &text);
	fputs(buf_str(&text), stdout);
	buf_done(&text);
	conf_free(conf);
	return EXIT_DONE;
}

static int parse(int argc, char **argv, struct arguments *ret)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"sql", required_argument, NULL, 's'},
		{0},
	};
	int o;

	*ret = (struct arguments){0};
	optind = 0;
	while ((o = getopt_long(argc, argv, "c:", options, NULL)) >= 0) {
		if (o == 'c')
			ret->config = optarg;
		else if (o == 's')
			ret->sql = optarg;
		else
			return command_usage(argv[0]);
	}
	return optind < argc ? command_usage(argv[0]) : EXIT_DONE;
}

int command_config(int argc, char **argv)
{
	struct arguments arguments;
	int status = parse(argc, argv, &arguments);

	if (status != EXIT_DONE)
		return status;
	return arguments.sql ? print_sql(arguments.sql) : print_conf(arguments.config);
}
