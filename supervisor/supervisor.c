/* SPDX-License-Identifier: MIT */
#include "supervisor/supervisor.h"

#include "base/clock.h"
#include "io/confine.h"
#include "io/notify.h"
#include "supervisor/exit_codes.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long a dependency may be away at start when it is required. */
static const int64_t require_us = 10000000;

/* ---- what the children say ---- */

/* A dependency's settings break the promise. Before a child was ever up this is a question of
 * set-up, and a person is there to answer it; later we go on trying. */
static void on_refused(struct supervisor *s, const struct slot *slot, const char *text)
{
	if (s->stopping)
		return;
	if (strcmp(s->refused, text) != 0)
		complaint_clear(&s->refusal);
	snprintf(s->refused, sizeof s->refused, "%s", text);
	if (complaint_due(&s->refusal))
		log_error("dependency.refused", "child=%s-%d: %s%s", slot->role, slot->number, text, s->refusal.repeated);
	if (s->options->require || !slot->was_ready)
		supervisor_stop(s, EXIT_CONFIG, false);
}

static void on_message(struct supervisor *s, struct slot *slot, const struct chan_msg *msg)
{
	children_heard(&s->children, slot, msg);
	if (msg->type == CHAN_REFUSED)
		on_refused(s, slot, msg->text);
	if (msg->type == CHAN_BEAT && msg->value == CHILD_WAITING && s->options->require &&
		!s->stopping && !slot->was_ready && clock_mono_us() - s->started_us > require_us) {
		log_error("dependency.unavailable", "child=%s-%d: %s (--require)", slot->role,
			slot->number, msg->text);
		supervisor_stop(s, EXIT_DEPENDENCY, false);
	}
}

/* Everything that waits in the slot's channel. */
static void hear(struct supervisor *s, struct slot *slot)
{
	struct chan_msg msg;
	enum chan_status status;

	while ((status = chan_recv(slot->chan_fd, &msg)) == CHAN_OK)
		on_message(s, slot, &msg);
	/* it is ending, or broken: then the missing beats will end it */
	if (status == CHAN_EOF)
		event_del(slot->chan_event);
}

static void on_channel(evutil_socket_t fd, short what, void *ctx)
{
	struct supervisor *s = ctx;

	(void)what;
	for (int i = 0; i < s->children.n; i++)
		if (s->children.slots[i].chan_fd == fd)
			hear(s, &s->children.slots[i]);
	supervisor_settle(s);
}

/* ---- processes ---- */

static void close_channel(struct slot *slot)
{
	if (slot->chan_event)
		event_free(slot->chan_event);
	if (slot->chan_fd >= 0)
		close(slot->chan_fd);
	slot->chan_event = NULL;
	slot->chan_fd = -1;
}

static pid_t spawn_slot(void *ctx, struct slot *slot)
{
	struct supervisor *s = ctx;
	struct err err;
	int pair[2], fds[3];
	pid_t pid;

	if (chan_pair(pair, &err) < 0) {
		log_error("child.failed", "child=%s-%d: %s", slot->role, slot->number, err.text);
		return -1;
	}
	slot->chan_fd = pair[0];
	slot->chan_event = event_new(s->base, pair[0], EV_READ | EV_PERSIST, on_channel, s);
	if (!slot->chan_event || event_add(slot->chan_event, NULL) < 0)
		abort();
	fds[0] = pair[1];
	fds[1] = s->conf_fd;
	fds[2] = s->stats_fd;
	pid = spawn(slot->role, slot->number, fds, &err);
	close(pair[1]);
	if (pid < 0) {
		log_error("child.failed", "child=%s-%d: %s", slot->role, slot->number, err.text);
		close_channel(slot);
	}
	return pid;
}

static void kill_slot(void *ctx, struct slot *slot, int signal)
{
	(void)ctx;
	/* not reaped yet, so the number is still its own */
	kill(slot->pid, signal);
}

static void drain_slot(void *ctx, struct slot *slot)
{
	(void)ctx;
	chan_send(slot->chan_fd, CHAN_DRAIN, 0, NULL);
}

static int64_t now_us(void *ctx)
{
	(void)ctx;
	return clock_mono_us();
}

static const struct children_ops ops = { spawn_slot, kill_slot, drain_slot, now_us };

static void on_child(evutil_socket_t sig, short what, void *ctx)
{
	struct supervisor *s = ctx;
	int wait_status;
	pid_t pid;

	(void)sig;
	(void)what;
	while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
		struct slot *slot = children_of_pid(&s->children, pid);

		/* else an orphan of one of ours, that came to us because we are the subreaper */
		if (!slot)
			continue;
		hear(s, slot);
		close_channel(slot);
		children_exited(&s->children, slot, wait_status);
	}
	supervisor_settle(s);
}

/* ---- signals from people ---- */

static void on_stop(evutil_socket_t sig, short what, void *ctx)
{
	struct supervisor *s = ctx;

	(void)sig;
	(void)what;
	supervisor_stop(s, EXIT_DONE, s->stopping);
	supervisor_settle(s);
}

static void on_reload(evutil_socket_t sig, short what, void *ctx)
{
	(void)sig;
	(void)what;
	reload_request(ctx);
	supervisor_settle(ctx);
}

/* The file that stderr was at the start, under its name then: log rotation has moved it away. */
static void on_reopen(evutil_socket_t sig, short what, void *ctx)
{
	struct supervisor *s = ctx;
	struct err err;

	(void)sig;
	(void)what;
	if (!s->log_file[0]) {
		log_notice("log.not_reopened", "stderr is no file");
	} else if (log_reopen(s->log_file, &err) < 0) {
		log_error("log.not_reopened", "error=%s action=\"still writing to the old file\"", LOG_QUOTED(err.text));
	} else {
		for (int i = 0; i < s->children.n; i++)
			if (s->children.slots[i].chan_fd >= 0)
				chan_send(s->children.slots[i].chan_fd, CHAN_REOPEN, 0, s->log_file);
		log_notice("log.reopened", "file=%s", s->log_file);
	}
}

static void on_dump(evutil_socket_t sig, short what, void *ctx)
{
	struct supervisor *s = ctx;

	(void)sig;
	(void)what;
	for (int i = 0; i < s->children.n; i++) {
		const struct slot *slot = &s->children.slots[i];

		if (!slot->wanted && slot->state == SLOT_DOWN)
			continue;
		log_notice("state.child",
			"child=%s-%d state=%s doing=%s pid=%d starts=%u beat_age_ms=%lld "
			"stale=%d why=%s",
			slot->role, slot->number, slot_state_name(slot->state),
			child_state_name(slot->stats->doing), (int)slot->pid, slot->stats->starts,
			(long long)(clock_mono_us() - slot->beat_us) / 1000, slot->stale,
			LOG_QUOTED(slot->stats->why));
	}
	for (int i = 0; i < N_STATS; i++)
		log_notice("state.counter", "%s=%llu", stats_info[i].name,
			(unsigned long long)stats_total(s->page, (enum stats_id)i));
}

/* ---- the loop ---- */

void supervisor_stop(struct supervisor *s, int exit_code, bool now)
{
	if (!s->stopping) {
		s->stopping = true;
		s->exit_code = exit_code;
		log_notice("supervisor.stopping", "code=%d drain_timeout_s=%.1f", exit_code,
			s->conf->runtime.drain_timeout);
		notify_send("STOPPING=1");
		children_stop(&s->children, clock_mono_us() + s->children.drain_timeout_us);
	}
	if (now) {
		log_notice("supervisor.hurried", "second signal: killing what is left");
		children_kill(&s->children);
	}
}

/* Tells the service manager what has changed. */
static void tell_manager(struct supervisor *s)
{
	bool healthy = children_healthy(&s->children);

	if (s->stopping)
		return;
	if (!s->told_ready && (healthy || !s->options->require)) {
		notify_send("READY=1");
		s->told_ready = true;
	}
	if (healthy == s->healthy)
		return;
	s->healthy = healthy;
	log_notice(healthy ? "supervisor.healthy" : "supervisor.degraded", "%s",
		healthy ? "every child is ready"
			: "a child is not ready, or waits; `standpipe status` says which");
	notify_send(healthy ? "STATUS=healthy" : "STATUS=degraded");
}

void supervisor_settle(struct supervisor *s)
{
	int64_t due_us, left_us;
	struct timeval tv;

	reload_step(s);
	tell_manager(s);
	if (s->stopping && children_down(&s->children)) {
		event_base_loopbreak(s->base);
		return;
	}
	due_us = children_due_us(&s->children);
	if (s->progress.next_us < due_us)
		due_us = s->progress.next_us;
	if (alarms_due_us(&s->alarms, s->conf) < due_us)
		due_us = alarms_due_us(&s->alarms, s->conf);
	left_us = due_us - clock_mono_us();
	left_us = left_us < 0 ? 0 : left_us;
	tv = (struct timeval){ left_us / 1000000, left_us % 1000000 };
	event_add(s->timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct supervisor *s = ctx;

	(void)fd;
	(void)what;
	/* messages that came while we could not look count before the clock does */
	for (int i = 0; i < s->children.n; i++)
		if (s->children.slots[i].chan_fd >= 0)
			hear(s, &s->children.slots[i]);
	children_tick(&s->children);
	progress_tick(&s->progress, s->page);
	alarms_tick(&s->alarms, s->conf, s->page);
	s->page->log_dropped = log_dropped();
	notify_send("WATCHDOG=1");
	supervisor_settle(s);
}

static void on_connection(evutil_socket_t fd, short what, void *ctx)
{
	const struct supervisor *s = ctx;

	(void)what;
	runtime_serve(fd, s->stats_read_fd);
}

/* ---- start and end ---- */

static void add_slots(struct supervisor *s)
{
	int at = 0;

	for (int r = 0; r < s->options->n_roles; r++)
		for (int i = 0; i < s->options->roles[r].max; i++)
			children_add(&s->children, s->options->roles[r].name, r, i,
				&s->page->slots[at++]);
}

static int make_events(struct supervisor *s, struct err *err)
{
	static const struct {
		int signal;
		event_callback_fn call;
	} signals[SUPERVISOR_MAX_SIGNALS] = { { SIGCHLD, on_child }, { SIGTERM, on_stop },
		{ SIGINT, on_stop }, { SIGHUP, on_reload }, { SIGUSR1, on_reopen },
		{ SIGUSR2, on_dump } };

	signal(SIGPIPE, SIG_IGN);
	s->base = event_base_new();
	if (!s->base)
		return err_set(err, "cannot make an event loop");
	for (int i = 0; i < SUPERVISOR_MAX_SIGNALS; i++) {
		s->signals[i] = evsignal_new(s->base, signals[i].signal, signals[i].call, s);
		if (!s->signals[i] || event_add(s->signals[i], NULL) < 0)
			return err_set(err, "cannot watch signal %d", signals[i].signal);
	}
	s->timer = evtimer_new(s->base, on_timer, s);
	s->listener = event_new(s->base, s->listen_fd, EV_READ | EV_PERSIST, on_connection, s);
	if (!s->timer || !s->listener || event_add(s->listener, NULL) < 0)
		return err_set(err, "cannot watch the status socket");
	return 0;
}

/* Everything up to the first child; an exit code, with err set unless it is 0. */
static int start(struct supervisor *s, const struct conf *conf, struct err *err)
{
	int r;

	if (conf_runtime_dir(conf, s->dir, sizeof s->dir, err) < 0)
		return EXIT_CONFIG;
	snprintf(s->name, sizeof s->name, "%s", conf->runtime.name);
	r = runtime_lock(s->dir, s->name, &s->lock_fd, err);
	if (r)
		return r > 0 ? EXIT_LOCKED : EXIT_INTERNAL;
	if (runtime_listen(s->dir, s->name, &s->listen_fd, err) < 0 ||
		runtime_page(&s->page, &s->stats_fd, &s->stats_read_fd, err) < 0 ||
		make_events(s, err) < 0)
		return EXIT_INTERNAL;
	s->page->supervisor_pid = (uint32_t)getpid();
	s->page->overflow_us = UINT64_MAX;
	s->page->started_us = (uint64_t)clock_wall_us();
	children_init(&s->children, &ops, s);
	add_slots(s);
	progress_init(&s->progress);
	return EXIT_DONE;
}

/* Closes and frees what start made, as far as it came. */
static void end(struct supervisor *s)
{
	int fds[] = { s->conf_fd, s->stats_fd, s->stats_read_fd, s->listen_fd, s->lock_fd };

	for (int i = 0; i < s->children.n; i++)
		close_channel(&s->children.slots[i]);
	for (int i = 0; i < SUPERVISOR_MAX_SIGNALS; i++)
		if (s->signals[i])
			event_free(s->signals[i]);
	if (s->timer)
		event_free(s->timer);
	if (s->listener)
		event_free(s->listener);
	if (s->base)
		event_base_free(s->base);
	if (s->page)
		munmap(s->page, sizeof *s->page);
	if (s->listen_fd >= 0)
		runtime_unlink(s->dir, s->name);
	/* the lock's file stays: unlinking it would let two instances lock two files of one name */
	if (s->lock_fd >= 0)
		(void)!ftruncate(s->lock_fd, 0);
	for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	s->conf = conf_free(s->conf);
}

/* Starts the children and serves until all are down. */
static int run(struct supervisor *s, struct conf *conf, struct err *err)
{
	log_notice("supervisor.started", "version=%s pid=%d dir=%s name=%s workers=%d",
		STANDPIPE_VERSION, (int)getpid(), s->dir, s->name, (int)conf->workers.count);
	s->started_us = clock_mono_us();
	if (reload_apply(s, conf, err) < 0)
		return EXIT_INTERNAL;
	supervisor_settle(s);
	event_base_dispatch(s->base);
	spawn_sweep();
	progress_done(&s->progress);
	log_notice("supervisor.stopped", "code=%d", s->exit_code);
	return s->exit_code;
}

int supervisor_run(const struct supervisor_options *options, struct conf *conf)
{
	struct supervisor s = { .options = options,
		.conf_fd = -1,
		.stats_fd = -1,
		.stats_read_fd = -1,
		.lock_fd = -1,
		.listen_fd = -1 };
	struct err err = { "" };
	int code;

	umask(027);
	confine_memory();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	log_init("supervisor", conf->log.level_value);
	snprintf(s.log_file, sizeof s.log_file, "%s", log_file());
	code = start(&s, conf, &err);
	if (code == EXIT_DONE)
		code = run(&s, conf, &err);
	else
		conf_free(conf);
	if (err.text[0])
		log_error("supervisor.failed", "%s", err.text);
	end(&s);
	return code;
}
