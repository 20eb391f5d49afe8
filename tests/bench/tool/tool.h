/* SPDX-License-Identifier: MIT
 *
 * tool - the parts of tests/bench/run that must be fast or exact: one program, one sub-command each
 *
 * Every sub-command prints lines "name value..." for the script, and says on standard error why it failed.
 */
#ifndef TESTS_BENCH_TOOL_H
#define TESTS_BENCH_TOOL_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Exit status 0, or 1 with err. */
int tool_ceiling(int argc, char **argv, struct err *err) NODISCARD;
int tool_measure(int argc, char **argv, struct err *err) NODISCARD;
int tool_packs(int argc, char **argv, struct err *err) NODISCARD;
int tool_steps(int argc, char **argv, struct err *err) NODISCARD;
int tool_rss(int argc, char **argv, struct err *err) NODISCARD;

#endif
