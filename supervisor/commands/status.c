/* SPDX-License-Identifier: MIT */
#include "supervisor/commands/commands.h"

#include "base/clock.h"
#include "supervisor/commands/overview.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

static const int64_t sample_us = 1000000;

/* Rates and quantiles are those of one second; PostgreSQL is asked meanwhile. */
static void gather(const struct conf *conf, struct monitor_status *st)
{
	int64_t left_us;

	monitor_sample_take(st->page, &st->before);
	overview_ask(conf, &st->totals);
	left_us = st->before.at_us + sample_us - clock_mono_us();
	if (left_us > 0)
		usleep((useconds_t)left_us);
	monitor_status_look(st);
}

static int show(const struct conf *conf, const struct stats_page *page, bool json)
{
	struct monitor_status st = { .page = page };
	struct buf out = BUF_INIT;
	int code;

	gather(conf, &st);
	if (json) {
		monitor_status_put_json(&st, &out);
		buf_add_str(&out, "\n");
	} else {
		overview_put(&st, overview_colours(), &out);
	}
	fputs(buf_str(&out), stdout);
	buf_done(&out);
	code = st.n_reasons ? EXIT_CHECK : EXIT_DONE;
	monitor_status_done(&st);
	return code;
}

static int connect_and_show(const struct conf *conf, bool json)
{
	const struct stats_page *page;
	int code = overview_open(conf, "status", &page);

	if (code == EXIT_DONE) {
		code = show(conf, page, json);
		overview_close(page);
	} else if (code == EXIT_DEPENDENCY) {
		puts(json ? "{\"state\":\"not running\"}" : "not running");
	}
	return code;
}

int command_status(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' }, { 0 } };
	const char *path = NULL;
	struct conf *conf;
	bool json = false;
	int o, code;

	optind = 0;
	while ((o = getopt_long(argc, argv, "c:", options, NULL)) >= 0) {
		if (o == 'c')
			path = optarg;
		else if (o == 'j')
			json = true;
		else
			return command_usage(argv[0]);
	}
	if (optind < argc)
		return command_usage(argv[0]);
	code = command_conf(path, &conf);
	if (code != EXIT_DONE)
		return code;
	code = connect_and_show(conf, json);
	conf_free(conf);
	return code;
}
