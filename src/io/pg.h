/* SPDX-License-Identifier: MIT
 *
 * pg - one PostgreSQL connection: prepared statements, binary arrays, one pipeline per batch
 *
 * Owner of libpq. A pipeline is a sequence of transactions; only a COMMIT that answered "COMMIT" counts.
 * One error rolls back rows that were already reported good: therefore outcomes are per transaction.
 * Owns: one connection and its prepared statements; arrays live in the caller's arena.
 * Errors: enum pg_class by SQLSTATE, from the one table in pg.c.
 * Must not know: tables.
 */
#ifndef IO_PG_H
#define IO_PG_H

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"
#include "base/wait.h"

struct pg;
struct pg_result; /* rows of one statement */

enum pg_class {
	PG_OK = 0,
	PG_DATA,    /* 22, 23 other than 23503, 21, 54: counts against an event */
	PG_FK,	    /* 23503: a parent is missing: forget what is known, repeat */
	PG_RETRY,   /* 40, 55, 57014, 25...: repeat the batch with backoff */
	PG_DOWN,    /* 08, 57P0x, 53, 26, 0A, connection lost: disconnected; connect again, repeat */
	PG_SCHEMA,  /* 42, 3F, 3D, 28: wrong schema, role or password: a person is needed, repeat slowly */
	PG_STOP,    /* the waiter said stop */
	N_PG_CLASSES
};

const char *pg_class_name(enum pg_class c);
/* From the table; unknown states are PG_RETRY (never count against an event). */
enum pg_class pg_classify(const char *sqlstate);

struct pg_options {
	const char *conninfo, *application_name; /* borrowed */
	struct waiter waiter;
	bool whole_tables; /* migrations and reports: no statement or lock timeout, every plan allowed */
};

/* -1 only if conninfo cannot be parsed; does not connect. */
int pg_new(const struct pg_options *options, struct pg **ret_pg, struct err *err) NODISCARD;
struct pg *pg_free(struct pg *pg);
/* Connects if not connected and sets the session up (timeouts, search_path, synchronous_commit=on,
 * plan settings). err names host, port or socket, and database; never a password. */
enum pg_class pg_connect(struct pg *pg, struct err *err) NODISCARD;
void pg_disconnect(struct pg *pg);
/* host:port/dbname or socket directory, for messages; as configured until connected. */
const char *pg_address(const struct pg *pg);
const char *pg_user(const struct pg *pg);

/* ---- straight statements (text results; keeper, commands) ---- */

/* Runs sql with text parameters (NULL = SQL NULL). One statement, or, with n_params 0, several. On PG_OK
 * *ret (if not NULL) must be freed and holds the last statement's rows. err holds SQLSTATE and message;
 * an open transaction is rolled back after an error. */
enum pg_class pg_query(struct pg *pg, const char *sql, int n_params, const char *const *params,
	struct pg_result **ret, struct err *err) NODISCARD;
int pg_rows(const struct pg_result *r);
int pg_cols(const struct pg_result *r);
/* NULL for SQL NULL; borrowed from r. */
const char *pg_text(const struct pg_result *r, int row, int col);
struct pg_result *pg_result_free(struct pg_result *r);

/* ---- binary arrays ---- */

enum pg_type { PG_INT2, PG_INT4, PG_INT8, PG_TEXT, PG_BYTEA, PG_JSONB, PG_TIMESTAMPTZ, PG_BOOL, N_PG_TYPES };

/* "bigint", "text", ... as written in SQL casts. */
const char *pg_type_sql(enum pg_type type);

struct pg_array {
	enum pg_type type;
	int n, n_nulls; /* what is sent, and the NULLs since the last value, which are not */
	bool has_null;
	uint8_t *p; /* in the arena */
	size_t len, cap, expected;
	struct arena *arena;
};

/* n_hint: about so many elements. */
void pg_array_init(struct pg_array *a, enum pg_type type, struct arena *arena, int n_hint);
/* NULLs at the end are left out: unnest() of several arrays fills the shorter ones up with NULL. Therefore at least
 * one array of a statement must end with a value. (Most columns of most batches hold nothing but NULL: making a row
 * of them costs PostgreSQL a third more than this.) */
void pg_array_null(struct pg_array *a);
void pg_array_int(struct pg_array *a, int64_t v);	      /* INT2, INT4, INT8, BOOL */
void pg_array_time(struct pg_array *a, int64_t unix_us);      /* TIMESTAMPTZ */
void pg_array_bytes(struct pg_array *a, struct slice s);      /* TEXT (valid UTF-8, no NUL), BYTEA, JSONB text */

/* ---- pipeline ---- */

/* A statement prepared once per connection; static storage, compared by address. Parameters are arrays. */
struct pg_stmt {
	const char *name, *sql;
};

/* Queue a pipeline: pg_tx_begin, pg_tx_add..., pg_tx_commit, again, then pg_run. Nothing waits before that.
 * relaxed: this transaction's commit need not be durable before the next one's. The bytes of the arrays
 * are read by pg_run_send: until then append nothing to them and keep their arena. */
void pg_tx_begin(struct pg *pg, bool relaxed);
void pg_tx_add(struct pg *pg, const struct pg_stmt *stmt, const struct pg_array *const *params, int n_params);
void pg_tx_commit(struct pg *pg);
/* Ends the pipeline but not the transaction: what comes next may depend on the rows returned. Locks are held
 * until then, so the next pipeline has to begin at once, with pg_tx_resume instead of pg_tx_begin. */
void pg_tx_hold(struct pg *pg);
void pg_tx_resume(struct pg *pg);

enum { PG_MAX_STATEMENTS = 96 };

struct pg_outcome {
	enum pg_class class;
	char sqlstate[6];
	int n_committed; /* transactions that answered COMMIT */
	int failed;	 /* index of the failing pg_tx_add in the pipeline, -1 if none */
	int n_statements;
	int64_t affected[PG_MAX_STATEMENTS]; /* per pg_tx_add: rows inserted, updated, deleted or returned */
	struct pg_result *rows[PG_MAX_STATEMENTS]; /* rows of statements that returned some, else NULL */
	struct err err;
};

/* Sends everything queued and waits for all results. After anything but PG_OK the session is clean (rolled
 * back) or disconnected. ret's rows must be freed with pg_outcome_done; those of a transaction that did
 * not commit mean nothing.
 * All transactions are sent at once. A statement that fails leaves its transaction open and aborted, so
 * those behind it do not run; one that fails at its COMMIT (a deferred constraint) does not stop them.
 * Therefore a later transaction may rest on an earlier one only as far as foreign keys protect it.
 * PG_DOWN leaves the outcome of what n_committed does not count unknown: repeat, it is idempotent. */
enum pg_class pg_run(struct pg *pg, struct pg_outcome *ret) NODISCARD;
/* The same in two halves: when the first returns, the server has all of it and may be at work for long; the caller
 * may do other work before the second. */
enum pg_class pg_run_send(struct pg *pg, struct pg_outcome *ret) NODISCARD;
enum pg_class pg_run_finish(struct pg *pg, struct pg_outcome *ret) NODISCARD;
void pg_outcome_done(struct pg_outcome *o);
/* Binary results of pipeline statements. */
int64_t pg_int8(const struct pg_result *r, int row, int col);
struct slice pg_bytes(const struct pg_result *r, int row, int col);
bool pg_is_null(const struct pg_result *r, int row, int col);

#endif
