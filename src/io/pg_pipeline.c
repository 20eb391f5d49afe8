/* SPDX-License-Identifier: MIT */
#include "io/pg_private.h"

#include "base/failpoint.h"

#include <assert.h>
#include <stdlib.h>

/* ---- queueing ---- */

static struct pg_call *call_add(struct pg *pg, enum pg_verb verb)
{
	struct pg_call *call;

	assert(pg->n_calls < PG_MAX_CALLS);
	call = &pg->calls[pg->n_calls++];
	call->verb = verb;
	call->relaxed = false;
	call->stmt = NULL;
	call->n_params = 0;
	return call;
}

void pg_tx_begin(struct pg *pg, bool relaxed)
{
	assert(!pg->in_tx && !pg->held && pg->n_tx < PG_MAX_TX);
	pg->in_tx = true;
	pg->n_tx++;
	call_add(pg, PG_VERB_BEGIN)->relaxed = relaxed;
}

void pg_tx_add(
	struct pg *pg, const struct pg_stmt *stmt, const struct pg_array *const *params, int n_params)
{
	struct pg_call *call;

	assert(pg->in_tx && pg->n_adds < PG_MAX_STATEMENTS);
	assert(n_params >= 0 && n_params <= PG_MAX_PARAMS);
	pg->n_adds++;
	call = call_add(pg, PG_VERB_ADD);
	call->stmt = stmt;
	call->n_params = n_params;
	for (int i = 0; i < n_params; i++)
		call->values[i] = pg_array_close(params[i], &call->lengths[i]);
}

void pg_tx_commit(struct pg *pg)
{
	assert(pg->in_tx);
	pg->in_tx = false;
	(void)call_add(pg, PG_VERB_COMMIT);
}

void pg_tx_hold(struct pg *pg)
{
	assert(pg->in_tx);
	pg->in_tx = false;
	pg->held = true;
	pg->n_tx--; /* nothing of it commits in this pipeline */
	(void)call_add(pg, PG_VERB_HOLD);
}

void pg_tx_resume(struct pg *pg)
{
	assert(!pg->in_tx && pg->held && pg->n_calls == 0);
	pg->in_tx = true;
	pg->held = false;
	pg->n_tx++;
	(void)call_add(pg, PG_VERB_RESUME);
}

/* ---- sending ---- */

/* Notes that the server owes one more answer. */
static void expect(struct pg *pg, enum pg_due due, int statement, const struct pg_stmt *stmt)
{
	assert(pg->n_replies < PG_MAX_REPLIES);
	pg->replies[pg->n_replies++] = (struct pg_reply){ due, statement, stmt };
}

static bool send_sync(struct pg *pg)
{
	expect(pg, PG_DUE_SYNC, -1, NULL);
	return PQpipelineSync(pg->conn);
}

/* True if this connection has the statement, or was just asked to prepare it. */
static bool is_prepared(const struct pg *pg, const struct pg_stmt *stmt)
{
	for (int i = 0; i < pg->n_prepared; i++)
		if (pg->prepared[i] == stmt)
			return true;
	for (int i = 0; i < pg->n_replies; i++)
		if (pg->replies[i].due == PG_DUE_PREPARE && pg->replies[i].stmt == stmt)
			return true;
	return false;
}

/* Prepares what is used for the first time, in a segment of its own: a statement the server refuses must
 * not take those before it along. What counts as prepared is decided by the answers. */
static bool send_prepares(struct pg *pg)
{
	int statement = 0;

	for (int i = 0; i < pg->n_calls; i++) {
		const struct pg_stmt *stmt = pg->calls[i].stmt;

		if (!stmt)
			continue;
		if (!is_prepared(pg, stmt)) {
			expect(pg, PG_DUE_PREPARE, statement, stmt);
			if (!PQsendPrepare(pg->conn, stmt->name, stmt->sql, 0, NULL))
				return false;
		}
		statement++;
	}
	return pg->n_replies == 0 || send_sync(pg);
}

static bool send_plain(struct pg *pg, const char *sql, enum pg_due due)
{
	expect(pg, due, -1, NULL);
	return PQsendQueryParams(pg->conn, sql, 0, NULL, NULL, NULL, NULL, 0);
}

static bool send_add(struct pg *pg, const struct pg_call *call, int statement)
{
	int formats[PG_MAX_PARAMS];

	for (int i = 0; i < call->n_params; i++)
		formats[i] = 1;
	expect(pg, PG_DUE_ROWS, statement, NULL);
	return PQsendQueryPrepared(
		pg->conn, call->stmt->name, call->n_params, call->values, call->lengths, formats, 1);
}

/* What stands before a failpoint reaches the server first. */
static bool flush_for_failpoint(struct pg *pg)
{
	return !FAILPOINTS_BUILT_IN || PQflush(pg->conn) >= 0;
}

static bool send_call(struct pg *pg, const struct pg_call *call, int *statement)
{
	if (!flush_for_failpoint(pg))
		return false;
	switch (call->verb) {
	case PG_VERB_BEGIN:
		FAILPOINT_CUT(tx_begin, PQsocket(pg->conn));
		return send_plain(pg, "BEGIN", PG_DUE_PLAIN) &&
			(!call->relaxed || send_plain(pg, "SET LOCAL synchronous_commit = off", PG_DUE_PLAIN));
	case PG_VERB_RESUME:
		return true;
	case PG_VERB_ADD:
		return send_add(pg, call, (*statement)++);
	case PG_VERB_HOLD:
		return send_sync(pg);
	case PG_VERB_COMMIT:
		FAILPOINT_CUT(tx_commit, PQsocket(pg->conn));
		break;
	}
	return send_plain(pg, "COMMIT", PG_DUE_COMMIT) && send_sync(pg);
}

/* Leaves the session as the next pipeline wants it: no open transaction, or no connection. */
static void clean(struct pg *pg, enum pg_class class)
{
	struct err ignored;

	pg->held = false;
	if (!pg->conn)
		return;
	if (class == PG_DOWN || PQstatus(pg->conn) != CONNECTION_OK)
		pg_disconnect(pg);
	else if (PQtransactionStatus(pg->conn) != PQTRANS_IDLE &&
		pg_query(pg, "ROLLBACK", 0, NULL, NULL, &ignored) != PG_OK)
		pg_disconnect(pg);
}

/* Sends everything queued, one call after the other: libpq keeps what is unsent in one piece and moves all of it
 * whenever the server takes a part. Anything but PG_OK has disconnected. */
static enum pg_class send_all(struct pg *pg, struct err *err)
{
	enum pg_class c = PG_OK;
	int statement = 0;

	if (!pg->conn || !PQenterPipelineMode(pg->conn) || !send_prepares(pg))
		return pg_lost(pg, err);
	for (int i = 0; i < pg->n_calls && c == PG_OK; i++)
		c = send_call(pg, &pg->calls[i], &statement) ? pg_flush(pg, err) : pg_lost(pg, err);
	if (c == PG_OK)
		FAILPOINT_CUT(tx_committing, PQsocket(pg->conn));
	return c;
}

enum pg_class pg_run_send(struct pg *pg, struct pg_outcome *ret)
{
	assert(!pg->in_tx && pg->n_replies == 0);
	memset(ret, 0, sizeof *ret);
	ret->failed = -1;
	ret->n_statements = pg->n_adds;
	if (pg->n_calls > 0)
		ret->class = send_all(pg, &ret->err);
	if (ret->class != PG_OK)
		clean(pg, ret->class);
	pg->n_tx_sent = pg->n_tx;
	pg->n_calls = 0;
	pg->n_adds = 0;
	pg->n_tx = 0;
	return ret->class;
}

/* ---- answers ---- */

/* Keeps the first error; what follows it in the pipeline are only its consequences. */
static void note_error(struct pg_outcome *ret, const struct pg_reply *reply, const PGresult *res)
{
	if (ret->class != PG_OK)
		return;
	ret->class = pg_result_error(res, ret->sqlstate, &ret->err);
	ret->failed = reply->statement;
}

static void note_prepared(struct pg *pg, const struct pg_stmt *stmt)
{
	assert(pg->n_prepared < PG_MAX_PREPARED);
	pg->prepared[pg->n_prepared++] = stmt;
}

/* Rows and counts of one statement; takes res over. */
static void note_rows(struct pg_outcome *ret, int statement, PGresult *res)
{
	ret->affected[statement] = strtoll(PQcmdTuples(res), NULL, 10);
	if (PQntuples(res) > 0)
		ret->rows[statement] = pg_result_new(res);
	else
		PQclear(res);
}

/* Files one result under the answer that was due; takes res over. */
static void note_result(
	struct pg *pg, struct pg_outcome *ret, const struct pg_reply *reply, PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	if (status == PGRES_FATAL_ERROR) {
		note_error(ret, reply, res);
	} else if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
		if (reply->due == PG_DUE_PREPARE)
			note_prepared(pg, reply->stmt);
		else if (reply->due == PG_DUE_COMMIT)
			/* an aborted transaction answers its COMMIT with ROLLBACK */
			ret->n_committed += strcmp(PQcmdStatus(res), "COMMIT") == 0;
		else if (reply->due == PG_DUE_ROWS) {
			note_rows(ret, reply->statement, res);
			return;
		}
	}
	PQclear(res);
}

/* Takes all that belongs to one answer: results up to a NULL, or the sync itself. */
static enum pg_class take_reply(
	struct pg *pg, struct pg_outcome *ret, const struct pg_reply *reply, struct err *err)
{
	for (;;) {
		enum pg_class c = pg_await(pg, err);
		PGresult *res;

		if (c != PG_OK)
			return c;
		res = PQgetResult(pg->conn);
		if (res && PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
			PQclear(res);
			return reply->due == PG_DUE_SYNC ? PG_OK : pg_lost(pg, err);
		}
		if (res)
			note_result(pg, ret, reply, res);
		else if (PQstatus(pg->conn) == CONNECTION_BAD || reply->due == PG_DUE_SYNC)
			return pg_lost(pg, err);
		else
			return PG_OK;
	}
}

/* Takes every answer due; PG_DOWN or PG_STOP if the connection ended before. */
static enum pg_class take_replies(struct pg *pg, struct pg_outcome *ret, struct err *err)
{
	int n = pg->n_replies; /* a lost connection forgets them */

	for (int i = 0; i < n; i++) {
		struct pg_reply reply = pg->replies[i];
		enum pg_class c = take_reply(pg, ret, &reply, err);

		if (c != PG_OK)
			return c;
	}
	pg->n_replies = 0;
	return PQexitPipelineMode(pg->conn) ? PG_OK : pg_lost(pg, err);
}

enum pg_class pg_run_finish(struct pg *pg, struct pg_outcome *ret)
{
	enum pg_class c;
	struct err err;

	if (ret->class != PG_OK || pg->n_replies == 0)
		return ret->class;
	c = take_replies(pg, ret, &err);
	if (FAILPOINT(tx_done) && c == PG_OK)
		c = pg_lost(pg, &err);
	if (c == PG_STOP || (c != PG_OK && ret->class == PG_OK)) {
		ret->class = c;
		ret->err = err;
	}
	if (ret->class == PG_OK && ret->n_committed < pg->n_tx_sent) {
		ret->class = PG_RETRY;
		err_set(&ret->err, "a transaction was rolled back without an error");
	}
	if (ret->class != PG_OK)
		clean(pg, ret->class);
	return ret->class;
}

enum pg_class pg_run(struct pg *pg, struct pg_outcome *ret)
{
	enum pg_class c = pg_run_send(pg, ret);

	return c == PG_OK ? pg_run_finish(pg, ret) : c;
}

void pg_outcome_done(struct pg_outcome *o)
{
	for (int i = 0; i < o->n_statements; i++)
		o->rows[i] = pg_result_free(o->rows[i]);
}

/* ---- binary values ---- */

int64_t pg_int8(const struct pg_result *r, int row, int col)
{
	const uint8_t *p = (const uint8_t *)PQgetvalue(r->res, row, col);
	int n = PQgetlength(r->res, row, col);
	uint64_t v = n > 0 && p[0] & 0x80 ? UINT64_MAX : 0;

	assert(PQfformat(r->res, col) == 1 && n <= 8);
	if (n == 1)
		return p[0]; /* a bool */
	for (int i = 0; i < n; i++)
		v = v << 8 | p[i];
	return (int64_t)v;
}

struct slice pg_bytes(const struct pg_result *r, int row, int col)
{
	assert(PQfformat(r->res, col) == 1);
	return slice_of(PQgetvalue(r->res, row, col), (size_t)PQgetlength(r->res, row, col));
}

bool pg_is_null(const struct pg_result *r, int row, int col)
{
	return PQgetisnull(r->res, row, col);
}
