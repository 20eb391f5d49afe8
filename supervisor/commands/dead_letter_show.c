/* SPDX-License-Identifier: MIT */
#include "supervisor/commands/dead_letter.h"

#include "base/clock.h"
#include "codec/cbor.h"
#include "codec/json.h"
#include "codec/tid.h"
#include "supervisor/commands/report.h"
#include "supervisor/exit_codes.h"

#include <inttypes.h>
#include <stdio.h>

enum { MAX_DUMP = 4096 };

/* ---- an event as JSON ---- */

/* A member with its comma before it; what is no UTF-8 is shown as hexadecimal digits. */
static void put_text(struct buf *out, const char *name, struct slice s)
{
	buf_printf(out, ", \"%s\": ", name);
	if (utf8_valid(s)) {
		(void)json_put_string(out, s);
		return;
	}
	buf_add_str(out, "\"0x");
	for (size_t i = 0; i < s.n; i++)
		buf_printf(out, "%02x", s.p[i]);
	buf_add_str(out, "\"");
}

static void put_cid(struct buf *out, const char *name, const uint8_t digest[CID_DIGEST])
{
	struct cid cid = { .codec = CID_DAG_CBOR };
	char text[CID_TEXT + 1];

	memcpy(cid.digest, digest, CID_DIGEST);
	cid_to_text(&cid, text);
	buf_printf(out, ", \"%s\": \"%s\"", name, text);
}

static void put_tid(struct buf *out, const char *name, uint64_t tid)
{
	char text[TID_TEXT + 1];

	tid_format(tid, text);
	buf_printf(out, ", \"%s\": \"%s\"", name, text);
}

/* The record as JSON; false, with out as before, if it is no DAG-CBOR that can be shown so. */
static bool put_record(struct buf *out, struct slice record, struct arena *arena)
{
	size_t n = out->n;
	enum json_status status;

	if (cbor_check(record, arena) != CBOR_OK)
		return false;
	status = json_from_cbor(record, out);
	if (status != JSON_OK && status != JSON_INEXACT)
		out->n = n;
	return out->n > n;
}

static void put_op(struct buf *out, const struct op *op, struct arena *arena)
{
	buf_printf(out, "{\"action\": \"%s\"", op_action_name((enum op_action)op->action));
	put_text(out, "collection", op->collection);
	put_text(out, "rkey", op->rkey);
	buf_printf(out, ", \"verdict\": \"%s\"", op_verdict_name((enum op_verdict)op->verdict));
	if (op->action != OP_DELETE)
		put_cid(out, "cid", op->cid);
	if (op->record.n) {
		buf_add_str(out, ", \"record\": ");
		if (!put_record(out, op->record, arena))
			buf_printf(out, "\"%zu bytes that are no DAG-CBOR\"", op->record.n);
	}
	buf_add_str(out, "}");
}

static void put_commit(struct buf *out, const struct event *e, struct arena *arena)
{
	put_tid(out, "rev", e->rev);
	if (e->since)
		put_tid(out, "since", e->since);
	put_cid(out, "commit", e->commit_cid);
	put_cid(out, "data", e->data);
	buf_add_str(out, ", \"ops\": [");
	for (uint32_t i = 0; i < e->n_ops; i++) {
		buf_add_str(out, i ? ",\n  " : "\n  ");
		put_op(out, &e->ops[i], arena);
	}
	buf_add_str(out, "]");
}

static void put_event(struct buf *out, const struct event *e, struct arena *arena)
{
	buf_printf(out, "{\"kind\": \"%s\", \"seq\": %" PRIu64 ", \"time_us\": %" PRId64,
		event_kind_name(e->kind), e->seq, e->time_us);
	if (e->did.n)
		put_text(out, "did", e->did);
	if (e->kind == EVENT_COMMIT)
		put_commit(out, e, arena);
	if (e->kind == EVENT_SYNC) {
		put_tid(out, "rev", e->rev);
		put_cid(out, "data", e->data);
	}
	if (e->kind == EVENT_IDENTITY && e->has_handle)
		put_text(out, "handle", e->handle);
	if (e->kind == EVENT_ACCOUNT) {
		buf_printf(out, ", \"active\": %s", e->active ? "true" : "false");
		put_text(out, "status", e->status);
	}
	if (e->reason.n)
		put_text(out, "reason", e->reason);
	buf_add_str(out, "}");
}

/* ---- any bytes ---- */

static void dump_line(struct slice s, size_t at)
{
	size_t n = s.n - at < 16 ? s.n - at : 16;

	printf("%08zx ", at);
	for (size_t i = 0; i < 16; i++)
		if (i < n)
			printf(" %02x", s.p[at + i]);
		else
			printf("   ");
	printf("  |");
	for (size_t i = 0; i < n; i++)
		putchar(s.p[at + i] >= ' ' && s.p[at + i] < 0x7f ? s.p[at + i] : '.');
	printf("|\n");
}

static void dump(struct slice s)
{
	size_t n = s.n < MAX_DUMP ? s.n : MAX_DUMP;

	for (size_t at = 0; at < n; at += 16)
		dump_line(s, at);
	if (n < s.n)
		printf("... and %zu bytes more (--raw writes all of them)\n", s.n - n);
}

/* ---- a letter ---- */

/* Appends what the bytes mean; false if that cannot be told. */
static bool put_meaning(struct buf *out, const struct letter *l, struct arena *arena)
{
	struct slice bytes = buf_slice(&l->bytes);
	struct event e;
	struct err err;

	if (strcmp(l->class, "data") == 0) {
		if (letter_event(bytes, arena, &e, &err) < 0)
			return false;
	} else if (strcmp(l->class, "bad") == 0) {
		if (event_from_frame(bytes, clock_wall_us(), arena, &e, &err) != FRAME_OK)
			return false;
	} else {
		return put_record(out, bytes, arena);
	}
	put_event(out, &e, arena);
	return true;
}

static void print_letter(const struct letter *l)
{
	struct arena arena = ARENA_INIT;
	struct buf out = BUF_INIT;

	printf("%-12s%s\n", "id", l->id);
	for (int col = 0; col < n_letter_columns; col++) {
		const char *text = pg_text(l->row, 0, col);

		if (text)
			printf("%-12s%s\n", letter_columns[col], text);
	}
	printf("%-12s%zu\n", "bytes", l->bytes.n);
	if (put_meaning(&out, l, &arena))
		printf("%s\n", buf_str(&out));
	else
		dump(buf_slice(&l->bytes));
	buf_done(&out);
	arena_done(&arena);
}

static enum pg_class print_all(struct pg *pg, const struct letter_choice *choice, bool raw, struct err *err)
{
	struct letter l = { 0 };
	enum pg_class class = letter_next(pg, choice, &l, err);
	bool first = true;

	while (class == PG_OK && l.row) {
		if (raw) {
			fwrite(l.bytes.p, 1, l.bytes.n, stdout);
		} else {
			printf("%s", first ? "" : "\n");
			print_letter(&l);
		}
		first = false;
		class = letter_next(pg, choice, &l, err);
	}
	letter_done(&l);
	return class;
}

int dead_letter_show(struct pg *pg, const struct letter_choice *choice, bool raw)
{
	struct err err;
	long n = 0;
	enum pg_class class = letter_count(pg, choice, &n, &err);

	if (class == PG_OK && n == 0)
		return letter_none();
	if (class == PG_OK && raw && n > 1) {
		fprintf(stderr, "standpipe dead-letter: %ld dead letters are meant, --raw writes one: name it by its id\n", n);
		return EXIT_CHECK;
	}
	if (class == PG_OK)
		class = print_all(pg, choice, raw, &err);
	if (class != PG_OK)
		return report_fail("dead-letter", class, &err);
	if (fflush(stdout) == 0)
		return EXIT_DONE;
	perror("standpipe dead-letter");
	return EXIT_CHECK;
}
