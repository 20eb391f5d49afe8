/* SPDX-License-Identifier: MIT
 *
 * pg_private - what pg.c, pg_array.c and pg_pipeline.c share; nobody else includes it
 *
 * Invariant: conn is NULL or was connected; prepared[] lists what this very connection has prepared;
 * calls[] is what is queued and not yet sent; replies[] is what was sent and not yet answered, in order.
 */
#ifndef IO_PG_PRIVATE_H
#define IO_PG_PRIVATE_H

#include "io/pg.h"

#include <libpq-fe.h>

enum {
	PG_MAX_TX = 16,	       /* transactions in one pipeline */
	PG_MAX_PARAMS = 64,    /* of one statement */
	PG_MAX_PREPARED = 192, /* statements one process ever uses */
	PG_MAX_CALLS = PG_MAX_STATEMENTS + 2 * PG_MAX_TX,
	/* a PREPARE per statement and its sync; BEGIN, SET LOCAL, COMMIT and sync per transaction */
	PG_MAX_REPLIES = 2 * PG_MAX_STATEMENTS + 1 + 4 * PG_MAX_TX,
};

struct pg_result {
	PGresult *res;
};

enum pg_verb { PG_VERB_BEGIN, PG_VERB_RESUME, PG_VERB_ADD, PG_VERB_COMMIT, PG_VERB_HOLD };

/* One queued call; values point into the caller's arena. */
struct pg_call {
	enum pg_verb verb;
	bool relaxed;		    /* begin */
	const struct pg_stmt *stmt; /* add */
	int n_params;
	const char *values[PG_MAX_PARAMS];
	int lengths[PG_MAX_PARAMS];
};

enum pg_due { PG_DUE_PREPARE, PG_DUE_PLAIN, PG_DUE_ROWS, PG_DUE_COMMIT, PG_DUE_SYNC };

/* One answer the server owes. */
struct pg_reply {
	enum pg_due due;
	int statement;		    /* index of the pg_tx_add it belongs to, -1 if none */
	const struct pg_stmt *stmt; /* PG_DUE_PREPARE */
};

struct pg {
	struct pg_options options;
	char address[256], user[128];
	PGconn *conn;
	const struct pg_stmt *prepared[PG_MAX_PREPARED];
	int n_prepared;
	struct pg_call calls[PG_MAX_CALLS];
	int n_calls, n_adds, n_tx;
	bool in_tx; /* pg_tx_begin without its pg_tx_commit */
	bool held;  /* a transaction is left open for the next pipeline */
	struct pg_reply replies[PG_MAX_REPLIES];
	int n_replies, n_tx_sent;
};

/* Waits until PQgetResult would not block, sending what is still unsent meanwhile. Anything but PG_OK
 * has disconnected: PG_STOP or PG_DOWN. */
enum pg_class pg_await(struct pg *pg, struct err *err) NODISCARD;
/* Waits until everything is with the server. Anything but PG_OK has disconnected. */
enum pg_class pg_flush(struct pg *pg, struct err *err) NODISCARD;
/* Disconnects and says so in err; PG_DOWN. */
enum pg_class pg_lost(struct pg *pg, struct err *err);
/* Class, SQLSTATE and message of an error result. */
enum pg_class pg_result_error(const PGresult *res, char ret_sqlstate[6], struct err *err);
/* Takes res over. */
struct pg_result *pg_result_new(PGresult *res);
/* Writes the array's head; *ret_n_bytes is the length to send from a->p. */
const char *pg_array_close(const struct pg_array *a, int *ret_n_bytes);

#endif
