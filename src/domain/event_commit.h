/* SPDX-License-Identifier: MIT
 *
 * event_commit - the bodies of #commit and #sync: what they say, held against the blocks they carry
 *
 * Only for event.c. A body is a checked CBOR map.
 * Invariant: a commit that passes has a sound commit block of the same repo and rev; each op has a
 * verdict; only the blocks of ops and the commit block are hashed.
 * Errors: -1 with the check that failed. Must not know: signatures, MST nodes.
 */
#ifndef DOMAIN_EVENT_COMMIT_H
#define DOMAIN_EVENT_COMMIT_H

#include "domain/event.h"

int event_read_commit(struct slice body, int64_t now_us, struct arena *arena, struct event *e,
	struct err *err) NODISCARD;
int event_read_sync(struct slice body, struct arena *arena, struct event *e,
	struct err *err) NODISCARD;

#endif
