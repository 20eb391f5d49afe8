/* SPDX-License-Identifier: MIT */
#include "workers/child.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "io/confine.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BEAT_US = 500000, ALIVE_US = 5000000, EXIT_ORPHAN = 75 };

/* ---- coming up ---- */

static int map_page(struct child *c, struct err *err)
{
	struct stat st;

	if (fstat(STATS_FD, &st) < 0 || st.st_size != (off_t)sizeof *c->page)
		return err_set(err,
			"no counters on descriptor %d: children are started by the supervisor",
			STATS_FD);
	c->page = mmap(NULL, sizeof *c->page, PROT_READ | PROT_WRITE, MAP_SHARED, STATS_FD, 0);
	if (c->page == MAP_FAILED) {
		c->page = NULL;
		return err_set(err, "cannot map the counters: %s", strerror(errno));
	}
	if (c->page->version != STATS_VERSION || c->page->n_stats != N_STATS)
		return err_set(err, "the counters are another version's");
	for (int i = 0; i < STATS_MAX_SLOTS; i++)
		if (strcmp(c->page->slots[i].role, c->role) == 0 &&
			c->page->slots[i].slot == (uint32_t)c->slot)
			c->stats = &c->page->slots[i];
	if (!c->stats)
		return err_set(err, "there is no slot %s-%d", c->role, c->slot);
	c->n_workers = (int)c->page->n_workers;
	return 0;
}

/* The supervisor printed and sealed these bytes itself, so a problem here is a bug. */
static int read_conf(struct child *c, struct err *err)
{
	struct buf bytes = BUF_INIT, problems = BUF_INIT;
	struct stat st;
	ssize_t n;

	if (fstat(CONF_FD, &st) < 0 || st.st_size > 1 << 24)
		return err_set(err, "no configuration on descriptor %d", CONF_FD);
	/* pread: the offset is shared with the other children */
	n = pread(CONF_FD, buf_room(&bytes, (size_t)st.st_size), (size_t)st.st_size, 0);
	if (n == st.st_size) {
		bytes.n = (size_t)n;
		c->conf = conf_parse(buf_slice(&bytes), "(supervisor)", &problems);
	}
	if (!c->conf)
		err_set(err, "configuration not usable: %s", buf_str(&problems));
	buf_done(&bytes);
	buf_done(&problems);
	return c->conf ? 0 : -1;
}

/* Only the supervisor decides what a signal means, except that SIGTERM asks to drain. */
static int take_signals(struct child *c, struct err *err)
{
	static const int ignored[] = { SIGPIPE, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };
	sigset_t set;

	for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	c->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return c->signal_fd < 0 ? err_set(err, "signalfd: %s", strerror(errno)) : 0;
}

int child_init(struct child *c, const char *role, int slot, struct err *err)
{
	char name[32];

	*c = (struct child){ .role = role, .slot = slot, .signal_fd = -1 };
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "standpipe"); /* it was started by another name: "exe" of /proc/self/exe */
	confine_memory();
	if (map_page(c, err) < 0)
		return -1;
	/* it may have died before prctl: then no signal ever comes */
	if (getppid() != (pid_t)c->page->supervisor_pid)
		return err_set(err, "the supervisor is gone");
	if (read_conf(c, err) < 0 || take_signals(c, err) < 0)
		return -1;
	snprintf(name, sizeof name, "%s-%d", role, slot);
	log_init(name, c->conf->log.level_value);
	/* better unconfined than not at all: some containers forbid even this */
	if (confine_calls(role, err) < 0)
		log_warning("child.unconfined", "error=%s", LOG_QUOTED(err->text));
	stats_set(c->stats, STAT_beat_us, (uint64_t)clock_mono_us());
	chan_send(CHAN_FD, CHAN_HELLO, (uint32_t)getpid(), NULL);
	return 0;
}

void child_done(struct child *c)
{
	struct event **events[] = { &c->chan_event, &c->beat_event, &c->signal_event };

	log_sum_up(true);
	for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
		if (*events[i]) {
			event_free(*events[i]);
			*events[i] = NULL;
		}
	if (c->signal_fd >= 0)
		close(c->signal_fd);
	c->signal_fd = -1;
	c->conf = conf_free(c->conf);
	if (c->page)
		munmap(c->page, sizeof *c->page);
	c->page = NULL;
	c->stats = NULL;
}

/* ---- the supervisor's side ---- */

static void beat(struct child *c)
{
	int64_t now_us = clock_mono_us();

	(void)FAILPOINT(child_beat);
	log_sum_up(false);
	stats_add(c->stats, STAT_log_dropped, log_dropped() - c->log_dropped);
	c->log_dropped = log_dropped();
	stats_set(c->stats, STAT_beat_us, (uint64_t)now_us);
	chan_send(CHAN_FD, CHAN_BEAT, c->state, c->state == CHILD_WAITING ? c->why : NULL);
	c->next_beat_us = now_us + BEAT_US;
}

static void start_drain(struct child *c)
{
	if (c->draining)
		return;
	c->draining = true;
	if (c->on_drain)
		c->on_drain(c->on_drain_ctx);
}

static void reopen_log(const char *path)
{
	struct err err;

	if (log_reopen(path, &err) < 0)
		log_error("log.not_reopened", "error=%s action=\"still writing to the old file\"", LOG_QUOTED(err.text));
}

static void serve_message(struct child *c, const struct chan_msg *msg)
{
	if (msg->type == CHAN_DRAIN)
		start_drain(c);
	else if (msg->type == CHAN_LOGLEVEL && msg->value < N_LOG_LEVELS)
		log_set_level((enum log_level)msg->value);
	else if (msg->type == CHAN_REOPEN)
		reopen_log(msg->text);
	else if (msg->type == CHAN_WORKERS)
		c->n_workers = (int)msg->value;
}

/* Takes what the supervisor and SIGTERM have to say, beats if it is time. */
static void serve(struct child *c)
{
	struct signalfd_siginfo si;
	struct chan_msg msg;
	enum chan_status status;

	while ((status = chan_recv(CHAN_FD, &msg)) == CHAN_OK)
		serve_message(c, &msg);
	/* nobody is left to watch over us, and whoever comes next starts its own: everything is
	 * repeatable */
	if (status == CHAN_EOF)
		_exit(EXIT_ORPHAN);
	if (read(c->signal_fd, &si, sizeof si) == (ssize_t)sizeof si)
		start_drain(c);
	if (clock_mono_us() >= c->next_beat_us)
		beat(c);
}

/* poll(2)'s time limit until the earlier of deadline and next beat. */
static int timeout_ms(const struct child *c, int64_t deadline_us)
{
	int64_t until_us = c->next_beat_us, left_us;

	if (deadline_us >= 0 && deadline_us < until_us)
		until_us = deadline_us;
	left_us = until_us - clock_mono_us();
	return left_us <= 0 ? 0 : (int)((left_us + 999) / 1000);
}

static enum wait_result wait_for(
	struct child *c, int fd, short events, int64_t deadline_us, bool stop)
{
	for (;;) {
		struct pollfd p[] = { { .fd = CHAN_FD, .events = POLLIN },
			{ .fd = c->signal_fd, .events = POLLIN }, { .fd = fd, .events = events } };
		int n = poll(p, fd < 0 ? 2 : 3, timeout_ms(c, deadline_us));

		if (n < 0 && errno != EINTR)
			return WAIT_READY;
		if (n > 0 && (p[0].revents || p[1].revents))
			serve(c);
		else if (clock_mono_us() >= c->next_beat_us)
			beat(c);
		if (stop && c->draining)
			return WAIT_STOP;
		if (n > 0 && fd >= 0 && p[2].revents)
			return WAIT_READY;
		if (deadline_us >= 0 && clock_mono_us() >= deadline_us)
			return WAIT_TIMEOUT;
	}
}

enum wait_result child_wait(void *child, int fd, short events, int64_t deadline_us)
{
	return wait_for(child, fd, events, deadline_us, true);
}

enum wait_result child_wait_through(void *child, int fd, short events, int64_t deadline_us)
{
	return wait_for(child, fd, events, deadline_us, false);
}

/* ---- with a libevent loop ---- */

static void on_event(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	serve(ctx);
}

int child_attach(struct child *c, struct event_base *base, void (*on_drain)(void *ctx), void *ctx,
	struct err *err)
{
	struct timeval interval = { 0, BEAT_US };

	c->base = base;
	c->on_drain = on_drain;
	c->on_drain_ctx = ctx;
	c->chan_event = event_new(base, CHAN_FD, EV_READ | EV_PERSIST, on_event, c);
	c->signal_event = event_new(base, c->signal_fd, EV_READ | EV_PERSIST, on_event, c);
	c->beat_event = event_new(base, -1, EV_PERSIST, on_event, c);
	if (!c->chan_event || !c->signal_event || !c->beat_event ||
		event_add(c->chan_event, NULL) < 0 || event_add(c->signal_event, NULL) < 0 ||
		event_add(c->beat_event, &interval) < 0)
		return err_set(err, "cannot watch the supervisor's channel");
	if (c->draining)
		on_drain(ctx);
	return 0;
}

/* ---- what the role tells ---- */

void child_set_state(struct child *c, enum child_state state, const char *why)
{
	bool changed = state != c->state && (state == CHILD_WAITING || c->state == CHILD_WAITING);

	assert(why || state != CHILD_WAITING);
	if (state == CHILD_WAITING && strncmp(c->why, why, sizeof c->why - 1) != 0) {
		snprintf(c->why, sizeof c->why, "%s", why);
		changed = true;
	}
	c->state = state;
	/* people watch this one; idle and busy alternate many times a second */
	if (changed)
		beat(c);
}

void child_ready(struct child *c)
{
	if (!c->ready)
		chan_send(CHAN_FD, CHAN_READY, 0, NULL);
	c->ready = true;
}

void child_refused(struct child *c, const char *text)
{
	(void)c;
	chan_send(CHAN_FD, CHAN_REFUSED, 0, text);
}

bool child_is_lowest(const struct child *c)
{
	uint64_t alive_us = (uint64_t)(clock_mono_us() - ALIVE_US);

	for (int i = 0; i < STATS_MAX_SLOTS; i++) {
		const struct stats_slot *s = &c->page->slots[i];

		if (strcmp(s->role, c->role) == 0 && s->pid && (int)s->slot < c->slot &&
			stats_get(s, STAT_beat_us) > alive_us)
			return false;
	}
	return true;
}
