/* SPDX-License-Identifier: MIT
 *
 * decode - what our decoders say of each line of standard input, for tests/differential/compare.mjs
 *
 * A line is KIND HEX; the answer is a line: "no", or "ok" and what was understood.
 */
#include "codec/car.h"
#include "codec/cbor.h"
#include "codec/datetime.h"
#include "codec/json.h"
#include "codec/syntax.h"
#include "codec/tid.h"
#include "domain/event.h"

#include <stdio.h>
#include <stdlib.h>

static struct arena arena;

static void print_cid(const uint8_t *digest)
{
	struct cid cid = { .codec = CID_DAG_CBOR };
	char text[CID_TEXT + 1];

	memcpy(cid.digest, digest, CID_DIGEST);
	cid_to_text(&cid, text);
	printf(" %s", text);
}

/* Its CID, and its JSON where that says everything. */
static void do_cbor(struct slice s)
{
	uint8_t digest[CID_DIGEST];
	struct buf json = BUF_INIT;
	enum json_status status;

	if (cbor_check(s, &arena) != CBOR_OK) {
		puts("no");
		return;
	}
	sha256(s, digest);
	status = json_from_cbor(s, &json);
	fputs("ok", stdout);
	print_cid(digest);
	printf(" %s\n", status == JSON_OK ? buf_str(&json) : "inexact");
	buf_done(&json);
}

/* Root, then each block's CID and size. */
static void do_car(struct slice s)
{
	struct buf out = BUF_INIT;
	char text[CID_TEXT + 1];
	enum car_status status;
	struct slice block;
	struct car car;
	struct cid cid;

	status = car_open(s, &arena, &car);
	if (status == CAR_OK) {
		cid_to_text(&car.root, text);
		buf_add_str(&out, text);
		while ((status = car_next(&car, &cid, &block)) == CAR_OK) {
			cid_to_text(&cid, text);
			buf_printf(&out, " %s:%zu", text, block.n);
		}
	}
	if (status == CAR_END)
		printf("ok %s\n", buf_str(&out));
	else
		puts("no");
	buf_done(&out);
}

static void print_ops(const struct event *e)
{
	for (uint32_t i = 0; i < e->n_ops; i++) {
		const struct op *op = &e->ops[i];

		printf(" %s %.*s/%.*s", op_action_name(op->action), SLICE_ARG(op->collection), SLICE_ARG(op->rkey));
		if (op->verdict != OP_VERDICT_OK)
			printf(" %s", op_verdict_name(op->verdict));
		else if (op->action != OP_DELETE)
			print_cid(op->cid);
		printf(" %zu", op->record.n);
	}
}

/* A commit: account, rev, commit, root, operations; others: their kind. */
static void do_frame(struct slice s)
{
	char rev[TID_TEXT + 1];
	struct event e;
	struct err err;

	if (event_from_frame(s, INT64_MAX / 2, &arena, &e, &err) != FRAME_OK) {
		puts("no");
		return;
	}
	printf("ok %s %llu %.*s", event_kind_name(e.kind), (unsigned long long)e.seq, SLICE_ARG(e.did));
	if (e.kind == EVENT_COMMIT || e.kind == EVENT_SYNC) {
		tid_format(e.rev, rev);
		printf(" %s", rev);
		print_cid(e.commit_cid);
		print_cid(e.data);
	}
	print_ops(&e);
	putchar('\n');
}

static bool is_tid(struct slice s)
{
	uint64_t value;

	return tid_parse(s, &value);
}

static bool is_datetime(struct slice s)
{
	int64_t us;

	return datetime_parse(s, &us);
}

static bool is_uri(struct slice s)
{
	struct aturi uri;

	return aturi_parse(s, &uri);
}

static const struct {
	const char *kind;
	void (*tell)(struct slice s);
	bool (*valid)(struct slice s);
} kinds[] = {
	{ "cbor", do_cbor, NULL },
	{ "car", do_car, NULL },
	{ "frame", do_frame, NULL },
	{ "did", NULL, did_valid },
	{ "handle", NULL, handle_valid },
	{ "nsid", NULL, nsid_valid },
	{ "rkey", NULL, rkey_valid },
	{ "tid", NULL, is_tid },
	{ "datetime", NULL, is_datetime },
	{ "aturi", NULL, is_uri },
};

static void answer(const char *kind, struct slice s)
{
	arena_reset(&arena);
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		if (strcmp(kinds[i].kind, kind) != 0)
			continue;
		if (kinds[i].tell)
			kinds[i].tell(s);
		else
			puts(kinds[i].valid(s) ? "ok" : "no");
		return;
	}
	puts("unknown kind");
}

static unsigned hex_value(char c)
{
	return (unsigned)(c >= 'a' ? c - 'a' + 10 : c - '0');
}

int main(void)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	while ((n = getline(&line, &size, stdin)) > 0) {
		char *hex = strchr(line, ' ');
		size_t n_bytes = 0;
		uint8_t *bytes;

		line[n - 1] = 0;
		if (!hex)
			return EXIT_FAILURE;
		*hex++ = 0;
		bytes = malloc(strlen(hex) / 2 + 1);
		for (; hex[0] && hex[1]; hex += 2)
			bytes[n_bytes++] = (uint8_t)(hex_value(hex[0]) << 4 | hex_value(hex[1]));
		answer(line, slice_of(bytes, n_bytes));
		free(bytes);
	}
	free(line);
	return EXIT_SUCCESS;
}
