/* SPDX-License-Identifier: MIT
 *
 * generate - a generated network as a source of frames, or written to a file
 *
 * Owns: the network and its log for the time of the call. Errors: struct err.
 */
#ifndef RELAY_GENERATE_H
#define RELAY_GENERATE_H

#include "options.h"

/* Serves a generated network until a signal. */
int generate_serve(struct options *options, struct err *err) NODISCARD;
/* Writes OUT.frames and the expected state. */
int generate_file(const struct options *options, struct err *err) NODISCARD;

#endif
