/* SPDX-License-Identifier: MIT
 *
 * report - what commands that list rows of PostgreSQL share: connecting, complaining, a table or JSON
 *
 * Owns: nothing; the connection is the caller's.
 * Errors: exit codes, with the reason on stderr.
 * Must not know: which rows.
 */
#ifndef SUPERVISOR_COMMANDS_REPORT_H
#define SUPERVISOR_COMMANDS_REPORT_H

#include "io/conf.h"
#include "io/pg.h"

/* Says what went wrong; the exit code for it. */
int report_fail(const char *command, enum pg_class class, const struct err *err);
/* Connects as "standpipe COMMAND" (application_name); *ret_pg must be freed whatever is returned. */
int report_connect(const struct conf *conf, const char *command, const char *application_name,
	struct pg **ret_pg);

struct report {
	const char *command, *sql;
	const char *const *headings; /* one for each column */
	const char *none;	     /* said instead of an empty table */
	bool json;
};

/* Runs the statement and prints its rows. */
int report_rows(struct pg *pg, const struct report *report, int n_params, const char *const *params);
/* True if s is a number of one to nine digits. */
bool report_is_count(const char *s);

#endif
