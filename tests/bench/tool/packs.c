/* SPDX-License-Identifier: MIT
 *
 * packs - every entry of the stream opened: is each event of the recording there, in its place?
 *
 * The checksum of every pack is computed, the chain of previous heads and ordinals followed, and each event's
 * seq compared with the recording's next one. Without a recording each event is printed with the time at
 * which the first event of its pack was received.
 */
#include "frame_file.h"
#include "tool.h"

#include "codec/pack.h"
#include "io/stream.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 200 };

struct walk {
	struct frame_file file;
	bool compare;
	uint64_t next, n_frames; /* of the recording */
	uint64_t n_events, n_bytes, n_packs, ordinal;
	struct stream_id before;
};

static int check_event(struct walk *w, uint64_t seq, struct err *err)
{
	while (w->next < w->n_frames && w->file.log.frames[w->next].seq < seq)
		return err_set(err, "event %" PRIu64 " is missing", w->file.log.frames[w->next].seq);
	if (w->next == w->n_frames || w->file.log.frames[w->next].seq != seq)
		return err_set(err, "event %" PRIu64 " is not of the recording, or doubled", seq);
	w->next++;
	return 0;
}

static int check_pack(struct walk *w, const struct stream_entry *entry, struct err *err)
{
	struct pack pack;
	struct pack_event e;
	enum pack_status status = pack_open(entry->bytes, &pack);

	if (status == PACK_OK && w->n_packs > 0 &&
		(pack.prefix.prev_epoch != w->before.epoch || pack.prefix.prev_seq != w->before.seq ||
			pack.prefix.first_ordinal != w->ordinal))
		return err_set(err, "the chain is broken at entry %" PRIu64, entry->id.seq);
	while (status == PACK_OK && (status = pack_next(&pack, &e)) == PACK_OK) {
		w->n_events++;
		if (!w->compare)
			printf("%" PRIu64 "\t%" PRIu64 "\n", e.seq, pack.prefix.received_us);
		else if (check_event(w, e.seq, err))
			return -1;
	}
	if (status != PACK_END)
		return err_set(err, "entry %" PRIu64 ": %s", entry->id.seq, pack_status_name(status));
	w->before = entry->id;
	w->ordinal = pack.prefix.first_ordinal + pack.prefix.n_events;
	w->n_packs++;
	w->n_bytes += entry->bytes.n;
	return 0;
}

static int walk(struct walk *w, struct stream *s, struct err *err)
{
	struct stream_id after = { 0 };
	int r = 0, n;

	do {
		struct stream_entries entries = { 0 };

		if (stream_range(s, after, COUNT, &entries, err) != STREAM_OK)
			return -1;
		n = entries.n;
		for (int i = 0; i < n && !r; i++)
			r = check_pack(w, &entries.entries[i], err);
		if (n)
			after = entries.entries[n - 1].id;
		stream_entries_free(&entries);
	} while (n == COUNT && !r);
	return r;
}

static void tell(const struct walk *w)
{
	printf("events %" PRIu64 "\npacks %" PRIu64 "\npack_bytes %" PRIu64 "\n", w->n_events, w->n_packs, w->n_bytes);
}

int tool_packs(int argc, char **argv, struct err *err)
{
	struct walk w = { 0 };
	struct stream *s;
	char url[256];
	struct stream_options options = { .url = url, .password_file = "", .waiter = { wait_poll, NULL }, .group = "" };

	if (argc < 3)
		return err_set(err, "too few arguments");
	snprintf(url, sizeof url, "unix://%s", argv[0]);
	options.name = argv[1];
	w.compare = strcmp(argv[2], "-") != 0;
	if (w.compare && frame_file_open(&w.file, argv[2], err))
		return -1;
	w.n_frames = argc > 3 ? strtoull(argv[3], NULL, 10) : w.file.n_frames;
	if (stream_new(&options, &s, err) < 0 || stream_connect(s, err) != STREAM_OK || walk(&w, s, err))
		return -1;
	if (w.compare && w.next != w.n_frames)
		return err_set(err, "the last %" PRIu64 " events are missing", w.n_frames - w.next);
	if (w.compare)
		tell(&w);
	stream_free(s);
	return 0;
}
