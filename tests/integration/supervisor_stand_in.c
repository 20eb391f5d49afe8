/* SPDX-License-Identifier: MIT
 *
 * supervisor_stand_in - the real supervisor over children that do nothing but what the test asks
 * for
 *
 * `supervisor-stand-in [-c FILE] [--require]` is `standpipe run` with the same roles. Each child
 * looks at the file <role>-<slot>, else <role>, in $STAND_IN: its first word is wait | refuse |
 * crash | stubborn (does not drain) | silent (does not beat) | deaf (nor dies of SIGABRT) | stuck (beats, but
 * does not get on) | spared (by the signal at its parent's death) | orphan (crashes and leaves a process
 * behind); no file: ready. It follows a change at once.
 */
#include "base/clock.h"
#include "supervisor/exit_codes.h"
#include "supervisor/supervisor.h"
#include "workers/child.h"

#include <event2/event.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { LOOK_US = 20000 };

/* What the test wants of this child now; "" if nothing special. */
static void read_wish(const struct child *c, char *ret, size_t size)
{
	const char *dir = getenv("STAND_IN");
	char path[512];
	FILE *f;
	int n = 0;

	snprintf(path, sizeof path, "%s/%s-%d", dir ? dir : ".", c->role, c->slot);
	f = fopen(path, "r");
	if (!f) {
		snprintf(path, sizeof path, "%s/%s", dir ? dir : ".", c->role);
		f = fopen(path, "r");
	}
	while (f && n + 1 < (int)size && (ret[n] = (char)fgetc(f)) >= 'a' && ret[n] <= 'z')
		n++;
	ret[n] = 0;
	if (f)
		fclose(f);
}

/* Stops the process where it is: no beat, no drain. */
static void fall_silent(void)
{
	for (;;)
		poll(NULL, 0, -1);
}

static void obey(struct child *c, const char *wish)
{
	if (strcmp(wish, "orphan") == 0 && fork() == 0)
		fall_silent();
	if (strcmp(wish, "deaf") == 0)
		signal(SIGABRT, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, strcmp(wish, "spared") == 0 ? 0 : SIGKILL);
	if (strcmp(wish, "crash") == 0 || strcmp(wish, "orphan") == 0)
		raise(SIGSEGV);
	else if (strcmp(wish, "silent") == 0 || strcmp(wish, "deaf") == 0)
		fall_silent();
	else if (strcmp(wish, "refuse") == 0)
		child_refused(c,
			"maxmemory-policy is allkeys-lru: CONFIG SET maxmemory-policy noeviction");
	else if (strcmp(wish, "wait") == 0)
		child_set_state(
			c, CHILD_WAITING, "PostgreSQL /nowhere/.s.PGSQL.5432: no such file");
	else
		child_set_state(c, strcmp(wish, "stuck") == 0 ? CHILD_BUSY : CHILD_IDLE, NULL);
	stats_set(c->stats, STAT_source_connected, !wish[0]);
	if (!wish[0] || strcmp(wish, "stuck") == 0)
		child_ready(c);
}

/* A child in straight-line style. */
static int stand_in_main(struct child *c)
{
	char wish[32], last[32] = "";
	int n = c->n_workers;

	log_notice("stand_in.configured", "batch_events=%lld stream=%s",
		(long long)c->conf->workers.batch_events, c->conf->redis.stream);
	for (;;) {
		enum wait_result r;

		read_wish(c, wish, sizeof wish);
		if (strcmp(wish, last) != 0)
			log_notice("stand_in.obeying", "%s", wish);
		memcpy(last, wish, sizeof last);
		obey(c, wish);
		if (n != c->n_workers)
			log_notice("stand_in.counted", "n_workers=%d", c->n_workers);
		n = c->n_workers;
		log_debug("stand_in.looked", "state=%s", child_state_name(c->state));
		r = strcmp(wish, "stubborn") == 0 ?
			child_wait_through(c, -1, 0, clock_mono_us() + LOOK_US) :
			child_wait(c, -1, 0, clock_mono_us() + LOOK_US);
		if (r == WAIT_STOP)
			return EXIT_DONE;
	}
}

static void on_drain(void *ctx)
{
	struct child *c = ctx;

	event_base_loopbreak(c->base);
}

struct look {
	struct child *child;
	char last[32];
};

static void on_look(evutil_socket_t fd, short what, void *ctx)
{
	struct look *l = ctx;
	char wish[32];

	(void)fd;
	(void)what;
	read_wish(l->child, wish, sizeof wish);
	if (strcmp(wish, l->last) != 0)
		log_notice("stand_in.obeying", "%s", wish);
	memcpy(l->last, wish, sizeof l->last);
	obey(l->child, wish);
}

/* A child with a libevent loop, as the reader is one. */
static int stand_in_loop(struct child *c)
{
	struct event_base *base = event_base_new();
	struct look l = { c, "" };
	struct event *look = event_new(base, -1, EV_PERSIST, on_look, &l);
	struct timeval interval = { 0, LOOK_US };
	struct err err;

	event_add(look, &interval);
	if (child_attach(c, base, on_drain, c, &err) < 0)
		return EXIT_INTERNAL;
	if (!c->draining)
		event_base_dispatch(base);
	event_free(look);
	child_done(c);
	event_base_free(base);
	return EXIT_DONE;
}

static int one(const struct conf *conf)
{
	(void)conf;
	return 1;
}

static int n_workers(const struct conf *conf)
{
	return (int)conf->workers.count;
}

static const struct role roles[] = {
	{ "reader", stand_in_loop, OWNER_READER, 1, one },
	{ "worker", stand_in_main, OWNER_WORKER, 64, n_workers },
	{ "keeper", stand_in_main, OWNER_KEEPER, 1, one },
};

static int run_child(const char *name, int slot)
{
	struct child child;
	struct err err;

	for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
		int code;

		if (strcmp(roles[i].name, name) != 0)
			continue;
		if (child_init(&child, name, slot, &err) < 0) {
			fprintf(stderr, "%s-%d: %s\n", name, slot, err.text);
			return EXIT_INTERNAL;
		}
		code = roles[i].main(&child);
		child_done(&child);
		return code;
	}
	return EXIT_USAGE_ERROR;
}

int main(int argc, char **argv)
{
	struct supervisor_options options = { .roles = roles, .n_roles = 3 };
	struct buf problems = BUF_INIT;
	struct conf *conf;

	if (argc == 5 && strcmp(argv[1], "--role") == 0)
		return run_child(argv[2], (int)strtol(argv[4], NULL, 10));
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--require") == 0)
			options.require = true;
		else if (strcmp(argv[i], "-c") == 0 && i + 1 < argc)
			options.path = argv[++i];
	}
	conf = reload_load(options.path, &problems);
	fputs(buf_str(&problems), stderr);
	buf_done(&problems);
	return conf ? supervisor_run(&options, conf) : EXIT_CONFIG;
}
