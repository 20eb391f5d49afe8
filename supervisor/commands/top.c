/* SPDX-License-Identifier: MIT
 *
 * top - the screen of `status`, once a second, until q, Ctrl-C or the end of the instance
 *
 * Draws on the terminal's second screen and gives the first one back as it was, whatever ends it. Every
 * line is cut at the width of the terminal. Without a terminal it shows one screen.
 */
#include "supervisor/commands/commands.h"

#include "base/clock.h"
#include "supervisor/commands/overview.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

enum { REDRAW_MS = 1000 };
static const int64_t ask_us = 10000000;

struct top {
	const struct conf *conf;
	const struct stats_page *page;
	struct monitor_totals totals;
	struct monitor_sample last;
	int64_t next_ask_us;
	struct termios terminal; /* as it was */
	bool keys;		 /* stdin is a terminal too */
	int signal_fd;
};

/* ---- the terminal ---- */

static void say(const char *text)
{
	fputs(text, stdout);
	fflush(stdout);
}

static void take_terminal(struct top *t)
{
	struct termios raw;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGTSTP, SIG_IGN);
	t->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	t->keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &t->terminal) == 0;
	if (t->keys) {
		raw = t->terminal;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	say("\033[?1049h\033[?25l");
}

static void give_terminal_back(struct top *t)
{
	say("\033[?25h\033[?1049l");
	if (t->keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &t->terminal);
	if (t->signal_fd >= 0)
		close(t->signal_fd);
}

/* Copies a line as far as the terminal is wide; escape sequences take no room, nor do continuation bytes. */
static const char *put_line(const char *p, int columns, struct buf *out)
{
	int n = 0;

	for (; *p && *p != '\n'; p++) {
		if (*p == '\033') {
			size_t length = strcspn(p, "m") + 1;

			buf_add(out, p, length);
			p += length - 1;
		} else {
			n += ((unsigned char)*p & 0xc0) != 0x80;
			if (n <= columns)
				buf_u8(out, (uint8_t)*p);
		}
	}
	return *p ? p + 1 : p;
}

/* Over what was there: no clearing first, so that nothing flickers. */
static void draw(const char *screen)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };
	struct buf out = BUF_INIT;

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	buf_add_str(&out, "\033[H");
	for (int row = 0; *screen && row < size.ws_row; row++) {
		buf_add_str(&out, row ? "\r\n" : "");
		screen = put_line(screen, size.ws_col, &out);
		buf_add_str(&out, "\033[K");
	}
	buf_add_str(&out, "\033[J");
	fwrite(out.p, 1, out.n, stdout);
	fflush(stdout);
	buf_done(&out);
}

/* ---- the loop ---- */

static void look(struct top *t, bool colour, struct buf *out)
{
	struct monitor_status st = { .page = t->page, .before = t->last };

	if (clock_mono_us() >= t->next_ask_us) {
		overview_ask(t->conf, &t->totals);
		t->next_ask_us = clock_mono_us() + ask_us;
	}
	st.totals = t->totals;
	monitor_status_look(&st);
	t->last = st.now;
	overview_put(&st, colour, out);
	monitor_status_done(&st);
}

/* Until it is time to draw again; true: to leave. */
static bool wait_for_key(const struct top *t)
{
	struct pollfd p[] = { { .fd = t->signal_fd, .events = POLLIN },
		{ .fd = t->keys ? STDIN_FILENO : -1, .events = POLLIN } };
	struct signalfd_siginfo si;
	char key;

	if (poll(p, 2, REDRAW_MS) <= 0)
		return false;
	if (p[0].revents && read(t->signal_fd, &si, sizeof si) == (ssize_t)sizeof si)
		return si.ssi_signo != SIGWINCH;
	return p[1].revents && (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q');
}

static int live(struct top *t)
{
	bool colour = overview_colours(), gone = false, leave = false;
	struct buf out = BUF_INIT;

	take_terminal(t);
	while (!leave && !gone) {
		buf_reset(&out);
		look(t, colour, &out);
		draw(buf_str(&out));
		leave = wait_for_key(t);
		gone = !overview_alive(t->page);
	}
	buf_done(&out);
	give_terminal_back(t);
	if (!gone)
		return EXIT_DONE;
	fputs("standpipe top: the instance has ended\n", stderr);
	return EXIT_DEPENDENCY;
}

static int once(struct top *t)
{
	struct buf out = BUF_INIT;

	poll(NULL, 0, REDRAW_MS);
	look(t, overview_colours(), &out);
	fputs(buf_str(&out), stdout);
	buf_done(&out);
	return EXIT_DONE;
}

int command_top(int argc, char **argv)
{
	const char *path, *term = getenv("TERM");
	struct top t = { .signal_fd = -1 };
	struct conf *conf;
	int code = command_options(argc, argv, &path);

	if (code == EXIT_DONE)
		code = command_conf(path, &conf);
	if (code != EXIT_DONE)
		return code;
	t.conf = conf;
	code = overview_open(conf, "top", &t.page);
	if (code == EXIT_DONE) {
		monitor_sample_take(t.page, &t.last);
		code = isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0 ? live(&t) : once(&t);
		overview_close(t.page);
	}
	conf_free(conf);
	return code;
}
