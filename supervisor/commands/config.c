/* SPDX-License-Identifier: MIT */
#include "supervisor/commands/commands.h"

#include <stdio.h>

int command_config(int argc, char **argv)
{
	struct buf text = BUF_INIT;
	const char *path;
	struct conf *conf;
	int code = command_options(argc, argv, &path);

	if (code == EXIT_DONE)
		code = command_conf(path, &conf);
	if (code != EXIT_DONE)
		return code;
	conf_print(conf, false, &text);
	fputs(buf_str(&text), stdout);
	buf_done(&text);
	conf_free(conf);
	return EXIT_DONE;
}
