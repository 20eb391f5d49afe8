/* SPDX-License-Identifier: MIT
 *
 * The hook of standpipe-crashing: a standpipe whose decoder ends the process over one event. TEST_CRASH_SEQ is
 * the event, TEST_CRASH_SIGNAL the signal's number, 0 to hang instead. With TEST_CRASH_TICKETS, a folder, each
 * crash empties a file there and without one nothing happens.
 */
#include "base/stats.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Empties the file; false if it is empty already, or not there. */
static bool take(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;
	bool taken = fd >= 0 && flock(fd, LOCK_EX) == 0 && fstat(fd, &st) == 0 && st.st_size > 0 && ftruncate(fd, 0) == 0;

	if (fd >= 0)
		close(fd);
	return taken;
}

/* True if there is a ticket, or none is needed. A confined process deletes nothing. */
static bool may_crash(void)
{
	const char *folder = getenv("TEST_CRASH_TICKETS");
	char path[256];

	for (int i = 0; folder && i < 9; i++) {
		snprintf(path, sizeof path, "%s/%d", folder, i);
		if (take(path))
			return true;
	}
	return !folder;
}

void stats_decode_hook(uint64_t seq)
{
	const char *wanted = getenv("TEST_CRASH_SEQ"), *signal = getenv("TEST_CRASH_SIGNAL");

	if (!wanted || !signal || strtoull(wanted, NULL, 10) != seq || !may_crash())
		return;
	if (atoi(signal) > 0)
		raise(atoi(signal));
	else
		for (;;)
			pause();
}
