/* SPDX-License-Identifier: MIT
 *
 * migrations - the files of sql/, inside the program
 *
 * Invariant: ordered by version, from 1 without a hole; a file that was released is never changed.
 */
#ifndef SUPERVISOR_COMMANDS_MIGRATIONS_H
#define SUPERVISOR_COMMANDS_MIGRATIONS_H

struct migration {
	int version;
	const char *name; /* of the file, without ".sql" */
	const char *sql;
};

extern const struct migration migrations[];
extern const int n_migrations;

#endif
