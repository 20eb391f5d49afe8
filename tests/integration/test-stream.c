/* SPDX-License-Identifier: MIT
 *
 * What the module stream promises the reader, the workers and the keeper, against a real Redis.
 */
#include "tests/integration/stream_fixture.h"

static void refuses(struct stream_fixture *f, const char *name, const char *bad, const char *line)
{
	char run_id[41], good[32];

	snprintf(good, sizeof good, "%s", direct(f, "CONFIG GET %s", name)->element[1]->str);
	direct(f, "CONFIG SET %s %s", name, bad);
	ok(stream_check_settings(f->s, run_id, &f->err) == STREAM_E_SETTINGS &&
			strstr(f->err.text, line),
		"%s %s is refused with `%s`: %s", name, bad, line, f->err.text);
	direct(f, "CONFIG SET %s %s", name, good);
}

static void test_settings(struct stream_fixture *f)
{
	char run_id[41];

	ok(stream_check_settings(f->s, run_id, &f->err) == STREAM_OK && strlen(run_id) == 40,
		"good settings are taken, run_id comes back");
	refuses(f, "maxmemory-policy", "allkeys-lru", "CONFIG SET maxmemory-policy noeviction");
	refuses(f, "maxmemory", "0", "CONFIG SET maxmemory 2gb");
	refuses(f, "appendonly", "no", "CONFIG SET appendonly yes");
	refuses(f, "appendfsync", "no", "CONFIG SET appendfsync everysec");
	direct(f, "REPLICAOF 127.0.0.1 1");
	ok(stream_check_settings(f->s, run_id, &f->err) == STREAM_E_SETTINGS &&
			strstr(f->err.text, "REPLICAOF NO ONE"),
		"a replica is refused");
	direct(f, "REPLICAOF NO ONE");
}

static void test_prepare(struct stream_fixture *f)
{
	struct stream_state state;

	direct(f, "FLUSHALL");
	ok(stream_get_state(f->s, &state, &f->err) == STREAM_E_UNPREPARED,
		"no meta hash: unprepared");
	fresh(f, 500);
	ok(stream_get_state(f->s, &state, &f->err) == STREAM_OK && is_id(state.head, 1, 500) &&
			is_id(state.watermark, 1, 500) && state.epoch == 1 &&
			state.generation > 0 && strcmp(state.host, "wss://one:443") == 0 &&
			strcmp(state.start, "live") == 0,
		"an emptied Redis is rebuilt with head and watermark of PostgreSQL");
	ok(is_id(watermark(f).id, 1, 500), "the group is made at the watermark");
	ok(prepare(f) == PREPARED_SAME && generation(f) == state.generation,
		"preparing again changes nothing");
	append(f, 3, 1000);
	deliver(f, "w0", 3);
	direct(f, "XGROUP DESTROY events g");
	ok(read_new(f, "w0", 1, 0, &(struct stream_entries){ 0 }) == STREAM_E_NOGROUP,
		"a destroyed group is told as nogroup");
	ok(prepare(f) == PREPARED_NEW && generation(f) > state.generation &&
			deliver(f, "w0", 9) == 3,
		"a destroyed group is made at the watermark, never at $: all comes again");
	direct(f, "DEL events");
	ok(prepare(f) == PREPARED_NEW && stream_get_state(f->s, &state, &f->err) == STREAM_OK &&
			is_id(state.head, 1, 500),
		"a deleted stream is made with the watermark as its head");
	f->base.epoch = 2;
	f->base.host = "wss://two:443";
	direct(f, "FLUSHALL");
	ok(prepare(f) == PREPARED_EPOCH,
		"emptied while the watermark is in an older epoch: a new epoch is asked for");
	f->base.epoch = 3;
	f->base.start = "500";
	ok(prepare(f) == PREPARED_NEW, "an epoch that starts at the watermark is taken");
}

static void test_append(struct stream_fixture *f)
{
	struct stream_pack packs[2];
	struct buf bufs[2] = { 0 };
	struct stream_state state;
	struct stream_id stale;

	fresh(f, 0);
	ok(append(f, 5, 1000) == STREAM_OK &&
			stream_get_state(f->s, &state, &f->err) == STREAM_OK &&
			is_id(state.head, 1, 5 * EVENTS) && state.next_ordinal == 5 * EVENTS &&
			state.next_byte == f->byte,
		"five packs appended: head, ordinal and bytes say so");
	stale = f->head;
	append(f, 1, 1000);
	f->head = stale;
	ok(append(f, 1, 1000) == STREAM_E_MOVED && entries_there(f) == 6,
		"a writer with a stale head is refused, nothing is written: %s", f->err.text);
	f->head.seq += EVENTS;
	f->ordinal -= EVENTS;
	ok(append(f, 1, 1000) == STREAM_E_MOVED && entries_there(f) == 6,
		"so is one with a stale ordinal");
	f->ordinal += EVENTS;
	f->base.epoch = 2;
	ok(append(f, 1, 1000) == STREAM_E_MOVED && entries_there(f) == 6,
		"so is one with another epoch");
	f->base.epoch = 1;
	build(f, bufs, packs, 2, 1000);
	packs[1].id = packs[0].id;
	ok(stream_append_send(f->s, f->head, f->ordinal, packs, 2, &f->err) == STREAM_E_MOVED &&
			entries_there(f) == 6,
		"ids that do not ascend are never sent");
	buf_done(&bufs[0]);
	buf_done(&bufs[1]);
	ok(append(f, 1, 1000) == STREAM_OK, "the right head and ordinal go on");
	direct(f, "FLUSHALL");
	ok(append(f, 1, 1000) == STREAM_E_UNPREPARED && entries_there(f) == 0,
		"after FLUSHALL a writer is refused until the keeper was there");
}

static void test_depth(struct stream_fixture *f)
{
	struct stream_depth depth;
	uint64_t pack;

	fresh(f, 0);
	append(f, 10, 2000);
	pack = f->byte / 10;
	ok(stream_get_depth(f->s, &depth, &f->err) == STREAM_OK && depth.events == 100 &&
			depth.bytes == f->byte && depth.used_memory > 0 &&
			depth.max_memory == 64 << 20,
		"depth counts undelivered events and bytes, and tells Redis's memory");
	deliver(f, "w0", 4);
	ack(f, "w0", generation(f), 20, 40);
	ok(stream_get_depth(f->s, &depth, &f->err) == STREAM_OK && depth.events == 100,
		"the oldest unacked entry counts with all behind it");
	ack(f, "w0", generation(f), 10, 10);
	ok(stream_get_depth(f->s, &depth, &f->err) == STREAM_OK && depth.events == 60 &&
			depth.bytes == 6 * pack,
		"acked entries do not count");
	ok(depth.oldest_time_us == SOURCE_TIME_US + 50, "the oldest that counts tells its source time");
	ok(depth.rss > 0 && depth.fragmentation > 0, "Redis tells its fragmentation");
}

static void test_read(struct stream_fixture *f)
{
	struct stream_entries e;
	struct pack pack;
	int64_t begin_us;

	fresh(f, 0);
	append(f, 6, 20000);
	ok(read_new(f, "w0", 4, 1000, &e) == STREAM_OK && e.n == 4 &&
			is_id(e.entries[3].id, 1, 40) &&
			pack_open(e.entries[3].bytes, &pack) == PACK_OK &&
			pack.prefix.first_ordinal == 30,
		"new entries come with their packs, byte for byte");
	stream_entries_free(&e);
	deliver(f, "w1", 2);
	ok(stream_read_own(f->s, "w0", (struct stream_id){ 1, 10 }, 10, &e, &f->err) == STREAM_OK &&
			e.n == 3 && is_id(e.entries[0].id, 1, 20) && !e.entries[0].deleted,
		"a consumer's own pending entries above an id, and nobody else's");
	stream_entries_free(&e);
	begin_us = clock_mono_us();
	ok(read_new(f, "w0", 4, 60, &e) == STREAM_OK && e.n == 0 &&
			clock_mono_us() - begin_us >= 50000,
		"a blocking read without news is OK with no entries");
	direct(f, "XDEL events 1-20");
	ok(stream_read_own(f->s, "w0", (struct stream_id){ 0 }, 10, &e, &f->err) == STREAM_OK &&
			e.n == 4 && e.entries[1].deleted && !e.entries[1].bytes.n &&
			!e.entries[2].deleted,
		"a pending entry deleted by a foreigner comes marked as deleted");
	stream_entries_free(&e);
}

static void test_fence(struct stream_fixture *f)
{
	uint64_t gen;

	fresh(f, 0);
	append(f, 6, 1000);
	deliver(f, "w0", 3);
	deliver(f, "w1", 3);
	gen = generation(f);
	ok(ack(f, "w0", gen, 10, 60) == 3 &&
			direct(f, "XPENDING events g")->element[0]->integer == 3,
		"an ack takes only the entries of its own consumer");
	ok(ack(f, "w1", gen - 1, 40, 60) == 0, "an ack of an older generation takes nothing");
	ok(ack(f, "w1", gen, 40, 60) == 3, "the owner with the right generation acks");
}

static void test_claim(struct stream_fixture *f)
{
	struct stream_id ids[3] = { { 1, 10 }, { 1, 20 }, { 1, 30 } };
	struct stream_consumer *list;
	struct stream_entries e;
	int n;

	fresh(f, 0);
	append(f, 6, 1000);
	deliver(f, "dead", 6);
	direct(f, "XDEL events 1-20");
	ok(stream_claim_from(f->s, "dead", "w0", 3600000000, 9, &e, &f->err) == STREAM_OK &&
			e.n == 0,
		"entries that were not idle for long enough are not taken");
	stream_entries_free(&e);
	ok(stream_claim_from(f->s, "dead", "w0", 0, 3, &e, &f->err) == STREAM_OK && e.n == 2 &&
			is_id(e.entries[1].id, 1, 30) && e.entries[1].bytes.n > 1000 &&
			direct(f, "XPENDING events g 1-20 1-20 1")->elements == 1,
		"a dead consumer's entries are taken over; a deleted one stays for the keeper to record");
	stream_entries_free(&e);
	ok(stream_claim_from(f->s, "", "w1", 0, 100, &e, &f->err) == STREAM_OK && e.n == 5 &&
			is_id(e.entries[1].id, 1, 30) && !e.entries[1].deleted &&
			direct(f, "XPENDING events g 1-20 1-20 1")->elements == 1,
		"so are anybody's; a deleted one stays all the same");
	stream_entries_free(&e);
	direct(f, "XCLAIM events g w1 0 1-10 1-30 1-40 1-50 IDLE 100000 JUSTID");
	direct(f, "XCLAIM events g w2 0 1-60 IDLE 100000 JUSTID");
	ok(stream_renew(f->s, "w1", ids, 3, &f->err) == STREAM_OK &&
			direct(f, "XPENDING events g IDLE 50000 - + 9")->elements == 3,
		"renewing resets the idle time of the entries named");
	ok(stream_renew(f->s, "dead", ids, 3, &f->err) == STREAM_OK &&
			direct(f, "XPENDING events g - + 9 w1")->elements == 4 &&
			direct(f, "XPENDING events g 1-20 1-20 1")->elements == 1,
		"neither takes it what is another's nor forgets what is deleted");
	direct(f, "XCLAIM events g w1 0 1-60 JUSTID");
	ok(stream_consumers(f->s, &list, &n, &f->err) == STREAM_OK && n == 4 &&
			list[2].pending == 5 && strcmp(list[2].name, "w1") == 0,
		"consumers are listed with what is pending for them");
	free(list);
	ok(stream_drop_consumer(f->s, "w0", &f->err) == STREAM_OK &&
			stream_drop_consumer(f->s, "w1", &f->err) == STREAM_OK &&
			direct(f, "XINFO CONSUMERS events g")->elements == 3 &&
			direct(f, "XPENDING events g")->element[0]->integer == 6,
		"only a consumer with nothing pending is dropped");
}

static void test_watermark(struct stream_fixture *f)
{
	struct stream_watermark w;

	fresh(f, 500);
	append(f, 6, 1000);
	deliver(f, "w0", 5);
	ok(is_id(watermark(f).id, 1, 500),
		"with the first entry pending the watermark is its previous head");
	ack(f, "w0", generation(f), 520, 550);
	ok(is_id(watermark(f).id, 1, 500), "acks behind a pending entry do not move it");
	ack(f, "w0", generation(f), 510, 510);
	w = watermark(f);
	ok(is_id(w.id, 1, 550) && w.ordinal == 50 && w.byte == f->byte / 6 * 5,
		"with nothing pending it is the last delivered id, with the events and bytes before it");
	deliver(f, "w0", 1);
	w = watermark(f);
	ok(is_id(w.id, 1, 550) && w.ordinal == 50, "a pack is never passed before it is acked");
	ok(stream_want_epoch(f->s, "wss://two:443", "77", &f->err) == STREAM_OK &&
			strcmp(watermark(f).want_host, "wss://two:443") == 0 &&
			strcmp(watermark(f).want_start, "77") == 0,
		"the wish for another host is seen by the keeper");
	f->base.epoch = 2;
	f->base.host = "wss://two:443";
	ok(prepare(f) == PREPARED_SAME && !watermark(f).want_host[0],
		"opening the epoch fulfils it");
	f->ordinal = 60;
	append(f, 1, 1000);
	ack(f, "w0", generation(f), 560, 560);
	deliver(f, "w0", 1);
	ok(is_id(watermark(f).id, 1, 560), "the previous head may be of an older epoch");
}

/* A PostgreSQL of some time ago, while a worker still holds what was delivered later. */
static void test_watermark_set_back(struct stream_fixture *f)
{
	const char *pg;
	struct stream_watermark w;

	fresh(f, 500);
	append(f, 6, 1000);
	deliver(f, "w0", 5);
	ack(f, "w0", generation(f), 510, 540);
	ok(is_id(watermark(f).id, 1, 540), "the fifth entry is pending");
	pg = f->base.pg;
	f->base.pg = "an older one";
	ok(prepare(f) == PREPARED_REWOUND, "an older PostgreSQL: delivery is set back");
	w = watermark(f);
	ok(is_id(w.id, 1, 500) && w.ordinal == 0 && !w.lost,
		"the watermark does not pass what is to be delivered again, whatever is pending behind it");
	deliver(f, "w1", 2);
	ok(is_id(watermark(f).id, 1, 500), "nor while that is pending");
	ack(f, "w1", generation(f), 510, 520);
	w = watermark(f);
	ok(is_id(w.id, 1, 520) && w.ordinal == 20, "it follows what is acked");
	deliver(f, "w1", 9);
	ack(f, "w1", generation(f), 530, 560);
	ok(is_id(watermark(f).id, 1, 560), "and all is stored at the end");
	f->base.pg = pg;
}

/* Records what PostgreSQL would hold by now and trims. */
static uint64_t trim(
	struct stream_fixture *f, struct stream_watermark w, uint64_t events, uint64_t bytes)
{
	uint64_t trimmed = 0;

	return stream_trim(f->s, &w, events, bytes, &trimmed, &f->err) == STREAM_OK ? trimmed
										    : UINT64_MAX;
}

static void test_trim(struct stream_fixture *f)
{
	struct stream_watermark w;

	fresh(f, 0);
	append(f, 20, 1000);
	deliver(f, "w0", 15);
	ok(trim(f, watermark(f), 0, 0) == 0, "with everything pending nothing is deleted");
	ack(f, "w0", generation(f), 10, 120);
	w = watermark(f);
	ok(trim(f, w, 50, 1 << 30) == 7 && entries_there(f) == 13,
		"acked entries are deleted except the newest replay_events");
	ok(trim(f, w, 1000, f->byte / 20 * 2) == 3, "the limit in bytes holds too");
	w.id = (struct stream_id){ 1, 150 };
	w.ordinal = 150;
	ok(trim(f, w, 0, 0) == 2 && entries_there(f) == 8,
		"whatever watermark is claimed, pending entries stay");
	ack(f, "w0", generation(f), 130, 150);
	w.id = (struct stream_id){ 1, 200 };
	w.ordinal = 200;
	ok(trim(f, w, 0, 0) == 3 && entries_there(f) == 5, "nor are undelivered ones deleted");
	deliver(f, "w0", 9);
	ack(f, "w0", generation(f), 160, 200);
	ok(trim(f, watermark(f), 0, 0) == 4 && entries_there(f) == 1,
		"the newest entry always stays");
	ok(append(f, MAX_PACKS, 1000) == STREAM_OK && deliver(f, "w0", MAX_PACKS) == MAX_PACKS &&
			ack(f, "w0", generation(f), 210, 200 + MAX_PACKS * EVENTS) == MAX_PACKS &&
			trim(f, watermark(f), 0, 0) == MAX_PACKS,
		"more entries than one step looks at are deleted in one call");
}

/* The end of what may go is found by halving ids, which two epochs and foreign entries make uneven. */
static void test_trim_uneven(struct stream_fixture *f)
{
	fresh(f, 0);
	append(f, 6, 1000);
	f->base.epoch = 2;
	prepare(f);
	append(f, 3, 1000);
	direct(f, "XADD events 2-900000000000 p x");
	f->head = (struct stream_id){ 2, 900000000000 };
	append(f, 3, 1000);
	deliver(f, "w0", 100);
	direct(f, "XACK events g 1-10 1-20 1-30 1-40 1-50 1-60 2-10 2-20 2-30 2-900000000000 "
		  "2-900000000010 2-900000000020 2-900000000030");
	ok(trim(f, watermark(f), 85, 1 << 30) == 3 && entries_there(f) == 10, "within the older epoch");
	ok(trim(f, watermark(f), 40, 1 << 30) == 5 && entries_there(f) == 5, "across the border of two epochs");
	ok(trim(f, watermark(f), 30, 1 << 30) == 1 && entries_there(f) == 4, "up to an entry that is not ours");
	ok(trim(f, watermark(f), 30, 1 << 30) == 0, "which stays as long as the pack behind it");
	ok(trim(f, watermark(f), 20, 1 << 30) == 2 && entries_there(f) == 2, "and goes with it");
}

int main(void)
{
	struct stream_fixture f = { 0 };

	signal(SIGPIPE, SIG_IGN);
	if (!start_redis(&f)) {
		skip("no redis-server here");
		return done();
	}
	f.s = open_stream(&f, f.url, NULL, 0);
	if (!ok(stream_connect(f.s, &f.err) == STREAM_OK, "connects to %s", stream_address(f.s)))
		return done();
	test_settings(&f);
	test_prepare(&f);
	test_append(&f);
	test_depth(&f);
	test_read(&f);
	test_fence(&f);
	test_claim(&f);
	test_watermark(&f);
	test_watermark_set_back(&f);
	test_trim(&f);
	test_trim_uneven(&f);
	stream_free(f.s);
	stop_redis(&f);
	return done();
}
