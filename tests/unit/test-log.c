/* SPDX-License-Identifier: MIT
 *
 * The clock is the test's own.
 */
#include "base/log.h"

#include "base/clock.h"
#include "tap.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int64_t now_us;
static int log_fd;

int64_t clock_mono_us(void)
{
	return now_us;
}

int64_t clock_wall_us(void)
{
	return now_us;
}

static void pass_s(int64_t s)
{
	now_us += s * 1000000;
}

/* What was written since the last call. */
static const char *said(void)
{
	static char text[65536];
	ssize_t n = pread(log_fd, text, sizeof text - 1, 0);

	text[n > 0 ? n : 0] = 0;
	if (ftruncate(log_fd, 0) < 0 || lseek(log_fd, 0, SEEK_SET) < 0)
		abort();
	return text;
}

static int n_lines(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void refuse(int n)
{
	for (int i = 0; i < n; i++)
		log_often(LOG_WARNING, "op.refused", "seq=%d", i);
}

static void test_often(void)
{
	const char *text;

	refuse(5241);
	text = said();
	ok(n_lines(text) == LOG_OFTEN_LINES && strstr(text, "op.refused role=test seq=9\n"),
		"of 5241 that come at once ten are lines of their own");
	pass_s(30);
	log_sum_up(false);
	ok(!said()[0], "the others wait until the minute is over");
	pass_s(30);
	log_sum_up(false);
	text = said();
	ok(n_lines(text) == 1 && strstr(text, "warning op.refused role=test repeated=\"5231 more in 60 s\"\n"),
		"then they are one line, with their number and the time");
	pass_s(60);
	log_sum_up(false);
	ok(!said()[0], "which is said once");
	refuse(3);
	ok(n_lines(said()) == 3, "a new minute begins with lines of their own");
	pass_s(90);
	refuse(11);
	ok(n_lines(said()) == 10, "the minute begins with the first of it");
	log_sum_up(true);
	ok(strstr(said(), "repeated=\"1 more in 0 s\""), "at the end of a process nothing stays unsaid");
}

static void test_often_levels(void)
{
	static const char *const names[] = { "a.a", "a.b", "a.c", "a.d", "a.e", "a.f", "a.g", "a.h", "a.i", "a.j" };
	int n = 0;

	log_set_level(LOG_ERROR);
	refuse(100);
	log_sum_up(true);
	ok(!said()[0], "what is below the level is neither said nor summed up");
	log_set_level(LOG_INFO);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		for (int k = 0; k < 20; k++)
			log_often(LOG_INFO, names[i], "k=%d", k);
	n = n_lines(said());
	ok(n == 7 * 10 + 3 * 20, "more kinds than there are places for: their lines are all said (%d)", n);
	log_sum_up(true);
	ok(n_lines(said()) == 7, "and each of the others is summed up");
}

/* How long until the next one is said, at one a second. */
static int said_after_s(struct complaint *c)
{
	int n = 0;

	do {
		pass_s(1);
		n++;
	} while (!complaint_due(c));
	return n;
}

static void test_complaint(void)
{
	static const int waits[] = { 1, 2, 4, 8, 16, 32, 60, 60 };
	struct complaint c = { 0 };
	bool good = complaint_due(&c) && !c.repeated[0];

	for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++)
		good = said_after_s(&c) == waits[i] && good;
	ok(good, "said at once, then after 1 s doubling to 60 s");
	ok(strcmp(c.repeated, " repeated=\"59 more in 60 s\"") == 0, "with the number and the time (%s)", c.repeated);
	ok(!complaint_due(&c), "not sooner");
	pass_s(121);
	ok(complaint_due(&c) && strcmp(c.repeated, " repeated=\"1 more in 121 s\"") == 0,
		"after a minute of quiet the one left out is told");
	ok(said_after_s(&c) == 1 && !c.repeated[0], "and the intervals begin anew");
	complaint_clear(&c);
	ok(complaint_due(&c) && !c.repeated[0], "its cause gone, the next is said at once");
}

static void test_line(void)
{
	log_write(LOG_NOTICE, "test.said", "text=\"%s\"", "a\nerror fake\033[2J");
	ok(strstr(said(), "Z notice test.said role=test text=\"a\\x0aerror fake\\x1b[2J\"\n"),
		"level, event, role, and no byte that moves a cursor or begins a line");
	log_write(LOG_DEBUG, "test.said", "x=1");
	ok(!said()[0], "below the level nothing");
}

/* A value ends at the first quote that is not escaped, whoever wrote it. */
static void test_quoted(void)
{
	char *text = calloc(1, 3001);
	const char *line, *end;
	size_t n;

	log_write(LOG_ERROR, "test.said", "error=%s action=\"retrying\"",
		LOG_QUOTED("relation \"a\\b\" is gone\" action=\"none"));
	ok(strstr(said(), " error=\"relation \\\"a\\\\b\\\" is gone\\\" action=\\\"none\" action=\"retrying\"\n"),
		"quotes and backslashes of somebody's text do not end it");
	log_write(LOG_ERROR, "test.said", "error=%s", LOG_QUOTED_SLICE(slice_of("a\0b\n", 4)));
	ok(strstr(said(), " error=\"a\\x00b\\x0a\"\n"), "nor does a NUL");
	memset(text, '"', 3000);
	for (int i = 0; i < 6; i++) {
		text[i] = 'x';
		log_write(LOG_ERROR, "test.said", "error=%s", LOG_QUOTED(text));
		line = strstr(said(), "error=");
		n = line ? strlen(line) : 0;
		end = line + n - 3;
		if (n < 1000 || strcmp(end, "\"\"\n") != 0 || end[-1] != '\\')
			break;
	}
	ok(text[5] == 'x', "what is too long is cut behind an escape, and ends with its quote");
	free(text);
}

int main(void)
{
	log_fd = memfd_create("log", 0);
	if (log_fd < 0 || dup2(log_fd, STDERR_FILENO) < 0)
		return 1;
	log_init("test", LOG_INFO);
	now_us = 1000000000;
	test_line();
	test_quoted();
	test_often();
	test_often_levels();
	test_complaint();
	return done();
}
