/* SPDX-License-Identifier: MIT
 *
 * What the module stream does when Redis, PostgreSQL, a foreigner or the network misbehaves.
 */
#include "tests/integration/stream_fixture.h"

#include <fcntl.h>

/* True if the call brought STREAM_E_DOWN, the connection is gone, and connecting again works. */
static bool down_and_back(struct stream_fixture *f, enum stream_status status)
{
	struct err ignored;
	struct stream_state state;

	return status == STREAM_E_DOWN &&
		stream_get_state(f->s, &state, &ignored) == STREAM_E_DOWN &&
		stream_connect(f->s, &ignored) == STREAM_OK;
}

static void test_full(struct stream_fixture *f)
{
	struct stream_watermark w;
	uint64_t trimmed;

	fresh(f, 0);
	append(f, 10, 1000);
	deliver(f, "w0", 5);
	direct(f, "CONFIG SET maxmemory 100kb");
	ok(append(f, 3, 1000) == STREAM_E_FULL && entries_there(f) == 10,
		"over maxmemory an append is refused whole: %s", f->err.text);
	ok(deliver(f, "w0", 5) == 5 && ack(f, "w0", generation(f), 10, 100) == 10,
		"reading and acking go on");
	w = watermark(f);
	ok(stream_trim(f->s, &w, 0, 0, &trimmed, &f->err) == STREAM_OK && trimmed == 9,
		"so does trimming");
	direct(f, "XGROUP DESTROY events g");
	f->base.watermark = w.id;
	ok(prepare(f) == PREPARED_NEW, "and healing");
	direct(f, "CONFIG SET maxmemory 64mb");
	ok(append(f, 3, 1000) == STREAM_OK && entries_there(f) == 4,
		"with memory again the same packs go in");
}

static void test_noscript(struct stream_fixture *f)
{
	fresh(f, 0);
	append(f, 1, 1000);
	direct(f, "SCRIPT FLUSH");
	ok(append(f, 2, 1000) == STREAM_OK && entries_there(f) == 3,
		"an append heals SCRIPT FLUSH itself");
	direct(f, "SCRIPT FLUSH");
	ok(deliver(f, "w0", 3) == 3 && ack(f, "w0", generation(f), 10, 30) == 3,
		"so do the other scripts");
}

/* Nothing but n entries under the stream's name: no second name, no second group. */
static bool as_before(struct stream_fixture *f, long long n)
{
	return entries_there(f) == n && direct(f, "EXISTS events:append")->integer == 0 &&
		direct(f, "XINFO GROUPS events")->elements == 1;
}

/* What a writer that is refused leaves, and where in the transaction it may be refused. */
static void test_gate(struct stream_fixture *f)
{
	struct stream_id stale;
	enum stream_status status;

	fresh(f, 0);
	append(f, 1, 1000);
	stale = f->head;
	append(f, 2, 1000);
	ok(as_before(f, 3), "an append leaves no second name and no second group");
	f->head = stale;
	ok(append(f, 2, 1000) == STREAM_E_MOVED && as_before(f, 3), "nor does one that is refused");
	direct(f, "SCRIPT FLUSH");
	ok(append(f, 2, 1000) == STREAM_E_MOVED && as_before(f, 3),
		"a writer with a stale head adds nothing when Redis has forgotten the script");
	f->head.seq += 2 * EVENTS;
	direct(f, "SET events:append x");
	status = append(f, 2, 1000);
	ok(status == STREAM_E_UNPREPARED && strstr(f->err.text, "DEL or RENAME") && entries_there(f) == 3,
		"a key in the way: refused, with what to do: %s", f->err.text);
	direct(f, "DEL events:append");
	direct(f, "XGROUP CREATE events events:append 0");
	status = append(f, 2, 1000);
	ok(status == STREAM_E_DOWN && strstr(f->err.text, "XGROUP DESTROY") && entries_there(f) == 3,
		"a group in the way: the same: %s", f->err.text);
	direct(f, "XGROUP DESTROY events events:append");
	ok(stream_connect(f->s, &f->err) == STREAM_OK && append(f, 1, 1000) == STREAM_OK && as_before(f, 4),
		"without them it goes on");
}

/* A right is missing for one command of the transaction: before it runs, or within the script. */
static void test_gate_rights(struct stream_fixture *f)
{
	static const char *const commands[] = { "multi", "exec", "xadd", "renamenx", "xgroup|create", "hset" };

	fresh(f, 0);
	append(f, 1, 1000);
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		enum stream_status status;

		direct(f, "ACL SETUSER default -%s", commands[i]);
		status = append(f, 2, 1000);
		direct(f, "ACL SETUSER default +@all");
		ok(status == STREAM_E_DOWN && strstr(f->err.text, "ACL SETUSER") &&
				stream_connect(f->s, &f->err) == STREAM_OK && as_before(f, 1),
			"without the right to %s nothing is added and the stream keeps its name: %s", commands[i],
			f->err.text);
	}
	ok(append(f, 2, 1000) == STREAM_OK && as_before(f, 3), "with all rights the same packs go in");
}

static void test_reply_lost(struct stream_fixture *f)
{
	struct stream_state state;

	fresh(f, 0);
	append(f, 1, 1000);
	f->stop_when_sent = true;
	ok(append(f, 2, 1000) == STREAM_E_STOP,
		"a stop while the reply is awaited is told as stop");
	f->stop = f->stop_when_sent = false;
	ok(append(f, 2, 1000) == STREAM_E_DOWN,
		"and the connection with the half-read reply is gone");
	ok(stream_connect(f->s, &f->err) == STREAM_OK && append(f, 2, 1000) == STREAM_E_MOVED &&
			entries_there(f) == 3,
		"sending blindly again is refused: the append had been done, nothing is doubled");
	ok(stream_get_state(f->s, &state, &f->err) == STREAM_OK && is_id(state.head, 1, 30),
		"the head says what was appended");
	direct(f, "CLIENT KILL TYPE normal SKIPME yes");
	ok(down_and_back(f, stream_get_state(f->s, &state, &f->err)),
		"a cut connection is told as down: %s", f->err.text);
}

static void test_stopped_redis(struct stream_fixture *f)
{
	struct stream *patient = f->s;
	int64_t begin_us, took_us;
	struct stream_state state;
	enum stream_status status;

	fresh(f, 0);
	f->s = open_stream(f, f->url, NULL, 200000);
	ok(stream_connect(f->s, &f->err) == STREAM_OK && prepare(f) == PREPARED_SAME,
		"a second connection");
	kill(f->redis, SIGSTOP);
	begin_us = clock_mono_us();
	status = stream_get_state(f->s, &state, &f->err);
	took_us = clock_mono_us() - begin_us;
	ok(status == STREAM_E_DOWN && took_us >= 200000 && took_us < 5000000,
		"a stopped Redis is down at the deadline: %s", f->err.text);
	kill(f->redis, SIGCONT);
	ok(stream_connect(f->s, &f->err) == STREAM_OK &&
			stream_get_state(f->s, &state, &f->err) == STREAM_OK,
		"going on, it is used again");
	stream_free(f->s);
	f->s = patient;
}

static void test_replies(struct stream_fixture *f)
{
	struct stream_state state;
	struct stream_entries e;

	fresh(f, 0);
	direct(f, "REPLICAOF 127.0.0.1 1");
	ok(down_and_back(f, append(f, 1, 1000)) && strstr(f->err.text, "master"),
		"a replica is down: %s", f->err.text);
	direct(f, "REPLICAOF NO ONE");
	direct(f, "DEL events events:meta");
	direct(f, "SET events junk");
	direct(f, "HSET events:meta next_ordinal 0 next_byte 0");
	ok(down_and_back(f, stream_get_state(f->s, &state, &f->err)) &&
			strstr(f->err.text, "rename"),
		"a key of another type is down: %s", f->err.text);
	fresh(f, 0);
	ok(stream_read_send(f->s, "w0", 1, 30000, &f->err) == STREAM_OK, "a blocking read is sent");
	direct(f, "DEL events");
	ok(stream_read_result(f->s, &e, &f->err) == STREAM_E_NOGROUP,
		"the stream deleted under it is nogroup");
}

static void test_password(struct stream_fixture *f)
{
	struct stream *usual = f->s;
	char url[256], path[96];
	struct stream_state state;
	int fd;

	fresh(f, 0);
	snprintf(path, sizeof path, "%s/password", f->dir);
	snprintf(url, sizeof url, "%s?db=0", f->url);
	direct(f, "CONFIG SET requirepass s3cret-word");
	f->s = open_stream(f, url, NULL, 0);
	ok(stream_connect(f->s, &f->err) == STREAM_E_DOWN &&
			strstr(f->err.text, "redis.password_file"),
		"a missing password is told with the way out: %s", f->err.text);
	stream_free(f->s);
	f->s = open_stream(f, url, path, 0);
	ok(stream_connect(f->s, &f->err) == STREAM_E_DOWN && strstr(f->err.text, path),
		"a missing password file is named");
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ok(write(fd, "wr0ng-word\n", 11) == 11 && stream_connect(f->s, &f->err) == STREAM_E_DOWN &&
			!strstr(f->err.text, "wr0ng-word") && strstr(f->err.text, "WRONGPASS"),
		"a wrong password is refused and not repeated: %s", f->err.text);
	ok(pwrite(fd, "s3cret-word\n", 12, 0) == 12 && stream_connect(f->s, &f->err) == STREAM_OK &&
			stream_get_state(f->s, &state, &f->err) == STREAM_OK,
		"the right one works without a restart");
	close(fd);
	stream_free(f->s);
	direct(f, "CONFIG SET requirepass %s", "");
	f->s = usual;
}

static void test_urls(struct stream_fixture *f)
{
	static const struct {
		const char *url, *address;
	} rows[] = {
		{ "redis://127.0.0.1", "redis://127.0.0.1:6379/0" },
		{ "redis://:p%40ss@localhost:7000/3", "redis://localhost:7000/3" },
		{ "redis://user:word@[::1]:6380", "redis://[::1]:6380/0" },
		{ "unix:///run/redis.sock?db=2", "unix:///run/redis.sock" },
		{ "rediss://127.0.0.1", NULL },
		{ "redis://:secret@", NULL },
		{ "redis://h:0", NULL },
		{ "redis://h:70000", NULL },
		{ "redis://h/x", NULL },
		{ "redis://:%zz@h", NULL },
		{ "unix://relative", NULL },
		{ "unix:///a?b=1", NULL },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct stream_options options = { .url = rows[i].url, .name = "n", .group = "g" };
		struct stream *s;
		int r = stream_new(&options, &s, &f->err);

		ok(rows[i].address ? r == 0 && strcmp(stream_address(s), rows[i].address) == 0
				   : r < 0 && !strstr(f->err.text, "secret"),
			"%s is %s", rows[i].url, rows[i].address ? rows[i].address : "refused");
		stream_free(s);
	}
}

/* Six packs behind 1-500, all delivered; three acked, and PostgreSQL's watermark there. */
static void half_done(struct stream_fixture *f)
{
	struct stream_watermark w;
	uint64_t trimmed;

	fresh(f, 500);
	append(f, 6, 1000);
	deliver(f, "w0", 6);
	ack(f, "w0", generation(f), 510, 530);
	w = watermark(f);
	f->base.watermark = w.id;
	if (stream_trim(f->s, &w, 1000, 1 << 30, &trimmed, &f->err) != STREAM_OK)
		abort();
}

static void test_went_back(struct stream_fixture *f)
{
	enum stream_prepared prepared;
	struct stream_watermark w;
	uint64_t gen, trimmed, top;

	half_done(f);
	gen = generation(f);
	ok(prepare(f) == PREPARED_SAME, "PostgreSQL at the recorded watermark: nothing to do");
	f->base.watermark.seq = 510;
	ok(prepare(f) == PREPARED_REWOUND && deliver(f, "w1", 9) == 5 && generation(f) > gen,
		"an older PostgreSQL gets everything after its watermark again, in a new generation");
	ok(ack(f, "w0", gen, 540, 560) == 0, "acks from before are void");
	f->base.pg = "pg:2";
	ok(prepare(f) == PREPARED_REWOUND && deliver(f, "w0", 9) == 5,
		"so does another PostgreSQL");
	ack(f, "w0", generation(f), 520, 560);
	w = watermark(f);
	ok(stream_trim(f->s, &w, 0, 0, &trimmed, &f->err) == STREAM_OK && trimmed == 5,
		"all but one trimmed");
	gen = generation(f);
	ok(stream_prepare(f->s, &f->base, &prepared, &top, &f->err) == STREAM_OK &&
			prepared == PREPARED_EPOCH && top == 1 && generation(f) == gen,
		"older than what the stream still holds: a new epoch is asked for, nothing is changed");
	f->base.epoch = 2;
	ok(prepare(f) == PREPARED_EPOCH,
		"an epoch that does not start at the watermark will not do");
	f->base.start = "510";
	ok(prepare(f) == PREPARED_REWOUND && deliver(f, "w0", 9) == 1 && !watermark(f).lost,
		"one that does is taken, what is left is delivered again");
	f->base.host = "wss://other:443";
	ok(prepare(f) == PREPARED_EPOCH, "an epoch never changes its host");
	f->base.host = "wss://one:443";
	f->base.epoch = 1;
	ok(prepare(f) == PREPARED_EPOCH,
		"a PostgreSQL that lost the newest epoch needs one above it");
}

static void test_meta_lost(struct stream_fixture *f)
{
	struct stream_state state;
	uint64_t ordinal;

	half_done(f);
	ordinal = f->ordinal;
	direct(f, "DEL events:meta");
	ok(prepare(f) == PREPARED_NEW && stream_get_state(f->s, &state, &f->err) == STREAM_OK &&
			state.next_ordinal == ordinal && state.next_byte == f->byte &&
			deliver(f, "w0", 9) == 3,
		"a lost meta hash is made from the newest pack; all after the watermark comes again");
}

static void test_stream_deleted(struct stream_fixture *f)
{
	struct stream_state state;

	half_done(f);
	direct(f, "DEL events");
	ok(stream_get_state(f->s, &state, &f->err) == STREAM_E_UNPREPARED,
		"nobody derives a position from a stream that was deleted");
	ok(prepare(f) == PREPARED_NEW && stream_get_state(f->s, &state, &f->err) == STREAM_OK &&
			stream_id_cmp(state.head, f->base.watermark) == 0,
		"until it is made anew at the watermark");
	direct(f, "DEL events");
	direct(f, "XADD events 1-1 a b");
	ok(stream_get_state(f->s, &state, &f->err) == STREAM_E_UNPREPARED && prepare(f) == PREPARED_NEW &&
			stream_get_state(f->s, &state, &f->err) == STREAM_OK &&
			stream_id_cmp(state.head, f->base.watermark) == 0,
		"also if somebody else was quicker to make it");
}

static void test_foreigners(struct stream_fixture *f)
{
	struct stream_watermark w;
	char junk[48];
	int dropped;

	half_done(f);
	direct(f, "XDEL events 1-540");
	w = watermark(f);
	ok(w.lost && is_id(w.lost_after, 1, 530) && is_id(w.lost_through, 1, 540) &&
			is_id(w.id, 1, 530),
		"a pending entry that a foreigner deleted is told as an exact range; the watermark waits");
	ok(stream_drop_lost(f->s, w.lost_through, &dropped, &f->err) == STREAM_OK && dropped == 1 &&
			is_id(watermark(f).id, 1, 540) && !watermark(f).lost,
		"once recorded and dropped, the watermark goes on");
	direct(f, "XTRIM events MAXLEN = 1");
	w = watermark(f);
	ok(w.lost && is_id(w.lost_after, 1, 530) && is_id(w.lost_through, 1, 550),
		"so is a trim of a pending entry, up to the first entry that is there");
	/* through the entry that is still there and pending, too */
	ok(stream_drop_lost(f->s, f->head, &dropped, &f->err) == STREAM_OK && dropped == 1 &&
			direct(f, "XPENDING events g 1-560 1-560 1")->elements == 1 &&
			is_id(watermark(f).id, 1, 550),
		"an entry that exists is not dropped");
	append(f, 4, 1000);
	ack(f, "w0", generation(f), 560, 560);
	direct(f, "XTRIM events MAXLEN = 1");
	w = watermark(f);
	ok(w.lost && is_id(w.lost_after, 1, 560) && is_id(w.lost_through, 1, 590),
		"entries trimmed before they were ever delivered are told exactly, too");
	deliver(f, "w0", 1);
	ack(f, "w0", generation(f), 600, 600);
	ok(is_id(watermark(f).id, 1, 600) && !watermark(f).lost,
		"and only until delivery has passed them");
	f->base.watermark = watermark(f).id;
	snprintf(junk, sizeof junk, "%s", direct(f, "XADD events * a b")->str);
	ok(deliver(f, "w0", 1) == 1 && watermark(f).id.epoch == 1,
		"a foreign entry pending: no progress");
	ok(direct(f, "XACK events g %s", junk)->integer == 1 && watermark(f).id.epoch == 1,
		"a foreign id never becomes the watermark");
}

int main(void)
{
	struct stream_fixture f = { 0 };

	signal(SIGPIPE, SIG_IGN);
	test_urls(&f);
	if (!start_redis(&f)) {
		skip("no redis-server here");
		return done();
	}
	f.s = open_stream(&f, f.url, NULL, 0);
	if (!ok(stream_connect(f.s, &f.err) == STREAM_OK, "connects to %s", stream_address(f.s)))
		return done();
	test_full(&f);
	test_noscript(&f);
	test_gate(&f);
	test_gate_rights(&f);
	test_reply_lost(&f);
	test_stopped_redis(&f);
	test_replies(&f);
	test_password(&f);
	test_went_back(&f);
	test_meta_lost(&f);
	test_stream_deleted(&f);
	test_foreigners(&f);
	stream_free(f.s);
	stop_redis(&f);
	return done();
}
