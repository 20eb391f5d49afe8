/* SPDX-License-Identifier: MIT
 *
 * relay_process - the relay program as a child of a unit test
 *
 * Owns: the process and the pipe of its standard output until relay_wait or relay_stop. It dies with the test.
 */
#ifndef TESTS_UNIT_RELAY_PROCESS_H
#define TESTS_UNIT_RELAY_PROCESS_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RELAY_ARGS_MAX = 24 };

struct relay {
	pid_t pid;
	FILE *out;
	int port;
};

/* Starts the program; its standard output is read from relay->out. args ends with NULL. */
__attribute__((unused)) static struct relay relay_start(const char *program, const char *const *args)
{
	const char *argv[RELAY_ARGS_MAX] = {program};
	struct relay relay = {0};
	int fds[2];

	for (size_t i = 0; args[i] && i + 2 < RELAY_ARGS_MAX; i++)
		argv[i + 1] = args[i];
	if (pipe(fds) || (relay.pid = fork()) < 0)
		abort();
	if (!relay.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		execv(program, (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(fds[1]);
	relay.out = fdopen(fds[0], "r");
	return relay;
}

/* Starts a serving relay and waits for its address. */
__attribute__((unused)) static struct relay relay_serve(const char *program, const char *const *args)
{
	struct relay relay = relay_start(program, args);

	if (fscanf(relay.out, "listening ws://127.0.0.1:%d", &relay.port) != 1)
		relay.port = 0;
	return relay;
}

__attribute__((unused)) static int relay_wait(struct relay *relay)
{
	int status = -1;

	waitpid(relay->pid, &status, 0);
	fclose(relay->out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

__attribute__((unused)) static int relay_stop(struct relay *relay)
{
	kill(relay->pid, SIGTERM);
	return relay_wait(relay);
}

#endif
