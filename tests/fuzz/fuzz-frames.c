/* SPDX-License-Identifier: MIT
 *
 * A .frames file: refused with the reason, or all of its messages lie in it one after the other, numbered
 * in an order that never falls.
 */
#include "tests/fuzz/fuzz.h"

#include "frame_file.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void check_messages(const struct frame_file *file, size_t n_bytes)
{
	size_t n = 0;

	for (uint64_t i = 0; i < file->n_frames; i++) {
		const struct frame *f = &file->log.frames[i];

		n += 4;
		MUST(f->body == file->map + n && f->n_head >= 2);
		MUST(i == 0 || f->seq >= file->log.frames[i - 1].seq);
		n += f->n_body;
	}
	MUST(n == n_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static int fd = -1;
	char path[32];
	struct frame_file file;
	struct err err = {""};

	if (fd < 0)
		fd = memfd_create("frames", MFD_CLOEXEC);
	MUST(fd >= 0 && ftruncate(fd, (off_t)n) == 0 && pwrite(fd, data, n, 0) == (ssize_t)n);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (frame_file_open(&file, path, &err) == 0)
		check_messages(&file, n);
	else
		MUST(strncmp(err.text, path, strlen(path)) == 0);
	frame_file_done(&file);
	return 0;
}
