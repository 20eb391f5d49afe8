/* SPDX-License-Identifier: MIT */
#include "workers/solo.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum solo_result {
	SOLO_STORED,
	SOLO_CRASHED,
	SOLO_RETRY, /* nothing is known to be stored, through no fault of the event: err says why */
};

enum { CRASHES = 2 }; /* so many, the first of them in a worker, end in a dead letter */

static const int64_t stuck_us = 30 * 1000000;

/* What the child leaves to its parent: shared memory, because a crash must not be able to garble a message. */
struct outcome {
	enum write_status status;
	struct err err;
};

/* Nothing of the parent's is touched: its connections are closed without a word, its channel is not ours. */
static void leave_parent(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	close_range(CHAN_FD, ~0U, 0);
}

static enum write_status store(struct child *c, const struct batch_event *be, struct err *err)
{
	struct waiter waiter = { wait_poll, NULL };
	struct batch_event event = *be;
	struct batch b = { .events = &event, .n_events = 1 };
	struct writer w;
	int r;

	stats_decode(c->stats, be->epoch, be->e.seq);
	r = batch_decode(&event, &b.arena, err);
	stats_decoded(c->stats);
	if (r < 0)
		event.e = (struct event){ .kind = EVENT_BAD, .seq = be->e.seq, .bytes = be->bytes,
			.reason = arena_copy(&b.arena, slice_str(err->text)) };
	if (writer_init(&w, c->conf->postgres.conninfo, "standpipe solo", waiter, c->stats, err) < 0)
		return WRITE_E_RETRY;
	return writer_write(&w, &b, err);
}

/* Waits for the end of the child; kills it if it does not come to an end of decoding. True: it was stuck. */
static bool await(struct child *c, pid_t pid, int *ret_wait_status)
{
	int fd = pidfd_open(pid, 0);
	bool stuck = false;

	while (fd >= 0 && child_wait_through(c, fd, POLLIN, clock_mono_us() + stuck_us) == WAIT_TIMEOUT)
		/* waiting for PostgreSQL is no fault of the event: that has time limits of its own */
		if (c->stats->decoding) {
			stuck = true;
			kill(pid, SIGKILL);
		}
	while (waitpid(pid, ret_wait_status, 0) < 0 && errno == EINTR)
		;
	if (fd >= 0)
		close(fd);
	return stuck;
}

/* What the end of the child says of the event. */
static enum solo_result judge(struct child *c, const struct outcome *o, int wait_status, bool stuck,
	int *ret_signal, struct err *err)
{
	bool decoding = c->stats->decoding;

	stats_decoded(c->stats);
	*ret_signal = stuck ? SIGABRT : WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
	if (stuck || (decoding && stats_is_crash(*ret_signal)))
		return SOLO_CRASHED;
	if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0 && o->status == WRITE_OK)
		return SOLO_STORED;
	if (o->err.text[0])
		*err = o->err;
	else
		err_set(err, "the process of a suspect event ended with wait status %#x", (unsigned)wait_status);
	return SOLO_RETRY;
}

/* *ret_signal: by which it crashed; SIGABRT if it was stuck. */
static enum solo_result run(struct child *c, const struct batch_event *be, int *ret_signal, struct err *err)
{
	struct outcome *o = mmap(NULL, sizeof *o, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	enum solo_result result;
	pid_t parent = getpid(), pid;
	int wait_status = 0;
	bool stuck;

	*ret_signal = 0;
	if (o == MAP_FAILED) {
		err_set(err, "no memory for the process of a suspect event: %s", strerror(errno));
		return SOLO_RETRY;
	}
	pid = fork();
	if (pid == 0) {
		leave_parent(parent);
		o->status = store(c, be, &o->err);
		_exit(EXIT_SUCCESS);
	}
	if (pid < 0) {
		err_set(err, "cannot fork for a suspect event: %s", strerror(errno));
		result = SOLO_RETRY;
	} else {
		stuck = await(c, pid, &wait_status);
		result = judge(c, o, wait_status, stuck, ret_signal, err);
	}
	munmap(o, sizeof *o);
	return result;
}

/* The bytes go where a person can look at them; the worker does not. */
static enum write_status bury(struct writer *w, const struct batch_event *be, int signal, int crashes,
	struct err *err)
{
	struct batch_event dead = { .epoch = be->epoch, .bytes = be->bytes, .class = "crash" };
	struct batch b = { .events = &dead, .n_events = 1 };
	enum write_status status;
	char reason[80];

	snprintf(reason, sizeof reason, "decoding it ended the process %d times, at last by SIG%s", crashes,
		sigabbrev_np(signal));
	dead.e = (struct event){ .kind = EVENT_BAD, .seq = be->e.seq, .bytes = be->bytes,
		.reason = slice_str(reason) };
	status = writer_write(w, &b, err);
	if (status != WRITE_OK)
		return status;
	return writer_judge(w, suspect_buried(w->pg, (struct stream_id){ be->epoch, be->e.seq }, err));
}

enum write_status solo_write(struct child *c, struct writer *w, const struct batch_event *be, struct err *err)
{
	struct stream_id place = { be->epoch, be->e.seq };
	enum write_status status = writer_connect(w, err);
	int signal, crashes;

	if (status != WRITE_OK)
		return status;
	switch (run(c, be, &signal, err)) {
	case SOLO_STORED:
		log_notice("worker.suspect_stored", "epoch=%llu seq=%llu", (unsigned long long)place.epoch,
			(unsigned long long)place.seq);
		return writer_judge(w, suspect_stored(w->pg, place, err));
	case SOLO_CRASHED:
		status = writer_judge(w, suspect_crashed(w->pg, place, signal, &crashes, err));
		if (status != WRITE_OK)
			return status;
		if (crashes >= CRASHES)
			return bury(w, be, signal, crashes, err);
		err_set(err, "event %llu-%llu crashed for the first time", (unsigned long long)place.epoch,
			(unsigned long long)place.seq);
		return WRITE_E_RETRY;
	case SOLO_RETRY:
		break;
	}
	return WRITE_E_RETRY;
}
