/* SPDX-License-Identifier: MIT
 *
 * The reader's judgement of positions and malformed frames: scripts of frames, one connection each,
 * and what is packed in the end.
 */
#include "base/arena.h"
#include "base/log.h"
#include "codec/pack.h"
#include "domain/event.h"
#include "workers/reader_source.h"
#include "tests/unit/tap.h"

#include <inttypes.h>

/* frames: N = #identity with that seq, uN = unknown type, O = #info OutdatedCursor, F = error
 * FutureCursor, S = error ConsumerTooSlow, x = garbage, y = other garbage, t = text message. fates:
 * one letter each: o = ok, d = drop the connection, h = halt, l = live is here. */
static const struct position {
	const char *claim;
	uint64_t epoch;
	struct stream_id head;
	const char *start, *cursor, *frames, *fates, *packed;
	bool proven;
} positions[] = {
	{ "an exclusive host that repeats the head is proven", 1, { 1, 10 }, "live", "9",
		"10 11 12", "ooo", "11:identity 12:identity", true },
	{ "an inclusive host may send head - 1 first", 1, { 1, 10 }, "live", "9", "9 10 11", "ooo",
		"11:identity", true },
	{ "a first frame above the head is a gap", 1, { 1, 10 }, "live", "9", "12 13", "oo",
		"12:gap(1-10 12 unproven) 12:identity 13:identity", true },
	{ "so is head - 1 without the head", 1, { 1, 10 }, "live", "9", "9 11", "oo",
		"11:gap(1-10 11 unproven) 11:identity", true },
	{ "the gap tells what #info said", 1, { 1, 10 }, "live", "9", "O 12", "oo",
		"12:gap(1-10 12 OutdatedCursor) 12:identity", true },
	{ "an unknown frame carries a gap, too", 1, { 1, 10 }, "live", "9", "u12", "o",
		"12:gap(1-10 12 unproven) 12:skip", true },
	{ "a first frame below head - 1 halts", 1, { 1, 10 }, "live", "9", "8", "h", "", false },
	{ "FutureCursor halts", 1, { 1, 10 }, "live", "9", "F", "h", "", false },
	{ "other error frames drop the connection", 1, { 1, 10 }, "live", "9", "10 11 S", "ood",
		"11:identity", true },
	{ "a falling seq drops the connection", 1, { 1, 10 }, "live", "9", "10 11 11", "ood",
		"11:identity", true },
	{ "the head twice drops the connection", 1, { 1, 10 }, "live", "9", "10 10", "od", "",
		true },
	{ "holes between seqs are legal", 1, { 1, 10 }, "live", "9", "10 500 9007199254740991",
		"ooo", "500:identity 9007199254740991:identity", true },
	{ "a head of 1 is asked for with cursor 0", 1, { 1, 1 }, "live", "0", "1 2", "oo",
		"2:identity", true },
	{ "a new installation asks without a cursor where live is, and takes nothing yet", 1, { 0, 0 }, "live", "none",
		"O u77", "ol", "", false },
	{ "it begins there, under an epoch of its own", 2, { 0, 0 }, "77", "76", "77 78", "oo",
		"77:identity 78:identity", true },
	{ "and must see that frame, whatever it had read when all but the epoch was lost", 2, { 0, 0 }, "77", "76", "80",
		"o", "80:gap(2-76 80 unproven) 80:identity", true },
	{ "live after another database's events is a gap", 2, { 1, 10 }, "live", "none", "77 78", "oo",
		"77:gap(1-10 77 new_epoch) 77:identity 78:identity", true },
	{ "or at the oldest", 1, { 0, 0 }, "oldest", "0", "O 500", "oo", "500:identity", true },
	{ "or at a seq, and drops what an inclusive host sends before", 1, { 0, 0 }, "100", "99",
		"99 100 101", "ooo", "100:identity 101:identity", true },
	{ "whose beginning is missing if the host says so", 1, { 0, 0 }, "100", "99", "O 150", "oo",
		"150:gap(1-99 150 OutdatedCursor) 150:identity", true },
	{ "an epoch at another host does not meet the one before", 2, { 1, 10 }, "oldest", "0",
		"5 6", "oo", "5:gap(1-10 5 new_epoch) 5:identity 6:identity", true },
	{ "a rewound epoch does", 2, { 1, 10 }, "5", "4", "5 6", "oo", "5:identity 6:identity",
		true },
	{ "one begun at a frame of another host must see that again", 2, { 1, 10 }, "500", "499", "500 501", "oo",
		"500:identity 501:identity", true },
	{ "also if that host is inclusive", 2, { 1, 10 }, "500", "499", "499 500 501", "ooo",
		"500:identity 501:identity", true },
	{ "or there is a gap, even if nobody announces it", 2, { 1, 10 }, "500", "499", "502", "o",
		"502:gap(2-499 502 unproven) 502:identity", true },
	{ "far below it halts", 2, { 1, 10 }, "500", "499", "7", "h", "", false },
	{ "rewound to the oldest there is nothing to see again", 2, { 1, 10 }, "0", "0", "5", "o", "5:identity",
		true },
	{ "unknown frames move the head, together", 1, { 1, 10 }, "live", "9", "10 11 u12 u13",
		"oooo", "11:identity 13:skip", true },
	{ "and are not packed if something follows", 1, { 1, 10 }, "live", "9", "10 u11 12", "ooo",
		"12:identity", true },
};

static struct stats_slot stats;

static void text(struct buf *b, const char *s)
{
	size_t n = strlen(s);

	buf_u8(b, (uint8_t)(n < 24 ? 0x60 + n : 0x78));
	if (n >= 24)
		buf_u8(b, (uint8_t)n);
	buf_add_str(b, s);
}

static void number(struct buf *b, uint64_t v)
{
	if (v < 24) {
		buf_u8(b, (uint8_t)v);
	} else if (v < 256) {
		buf_u8(b, 0x18);
		buf_u8(b, (uint8_t)v);
	} else if (v < 65536) {
		buf_u8(b, 0x19);
		buf_be16(b, (uint16_t)v);
	} else {
		buf_u8(b, 0x1b);
		buf_be64(b, v);
	}
}

/* {t: type, op: 1} and a body of one text field. */
static void notice(struct buf *b, const char *type, const char *field, const char *value)
{
	buf_u8(b, type ? 0xa2 : 0xa1);
	if (type) {
		text(b, "t");
		text(b, type);
	}
	text(b, "op");
	buf_u8(b, type ? 0x01 : 0x20);
	buf_u8(b, 0xa1);
	text(b, field);
	text(b, value);
}

static void numbered(struct buf *b, const char *type, uint64_t seq)
{
	buf_u8(b, 0xa2);
	text(b, "t");
	text(b, type);
	text(b, "op");
	buf_u8(b, 0x01);
	buf_u8(b, 0xa3);
	text(b, "did");
	text(b, "did:plc:ewvi7nxzyoun6zhxrhs64oiz");
	text(b, "seq");
	number(b, seq);
	text(b, "time");
	text(b, "2026-01-02T03:04:05.678Z");
}

/* Feeds one word of a script; its fate as a letter. */
static char feed(struct reader_source *s, const char *word)
{
	struct buf b = BUF_INIT;
	struct err err;
	enum source_fate fate;

	if (*word == 'O')
		notice(&b, "#info", "name", "OutdatedCursor");
	else if (*word == 'F' || *word == 'S')
		notice(&b, NULL, "error", *word == 'F' ? "FutureCursor" : "ConsumerTooSlow");
	else if (*word == 'u')
		numbered(&b, "#novelty", strtoull(word + 1, NULL, 10));
	else if (*word == 'x' || *word == 'y' || *word == 't')
		buf_printf(&b, "\377garbage %c", *word);
	else
		numbered(&b, "#identity", strtoull(word, NULL, 10));
	fate = reader_source_message(s, buf_slice(&b), *word != 't', &err);
	buf_done(&b);
	return "odhl"[fate];
}

/* Feeds a script; writes the fates. */
static void play(struct reader_source *s, const char *frames, char *ret_fates)
{
	char copy[200], *rest = copy;

	snprintf(copy, sizeof copy, "%s", frames);
	for (char *word; (word = strsep(&rest, " ")) != NULL;)
		*ret_fates++ = feed(s, word);
	*ret_fates = '\0';
}

static void tell_event(const struct event *e, struct buf *out)
{
	buf_printf(out, "%s%" PRIu64 ":%s", out->n ? " " : "", e->seq, event_kind_name(e->kind));
	if (e->kind == EVENT_GAP)
		buf_printf(out, "(%" PRIu64 "-%" PRIu64 " %" PRIu64 " %.*s)", e->gap_after_epoch,
			e->gap_after_seq, e->gap_first_seq, SLICE_ARG(e->reason));
}

/* Everything packed, as text; false if a pack is broken or the chain is. */
static bool tell_packed(
	struct reader_pack *p, struct stream_id head, uint64_t ordinal, struct buf *out)
{
	struct arena arena = ARENA_INIT;
	bool sound = true;

	reader_pack_close_all(p);
	buf_reset(out);
	for (const struct packed *x = p->first; x; x = x->next) {
		struct pack pack;
		struct pack_event pe;
		struct event e;
		struct err err;

		sound &= pack_open(buf_slice(&x->bytes), &pack) == PACK_OK;
		sound &= pack.prefix.prev_epoch == head.epoch && pack.prefix.prev_seq == head.seq &&
			 pack.prefix.first_ordinal == ordinal && pack.prefix.last_seq == x->id.seq;
		while (pack_next(&pack, &pe) == PACK_OK) {
			sound &= event_decode(pe.kind, pe.flags, pe.seq, pe.payload, &arena, &e,
					 &err) == 0;
			tell_event(&e, out);
		}
		head = x->id;
		ordinal += x->n_events;
	}
	arena_done(&arena);
	buf_str(out);
	return sound;
}

static struct stream_state state_of(uint64_t epoch, struct stream_id head, const char *start)
{
	struct stream_state state = {
		.head = head, .epoch = epoch, .next_ordinal = 1000, .next_byte = 5
	};

	snprintf(state.start, sizeof state.start, "%s", start);
	return state;
}

static void test_positions(const struct conf *conf)
{
	for (size_t i = 0; i < sizeof positions / sizeof *positions; i++) {
		const struct position *c = &positions[i];
		struct stream_state state = state_of(c->epoch, c->head, c->start);
		struct reader_pack pack;
		struct reader_source *s = reader_source_new(conf, &stats, &pack);
		struct buf packed = BUF_INIT;
		char cursor[32] = "none", fates[100];
		uint64_t n;
		bool same;

		reader_pack_init(&pack);
		reader_pack_reset(&pack, &state);
		if (reader_source_begin(s, &state, &n))
			snprintf(cursor, sizeof cursor, "%" PRIu64, n);
		play(s, c->frames, fates);
		same = tell_packed(&pack, c->head, 1000, &packed) &&
		       strcmp(cursor, c->cursor) == 0 && strcmp(fates, c->fates) == 0 &&
		       strcmp((char *)packed.p, c->packed) == 0 &&
		       reader_source_proven(s) == c->proven;
		if (!ok(same, "%s", c->claim))
			printf("# cursor %s, fates %s, packed %s\n", cursor, fates,
				(char *)packed.p);
		reader_source_free(s);
		reader_pack_done(&pack);
		buf_done(&packed);
	}
}

/* One connection after the other from the same head, as after a drop; what the last one packed. */
static bool reconnects(const struct conf *conf, const char *const *scripts,
	const char *const *fates, const char *want)
{
	struct stream_state state = state_of(1, (struct stream_id){ 1, 10 }, "live");
	struct reader_pack pack;
	struct reader_source *s = reader_source_new(conf, &stats, &pack);
	struct buf packed = BUF_INIT;
	bool same = true;
	char got[100];
	uint64_t cursor;

	reader_pack_init(&pack);
	for (int i = 0; scripts[i]; i++) {
		reader_pack_reset(&pack, &state);
		reader_source_begin(s, &state, &cursor);
		play(s, scripts[i], got);
		same &= strcmp(got, fates[i]) == 0;
	}
	same &= tell_packed(&pack, state.head, 1000, &packed) &&
		strcmp((char *)packed.p, want) == 0;
	if (!same)
		printf("# packed %s\n", (char *)packed.p);
	reader_source_free(s);
	reader_pack_done(&pack);
	buf_done(&packed);
	return same;
}

static void test_malformed(const struct conf *conf)
{
	static const char *const once[] = { "10 11 x", "10 11 x", "10 11 x 12", NULL };
	static const char *const both[] = { "10 x", "10 x", "10 x y", "10 x y", "10 x y 11", NULL };
	static const char *const same[] = { "10 t", "10 t", "10 t t 11", NULL };
	static const char *const tail[] = { "10 11 x", "10 11 x", "10 11 x", NULL };

	ok(reconnects(conf, once, (const char *const[]){ "ood", "ood", "oooo" },
		   "11:identity 11:bad 12:identity"),
		"the third time a malformed frame rides in front of the next good one");
	ok(reconnects(conf, both, (const char *const[]){ "od", "od", "ood", "ood", "oooo" },
		   "10:bad 10:bad 11:identity"),
		"two malformed frames in a row are both overcome");
	ok(reconnects(
		   conf, same, (const char *const[]){ "od", "od", "oooo" }, "10:bad 11:identity"),
		"a text message is malformed; repeated at one place it rides once");
	ok(reconnects(conf, tail, (const char *const[]){ "ood", "ood", "ooo" }, "11:identity"),
		"without a good frame behind it nothing is packed");
}

static void test_big(const struct conf *conf)
{
	static const uint8_t first[100];
	struct stream_state state = state_of(1, (struct stream_id){ 1, 10 }, "live");
	struct reader_pack pack;
	struct reader_source *s = reader_source_new(conf, &stats, &pack);
	struct buf packed = BUF_INIT;
	bool patient = true;
	struct err err;
	uint64_t cursor;

	reader_pack_init(&pack);
	for (int i = 0; i < 2; i++) {
		reader_pack_reset(&pack, &state);
		reader_source_begin(s, &state, &cursor);
		patient &= !reader_source_skips_big(s) && feed(s, "10") == 'o';
		reader_source_too_big(s);
	}
	ok(patient && reader_source_skips_big(s),
		"after two drops a message too big is to be skipped");
	reader_pack_reset(&pack, &state);
	reader_source_begin(s, &state, &cursor);
	ok(feed(s, "10") == 'o' &&
			reader_source_big(s, slice_of(first, sizeof first), 9000000, &err) ==
				SOURCE_OK &&
			feed(s, "11") == 'o' && tell_packed(&pack, state.head, 1000, &packed) &&
			strcmp((char *)packed.p, "10:bad 11:identity") == 0,
		"then it rides with its first bytes");
	ok(reader_source_big(s, slice_of(first, sizeof first), 9000000, &err) == SOURCE_DROP,
		"at another place it is another one");
	reader_source_free(s);
	reader_pack_done(&pack);
	buf_done(&packed);
}

int main(void)
{
	struct buf problems = BUF_INIT;
	struct conf *conf = conf_parse(slice_str(""), "defaults", &problems);

	log_init("", LOG_ERROR);
	if (ok(conf != NULL, "the defaults are a configuration")) {
		test_positions(conf);
		test_malformed(conf);
		test_big(conf);
	}
	conf_free(conf);
	buf_done(&problems);
	return done();
}
