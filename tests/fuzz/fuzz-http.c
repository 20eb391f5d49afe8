/* SPDX-License-Identifier: MIT
 *
 * A request to the monitor, over a real connection to its real server. It is answered by one of the statuses
 * we give, or by none; the connection then ends, and nothing but GET and HEAD is ever answered with 200.
 */
#include "tests/fuzz/fuzz.h"

/* The server's parts are its own business, and private. */
#include "workers/monitor.c"

#include <sys/un.h>

static struct monitor monitor;
static struct sockaddr_un address;

/* With poll: for two descriptors that come and go epoll is three more system calls. */
static struct event_base *cheap_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	event_config_avoid_method(config, "epoll");
	base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

/* As monitor_init does it, but at an address that costs nothing. */
static void serve(void)
{
	static struct child child;
	static struct stats_page page;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	child.page = &page;
	monitor = (struct monitor){.child = &child, .base = cheap_base()};
	event_set_log_callback(on_libevent_log);
	log_init("fuzz", LOG_ERROR);
	monitor.http = evhttp_new(monitor.base);
	set_rules(&monitor);
	monitor.first_fd = 1 << 20; /* no limit */
	address.sun_family = AF_UNIX;
	snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "standpipe-fuzz-%d", getpid());
	MUST(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 16) == 0);
	MUST(evhttp_accept_socket(monitor.http, fd) == 0);
}

/* The first answer's status, 0 if there was none. */
static int status_of(const char *answer, size_t n)
{
	if (n == 0)
		return 0;
	/* the version is the one that was asked for, if there was one */
	MUST(n > 12 && memcmp(answer, "HTTP/", 5) == 0 && memchr(answer, ' ', 40));
	return (int)strtol((const char *)memchr(answer, ' ', 40), NULL, 10);
}

static void check_answer(const char *answer, size_t n, struct slice request)
{
	static const int given[] = {0, 200, 400, 404, 405, 413, 417, 501, 503};
	int status = status_of(answer, n);
	bool known = false;

	for (size_t i = 0; i < sizeof given / sizeof *given; i++)
		known |= status == given[i];
	MUST(known);
	if (status == 200)
		MUST(memmem(request.p, request.n, "GET ", 4) || memmem(request.p, request.n, "HEAD ", 5));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static char answer[1 << 16];
	size_t n_answer = 0;
	ssize_t got = -1;
	int fd;

	if (!monitor.base)
		serve();
	monitor.n_accepted = 0;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	MUST(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
	if (n > 0 && write(fd, data, n) < 0)
		n = 0;
	shutdown(fd, SHUT_WR);
	for (int turns = 0; got != 0; turns++) {
		MUST(turns < 100);
		event_base_loop(monitor.base, EVLOOP_NONBLOCK);
		got = read(fd, answer + n_answer, sizeof answer - n_answer);
		n_answer += got > 0 ? (size_t)got : 0;
	}
	check_answer(answer, n_answer, slice_of(data, n));
	close(fd);
	return 0;
}
