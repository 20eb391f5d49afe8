/* SPDX-License-Identifier: MIT
 *
 * exit_codes - what the process says when it ends (sysexits, as far as they fit)
 */
#ifndef SUPERVISOR_EXIT_CODES_H
#define SUPERVISOR_EXIT_CODES_H

enum {
	EXIT_DONE = 0,
	EXIT_CHECK = 1,	      /* a check failed, or degraded */
	EXIT_USAGE_ERROR = 64,
	EXIT_DEPENDENCY = 69, /* PostgreSQL, Redis or the supervisor is not there */
	EXIT_INTERNAL = 70,
	EXIT_LOCKED = 75,     /* another instance runs */
	EXIT_CONFIG = 78,
};

#endif
