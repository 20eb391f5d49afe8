/* SPDX-License-Identifier: MIT
 *
 * pending - missing parents: shows them, retries them, forgets them
 */
#include "supervisor/commands/commands.h"

#include "codec/syntax.h"
#include "domain/collection.h"
#include "supervisor/commands/report.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

struct arguments {
	const char *config, *state, *limit;
	bool json, all;
	const char *verb, *uri;
};

/* ---- list, top ---- */

static const char list_sql[] =
	"SELECT bsky.key_uri(rkey, actor, kind) AS uri, bsky.time(first_seen) AS first_seen,"
	" extract(epoch FROM now() - first_seen)::bigint AS age_s, attempts,"
	" bsky.time(next_retry) AS next_retry, state"
	" FROM standpipe.pending WHERE state = coalesce($1, state) ORDER BY pending.first_seen"
	" LIMIT coalesce($2, '100')::bigint";

static const char top_sql[] =
	"SELECT uri, children, bsky.time(first_seen) AS first_seen,"
	" extract(epoch FROM age)::bigint AS age_s, attempts,"
	" bsky.time(next_retry) AS next_retry, state"
	" FROM standpipe.pending_top WHERE state = coalesce($1, state)"
	" LIMIT coalesce($2, '20')::bigint";

static const char *const headings_list[] = { "uri", "first seen", "age (s)", "attempts", "next retry", "state" };
static const char *const headings_top[] = { "uri", "children", "first seen", "age (s)", "attempts",
	"next retry", "state" };

static int show(struct pg *pg, const struct arguments *a, const char *sql, const char *const *headings)
{
	const char *params[] = { a->state, a->limit };
	struct report report = { "pending", sql, headings, "no missing parents", a->json };

	return report_rows(pg, &report, 2, params);
}

static int list(struct pg *pg, const struct arguments *a)
{
	return show(pg, a, list_sql, headings_list);
}

static int top(struct pg *pg, const struct arguments *a)
{
	return show(pg, a, top_sql, headings_top);
}

/* ---- retry, drop ---- */

/* The parts of a parent's uri as parameters: did, rkey, kind. */
struct target {
	char did[DID_MAX + 1], rkey[RKEY_MAX + 1], kind[8];
	const char *params[3];
};

/* False, with the reason on stderr, unless text names a record that others can refer to. */
static bool target_of(const char *text, struct target *ret)
{
	const char *problem = NULL;
	struct aturi uri;
	enum kind kind;

	if (!aturi_parse(slice_str(text), &uri) || uri.rkey.n == 0)
		problem = "is no at://DID/COLLECTION/RKEY";
	else if (!uri.authority_is_did)
		problem = "names a handle; missing parents are known by DID";
	else if ((kind = collection_target_kind(uri.collection)) == KIND_NONE)
		problem = "is in a collection that nothing waits for";
	if (problem) {
		fprintf(stderr, "standpipe pending: %s %s\n", text, problem);
		return false;
	}
	snprintf(ret->did, sizeof ret->did, "%.*s", SLICE_ARG(uri.authority));
	snprintf(ret->rkey, sizeof ret->rkey, "%.*s", SLICE_ARG(uri.rkey));
	snprintf(ret->kind, sizeof ret->kind, "%d", (int)kind);
	ret->params[0] = ret->did;
	ret->params[1] = ret->rkey;
	ret->params[2] = ret->kind;
	return true;
}

/* The key is looked up first: written into the WHERE the functions would be called for every row. */
#define WITH_KEY                                                                                   \
	"WITH k AS MATERIALIZED (SELECT bsky.actor_id($1) AS actor, bsky.rkey_id($2) AS rkey,"     \
	" $3::smallint AS kind), "
#define OF_KEY "p.actor = k.actor AND p.rkey = k.rkey AND p.kind = k.kind RETURNING 1) "
#define REVIVE                                                                                     \
	"UPDATE standpipe.pending p SET next_retry = now(), state = 'waiting', attempts = 0 "

static const char retry_sql[] = WITH_KEY "done AS (" REVIVE "FROM k WHERE " OF_KEY
	"SELECT count(*) FROM done";
static const char retry_all_sql[] =
	"WITH done AS (" REVIVE "RETURNING 1) SELECT count(*) FROM done";
static const char drop_sql[] = WITH_KEY "done AS (DELETE FROM standpipe.pending p USING k WHERE " OF_KEY
	"SELECT count(*) FROM done";

/* Runs a change; *ret_n is the number of rows it changed. */
static enum pg_class change(struct pg *pg, const char *sql, int n_params, const char *const *params,
	long *ret_n, struct err *err)
{
	struct pg_result *r = NULL;
	enum pg_class class = pg_query(pg, sql, n_params, params, &r, err);

	if (class == PG_OK)
		*ret_n = strtol(pg_text(r, 0, 0), NULL, 10);
	pg_result_free(r);
	return class;
}

/* Changes the row of a->uri; EXIT_CHECK if there is none. */
static int change_one(struct pg *pg, const struct arguments *a, const char *sql)
{
	struct target target;
	enum pg_class class;
	struct err err;
	long n = 0;

	if (!target_of(a->uri, &target))
		return EXIT_USAGE_ERROR;
	class = change(pg, sql, 3, target.params, &n, &err);
	if (class != PG_OK)
		return report_fail("pending", class, &err);
	if (n == 0) {
		fprintf(stderr, "standpipe pending: %s is no missing parent (see: standpipe pending list)\n",
			a->uri);
		return EXIT_CHECK;
	}
	return EXIT_DONE;
}

static int retry(struct pg *pg, const struct arguments *a)
{
	enum pg_class class;
	struct err err;
	long n = 0;
	int status;

	if (!a->all) {
		status = change_one(pg, a, retry_sql);
		if (status == EXIT_DONE)
			printf("%s is due now\n", a->uri);
		return status;
	}
	class = change(pg, retry_all_sql, 0, NULL, &n, &err);
	if (class != PG_OK)
		return report_fail("pending", class, &err);
	printf("%ld missing parents are due now\n", n);
	return EXIT_DONE;
}

static int drop(struct pg *pg, const struct arguments *a)
{
	int status = change_one(pg, a, drop_sql);

	if (status == EXIT_DONE)
		printf("%s is no longer looked for; what refers to it stays waiting until it arrives\n",
			a->uri);
	return status;
}

/* ---- the command ---- */

static const struct verb {
	const char *name;
	int (*run)(struct pg *pg, const struct arguments *a);
	bool reads; /* takes --state, --limit and --json; the others take a uri */
	bool all;   /* takes --all instead of a uri */
} verbs[] = {
	{ "list", list, true, false },
	{ "top", top, true, false },
	{ "retry", retry, false, true },
	{ "drop", drop, false, false },
};

static const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

/* Reads options and words; false if they make no sense whatever the verb. */
static bool parse(int argc, char **argv, struct arguments *ret)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "state", required_argument, NULL, 's' },
		{ "limit", required_argument, NULL, 'n' },
		{ "json", no_argument, NULL, 'j' },
		{ "all", no_argument, NULL, 'a' },
		{ 0 },
	};
	int c;

	*ret = (struct arguments){ 0 };
	optind = 0;
	while ((c = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			ret->config = optarg;
			break;
		case 's':
			ret->state = optarg;
			break;
		case 'n':
			ret->limit = optarg;
			break;
		case 'j':
			ret->json = true;
			break;
		case 'a':
			ret->all = true;
			break;
		default:
			return false;
		}
	}
	ret->verb = optind < argc ? argv[optind] : "";
	ret->uri = optind + 1 < argc ? argv[optind + 1] : NULL;
	return optind + 2 >= argc;
}

/* True if the options are those the verb takes. */
static bool fits(const struct verb *verb, const struct arguments *a)
{
	static const char *const states[] = { "waiting", "expired", "dead_lettered" };
	bool known = !a->state;

	for (int i = 0; i < 3 && !known; i++)
		known = strcmp(a->state, states[i]) == 0;
	if (!known)
		fprintf(stderr, "standpipe pending: --state is waiting, expired or dead_lettered\n");
	if (a->limit && !report_is_count(a->limit)) {
		fprintf(stderr, "standpipe pending: --limit is a number\n");
		known = false;
	}
	if (verb->reads)
		return known && !a->uri && !a->all;
	return known && !a->state && !a->limit && !a->json && (a->all ? verb->all && !a->uri : a->uri != NULL);
}

static int run(const struct conf *conf, const struct verb *verb, const struct arguments *a)
{
	struct pg *pg = NULL;
	int status = report_connect(conf, "pending", "standpipe pending", &pg);

	if (status == EXIT_DONE)
		status = verb->run(pg, a);
	pg_free(pg);
	return status;
}

int command_pending(int argc, char **argv)
{
	struct arguments arguments;
	struct conf *conf = NULL;
	const struct verb *verb;
	int status;

	if (!parse(argc, argv, &arguments))
		return command_usage(argv[0]);
	verb = verb_find(arguments.verb);
	if (!verb || !fits(verb, &arguments))
		return command_usage(argv[0]);
	status = command_conf(arguments.config, &conf);
	if (status == EXIT_DONE)
		status = run(conf, verb, &arguments);
	conf_free(conf);
	return status;
}
