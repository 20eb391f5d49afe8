/* SPDX-License-Identifier: MIT
 *
 * What a confined process cannot do any more, and what it still can: each case in a process of its own.
 */
#include "io/confine.h"

#include "tests/unit/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- deeds: 0, or the errno they fail with ---- */

static int failed(long r)
{
	return r < 0 ? errno : 0;
}

static int do_exec(void)
{
	char *argv[] = { "/bin/true", NULL };

	return failed(execv(argv[0], argv));
}

static int do_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return failed(pid);
}

static int do_spawn_shell(void)
{
	int status = system("true");

	return status == 0 ? 0 : EPERM;
}

static int do_ptrace(void)
{
	return failed(ptrace(PTRACE_ATTACH, getppid(), 0, 0));
}

static int do_read_memory(void)
{
	char byte;
	struct iovec here = { &byte, 1 };

	return failed(process_vm_readv(getppid(), &here, 1, &here, 1, 0));
}

static int do_create(void)
{
	return failed(open("/tmp/standpipe-confined", O_CREAT | O_WRONLY, 0600));
}

static int do_unlink(void)
{
	return failed(unlink("/nonexistent/file"));
}

static int do_mount(void)
{
	return failed(mount("none", "/mnt", "tmpfs", 0, NULL));
}

static int do_packet_socket(void)
{
	return failed(socket(AF_PACKET, SOCK_RAW, 0));
}

static int do_io_uring(void)
{
	return failed(syscall(SYS_io_uring_setup, 1, NULL));
}

static int do_listen(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	return failed(listen(fd, 1)) == EPERM ? EPERM : 0;
}

static int do_connect(void)
{
	struct sockaddr unix_socket = { .sa_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	return failed(connect(fd, &unix_socket, sizeof unix_socket)) == EPERM ? EPERM : 0;
}

static int do_read_file(void)
{
	return failed(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static void *in_thread(void *told)
{
	*(int *)told = 1;
	return NULL;
}

static int do_thread(void)
{
	pthread_t thread;
	int told = 0, r = pthread_create(&thread, NULL, in_thread, &told);

	return r ? r : pthread_join(thread, NULL) ? EINVAL : told ? 0 : EINVAL;
}

static int do_look_up(void)
{
	struct addrinfo *list = NULL;

	return getaddrinfo("localhost", "80", NULL, &list) ? EINVAL : 0;
}

static int do_map(void)
{
	void *p = malloc(64 << 20);

	free(p);
	return p ? 0 : ENOMEM;
}

/* ---- cases ---- */

static const struct {
	const char *name;
	int (*deed)(void);
	const char *denied, *allowed; /* roles, each between blanks */
} cases[] = {
	{ "start another program", do_exec, " reader worker keeper monitor tomorrow ", "" },
	{ "start a shell", do_spawn_shell, " reader worker keeper monitor ", "" },
	{ "make a process", do_fork, " reader keeper monitor ", " worker " },
	{ "trace a process", do_ptrace, " reader worker keeper monitor tomorrow ", "" },
	{ "read another process's memory", do_read_memory, " reader worker keeper monitor tomorrow ", "" },
	{ "create a file", do_create, " reader worker keeper monitor tomorrow ", "" },
	{ "delete a file", do_unlink, " reader worker keeper monitor tomorrow ", "" },
	{ "mount", do_mount, " reader worker keeper monitor tomorrow ", "" },
	{ "open a packet socket", do_packet_socket, " reader worker keeper monitor tomorrow ", "" },
	{ "use io_uring", do_io_uring, " reader worker keeper monitor tomorrow ", "" },
	{ "listen", do_listen, " reader worker keeper ", " monitor " },
	{ "connect", do_connect, " monitor ", " reader worker keeper tomorrow " },
	{ "read a file", do_read_file, "", " reader worker keeper monitor tomorrow " },
	{ "make a thread", do_thread, "", " reader worker keeper monitor tomorrow " },
	{ "look a name up", do_look_up, "", " reader worker keeper monitor tomorrow " },
	{ "use memory", do_map, "", " reader worker keeper monitor tomorrow " },
};

/* The errno of a deed under a role's filter, or -1 if the process died. */
static int outcome(const char *role, int (*deed)(void))
{
	pid_t pid = fork();
	struct err err;
	int status;

	if (pid == 0) {
		if (confine_calls(role, &err) < 0)
			_exit(255);
		_exit(deed());
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void every_case(const char *role)
{
	char word[32];

	snprintf(word, sizeof word, " %s ", role);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		if (strstr(cases[i].denied, word))
			ok(outcome(role, cases[i].deed) == EPERM, "%s: cannot %s", role, cases[i].name);
		if (strstr(cases[i].allowed, word))
			ok(outcome(role, cases[i].deed) == 0, "%s: can %s", role, cases[i].name);
	}
}

static void memory_is_private(void)
{
	struct rlimit core;

	confine_memory();
	ok(prctl(PR_GET_DUMPABLE) == 0, "the process cannot be dumped or looked into");
	ok(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0, "and leaves no core file");
}

int main(void)
{
	static const char *const roles[] = { "reader", "worker", "keeper", "monitor", "tomorrow" };

	fflush(stdout);
	if (outcome("reader", do_map) == 255) {
		skip("the kernel here has no filters of system calls");
	} else {
		for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
			every_case(roles[i]);
	}
	memory_is_private();
	return done();
}
