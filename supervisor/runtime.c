/* SPDX-License-Identifier: MIT */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { LISTEN_BACKLOG = 16, CONNECT_TIMEOUT_MS = 3000 };

/* ---- lock ---- */

/* The pid that stands in the lock file, 0 if none can be read. */
static long read_pid(int fd)
{
	char text[24];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = 0;
	return strtol(text, NULL, 10);
}

int runtime_lock(const char *dir, const char *name, int *ret_fd, struct err *err)
{
	char path[192], text[24];
	int fd, n, r;

	snprintf(path, sizeof path, "%s/%s.pid", dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(err, "%s: cannot open: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		r = errno == EWOULDBLOCK ? 1 : -1;
		if (r > 0)
			err_set(err,
				"instance \"%s\" already runs as pid %ld in %s: stop it, or choose "
				"another runtime.name",
				name, read_pid(fd), dir);
		else
			err_set(err, "%s: cannot lock: %s", path, strerror(errno));
		close(fd);
		return r;
	}
	n = snprintf(text, sizeof text, "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n) {
		err_set(err, "%s: cannot write: %s", path, strerror(errno));
		close(fd);
		return -1;
	}
	*ret_fd = fd;
	return 0;
}

/* ---- status socket ---- */

static int address_of(
	const char *dir, const char *name, struct sockaddr_un *ret_sa, struct err *err)
{
	int n;

	*ret_sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
	n = snprintf(ret_sa->sun_path, sizeof ret_sa->sun_path, "%s/%s.sock", dir, name);
	if (n < 0 || (size_t)n >= sizeof ret_sa->sun_path)
		return err_set(err, "%s/%s.sock: path too long for a socket", dir, name);
	return 0;
}

int runtime_listen(const char *dir, const char *name, int *ret_fd, struct err *err)
{
	struct sockaddr_un sa;
	int fd;

	if (address_of(dir, name, &sa, err) < 0)
		return -1;
	/* we hold the lock: whoever made it is gone */
	unlink(sa.sun_path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 ||
		chmod(sa.sun_path, 0600) < 0 || listen(fd, LISTEN_BACKLOG) < 0) {
		err_set(err, "%s: cannot listen: %s", sa.sun_path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	*ret_fd = fd;
	return 0;
}

void runtime_unlink(const char *dir, const char *name)
{
	struct sockaddr_un sa;
	struct err err;

	if (address_of(dir, name, &sa, &err) == 0)
		unlink(sa.sun_path);
}

/* One byte and the descriptor; who does not take it at once gets nothing. */
static void send_fd(int to, int fd)
{
	char byte = 0;
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof control };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	(void)!sendmsg(to, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void runtime_serve(int listen_fd, int page_fd)
{
	for (;;) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			return;
		send_fd(fd, page_fd);
		close(fd);
	}
}

/* The descriptor that comes over the socket, -1 if none does in time. */
static int receive_fd(int from)
{
	char byte;
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof control };
	struct cmsghdr *c;
	int fd = -1;

	if (poll(&(struct pollfd){ .fd = from, .events = POLLIN }, 1, CONNECT_TIMEOUT_MS) != 1 ||
		recvmsg(from, &msg, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		c->cmsg_len == CMSG_LEN(sizeof fd))
		memcpy(&fd, CMSG_DATA(c), sizeof fd);
	return fd;
}

/* Maps what came; takes fd over. */
static int map_page(int fd, const struct stats_page **ret_page, struct err *err)
{
	const struct stats_page *page = MAP_FAILED;
	struct stat st;

	if (fstat(fd, &st) == 0 && st.st_size == (off_t)sizeof *page)
		page = mmap(NULL, sizeof *page, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (page == MAP_FAILED)
		return err_set(
			err, "the running supervisor has other counters: it is another version");
	if (page->version != STATS_VERSION || page->n_stats != N_STATS) {
		munmap((void *)(uintptr_t)page, sizeof *page);
		return err_set(
			err, "the running supervisor has other counters: it is another version");
	}
	*ret_page = page;
	return 0;
}

int runtime_connect(const char *dir, const char *name, const struct stats_page **ret_page,
	struct err *err)
{
	struct sockaddr_un sa;
	int fd, page_fd, r;

	if (address_of(dir, name, &sa, err) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(err, "cannot make a socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0) {
		r = errno == ENOENT || errno == ECONNREFUSED ? 1 : -1;
		err_set(err, "%s: %s", sa.sun_path, strerror(errno));
		close(fd);
		return r;
	}
	page_fd = receive_fd(fd);
	close(fd);
	if (page_fd < 0)
		return err_set(err, "%s: the supervisor does not answer", sa.sun_path);
	return map_page(page_fd, ret_page, err);
}

/* ---- shared memory ---- */

int runtime_seal_conf(const struct conf *conf, struct err *err)
{
	struct buf text = BUF_INIT;
	int fd = memfd_create("standpipe-conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	bool good;

	conf_print(conf, true, &text);
	good = fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n &&
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) ==
			0;
	if (!good) {
		err_set(err, "cannot seal the configuration: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	buf_done(&text);
	return fd;
}

int runtime_page(struct stats_page **ret_page, int *ret_fd, int *ret_read_fd, struct err *err)
{
	char path[64];

	*ret_fd = memfd_create("standpipe-stats", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	/* nobody may cut it short below those who have it mapped */
	if (*ret_fd < 0 || ftruncate(*ret_fd, sizeof **ret_page) < 0 ||
		fcntl(*ret_fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) < 0)
		return err_set(err, "cannot make the page of counters: %s", strerror(errno));
	snprintf(path, sizeof path, "/proc/self/fd/%d", *ret_fd);
	*ret_read_fd = open(path, O_RDONLY | O_CLOEXEC);
	*ret_page = mmap(NULL, sizeof **ret_page, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_fd, 0);
	if (*ret_read_fd < 0 || *ret_page == MAP_FAILED)
		return err_set(err, "cannot map the page of counters: %s", strerror(errno));
	(*ret_page)->version = STATS_VERSION;
	(*ret_page)->n_stats = N_STATS;
	return 0;
}
