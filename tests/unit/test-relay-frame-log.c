/* SPDX-License-Identifier: MIT */
#include "tests/unit/tap.h"

#include "tests/relay/cbor_write.h"
#include "tests/relay/frame_file.h"

#include <unistd.h>

/* A message with that seq: {t, op}{seq}. seq 0: an #info, which has none. */
static void put_message(struct buf *out, uint64_t seq)
{
	cbor_write_map(out, 2);
	cbor_write_pair(out, "t", seq ? "#x" : "#info");
	cbor_write_str(out, "op");
	cbor_write_uint(out, 1);
	cbor_write_map(out, 1);
	cbor_write_str(out, seq ? "seq" : "name");
	cbor_write_uint(out, seq);
}

static void check_search(void)
{
	static const uint64_t seqs[] = {5, 6, 9, 9, 20};
	struct frame_log log;

	frame_log_init(&log, 4, 10, 1000);
	ok(frame_log_newest_seq(&log) == 4 && frame_log_oldest_seq(&log) == 5 &&
			frame_log_after(&log, 0) == 0,
		"an empty log stands at the seq before it");
	for (size_t i = 0; i < 5; i++)
		frame_log_add(&log, seqs[i], slice_str("body"));
	ok(frame_log_after(&log, 0) == 0 && frame_log_after(&log, 5) == 1 &&
			frame_log_after(&log, 8) == 2 && frame_log_after(&log, 9) == 4 &&
			frame_log_after(&log, 20) == 5,
		"the frame after a seq is found, also over gaps and doubles");
	ok(frame_log_oldest_seq(&log) == 5 && frame_log_newest_seq(&log) == 20,
		"oldest and newest are known");
	frame_log_done(&log);
}

static void check_window(void)
{
	struct frame_log log;
	struct chunk *held;
	const uint8_t *body;
	char text[16];

	frame_log_init(&log, 0, 4, 1 << 20);
	frame_log_add(&log, 1, slice_str("first"));
	held = frame_log_at(&log, 0)->chunk;
	body = frame_log_at(&log, 0)->body;
	chunk_ref(held);
	for (uint64_t i = 2; i <= 100000; i++) {
		snprintf(text, sizeof text, "frame %llu", (unsigned long long)i);
		frame_log_add(&log, i, slice_str(text));
	}
	ok(log.end - log.first == 4 && frame_log_oldest_seq(&log) == 99997,
		"only the last frames are kept");
	ok(memcmp(body, "first", 5) == 0, "what a connection still sends outlives the window");
	ok(slice_is(slice_of(frame_log_at(&log, log.first)->body,
			    frame_log_at(&log, log.first)->n_body),
		   "frame 99997"),
		"an index leads to its frame after the table wrapped");
	chunk_unref(held);
	frame_log_done(&log);
}

static void check_bytes(void)
{
	struct frame_log log;
	static const uint8_t big[600000];

	frame_log_init(&log, 0, 100, 1000);
	for (uint64_t i = 1; i <= 50; i++)
		frame_log_add(&log, i, slice_of(big, 98));
	ok(log.end - log.first == 10 && log.n_bytes == 1000, "the window is bounded in bytes");
	frame_log_add(&log, 51, slice_of(big, sizeof big));
	ok(log.end - log.first == 1 && frame_log_at(&log, log.first)->n_head == 10,
		"one frame above the bound is kept alone");
	frame_log_done(&log);
}

/* Writes messages with those seqs, cut by n_cut bytes, and opens the file. */
static int open_file(
	struct frame_file *file, const uint64_t *seqs, size_t n, size_t n_cut, struct err *err)
{
	char path[] = "/tmp/test-relay-XXXXXX";
	struct buf all = BUF_INIT, message = BUF_INIT;
	int fd = mkstemp(path), r;

	for (size_t i = 0; i < n; i++) {
		buf_reset(&message);
		put_message(&message, seqs[i]);
		buf_be32(&all, (uint32_t)message.n);
		buf_add_slice(&all, buf_slice(&message));
	}
	if (fd < 0 || write(fd, all.p, all.n - n_cut) < 0)
		abort();
	close(fd);
	r = frame_file_open(file, path, err);
	unlink(path);
	buf_done(&all);
	buf_done(&message);
	return r;
}

static void check_file(void)
{
	static const uint64_t good[] = {7, 8, 0, 12, 0}, falling[] = {7, 6};
	struct frame_file file;
	struct err err = {""};

	ok(open_file(&file, good, 5, 0, &err) == 0 && file.n_frames == 5 && file.log.end == 0,
		"a recording is indexed, nothing of it visible yet");
	ok(file.log.frames[2].seq == 12 && file.log.frames[4].seq == 13,
		"a message without seq goes with the next one");
	ok(file.log.seq_before == 6, "it stands before its first seq");
	frame_file_done(&file);
	ok(open_file(&file, good, 5, 3, &err) == -1 && strstr(err.text, "cut"),
		"a cut file is refused");
	frame_file_done(&file);
	ok(open_file(&file, falling, 2, 0, &err) == -1 && strstr(err.text, "falls"),
		"falling seqs are refused");
	frame_file_done(&file);
	ok(open_file(&file, good, 0, 0, &err) == -1, "an empty file is refused");
	frame_file_done(&file);
}

int main(void)
{
	check_search();
	check_window();
	check_bytes();
	check_file();
	return done();
}
