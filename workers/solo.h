/* SPDX-License-Identifier: MIT
 *
 * solo - a suspect event, processed in a throw-away process of its own
 *
 * The worker forks; the child decodes and writes that event over a connection of its own and ends. It needs
 * nothing but what is in memory, so there is no exec. If it crashes while it decodes, or does not come to an
 * end of that within half a minute, the worker is unharmed and knows whose doing it was: that event alone
 * becomes a dead letter of class `crash`, with its bytes, undecoded.
 * Owns: nothing that outlives the call. Invariant: when solo_write returns, the child is reaped.
 * Must not know: Redis.
 */
#ifndef WORKERS_SOLO_H
#define WORKERS_SOLO_H

#include "workers/child.h"
#include "workers/write.h"

/* WRITE_OK: the event has its outcome, it is stored or a dead letter. Else as writer_write: try again. */
enum write_status solo_write(struct child *c, struct writer *w, const struct batch_event *be,
	struct err *err) NODISCARD;

#endif
