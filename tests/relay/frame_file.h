/* SPDX-License-Identifier: MIT
 *
 * frame_file - a recording as a frame log: 4-byte big-endian length + message, again and again
 *
 * Owns: the read-only mapping of the file and the table of its frames until frame_file_done; the
 * log borrows both. Invariant: `log` knows all frames; only [first, end) are visible, and the
 * caller moves end up to n_frames. A message without a readable seq (#info, garbage) takes the seq
 * of the next one that has one, so that a reconnecting client meets it again. Errors: struct err,
 * naming the file and the byte. Must not know: connections.
 */
#ifndef RELAY_FRAME_FILE_H
#define RELAY_FRAME_FILE_H

#include "base/err.h"
#include "frame_log.h"

struct frame_file {
	struct frame_log log;
	uint64_t n_frames;
	uint8_t *heads;
	const uint8_t *map;
	size_t n_map;
};

int frame_file_open(struct frame_file *file, const char *path, struct err *err) NODISCARD;
void frame_file_done(struct frame_file *file);
/* The seq of a message; false if it has none. */
bool frame_seq(struct slice message, uint64_t *ret_seq);

#endif
