/* SPDX-License-Identifier: MIT
 *
 * capture - the pipelines the writer would send, kept instead: statements with copies of their parameters
 *
 * This module defines the functions of io/pg_pipeline, so whatever the worker's code queues ends up here, and
 * is told that all went well. Owns: everything captured, until the process ends.
 */
#ifndef TESTS_BENCH_CAPTURE_H
#define TESTS_BENCH_CAPTURE_H

#include "io/pg_private.h"

struct captured_call {
	enum pg_verb verb;
	bool relaxed;
	const struct pg_stmt *stmt;
	int n_rows; /* of its first parameter */
	int n_params;
	const char **values;
	int *lengths;
};

/* One pg_run. held: its last transaction goes on in the next run. */
struct captured_run {
	struct captured_call *calls;
	int n_calls;
	bool held;
};

struct capture {
	struct arena arena;
	struct captured_run *runs;
	int n_runs, runs_cap;
};

/* A transaction that goes on in another pipeline, because what comes next depends on its answers. */
void pg_tx_hold(struct pg *pg);
void pg_tx_resume(struct pg *pg);

/* Where the pipelines queued from now on go. */
void capture_into(struct capture *c);

#endif
