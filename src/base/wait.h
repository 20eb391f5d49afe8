/* SPDX-License-Identifier: MIT
 *
 * wait - how a module waits for its socket without owning the process's loop
 *
 * io modules never block on their own: they ask the waiter they were given. A child's waiter also
 * serves the supervisor's channel and sends heartbeats; a command's waiter is plain poll.
 */
#ifndef BASE_WAIT_H
#define BASE_WAIT_H

#include <stdint.h>

enum wait_result {
	WAIT_READY = 0,   /* one of the asked events, or an error or hang-up, is there */
	WAIT_TIMEOUT = 1, /* the deadline passed */
	WAIT_STOP = 2,    /* the process is asked to stop now: give up, everything is repeatable */
};

struct waiter {
	/* events are poll(2)'s POLLIN | POLLOUT; fd may be -1 (only sleep); deadline on the monotonic
	 * clock in microseconds, negative for none. */
	enum wait_result (*wait)(void *ctx, int fd, short events, int64_t deadline_us);
	void *ctx;
};

/* Plain poll(2); ctx is unused; never returns WAIT_STOP. */
enum wait_result wait_poll(void *ctx, int fd, short events, int64_t deadline_us);

static inline enum wait_result waiter_wait(
	const struct waiter *w, int fd, short events, int64_t deadline_us)
{
	return w->wait(w->ctx, fd, events, deadline_us);
}

#endif
