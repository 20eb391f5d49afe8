/* SPDX-License-Identifier: MIT */
#include "supervisor/supervisor.h"

#include "base/failpoint.h"
#include "supervisor/exit_codes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_FDS = 3, SPARE_FD = 10, MAX_SWEEPS = 1000 };

/* In the new process, before it is a child: descriptors 3, 4, 5 and stdio, nothing else. */
static void arrange_fds(const int fds[N_FDS])
{
	int high[N_FDS];

	/* first out of the way: one of them may be 3, 4 or 5 itself */
	for (int i = 0; i < N_FDS; i++)
		high[i] = fcntl(fds[i], F_DUPFD, SPARE_FD);
	for (int i = 0; i < N_FDS; i++)
		if (high[i] < 0 || dup2(high[i], CHAN_FD + i) < 0)
			_exit(EXIT_INTERNAL);
	close_range(CHAN_FD + N_FDS, ~0U, 0);
}

/* What must hold from the first instruction on, until child_init takes over. */
static void arrange_signals(pid_t parent)
{
	static const int ignored[] = { SIGINT, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2 };
	sigset_t none;

	for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_INTERNAL);
}

pid_t spawn(const char *role, int number, const int fds[3], struct err *err)
{
	pid_t parent = getpid(), pid;
	char digits[16];
	char *argv[] = { "standpipe", "--role", (char *)(uintptr_t)role, "--slot", digits, NULL };

	snprintf(digits, sizeof digits, "%d", number);
	pid = FAILPOINT(spawn_fork) ? -1 : fork();
	if (pid < 0)
		return err_set(err, "cannot fork: %s", strerror(errno));
	if (pid > 0)
		return pid;
	(void)FAILPOINT(spawn_forked);
	arrange_signals(parent);
	arrange_fds(fds);
	if (FAILPOINT(spawn_exec))
		_exit(EXIT_INTERNAL);
	/* the file that runs, even if another version was installed over it meanwhile */
	execv("/proc/self/exe", argv);
	_exit(EXIT_INTERNAL);
}

void spawn_sweep(void)
{
	char path[64], pids[4096];

	snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
	for (int i = 0; i < MAX_SWEEPS; i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? 0 : read(fd, pids, sizeof pids - 1);

		if (fd >= 0)
			close(fd);
		if (n <= 0)
			return;
		pids[n] = 0;
		/* one at a time: killing it may hand us its children */
		kill((pid_t)strtol(pids, NULL, 10), SIGKILL);
		waitpid((pid_t)strtol(pids, NULL, 10), NULL, 0);
	}
}
