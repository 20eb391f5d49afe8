/* SPDX-License-Identifier: MIT */
#include "frame_file.h"
#include "codec/cbor.h"
#include "ws.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LENGTH_BYTES = 4 };

bool frame_seq(struct slice message, uint64_t *ret_seq)
{
	struct cbor c = cbor_over(message);
	struct cbor_item item;

	if (cbor_skip(&c) != CBOR_OK || c.p == c.end)
		return false;
	if (cbor_path(slice_of(c.p, (size_t)(c.end - c.p)), "seq", &item, NULL) != CBOR_OK)
		return false;
	if (item.type != CBOR_UINT)
		return false;
	*ret_seq = item.n;
	return true;
}

/* Reads the length before the message at *at; false at the end of the file or if it is cut. */
static bool next_message(const struct frame_file *file, size_t *at, struct slice *ret_message)
{
	size_t n, left = file->n_map - *at;
	const uint8_t *p;

	if (left < LENGTH_BYTES)
		return false;
	p = file->map + *at;
	n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	if (n > left - LENGTH_BYTES)
		return false;
	*ret_message = slice_of(p + LENGTH_BYTES, n);
	*at += LENGTH_BYTES + n;
	return true;
}

/* Maps the file; an empty one maps to nothing. */
static int map_file(struct frame_file *file, const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st = {0};
	void *p;

	if (fd < 0 || fstat(fd, &st)) {
		err_set(err, "%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	p = st.st_size > 0 ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0) : NULL;
	close(fd);
	if (p == MAP_FAILED)
		return err_set(err, "%s: cannot map: %s", path, strerror(errno));
	file->map = p;
	file->n_map = p ? (size_t)st.st_size : 0;
	return 0;
}

/* Counts the messages and proves that their lengths fill the file exactly. */
static int count_messages(struct frame_file *file, const char *path, struct err *err)
{
	struct slice message;
	size_t at = 0;

	while (next_message(file, &at, &message))
		file->n_frames++;
	if (at != file->n_map)
		return err_set(err,
			"%s: the message at byte %zu is cut (a .frames file is a 4-byte "
			"big-endian length and that many bytes, repeated)",
			path, at);
	return 0;
}

/* Fills the table; heads are written once, so that sending copies nothing. */
static void index_messages(struct frame_file *file, uint64_t *n_unnumbered)
{
	struct slice message;
	uint8_t *head = file->heads;
	size_t at = 0;

	for (uint64_t i = 0; i < file->n_frames && next_message(file, &at, &message); i++) {
		struct frame *f = &file->log.frames[i];

		*f = (struct frame){.head = head, .body = message.p, .n_body = (uint32_t)message.n};
		f->n_head = (uint8_t)ws_head(WS_FIN | WS_BINARY, message.n, head);
		head += f->n_head;
		if (!frame_seq(message, &f->seq))
			++*n_unnumbered;
	}
}

/* Gives messages without a seq that of the next one; after the last one, its seq + 1. */
static void number_the_rest(struct frame_file *file)
{
	uint64_t next = 0;

	for (uint64_t i = 0; i < file->n_frames; i++)
		if (file->log.frames[i].seq >= next)
			next = file->log.frames[i].seq + 1;
	for (uint64_t i = file->n_frames; i-- > 0;) {
		if (file->log.frames[i].seq)
			next = file->log.frames[i].seq;
		else
			file->log.frames[i].seq = next;
	}
}

/* A recording whose seqs fall cannot be searched by cursor. */
static int check_order(const struct frame_file *file, const char *path, struct err *err)
{
	for (uint64_t i = 1; i < file->n_frames; i++)
		if (file->log.frames[i].seq < file->log.frames[i - 1].seq)
			return err_set(err, "%s: seq falls from %llu to %llu at message %llu", path,
				(unsigned long long)file->log.frames[i - 1].seq,
				(unsigned long long)file->log.frames[i].seq, (unsigned long long)i);
	return 0;
}

int frame_file_open(struct frame_file *file, const char *path, struct err *err)
{
	uint64_t n_unnumbered = 0;

	*file = (struct frame_file){0};
	if (map_file(file, path, err) || count_messages(file, path, err))
		return -1;
	if (!file->n_frames)
		return err_set(err, "%s: no messages in it", path);
	file->log.cap = file->n_frames;
	file->log.frames = calloc(file->n_frames, sizeof *file->log.frames);
	file->heads = calloc(file->n_frames, WS_HEAD_MAX);
	if (!file->log.frames || !file->heads)
		abort();
	index_messages(file, &n_unnumbered);
	if (n_unnumbered)
		number_the_rest(file);
	file->log.seq_before = file->log.frames[0].seq - 1;
	return check_order(file, path, err);
}

void frame_file_done(struct frame_file *file)
{
	free(file->log.frames);
	free(file->heads);
	if (file->map)
		munmap((void *)(uintptr_t)file->map, file->n_map);
	*file = (struct frame_file){0};
}
