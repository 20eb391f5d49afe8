/* SPDX-License-Identifier: MIT */
#include "supervisor/supervisor.h"

#include "base/clock.h"
#include "io/notify.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct conf *reload_load(const char *path, struct buf *problems)
{
	struct buf bytes = BUF_INIT;
	struct conf *conf = NULL;
	struct err err;
	char *name = NULL;

	if (conf_read(path, &bytes, &name, &err) < 0)
		buf_printf(problems, "%s\n", err.text);
	else
		conf = conf_parse(buf_slice(&bytes), name, problems);
	free(name);
	buf_done(&bytes);
	return conf;
}

/* ---- taking a configuration ---- */

/* One log line per line of text; *n_lines counts them. */
static void log_lines(enum log_level level, const char *event, struct buf *text)
{
	const char *p = buf_str(text);

	while (*p) {
		int n = (int)strcspn(p, "\n");

		log_write(level, event, "%.*s", n, p);
		p += n + (p[n] == '\n');
	}
}

/* Fixed keys stay as they are, the rest is said. Returns the owners concerned. */
static unsigned compare(struct supervisor *s, struct conf *conf)
{
	struct buf fixed = BUF_INIT, changed = BUF_INIT;
	unsigned owners;

	conf_keep_fixed(conf, s->conf, &fixed);
	owners = conf_diff(s->conf, conf, &changed);
	if (fixed.n) {
		log_lines(LOG_WARNING, "config.refused", &fixed);
		log_warning(
			"config.refused", "the lines above need a restart; the old values stay");
	}
	log_lines(LOG_NOTICE, "config.changed", &changed);
	s->reload.changed |= changed.n > 0;
	buf_done(&fixed);
	buf_done(&changed);
	return owners;
}

static void tell_all(struct supervisor *s, enum chan_type type, uint32_t value)
{
	for (int i = 0; i < s->children.n; i++)
		if (s->children.slots[i].chan_fd >= 0)
			chan_send(s->children.slots[i].chan_fd, type, value, NULL);
}

/* Starts and ends slots so that each role has as many as it should. */
static void apply_counts(struct supervisor *s)
{
	uint32_t n_workers = (uint32_t)s->conf->workers.count;

	/* before the children: who starts now reads the new number */
	if (s->page->n_workers != n_workers) {
		s->page->n_workers = n_workers;
		tell_all(s, CHAN_WORKERS, n_workers);
	}
	for (int i = 0; i < s->children.n; i++) {
		struct slot *slot = &s->children.slots[i];

		children_want(&s->children, slot,
			slot->number < s->options->roles[slot->role_index].count(s->conf));
	}
}

/* Who runs with values that are no longer those of the file? */
static void mark_stale(struct supervisor *s, unsigned owners)
{
	for (int i = 0; i < s->children.n; i++) {
		struct slot *slot = &s->children.slots[i];
		unsigned mine = 1u << s->options->roles[slot->role_index].owner | 1u << OWNER_ALL;

		/* what is not wanted, or not yet up, will start with the new ones anyway */
		if ((owners & mine) && slot->wanted && slot->state != SLOT_DOWN)
			slot->stale = true;
	}
}

int reload_apply(struct supervisor *s, struct conf *conf, struct err *err)
{
	unsigned owners = s->conf ? compare(s, conf) : 0;
	bool level_changed = s->conf && s->conf->log.level_value != conf->log.level_value;
	int fd = runtime_seal_conf(conf, err);

	if (fd < 0) {
		conf_free(conf);
		return -1;
	}
	if (s->conf_fd >= 0)
		close(s->conf_fd);
	conf_free(s->conf);
	s->conf = conf;
	s->conf_fd = fd;
	s->page->reloaded_us = (uint64_t)clock_wall_us();
	s->page->reload_failed = 0;
	s->children.drain_timeout_us = (int64_t)(conf->runtime.drain_timeout * 1e6);
	log_set_level(conf->log.level_value);
	if (level_changed)
		tell_all(s, CHAN_LOGLEVEL, conf->log.level_value);
	mark_stale(s, owners);
	apply_counts(s);
	return 0;
}

/* ---- SIGHUP ---- */

void reload_request(struct supervisor *s)
{
	s->reload.wanted = true;
	s->reload.active = true;
	notify_reloading();
}

static void read_again(struct supervisor *s)
{
	struct buf problems = BUF_INIT;
	struct conf *conf = reload_load(s->options->path, &problems);
	struct err err;

	s->reload.wanted = false;
	s->page->reload_failed = 1;
	if (!conf) {
		log_lines(LOG_ERROR, "config.invalid", &problems);
		log_error("config.kept",
			"the configuration was not reloaded: mend the lines above and send "
			"SIGHUP again; the old one stays in force");
	} else if (reload_apply(s, conf, &err) < 0) {
		log_error("config.kept", "%s: the old one stays in force", err.text);
	}
	buf_done(&problems);
}

static struct slot *next_stale(struct supervisor *s)
{
	for (int i = 0; i < s->children.n; i++)
		if (s->children.slots[i].stale && s->children.slots[i].wanted)
			return &s->children.slots[i];
	return NULL;
}

void reload_step(struct supervisor *s)
{
	struct reload *r = &s->reload;

	if (!r->active || s->stopping)
		return;
	/* one that is leaving leaves with what it was told; until then later signals are one */
	if (r->wanted && !(r->current && r->current->state == SLOT_DRAINING))
		read_again(s);
	for (;;) {
		if (r->current && r->current->wanted && !r->current->stale &&
			r->current->state != SLOT_READY)
			return;
		r->current = next_stale(s);
		if (!r->current)
			break;
		if (r->current->state == SLOT_DRAINING)
			return;
		log_notice("child.replaced", "child=%s-%d", r->current->role, r->current->number);
		children_replace(&s->children, r->current);
	}
	if (r->wanted)
		return;
	if (r->changed)
		log_notice("config.reloaded", "workers=%d", (int)s->conf->workers.count);
	else if (!s->page->reload_failed && complaint_due(&r->unchanged))
		log_notice("config.unchanged", "the file says what is in force%s", r->unchanged.repeated);
	r->active = r->changed = false;
	if (s->page->reload_failed)
		notify_send("READY=1\nSTATUS=configuration not reloaded: see the log; the old one is in force");
	else
		notify_send("READY=1");
}
