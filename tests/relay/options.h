/* SPDX-License-Identifier: MIT
 *
 * options - the command line of standpipe-relay: one table for parsing and for --help
 *
 * Owns: nothing; text fields borrow from argv. Errors: struct err (usage).
 * Must not know: what an option does.
 */
#ifndef RELAY_OPTIONS_H
#define RELAY_OPTIONS_H

#include "base/err.h"
#include "faults.h"
#include "storm.h"

#include <stdio.h>

enum command { COMMAND_SERVE = 1, COMMAND_GENERATE = 2 };

/* How frames become due. */
enum pace { PACE_DEFAULT, PACE_RATE, PACE_MAX };

struct options {
	enum command command;
	bool help;
	const char *file; /* serve: the recording */

	/* Both commands. */
	const char *listen, *tls_cert, *tls_key;
	enum pace pace;
	double rate; /* frames/s with PACE_RATE */
	uint64_t past;
	bool past_given, inclusive, silent;
	uint64_t ping_s, fragment_bytes, drip_bytes;
	struct fault_plan faults;
	struct storm storm;

	/* generate */
	uint64_t seed, n_accounts, n_frames, n_history, history_bytes, late_span, seq0, max_records,
		eps;
	double late, never, hot, gaps, odd;
	bool is_unsigned;
	const char *start, *out, *state;
};

/* Fills *ret_options with defaults and what argv says. */
int options_parse(int argc, char **argv, struct options *ret_options, struct err *err) NODISCARD;
/* Prints what --help prints. */
void options_help(FILE *out);

#endif
