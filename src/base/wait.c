/* SPDX-License-Identifier: MIT */
#include "base/wait.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>

enum wait_result wait_poll(void *ctx, int fd, short events, int64_t deadline_us)
{
	struct pollfd p = { .fd = fd, .events = events };

	(void)ctx;
	for (;;) {
		int timeout_ms = -1, n;

		if (deadline_us >= 0) {
			int64_t left_us = deadline_us - clock_mono_us();

			left_us = left_us < 0 ? 0 : left_us > 3600000000 ? 3600000000 : left_us;
			timeout_ms = (int)((left_us + 999) / 1000);
		}
		n = poll(&p, fd >= 0, timeout_ms);
		if (n > 0)
			return WAIT_READY;
		if (n == 0 && clock_mono_us() >= deadline_us)
			return WAIT_TIMEOUT;
		if (n < 0 && errno != EINTR)
			return WAIT_READY;
	}
}
