/* SPDX-License-Identifier: MIT
 *
 * commands - THE table of sub-commands, and what they share
 *
 * One file per command. A command gets its own argv (argv[0] is its name), answers on stdout, complains
 * on stderr and returns the exit code of the process. `--help` never reaches it: main prints the row.
 * Must not know: each other.
 */
#ifndef SUPERVISOR_COMMANDS_H
#define SUPERVISOR_COMMANDS_H

#include "io/conf.h"
#include "supervisor/exit_codes.h"

struct command {
	const char *name;
	const char *arguments; /* as in the usage line */
	const char *help;      /* one line */
	const char *details;   /* for `NAME --help`: paragraphs and examples */
	int (*run)(int argc, char **argv);
};

extern const struct command commands[];
extern const int n_commands;

/* NULL if there is none of that name. */
const struct command *command_find(const char *name);
/* Usage line of the command on stderr; returns EXIT_USAGE_ERROR. */
int command_usage(const char *name);
/* Parses `-c FILE` (and `--config FILE`), nothing else; *ret_path stays NULL if it is not given. Returns
 * EXIT_DONE or, with the usage printed, EXIT_USAGE_ERROR. */
int command_options(int argc, char **argv, const char **ret_path);
/* Reads and validates the configuration (path as for conf_read), every problem goes to stderr.
 * EXIT_DONE, or EXIT_CONFIG with *ret_conf NULL. */
int command_conf(const char *path, struct conf **ret_conf);

int command_run(int argc, char **argv);	    /* supervisor/main.c */
int command_check(int argc, char **argv);   /* check.c */
int command_config(int argc, char **argv);  /* config.c */
int command_dead_letter(int argc, char **argv); /* dead_letter.c */
int command_fsck(int argc, char **argv);    /* fsck.c */
int command_gaps(int argc, char **argv);    /* gaps.c */
int command_migrate(int argc, char **argv); /* migrate.c */
int command_pending(int argc, char **argv); /* pending.c */
int command_rewind(int argc, char **argv);  /* rewind.c */
int command_stream(int argc, char **argv);  /* stream.c */
int command_status(int argc, char **argv);  /* status.c */
int command_top(int argc, char **argv);     /* top.c */

#endif
