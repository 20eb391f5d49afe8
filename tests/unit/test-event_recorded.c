/* SPDX-License-Identifier: MIT */
#include "codec/tid.h"
#include "tests/unit/frames.h"
#include "tests/unit/tap.h"

static const int64_t now_us = 1893456000000000; /* 2030, later than all recordings */

/* did, time (whose last three digits Jetstream makes unique) and kind. */
static bool line_begins(const char *line, const struct event *e)
{
	char begin[2200];

	snprintf(begin, sizeof begin, "{\"did\":\"%.*s\",\"time_us\":%lld", SLICE_ARG(e->did),
		(long long)e->time_us / 1000);
	if (strncmp(line, begin, strlen(begin)) != 0)
		return false;
	line += strlen(begin) + 3;
	snprintf(begin, sizeof begin, ",\"kind\":\"%s\"", event_kind_name(e->kind));
	return strncmp(line, begin, strlen(begin)) == 0;
}

/* True if one line of Jetstream's form of the same stream says what op says. */
static bool line_is_op(const char *line, const struct event *e, const struct op *op)
{
	char want[2048], rev[TID_TEXT + 1], text[CID_TEXT + 1];
	struct cid cid = { .codec = CID_DAG_CBOR };

	tid_format(e->rev, rev);
	snprintf(want, sizeof want,
		"\"commit\":{\"rev\":\"%s\",\"operation\":\"%s\",\"collection\":\"%.*s\",\"rkey\":"
		"\"%.*s\"",
		rev, op_action_name(op->action), SLICE_ARG(op->collection), SLICE_ARG(op->rkey));
	if (!line_begins(line, e) || !strstr(line, want) || op->verdict != OP_VERDICT_OK)
		return false;
	if (op->action == OP_DELETE)
		return op->record.n == 0;
	memcpy(cid.digest, op->cid, CID_DIGEST);
	cid_to_text(&cid, text);
	snprintf(want, sizeof want, "\"cid\":\"%s\"}}\n", text);
	return strlen(line) > strlen(want) &&
	       strcmp(line + strlen(line) - strlen(want), want) == 0 &&
	       cid_matches(&cid, op->record);
}

/* The same for identity and account. */
static bool line_is_event(const char *line, const struct event *e)
{
	char with[512];

	if (e->kind == EVENT_IDENTITY)
		snprintf(with, sizeof with, e->has_handle ? "\"handle\":\"%.*s\"" : "%.*s",
			SLICE_ARG(e->handle));
	else
		snprintf(with, sizeof with, "\"active\":%s", e->active ? "true" : "false");
	return line_begins(line, e) && strstr(line, with) != NULL &&
	       !e->status.n == !strstr(line, "\"status\"") &&
	       (e->has_handle || !strstr(line, "\"handle\""));
}

/* Reads the lines a decoded frame must have caused; returns how many of them differ. */
static size_t jetstream_differences(FILE *f, const struct event *e, char **line, size_t *cap)
{
	size_t n_wrong = 0;

	if (e->kind == EVENT_COMMIT)
		for (uint32_t i = 0; i < e->n_ops; i++)
			n_wrong += getline(line, cap, f) < 0 || !line_is_op(*line, e, &e->ops[i]);
	else if (e->kind != EVENT_SYNC)
		n_wrong += getline(line, cap, f) < 0 || !line_is_event(*line, e);
	return n_wrong;
}

static void synth_is_jetstream(void)
{
	struct recording r;
	struct arena arena = ARENA_INIT;
	struct slice frame;
	struct event e;
	struct err err;
	char path[4096], *line = NULL;
	size_t cap = 0, n = 0, n_wrong = 0;
	FILE *f;

	if (!recording_open("frames/synth.frames", &r)) {
		skip("no recording here");
		return;
	}
	snprintf(path, sizeof path, "%s/frames/synth.jetstream.jsonl", shared_dir());
	f = fopen(path, "r");
	for (; f && recording_next(&r, &frame); arena_reset(&arena), n++)
		if (decode(frame, now_us, &arena, &e, &err) == FRAME_OK)
			n_wrong += jetstream_differences(f, &e, &line, &cap);
	ok(f && n == 3000 && n_wrong == 0 && getline(&line, &cap, f) < 0,
		"%zu frames say what Jetstream's form of them says, nothing more, nothing less", n);
	free(line);
	if (f)
		fclose(f);
	arena_done(&arena);
	recording_done(&r);
}

/* Every frame of a recording is sound or of a type we do not know, and all ops are. */
static void recording_is_sound(const char *name, size_t n_expected, size_t n_unknown_expected)
{
	struct recording r;
	struct arena arena = ARENA_INIT;
	struct slice frame;
	struct event e;
	struct err err;
	size_t n = 0, n_unknown = 0, n_wrong = 0;

	if (!recording_open(name, &r)) {
		skip("%s: no recording here", name);
		return;
	}
	for (; recording_next(&r, &frame); arena_reset(&arena), n++) {
		enum frame_status status = decode(frame, now_us, &arena, &e, &err);

		n_unknown += status == FRAME_UNKNOWN && e.seq && e.reason.n;
		n_wrong += status != FRAME_UNKNOWN && status != FRAME_OK;
		for (uint32_t i = 0; i < e.n_ops; i++)
			n_wrong += e.ops[i].verdict != OP_VERDICT_OK;
	}
	ok(n == n_expected && n_unknown == n_unknown_expected && !n_wrong,
		"%s: %zu frames are sound, %zu of them of unknown type", name, n, n_unknown);
	arena_done(&arena);
	recording_done(&r);
}

/* First frame of a recording. */
static void first_frame(const char *name, enum frame_status status, const char *reason)
{
	struct recording r;
	struct arena arena = ARENA_INIT;
	struct slice frame;
	struct event e;
	struct err err;

	if (!recording_open(name, &r)) {
		skip("%s: no recording here", name);
		return;
	}
	ok(recording_next(&r, &frame) && decode(frame, now_us, &arena, &e, &err) == status &&
			slice_is(e.reason, reason),
		"%s begins with %s", name, reason);
	arena_done(&arena);
	recording_done(&r);
}

int main(void)
{
	synth_is_jetstream();
	recording_is_sound("frames/synth.frames", 3000, 3);
	recording_is_sound("frames/pds.frames", 4172, 0);
	first_frame("fixtures/pds-edge/pds-future.frames", FRAME_ERROR, "FutureCursor");
	first_frame("fixtures/pds-edge/pds-text.frames", FRAME_ERROR, "InternalServerError");
	first_frame("fixtures/pds-edge/pds-outdated-cursor.frames", FRAME_INFO, "OutdatedCursor");
	return done();
}
