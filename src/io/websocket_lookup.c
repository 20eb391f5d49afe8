/* SPDX-License-Identifier: MIT */
#include "io/websocket_lookup.h"

#include <event2/event.h>

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the thread owns. */
struct job {
	char host[256], port[6];
	int fd;
};

struct answer {
	int error;
	struct addrinfo *list;
};

struct websocket_lookup {
	int fd;
	struct event *readable;
	websocket_lookup_done *on_done;
	void *ctx;
};

int websocket_lookup_now(const char *host, const char *port, int flags, struct addrinfo **ret_list)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags };

	*ret_list = NULL;
	return getaddrinfo(host, port, &hints, ret_list);
}

/* The thread: one answer into the socket, or, if the other end is closed, to nobody. */
static void *job_main(void *arg)
{
	struct job *job = arg;
	struct answer a = { 0 };

	a.error = websocket_lookup_now(job->host, job->port, AI_ADDRCONFIG, &a.list);
	if (send(job->fd, &a, sizeof a, MSG_NOSIGNAL) != (ssize_t)sizeof a && a.list)
		freeaddrinfo(a.list);
	close(job->fd);
	free(job);
	return NULL;
}

/* Starts the thread with all signals blocked: they belong to the process's loop. */
static int start_thread(struct job *job)
{
	sigset_t all, old;
	pthread_t thread;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&thread, NULL, job_main, job);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r == 0)
		pthread_detach(thread);
	return r;
}

/* Hands the answer over; an end of file without one cannot happen but would count as a failure. */
static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct websocket_lookup *l = arg;
	websocket_lookup_done *on_done = l->on_done;
	void *ctx = l->ctx;
	struct answer a;

	(void)what;
	if (recv(fd, &a, sizeof a, 0) != (ssize_t)sizeof a)
		a = (struct answer){ .error = EAI_FAIL };
	event_free(l->readable);
	close(l->fd);
	free(l);
	on_done(ctx, a.error, a.list);
}

struct websocket_lookup *websocket_lookup_start(struct event_base *base, const char *host,
	const char *port, websocket_lookup_done *on_done, void *ctx)
{
	struct websocket_lookup *l;
	struct job *job;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return NULL;
	l = calloc(1, sizeof *l);
	job = calloc(1, sizeof *job);
	if (!l || !job)
		abort();
	snprintf(job->host, sizeof job->host, "%s", host);
	snprintf(job->port, sizeof job->port, "%s", port);
	job->fd = pair[1];
	if (start_thread(job) != 0) {
		close(pair[0]);
		close(pair[1]);
		free(job);
		free(l);
		return NULL;
	}
	*l = (struct websocket_lookup){ .fd = pair[0], .on_done = on_done, .ctx = ctx };
	l->readable = event_new(base, pair[0], EV_READ, on_answer, l);
	if (!l->readable)
		abort();
	event_add(l->readable, NULL);
	return l;
}

struct websocket_lookup *websocket_lookup_cancel(struct websocket_lookup *l)
{
	struct answer a;

	if (!l)
		return NULL;
	event_free(l->readable);
	if (recv(l->fd, &a, sizeof a, MSG_DONTWAIT) == (ssize_t)sizeof a && a.list)
		freeaddrinfo(a.list);
	close(l->fd);
	free(l);
	return NULL;
}
