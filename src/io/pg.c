/* SPDX-License-Identifier: MIT */
#include "io/pg_private.h"

#include "base/buf.h"
#include "base/clock.h"

#include <assert.h>
#include <ctype.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

static const int64_t connect_us = 10 * 1000000;
/* No byte for so long means a dead server: statement_timeout would have ended any statement. */
static const int64_t silence_us = 300 * 1000000;

/* Both kinds of session. A bare client has other ideas of time zone, path and isolation. */
#define SESSION_COMMON                                                                             \
	"SET search_path = bsky, standpipe, pg_temp;"                                              \
	"SET timezone = 'UTC'; SET datestyle = 'ISO'; SET client_min_messages = warning;"          \
	"SET bytea_output = hex; SET standard_conforming_strings = on;"                            \
	"SET default_transaction_isolation = 'read committed'; SET jit = off;"                     \
	/* notices a vanished client while a statement runs; 14+ and only on some platforms */     \
	"SELECT set_config('client_connection_check_interval', '2s', false)"                       \
	" WHERE current_setting('server_version_num')::int >= 140000"                              \
	" AND version() LIKE '%linux%';"

/* The plan settings: a generic plan made while a table was small must never turn into a sequential scan,
 * or a hash or merge join over all of a table with ten million rows. Every statement of ours finds its
 * rows by primary key, and with these off that stays the plan whatever the statistics say. */
static const char session_sql[] = SESSION_COMMON
	"SET synchronous_commit = on; SET statement_timeout = '60s'; SET lock_timeout = '20s';"
	"SET idle_in_transaction_session_timeout = '60s'; SET plan_cache_mode = auto;"
	"SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off";

static const char session_whole_tables_sql[] = SESSION_COMMON
	"SET synchronous_commit = on; SET statement_timeout = 0; SET lock_timeout = 0;"
	"SET idle_in_transaction_session_timeout = '60s'";

/* THE table: an exact state or the class it begins with; the first match counts. */
static const struct {
	const char *prefix;
	enum pg_class class;
} states[] = {
	{ "23503", PG_FK },
	{ "22", PG_DATA },
	{ "23", PG_DATA },
	{ "21", PG_DATA },
	{ "54", PG_DATA },
	{ "40", PG_RETRY },
	{ "55", PG_RETRY },
	{ "25", PG_RETRY },
	{ "57014", PG_RETRY },
	{ "57P", PG_DOWN },
	{ "08", PG_DOWN },
	{ "53", PG_DOWN },
	/* our prepared statements are gone, or a migration changed what they return: a new
	 * connection prepares them again */
	{ "26", PG_DOWN },
	{ "0A", PG_DOWN },
	{ "42", PG_SCHEMA },
	{ "3F", PG_SCHEMA },
	{ "3D", PG_SCHEMA },
	{ "28", PG_SCHEMA },
};

static const char *const class_names[N_PG_CLASSES] = {
	[PG_OK] = "ok",
	[PG_DATA] = "data",
	[PG_FK] = "fk",
	[PG_RETRY] = "retry",
	[PG_DOWN] = "down",
	[PG_SCHEMA] = "schema",
	[PG_STOP] = "stop",
};

const char *pg_class_name(enum pg_class c)
{
	return class_names[c];
}

enum pg_class pg_classify(const char *sqlstate)
{
	for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
		if (strncmp(sqlstate, states[i].prefix, strlen(states[i].prefix)) == 0)
			return states[i].class;
	return PG_RETRY;
}

/* ---- life ---- */

/* Value of an option: from the connection string, else libpq's default, else "". */
static const char *option(
	const PQconninfoOption *given, const PQconninfoOption *defaults, const char *key)
{
	const PQconninfoOption *lists[] = { given, defaults };

	for (int i = 0; i < 2; i++)
		for (const PQconninfoOption *o = lists[i]; o && o->keyword; o++)
			if (strcmp(o->keyword, key) == 0 && o->val && o->val[0])
				return o->val;
	return "";
}

/* libpq gives NULL for what it had no time to fill in. */
static const char *known(const char *s)
{
	return s && s[0] ? s : "?";
}

/* Fills address and user. */
static void describe(
	struct pg *pg, const char *host, const char *port, const char *db, const char *user)
{
	snprintf(pg->address, sizeof pg->address, "%.120s:%.16s/%.100s",
		host && host[0] ? host : "local socket", known(port), known(db));
	snprintf(pg->user, sizeof pg->user, "%s", known(user));
}

int pg_new(const struct pg_options *options, struct pg **ret_pg, struct err *err)
{
	PQconninfoOption *given = PQconninfoParse(options->conninfo, NULL);
	PQconninfoOption *defaults;
	struct pg *pg;
	const char *user, *db;

	/* libpq's own message would quote the string, and so perhaps a piece of the password */
	if (!given)
		return err_set(err, "postgres.conninfo is no valid connection string "
			"(expected \"keyword=value ...\" or \"postgresql://...\")");
	pg = calloc(1, sizeof *pg);
	if (!pg)
		abort();
	pg->options = *options;
	defaults = PQconndefaults();
	user = option(given, defaults, "user");
	db = option(given, defaults, "dbname");
	describe(pg, option(given, defaults, "host"), option(given, defaults, "port"),
		db[0] ? db : user, user);
	PQconninfoFree(defaults);
	PQconninfoFree(given);
	*ret_pg = pg;
	return 0;
}

struct pg *pg_free(struct pg *pg)
{
	if (pg)
		pg_disconnect(pg);
	free(pg);
	return NULL;
}

void pg_disconnect(struct pg *pg)
{
	PQfinish(pg->conn);
	pg->conn = NULL;
	pg->n_prepared = 0;
	pg->n_replies = 0;
	pg->held = false;
}

const char *pg_address(const struct pg *pg)
{
	return pg->address;
}

const char *pg_user(const struct pg *pg)
{
	return pg->user;
}

/* ---- errors and waiting ---- */

/* Copies a message of libpq as one line, up to its LOCATION line (source file of the server). */
static void one_line(const char *message, char *ret_text, size_t size)
{
	const char *end = strstr(message, "\nLOCATION:");
	size_t len = end ? (size_t)(end - message) : strlen(message), n = 0;

	for (size_t i = 0; i < len && n + 1 < size; i++) {
		char c = message[i];

		if (c == '\n' || c == '\t' || c == '\r')
			c = ' ';
		if (c == ' ' && (n == 0 || ret_text[n - 1] == ' '))
			continue;
		ret_text[n++] = c;
	}
	while (n > 0 && ret_text[n - 1] == ' ')
		n--;
	ret_text[n] = 0;
}

enum pg_class pg_lost(struct pg *pg, struct err *err)
{
	char text[400];

	one_line(pg->conn ? PQerrorMessage(pg->conn) : "not connected", text, sizeof text);
	err_set(err, "PostgreSQL at %s: %s", pg->address, text[0] ? text : "connection lost");
	pg_disconnect(pg);
	return PG_DOWN;
}

enum pg_class pg_result_error(const PGresult *res, char ret_sqlstate[6], struct err *err)
{
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
	char text[300], more[200];

	snprintf(ret_sqlstate, 6, "%s", sqlstate ? sqlstate : "");
	if (!sqlstate) {
		/* made by libpq itself: the connection broke */
		one_line(PQresultErrorMessage(res), text, sizeof text);
		err_set(err, "%s", text[0] ? text : "connection lost");
		return PG_DOWN;
	}
	one_line(primary ? primary : "", text, sizeof text);
	one_line(detail ? detail : "", more, sizeof more);
	err_set(err, more[0] ? "%s %s (%s)" : "%s %s", sqlstate, text, more);
	return pg_classify(sqlstate);
}

/* Asks the waiter for the socket; anything but PG_OK has disconnected. */
static enum pg_class wait_socket(struct pg *pg, short events, int64_t deadline_us, struct err *err)
{
	switch (waiter_wait(&pg->options.waiter, PQsocket(pg->conn), events, deadline_us)) {
	case WAIT_READY:
		return PG_OK;
	case WAIT_TIMEOUT:
		err_set(err, "PostgreSQL at %s: no answer in time", pg->address);
		pg_disconnect(pg);
		return PG_DOWN;
	case WAIT_STOP:
		break;
	}
	err_set(err, "PostgreSQL at %s: stopped while waiting", pg->address);
	pg_disconnect(pg);
	return PG_STOP;
}

/* Until the server sends something or takes something; unsent: what PQflush said. */
static enum pg_class exchange(struct pg *pg, int unsent, struct err *err)
{
	int64_t deadline_us = pg->options.whole_tables ? -1 : clock_mono_us() + silence_us;
	/* reading while writing: a server whose answers nobody takes stops taking ours */
	enum pg_class c = wait_socket(pg, unsent > 0 ? POLLIN | POLLOUT : POLLIN, deadline_us, err);

	if (c == PG_OK && !PQconsumeInput(pg->conn))
		c = pg_lost(pg, err);
	return c;
}

enum pg_class pg_await(struct pg *pg, struct err *err)
{
	enum pg_class c = PG_OK;

	while (c == PG_OK && PQisBusy(pg->conn))
		c = exchange(pg, PQflush(pg->conn), err);
	return c;
}

enum pg_class pg_flush(struct pg *pg, struct err *err)
{
	enum pg_class c = PG_OK;
	int unsent;

	while (c == PG_OK && (unsent = PQflush(pg->conn)) != 0)
		c = unsent < 0 ? pg_lost(pg, err) : exchange(pg, unsent, err);
	return c;
}

/* ---- connecting ---- */

static void ignore_notice(void *ctx, const PGresult *res)
{
	(void)ctx;
	(void)res;
}

/* The SQLSTATE that verbose messages carry after the severity ("FATAL:  28P01: ..."), which libpq gives
 * in no other way for a refused connection; "" if there is none. */
static void sqlstate_of_text(const char *message, char ret_sqlstate[6])
{
	ret_sqlstate[0] = 0;
	for (const char *p = strstr(message, ":  "); p; p = strstr(p + 1, ":  ")) {
		const char *s = p + 3;
		size_t n = strspn(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");

		if (n == 5 && s[5] == ':') {
			memcpy(ret_sqlstate, s, 5);
			ret_sqlstate[5] = 0;
			return;
		}
	}
}

/* The place, which we say ourselves, is left out, if it was only one. */
static const char *without_place(const char *message)
{
	static const char begin[] = "connection to server ", end[] = " failed: ";
	const char *p = strncmp(message, begin, sizeof begin - 1) == 0 ? strstr(message, end) : NULL;

	return p && !strstr(p, begin) ? p + sizeof end - 1 : message;
}

/* Why the connection was not made; disconnects. */
static enum pg_class connect_failed(struct pg *pg, struct err *err)
{
	char sqlstate[6], text[400], *hint;

	one_line(without_place(PQerrorMessage(pg->conn)), text, sizeof text);
	hint = strstr(text, " Is the server running");
	if (hint)
		*hint = 0;
	err_set(err, "PostgreSQL at %s: %s%s", pg->address, text[0] ? text : "connection lost",
		hint ? ": is it running there, and is postgres.conninfo right?" : "");
	sqlstate_of_text(PQerrorMessage(pg->conn), sqlstate);
	pg_disconnect(pg);
	return sqlstate[0] ? pg_classify(sqlstate) : PG_DOWN;
}

/* Starts a connection; the conninfo's own words win over the first group, ours over the conninfo. */
static PGconn *start(const struct pg_options *o)
{
	const char *const keys[] = { "keepalives_idle", "keepalives_interval", "keepalives_count",
		"tcp_user_timeout", "dbname", "application_name", "client_encoding", NULL };
	const char *const values[] = { "30", "10", "3", "60000", o->conninfo, o->application_name,
		"UTF8", NULL };
	PGconn *conn = PQconnectStartParams(keys, values, 1);

	if (!conn)
		abort();
	PQsetNoticeReceiver(conn, ignore_notice, NULL);
	PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
	return conn;
}

/* Brings a started connection to the point where statements can be sent. */
static enum pg_class open_connection(struct pg *pg, struct err *err)
{
	int64_t deadline_us = clock_mono_us() + connect_us;
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;

	pg->conn = start(&pg->options);
	while (PQstatus(pg->conn) != CONNECTION_BAD && state != PGRES_POLLING_OK) {
		short events = state == PGRES_POLLING_WRITING ? POLLOUT : POLLIN;
		enum pg_class c = wait_socket(pg, events, deadline_us, err);

		if (c != PG_OK)
			return c;
		state = PQconnectPoll(pg->conn);
		if (state == PGRES_POLLING_FAILED)
			break;
	}
	describe(pg, PQhost(pg->conn), PQport(pg->conn), PQdb(pg->conn), PQuser(pg->conn));
	if (state != PGRES_POLLING_OK || PQsetnonblocking(pg->conn, 1) != 0)
		return connect_failed(pg, err);
	PQsetErrorVerbosity(pg->conn, PQERRORS_DEFAULT);
	return PG_OK;
}

enum pg_class pg_connect(struct pg *pg, struct err *err)
{
	const char *sql = pg->options.whole_tables ? session_whole_tables_sql : session_sql;
	enum pg_class c;

	if (pg->conn && PQstatus(pg->conn) == CONNECTION_OK)
		return PG_OK;
	pg_disconnect(pg);
	c = open_connection(pg, err);
	if (c != PG_OK)
		return c;
	c = pg_query(pg, sql, 0, NULL, NULL, err);
	if (c == PG_OK)
		return PG_OK;
	pg_disconnect(pg);
	err_wrap(err, "PostgreSQL at %s: setting the session up", pg->address);
	/* no event is to blame for a setting the server does not take */
	return c == PG_DATA ? PG_SCHEMA : c;
}

/* ---- straight statements ---- */

struct pg_result *pg_result_new(PGresult *res)
{
	struct pg_result *r = malloc(sizeof *r);

	if (!r)
		abort();
	r->res = res;
	return r;
}

struct pg_result *pg_result_free(struct pg_result *r)
{
	if (r)
		PQclear(r->res);
	free(r);
	return NULL;
}

/* Notes a result: the first error stays, else the last result does. Takes res over. */
static enum pg_class note_result(
	enum pg_class class, PGresult *res, PGresult **last, struct err *err)
{
	ExecStatusType status = PQresultStatus(res);
	char sqlstate[6];

	/* COPY would go on for ever here; no statement of ours is one */
	assert(status != PGRES_COPY_IN && status != PGRES_COPY_OUT && status != PGRES_COPY_BOTH);
	if (status != PGRES_FATAL_ERROR) {
		PQclear(*last);
		*last = res;
		return class;
	}
	if (class == PG_OK)
		class = pg_result_error(res, sqlstate, err);
	PQclear(res);
	return class;
}

/* Takes every result of what was sent; the connection may be gone afterwards. */
static enum pg_class collect(struct pg *pg, PGresult **ret_last, struct err *err)
{
	enum pg_class class = PG_OK, c;
	struct err later; /* the server says why before it hangs up: that is what people want to read */
	PGresult *res;

	*ret_last = NULL;
	for (;;) {
		c = pg_await(pg, class == PG_OK ? err : &later);
		if (c != PG_OK)
			return c == PG_STOP || class == PG_OK ? c : class;
		res = PQgetResult(pg->conn);
		if (!res)
			return class;
		class = note_result(class, res, ret_last, err);
	}
}

/* After an error: an open transaction is of no use any more, and a lost connection neither. */
static void clean_session(struct pg *pg, enum pg_class class)
{
	PGresult *last = NULL;
	struct err ignored;

	if (!pg->conn)
		return;
	if (class != PG_DOWN && PQstatus(pg->conn) == CONNECTION_OK) {
		if (PQtransactionStatus(pg->conn) == PQTRANS_IDLE)
			return;
		if (PQsendQuery(pg->conn, "ROLLBACK") && collect(pg, &last, &ignored) == PG_OK) {
			PQclear(last);
			return;
		}
		PQclear(last);
	}
	pg_disconnect(pg);
}

enum pg_class pg_query(struct pg *pg, const char *sql, int n_params, const char *const *params,
	struct pg_result **ret, struct err *err)
{
	PGresult *last = NULL;
	enum pg_class class;
	int sent;

	if (!pg->conn)
		return pg_lost(pg, err);
	if (n_params > 0)
		sent = PQsendQueryParams(pg->conn, sql, n_params, NULL, params, NULL, NULL, 0);
	else
		sent = PQsendQuery(pg->conn, sql);
	class = sent ? collect(pg, &last, err) : pg_lost(pg, err);
	if (class == PG_OK && ret)
		*ret = pg_result_new(last);
	else
		PQclear(last);
	if (class != PG_OK)
		clean_session(pg, class);
	return class;
}

int pg_rows(const struct pg_result *r)
{
	return PQntuples(r->res);
}

int pg_cols(const struct pg_result *r)
{
	return PQnfields(r->res);
}

const char *pg_text(const struct pg_result *r, int row, int col)
{
	return PQgetisnull(r->res, row, col) ? NULL : PQgetvalue(r->res, row, col);
}
