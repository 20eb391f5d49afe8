/* SPDX-License-Identifier: MIT
 *
 * standpipe-relay - serves recorded or generated firehose frames, for tests, demo and benchmark
 */
#include "frame_file.h"
#include "generate.h"
#include "options.h"
#include "serve.h"

#include <malloc.h>
#include <stdlib.h>

enum { EXIT_USAGE = 64, EXIT_UNAVAILABLE = 69, KEEP_BYTES = 16 << 20 };

/* A file's frames become visible by moving the end. */
static size_t advance_file(void *ctx, size_t n)
{
	struct frame_file *file = ctx;
	uint64_t left = file->n_frames - file->log.end;

	if (n > left)
		n = left;
	file->log.end += n;
	return n;
}

static int serve_file(struct options *options, struct err *err)
{
	struct frame_file file;
	struct source source = {.log = &file.log, .advance = advance_file, .ctx = &file};
	int r = frame_file_open(&file, options->file, err);

	if (!r)
		r = serve_run(options, source, err);
	frame_file_done(&file);
	return r;
}

static int run(struct options *options, struct err *err)
{
	if (options->command == COMMAND_SERVE)
		return serve_file(options, err);
	return options->out ? generate_file(options, err) : generate_serve(options, err);
}

int main(int argc, char **argv)
{
	struct options options;
	struct err err = {""};

	/* What is queued for a client comes and goes by the hundred kilobytes; given back to the kernel each time,
	 * it would be taken from what the relay is there to load. */
	mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
	if (options_parse(argc, argv, &options, &err)) {
		fprintf(stderr, "standpipe-relay: %s\n", err.text);
		return EXIT_USAGE;
	}
	if (options.help) {
		options_help(stdout);
		return EXIT_SUCCESS;
	}
	if (run(&options, &err)) {
		fprintf(stderr, "standpipe-relay: %s\n", err.text);
		return EXIT_UNAVAILABLE;
	}
	storm_report(&options.storm, stdout);
	return EXIT_SUCCESS;
}
