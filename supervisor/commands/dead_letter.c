/* SPDX-License-Identifier: MIT
 *
 * dead-letter - what could not be stored: shows it, tries it again, forgets it
 */
#include "supervisor/commands/dead_letter.h"

#include "codec/pack.h"
#include "supervisor/commands/commands.h"
#include "supervisor/commands/report.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

struct arguments {
	const char *config, *limit, *class;
	bool json, all, raw, every;
	const char *verb, *id;
};

/* ---- letters ---- */

/* Texts that came with the event may hold anything, also what a terminal would obey. */
#define PRINTABLE(column) "regexp_replace(" column ", '[[:cntrl:]]', '?', 'g')"

const char *const letter_columns[] = { "place", "class", "reason", "sqlstate", "did", "collection", "rkey",
	"attempts", "first_at", "last_at", "version" };
const int n_letter_columns = sizeof letter_columns / sizeof letter_columns[0];

static const char next_sql[] =
	"SELECT " LETTER_PLACE ", class, " PRINTABLE("reason") ", sqlstate, " PRINTABLE("did") ", "
	PRINTABLE("collection") ", " PRINTABLE("rkey") ", attempts, bsky.time(first_at), bsky.time(last_at),"
	" version, epoch, seq, op, encode(id, 'hex'), encode(bytes, 'hex')"
	" FROM standpipe.dead_letters WHERE " LETTER_CHOSEN
	" AND (epoch, seq, op, id) > ($6::bigint, $7::bigint, $8::integer, decode($9, 'hex'))"
	" ORDER BY dead_letters.epoch, dead_letters.seq, dead_letters.op, dead_letters.id LIMIT 1";
enum { COL_PLACE, COL_CLASS, COL_REASON, COL_ATTEMPTS = 7, COL_EPOCH = 11, COL_SEQ, COL_OP, COL_ID, COL_BYTES };

static unsigned nibble(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* As PostgreSQL's encode(..., 'hex') gives them. */
static void add_hex(struct buf *out, const char *hex)
{
	for (; hex && hex[0] && hex[1]; hex += 2)
		buf_u8(out, (uint8_t)(nibble(hex[0]) << 4 | nibble(hex[1])));
}

static void take_row(struct letter *l)
{
	snprintf(l->epoch, sizeof l->epoch, "%s", pg_text(l->row, 0, COL_EPOCH));
	snprintf(l->seq, sizeof l->seq, "%s", pg_text(l->row, 0, COL_SEQ));
	snprintf(l->op, sizeof l->op, "%s", pg_text(l->row, 0, COL_OP));
	snprintf(l->id, sizeof l->id, "%s", pg_text(l->row, 0, COL_ID));
	l->place = pg_text(l->row, 0, COL_PLACE);
	l->class = pg_text(l->row, 0, COL_CLASS);
	l->reason = pg_text(l->row, 0, COL_REASON);
	l->attempts = pg_text(l->row, 0, COL_ATTEMPTS);
	add_hex(&l->bytes, pg_text(l->row, 0, COL_BYTES));
}

enum pg_class letter_next(struct pg *pg, const struct letter_choice *choice, struct letter *l, struct err *err)
{
	const char *const *c = choice->params;
	bool first = !l->row;
	const char *params[] = { c[0], c[1], c[2], c[3], c[4], first ? "-1" : l->epoch, first ? "-1" : l->seq,
		first ? "-1" : l->op, first ? "" : l->id };
	struct pg_result *row = NULL;
	enum pg_class class = pg_query(pg, next_sql, 9, params, &row, err);

	pg_result_free(l->row);
	l->row = NULL;
	buf_reset(&l->bytes);
	if (class != PG_OK)
		return class;
	if (pg_rows(row) == 0) {
		pg_result_free(row);
		return PG_OK;
	}
	l->row = row;
	take_row(l);
	return PG_OK;
}

void letter_done(struct letter *l)
{
	pg_result_free(l->row);
	buf_done(&l->bytes);
	*l = (struct letter){ 0 };
}

/* Runs a statement that answers one number. */
static enum pg_class number(struct pg *pg, const char *sql, const struct letter_choice *choice, long *ret_n,
	struct err *err)
{
	struct pg_result *r = NULL;
	enum pg_class class = pg_query(pg, sql, LETTER_CHOICE, choice->params, &r, err);

	if (class == PG_OK)
		*ret_n = strtol(pg_text(r, 0, 0), NULL, 10);
	pg_result_free(r);
	return class;
}

enum pg_class letter_count(struct pg *pg, const struct letter_choice *choice, long *ret_n, struct err *err)
{
	return number(pg, "SELECT count(*) FROM standpipe.dead_letters WHERE " LETTER_CHOSEN, choice, ret_n, err);
}

static uint64_t le(const uint8_t *p, int n_bytes)
{
	uint64_t v = 0;

	for (int i = n_bytes; i-- > 0;)
		v = v << 8 | p[i];
	return v;
}

int letter_event(struct slice bytes, struct arena *arena, struct event *ret, struct err *err)
{
	struct slice payload;
	int r;

	if (bytes.n < PACK_EVENT_HEAD || le(bytes.p + 4, 4) != bytes.n - PACK_EVENT_HEAD)
		return err_set(err, "the bytes are no event of a pack");
	payload = slice_of(bytes.p + PACK_EVENT_HEAD, bytes.n - PACK_EVENT_HEAD);
	r = event_decode(bytes.p[0], bytes.p[1], le(bytes.p + 8, 8), payload, arena, ret, err);
	return r > 0 ? err_set(err, "an event of kind %d, unknown to this version", bytes.p[0]) : r;
}

int letter_none(void)
{
	fprintf(stderr, "standpipe dead-letter: no such dead letter (see: standpipe dead-letter list)\n");
	return EXIT_CHECK;
}

/* ---- list, drop ---- */

static const char list_sql[] =
	"SELECT " LETTER_PLACE " AS place, left(encode(id, 'hex'), 12) AS id, class, left(" PRINTABLE("reason")
	", 60) AS reason, sqlstate, " PRINTABLE("did") " AS did, " PRINTABLE("collection") " AS collection, left("
	PRINTABLE("rkey") ", 40) AS rkey, attempts, bsky.time(first_at) AS first_at"
	" FROM standpipe.dead_letters WHERE class = coalesce($1, class)"
	" ORDER BY epoch DESC, seq DESC, op, dead_letters.id LIMIT coalesce($2, '100')::bigint";
static const char json_sql[] =
	"SELECT " LETTER_PLACE " AS place, encode(id, 'hex') AS id, class, reason, sqlstate, did, collection, rkey,"
	" attempts, bsky.time(first_at) AS first_at, bsky.time(last_at) AS last_at, length(bytes) AS bytes, version"
	" FROM standpipe.dead_letters WHERE class = coalesce($1, class)"
	" ORDER BY epoch DESC, seq DESC, op, dead_letters.id LIMIT coalesce($2, '100')::bigint";

static int list(struct pg *pg, const struct arguments *a)
{
	static const char *const headings[] = { "place", "id", "class", "reason", "sqlstate", "did", "collection",
		"rkey", "attempts", "first_at" };
	struct report report = { .command = "dead-letter", .sql = a->json ? json_sql : list_sql,
		.headings = headings, .none = "no dead letters", .json = a->json };

	return report_rows(pg, &report, 2, (const char *[]){ a->class, a->limit });
}

static int drop(struct pg *pg, const struct letter_choice *choice)
{
	struct err err;
	long n = 0;
	enum pg_class class = number(pg,
		"WITH done AS (DELETE FROM standpipe.dead_letters WHERE " LETTER_CHOSEN " RETURNING 1)"
		" SELECT count(*) FROM done", choice, &n, &err);

	if (class != PG_OK)
		return report_fail("dead-letter", class, &err);
	if (n == 0)
		return letter_none();
	printf("%ld dead letter%s dropped\n", n, n == 1 ? "" : "s");
	return EXIT_DONE;
}

/* ---- the command ---- */

/* Copies a number of at most `size` - 1 digits from *s on and steps over it; false if there is none. */
static bool take_number(const char **s, char *ret, size_t size)
{
	size_t n = strspn(*s, "0123456789");

	if (n == 0 || n >= size)
		return false;
	memcpy(ret, *s, n);
	ret[n] = '\0';
	*s += n;
	return true;
}

/* EPOCH-SEQ or EPOCH-SEQ.OP; false if it is neither. */
static bool place_of(const char *s, struct letter_choice *ret)
{
	if (!take_number(&s, ret->epoch, 19) || *s++ != '-' || !take_number(&s, ret->seq, 19))
		return false;
	ret->params[0] = ret->epoch;
	ret->params[1] = ret->seq;
	if (*s == '\0')
		return true;
	if (*s++ != '.' || !take_number(&s, ret->op, 6) || *s)
		return false;
	ret->params[2] = ret->op;
	return true;
}

/* What id and --class choose; false, with the reason on stderr, if the id is none. */
static bool choice_of(const struct arguments *a, struct letter_choice *ret)
{
	size_t n = a->id ? strlen(a->id) : 0;

	*ret = (struct letter_choice){ .params = { [4] = a->class } };
	if (!a->id || place_of(a->id, ret))
		return true;
	if (n < 6 || n > LETTER_ID || strspn(a->id, "0123456789abcdef") != n) {
		fprintf(stderr, "standpipe dead-letter: %s is neither EPOCH-SEQ[.OP] nor at least 6 digits of an id\n",
			a->id);
		return false;
	}
	*ret = (struct letter_choice){ .params = { [4] = a->class } };
	snprintf(ret->id, sizeof ret->id, "%s", a->id);
	ret->params[3] = ret->id;
	return true;
}

/* Reads options and words; false if they make no sense whatever the verb. */
static bool parse(int argc, char **argv, struct arguments *ret)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "class", required_argument, NULL, 'k' },
		{ "limit", required_argument, NULL, 'n' },
		{ "json", no_argument, NULL, 'j' },
		{ "all", no_argument, NULL, 'a' },
		{ "raw", no_argument, NULL, 'r' },
		{ 0 },
	};
	int c;

	*ret = (struct arguments){ 0 };
	optind = 0;
	while ((c = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		if (c == 'c')
			ret->config = optarg;
		else if (c == 'k')
			ret->class = optarg;
		else if (c == 'n')
			ret->limit = optarg;
		else if (c == 'j')
			ret->json = true;
		else if (c == 'a')
			ret->all = true;
		else if (c == 'r')
			ret->raw = true;
		else
			return false;
	}
	ret->verb = optind < argc ? argv[optind] : "";
	if (strcmp(ret->verb, "retry-all") == 0) {
		ret->verb = "retry";
		ret->every = true;
		ret->all |= !ret->class;
	}
	ret->id = optind + 1 < argc ? argv[optind + 1] : NULL;
	return optind + 2 >= argc && (!ret->limit || report_is_count(ret->limit));
}

/* True if the options are those the verb takes. */
static bool fits(const struct arguments *a)
{
	int n_chosen = (a->id != NULL) + (a->class != NULL) + a->all;
	bool reads = a->limit || a->json;

	if (a->every && a->id)
		return false;
	if (strcmp(a->verb, "list") == 0)
		return !a->id && !a->all && !a->raw;
	if (strcmp(a->verb, "show") == 0)
		return !reads && a->id && n_chosen == 1;
	if (strcmp(a->verb, "retry") == 0)
		return !reads && !a->raw && n_chosen == 1;
	return strcmp(a->verb, "drop") == 0 && !reads && !a->raw && !a->all && n_chosen == 1;
}

static int run(const struct conf *conf, const struct arguments *a, const struct letter_choice *choice)
{
	struct pg *pg = NULL;
	int status = report_connect(conf, "dead-letter", "standpipe dead-letter", &pg);

	if (status != EXIT_DONE)
		;
	else if (a->verb[0] == 'l')
		status = list(pg, a);
	else if (a->verb[0] == 's')
		status = dead_letter_show(pg, choice, a->raw);
	else if (a->verb[0] == 'r')
		status = dead_letter_retry(pg, conf, choice);
	else
		status = drop(pg, choice);
	pg_free(pg);
	return status;
}

int command_dead_letter(int argc, char **argv)
{
	struct arguments arguments;
	struct letter_choice choice;
	struct conf *conf = NULL;
	int status;

	if (!parse(argc, argv, &arguments) || !fits(&arguments))
		return command_usage(argv[0]);
	if (!choice_of(&arguments, &choice))
		return EXIT_USAGE_ERROR;
	status = command_conf(arguments.config, &conf);
	if (status == EXIT_DONE)
		status = run(conf, &arguments, &choice);
	conf_free(conf);
	return status;
}
