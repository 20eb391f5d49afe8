/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct log_state {
	char role[32];
	enum log_level level;
	bool journal;
	uint64_t dropped;
} state = { .level = LOG_INFO };

static const struct level_info {
	const char *name;
	int priority; /* syslog's */
} levels[N_LOG_LEVELS] = {
	[LOG_ERROR] = { "error", 3 },
	[LOG_WARNING] = { "warning", 4 },
	[LOG_NOTICE] = { "notice", 5 },
	[LOG_INFO] = { "info", 6 },
	[LOG_DEBUG] = { "debug", 7 },
};

void log_init(const char *role, enum log_level level)
{
	snprintf(state.role, sizeof state.role, "%s", role);
	state.level = level;
	state.journal = getenv("JOURNAL_STREAM") != NULL;
}

void log_set_level(enum log_level level)
{
	state.level = level;
}

bool log_level_of(const char *name, enum log_level *ret_level)
{
	for (int i = 0; i < N_LOG_LEVELS; i++)
		if (strcmp(levels[i].name, name) == 0) {
			*ret_level = (enum log_level)i;
			return true;
		}
	return false;
}

const char *log_level_name(enum log_level level)
{
	return levels[level].name;
}

uint64_t log_dropped(void)
{
	return state.dropped;
}

/* Time stamp for people, or the journal's priority prefix. */
static size_t put_prefix(char *line, size_t size, enum log_level level)
{
	int64_t now_us = clock_wall_us();
	time_t sec = (time_t)(now_us / 1000000);
	struct tm tm;
	int n;

	if (state.journal) {
		n = snprintf(line, size, "<%d>", levels[level].priority);
	} else {
		gmtime_r(&sec, &tm);
		n = snprintf(line, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ ", tm.tm_year + 1900,
			tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
			(int)(now_us / 1000 % 1000));
	}
	return (size_t)n;
}

/* Foreign text may reach a line: no byte of it may move a terminal's cursor or fake a second line. */
static size_t escape_controls(char *out, size_t size, const char *in, size_t n)
{
	size_t o = 0;

	for (size_t i = 0; i < n && o + 5 < size; i++) {
		unsigned char c = (unsigned char)in[i];

		if (c >= 0x20 && c != 0x7f)
			out[o++] = (char)c;
		else
			o += (size_t)snprintf(out + o, size - o, "\\x%02x", c);
	}
	return o;
}

void log_write(enum log_level level, const char *event, const char *fmt, ...)
{
	char text[2048], line[4096];
	size_t n;
	int t;
	va_list ap;

	if (level > state.level)
		return;
	t = snprintf(text, sizeof text, "%s %s %s%s", levels[level].name, event,
		state.role[0] ? "role=" : "", state.role);
	if (fmt[0]) {
		text[t++] = ' ';
		va_start(ap, fmt);
		vsnprintf(text + t, sizeof text - (size_t)t, fmt, ap);
		va_end(ap);
	}
	n = put_prefix(line, sizeof line, level);
	n += escape_controls(line + n, sizeof line - n - 1, text, strlen(text));
	line[n++] = '\n';
	/* A reader of our stderr that does not read must not stop the pipeline. */
	if (poll(&(struct pollfd){ .fd = STDERR_FILENO, .events = POLLOUT }, 1, 0) != 1 ||
		write(STDERR_FILENO, line, n) < 0)
		state.dropped++;
}

bool complaint_due(struct complaint *c, uint64_t *ret_repeats)
{
	int64_t now_us = clock_mono_us();

	if (now_us < c->next_us) {
		c->silent++;
		return false;
	}
	*ret_repeats = c->silent;
	c->silent = 0;
	c->interval_us = c->interval_us ? c->interval_us * 2 : 1000000;
	if (c->interval_us > 60000000)
		c->interval_us = 60000000;
	c->next_us = now_us + c->interval_us;
	return true;
}

void complaint_clear(struct complaint *c)
{
	*c = (struct complaint){ 0 };
}
