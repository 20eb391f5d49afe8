/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* How lines get out: whatever it is, it must not block. */
enum way { WAY_POLL, WAY_SOCKET, WAY_OWN };

static struct log_state {
	char role[32];
	enum log_level level;
	bool journal;
	enum way way;
	int fd; /* WAY_OWN: stderr once more, but non-blocking for us alone */
	char file[256];
	uint64_t dropped, told; /* told: of those dropped */
	struct often {
		const char *event; /* NULL: free */
		enum log_level level;
		int64_t since_us;
		uint64_t n;
	} often[8];
} state = { .level = LOG_INFO, .fd = -1 };

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

/* Is stderr what systemd connected with the journal? */
static bool is_journal(const struct stat *st)
{
	const char *text = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;

	return text && sscanf(text, "%llu:%llu", &device, &inode) == 2 && device == st->st_dev && inode == st->st_ino;
}

/* Others write to the same pipe: between poll() and write() the room may go. An open file of our own may be
 * non-blocking without making theirs so. */
static void choose_way(const struct stat *st)
{
	if (state.fd >= 0)
		close(state.fd);
	state.fd = -1;
	state.way = S_ISSOCK(st->st_mode) ? WAY_SOCKET : WAY_POLL;
	if (S_ISFIFO(st->st_mode) || S_ISCHR(st->st_mode))
		state.fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_APPEND | O_CLOEXEC | O_NOCTTY);
	if (state.fd >= 0)
		state.way = WAY_OWN;
}

static void look_at_stderr(void)
{
	struct stat st = { 0 };
	ssize_t n = -1;

	if (fstat(STDERR_FILENO, &st) < 0)
		st = (struct stat){ 0 };
	choose_way(&st);
	state.journal = is_journal(&st);
	if (S_ISREG(st.st_mode))
		n = readlink("/proc/self/fd/2", state.file, sizeof state.file - 1);
	state.file[n > 0 ? n : 0] = 0;
}

void log_init(const char *role, enum log_level level)
{
	snprintf(state.role, sizeof state.role, "%s", role);
	state.level = level;
	look_at_stderr();
}

const char *log_file(void)
{
	return state.file;
}

int log_reopen(const char *path, struct err *err)
{
	const int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY;
	int fd = open(path, flags);

	/* children may not create files: theirs is there, the supervisor has opened it before */
	if (fd < 0 && errno == ENOENT)
		fd = open(path, flags | O_CREAT, 0640);
	if (fd < 0)
		return err_set(err, "%s: %s", path, strerror(errno));
	if (dup2(fd, STDERR_FILENO) < 0) {
		close(fd);
		return err_set(err, "%s: %s", path, strerror(errno));
	}
	close(fd);
	look_at_stderr();
	return 0;
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

const char *log_quote(struct log_quoted *ret, struct slice text)
{
	size_t o = 0;

	ret->text[o++] = '"';
	/* room for an escaped byte, the closing quote and NUL; other controls are escaped with the whole line */
	for (size_t i = 0; i < text.n && o + 6 <= sizeof ret->text; i++)
		if (text.p[i] == '"' || text.p[i] == '\\')
			o += (size_t)sprintf(ret->text + o, "\\%c", text.p[i]);
		else if (text.p[i] == 0)
			o += (size_t)sprintf(ret->text + o, "\\x00");
		else
			ret->text[o++] = (char)text.p[i];
	ret->text[o++] = '"';
	ret->text[o] = '\0';
	return ret->text;
}

static bool put(const char *text, size_t n)
{
	ssize_t r = -1;

	/* A reader of our stderr that does not read must not stop the pipeline. */
	if (state.way == WAY_SOCKET)
		r = send(STDERR_FILENO, text, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (state.way == WAY_OWN)
		r = write(state.fd, text, n);
	else if (poll(&(struct pollfd){ .fd = STDERR_FILENO, .events = POLLOUT }, 1, 0) == 1)
		r = write(STDERR_FILENO, text, n);
	return r >= 0;
}

void log_raw(const char *text, size_t n)
{
	if (!put(text, n)) {
		state.dropped++;
	} else if (state.dropped > state.told) {
		uint64_t n_dropped = state.dropped - state.told;

		state.told = state.dropped;
		log_warning("log.dropped", "lines=%llu: stderr was full, closed or out of space",
			(unsigned long long)n_dropped);
	}
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
	log_raw(line, n);
}

/* ---- repeats ---- */

static const int64_t second_us = 1000000, minute_us = 60000000;

/* ` repeated="5231 more in 60 s"` */
static void put_repeated(char *out, size_t size, uint64_t n, int64_t us)
{
	snprintf(out, size, " repeated=\"%llu more in %lld s\"", (unsigned long long)n,
		(long long)((us + second_us - 1) / second_us));
}

/* The minute of that event, NULL if there are too many of them: then nothing is kept back. */
static struct often *often_of(enum log_level level, const char *event, int64_t now_us)
{
	for (size_t i = 0; i < sizeof state.often / sizeof state.often[0]; i++) {
		struct often *o = &state.often[i];

		if (!o->event)
			*o = (struct often){ event, level, now_us, 0 };
		if (strcmp(o->event, event) == 0)
			return o;
	}
	return NULL;
}

static void sum_up(struct often *o, int64_t now_us)
{
	char repeated[64];

	if (o->n > LOG_OFTEN_LINES) {
		put_repeated(repeated, sizeof repeated, o->n - LOG_OFTEN_LINES, now_us - o->since_us);
		log_write(o->level, o->event, "%s", repeated + 1);
	}
	o->since_us = now_us;
	o->n = 0;
}

bool log_often_due(enum log_level level, const char *event)
{
	int64_t now_us = clock_mono_us();
	struct often *o = often_of(level, event, now_us);

	if (!o)
		return true;
	if (now_us - o->since_us >= minute_us)
		sum_up(o, now_us);
	if (o->n == 0)
		o->since_us = now_us;
	return ++o->n <= LOG_OFTEN_LINES;
}

void log_sum_up(bool all)
{
	int64_t now_us = clock_mono_us();

	for (size_t i = 0; i < sizeof state.often / sizeof state.often[0]; i++) {
		struct often *o = &state.often[i];

		if (o->event && (all || now_us - o->since_us >= minute_us))
			sum_up(o, now_us);
	}
}

bool complaint_due(struct complaint *c)
{
	int64_t now_us = clock_mono_us();

	if (c->interval_us && now_us < c->said_us + c->interval_us) {
		c->silent++;
		return false;
	}
	c->repeated[0] = 0;
	if (c->silent)
		put_repeated(c->repeated, sizeof c->repeated, c->silent, now_us - c->said_us);
	if (now_us - c->said_us - c->interval_us > minute_us)
		c->interval_us = 0;
	c->silent = 0;
	c->said_us = now_us;
	c->interval_us = c->interval_us ? c->interval_us * 2 : second_us;
	if (c->interval_us > minute_us)
		c->interval_us = minute_us;
	return true;
}

void complaint_clear(struct complaint *c)
{
	*c = (struct complaint){ 0 };
}
