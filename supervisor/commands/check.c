/* SPDX-License-Identifier: MIT */
#include "supervisor/commands/commands.h"

#include <stdio.h>

int command_check(int argc, char **argv)
{
	const char *path;
	struct conf *conf;
	int code = command_options(argc, argv, &path);

	if (code == EXIT_DONE)
		code = command_conf(path, &conf);
	if (code != EXIT_DONE)
		return code;
	conf_free(conf);
	puts("configuration is good");
	return EXIT_DONE;
}
