/* SPDX-License-Identifier: MIT */
#include "base/failpoint.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *const names[N_FAILPOINTS] = {
#define X(place) [FAILPOINT_##place] = #place,
	FAILPOINT_LIST(X)
#undef X
};

/* NULL: nothing is asked of this place. */
static struct failpoint_slot *slots[N_FAILPOINTS];
static bool loaded;

static void refuse(const char *path)
{
	fprintf(stderr, "failpoints: %s cannot be used\n", path);
	_exit(70);
}

static void assign(struct failpoint_slot *slot, const char *path)
{
	for (int i = 1; i < N_FAILPOINTS; i++)
		if (strncmp(slot->place, names[i], sizeof slot->place) == 0) {
			slots[i] = slot;
			return;
		}
	refuse(path);
}

static void load(void)
{
	const char *path = getenv("STANDPIPE_FAILPOINTS");
	struct failpoint_slot *all;
	struct stat st;
	int fd;

	loaded = true;
	if (!path)
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		refuse(path);
	if (st.st_size == 0) {
		close(fd);
		return;
	}
	all = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (all == MAP_FAILED)
		refuse(path);
	close(fd);
	for (size_t i = 0; i < (size_t)st.st_size / sizeof *all; i++)
		assign(&all[i], path);
}

static void act(enum failpoint_action action, uint32_t ms)
{
	struct timespec delay = { ms / 1000, ms % 1000 * 1000000L };

	if (action == FAIL_KILL)
		kill(getpid(), SIGKILL);
	else if (action == FAIL_CRASH)
		signal(SIGSEGV, SIG_DFL), kill(getpid(), SIGSEGV);
	else if (action == FAIL_STOP)
		kill(getpid(), SIGSTOP);
	else if (action == FAIL_EXIT)
		_exit(70);
	else if (action == FAIL_DELAY)
		nanosleep(&delay, NULL);
}

bool failpoint_pass(enum failpoint place)
{
	struct failpoint_slot *slot;
	uint32_t pass;

	if (!loaded)
		load();
	slot = slots[place];
	if (!slot)
		return false;
	pass = atomic_fetch_add(&slot->passes, 1) + 1;
	if (pass < slot->from || pass - slot->from >= slot->times)
		return false;
	atomic_fetch_add(&slot->fired, 1);
	act((enum failpoint_action)slot->action, slot->ms);
	return slot->action == FAIL_ERROR;
}

void failpoint_cut(enum failpoint place, int fd)
{
	if (failpoint_pass(place) && fd >= 0)
		shutdown(fd, SHUT_RDWR);
}
