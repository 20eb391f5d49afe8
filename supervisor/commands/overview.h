/* SPDX-License-Identifier: MIT
 *
 * overview - what `status` and `top` share: the counters of the running instance, the totals of PostgreSQL,
 * and the screen that shows both
 *
 * Owns: nothing; the page is the caller's until overview_close.
 * Errors: exit codes, with the reason on stderr.
 * Must not know: terminals.
 */
#ifndef SUPERVISOR_COMMANDS_OVERVIEW_H
#define SUPERVISOR_COMMANDS_OVERVIEW_H

#include "io/conf.h"
#include "workers/monitor_status.h"

/* Maps the page of the instance this configuration names; EXIT_DEPENDENCY if none runs. */
int overview_open(const struct conf *conf, const char *command, const struct stats_page **ret_page);
void overview_close(const struct stats_page *page);
/* Is the supervisor that made the page still there? */
bool overview_alive(const struct stats_page *page);
/* Asks PostgreSQL, for two seconds at most; `known` stays false, with the reason, if it does not answer. */
void overview_ask(const struct conf *conf, struct monitor_totals *ret);
/* Appends the screen, with colours or without. */
void overview_put(const struct monitor_status *st, bool colour, struct buf *out);
/* May colours be written to stdout? */
bool overview_colours(void);

#endif
