/* SPDX-License-Identifier: MIT
 *
 * fsck_stream - holds the ledger's count of events against the ordinal that Redis has at the watermark
 *
 * Owns: a connection to Redis while it looks. Must not know: options, output.
 */
#ifndef SUPERVISOR_COMMANDS_FSCK_STREAM_H
#define SUPERVISOR_COMMANDS_FSCK_STREAM_H

#include "io/stream.h"
#include "supervisor/commands/fsck.h"

/* *ret_looked is false, and err says why, if there is nothing to compare with: Redis is away or has trimmed the
 * entry at the watermark. */
enum pg_class fsck_stream(struct pg *pg, const struct stream_options *options, bool *ret_looked,
	struct fsck_finding *found, struct err *err) NODISCARD;

#endif
