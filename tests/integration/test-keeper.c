/* SPDX-License-Identifier: MIT
 *
 * What the keeper does each second, against a real PostgreSQL and a real Redis.
 */
#include "pg_fixture.h"
#include "stream_fixture.h"

#include "workers/keeper_pending.h"
#include "workers/keeper_watermark.h"

struct keeper_fixture {
	struct fixture p;
	struct stream_fixture f;
	struct conf *conf;
	struct stats_slot stats;
	struct keeper_watermark mark;
	struct keeper_pending pending;
	struct err err;
};

/* A checked session's first step, as after every new connection to PostgreSQL. */
static bool load(struct keeper_fixture *k)
{
	k->mark = (struct keeper_watermark){
		.pg = k->p.pg, .stream = k->f.s, .stats = &k->stats, .conf = k->conf
	};
	return keeper_watermark_load(&k->mark, &k->err) == KEEPER_OK;
}

static bool tick(struct keeper_fixture *k)
{
	return keeper_watermark_tick(&k->mark, &k->err) == KEEPER_OK
		? true
		: (printf("# %s\n", k->err.text), false);
}

/* Begins as new: empty Redis, no epoch, no watermark. */
static void anew(struct keeper_fixture *k)
{
	must(k->p.pg,
		"TRUNCATE standpipe.epochs, standpipe.gaps;"
		"UPDATE standpipe.watermark SET epoch = 0, seq = 0");
	direct(&k->f, "FLUSHALL");
	k->f.base = (struct stream_base){ .epoch = 1 };
	k->f.head = (struct stream_id){ 0 };
	k->f.ordinal = k->f.byte = 0;
	k->conf->redis.replay_events = 200000;
	if (!load(k) || !tick(k))
		abort();
}

static bool one(struct keeper_fixture *k, const char *sql, const char *expected)
{
	return answers(k->p.pg, sql, expected);
}

static void test_first_start(struct keeper_fixture *k)
{
	struct stream_state state;

	anew(k);
	ok(one(k, "SELECT epoch || ' ' || host || ' ' || start || ' ' || reason FROM standpipe.epochs",
		   "1 wss://bsky.network:443 live first start"),
		"the first start opens epoch 1 as configured");
	ok(stream_get_state(k->f.s, &state, &k->err) == STREAM_OK && state.epoch == 1 &&
			strcmp(state.host, "wss://bsky.network:443") == 0,
		"and Redis knows it");
	ok(load(k) && tick(k) && one(k, "SELECT count(*) FROM standpipe.epochs", "1"),
		"a second start does not");
}

static void test_moves(struct keeper_fixture *k)
{
	struct stream_state state;

	anew(k);
	append(&k->f, 10, 1000);
	deliver(&k->f, "w0", 6);
	ack(&k->f, "w0", generation(&k->f), 10, 40);
	ok(tick(k) && one(k, "SELECT epoch || '-' || seq FROM standpipe.watermark", "1-40"),
		"the watermark is committed in PostgreSQL");
	ok(stream_get_state(k->f.s, &state, &k->err) == STREAM_OK &&
			is_id(state.watermark, 1, 40) && entries_there(&k->f) == 10,
		"Redis records it, the replay buffer stays");
	k->conf->redis.replay_events = 20;
	ok(tick(k) && entries_there(&k->f) == 8 && stats_get(&k->stats, STAT_entries_trimmed) == 2,
		"what is older than the replay buffer is trimmed");
	ok(stats_get(&k->stats, STAT_watermark_seq) == 40, "the counters show the watermark");
	must(k->p.pg, "UPDATE standpipe.watermark SET seq = 45");
	ok(tick(k) && one(k, "SELECT seq FROM standpipe.watermark", "45"),
		"the watermark is never moved back");
}

static void test_losses(struct keeper_fixture *k)
{
	anew(k);
	append(&k->f, 8, 1000);
	deliver(&k->f, "w0", 5);
	ack(&k->f, "w0", generation(&k->f), 10, 20);
	tick(k);
	direct(&k->f, "XDEL events 1-30");
	ok(tick(k) &&
			one(k,
				"SELECT string_agg(concat_ws(' ', epoch, after_epoch, after_seq, first_seq, reason), ',')"
				" FROM standpipe.gaps",
				"1 1 20 31 foreign_trim"),
		"a pending entry that a foreigner deleted becomes an exact gap");
	ok(one(k, "SELECT seq FROM standpipe.watermark", "30"),
		"and the watermark goes on behind it");
	direct(&k->f, "XTRIM events MAXLEN = 1");
	ok(tick(k) && tick(k) &&
			one(k,
				"SELECT string_agg(after_seq || ' ' || first_seq, ',' ORDER BY first_seq)"
				" FROM standpipe.gaps",
				"20 31,30 51,50 71"),
		"a foreign trim becomes two: what was pending, and what was never delivered; once");
	ok(deliver(&k->f, "w0", 1) == 1 && ack(&k->f, "w0", generation(&k->f), 80, 80) == 1 &&
			tick(k) && one(k, "SELECT seq FROM standpipe.watermark", "80"),
		"what is left is processed and passed");
}

static const char gaps_sql[] =
	"SELECT string_agg(after_seq || ' ' || first_seq, ',' ORDER BY first_seq, after_seq)"
	" FROM standpipe.gaps";

/* A foreigner deletes single entries, wherever they are. */
static void test_holes(struct keeper_fixture *k)
{
	anew(k);
	append(&k->f, 12, 1000);
	deliver(&k->f, "w0", 3);
	ack(&k->f, "w0", generation(&k->f), 10, 20);
	tick(k);
	direct(&k->f, "XDEL events 1-10 1-20");
	ok(tick(k) && one(k, "SELECT count(*) FROM standpipe.gaps", "0"), "what is in PostgreSQL may go: no gap");
	direct(&k->f, "XDEL events 1-60 1-70");
	ok(tick(k) && one(k, gaps_sql, "50 71"), "deleted before they were delivered, in the middle: an exact gap");
	direct(&k->f, "XDEL events 1-50");
	ok(tick(k) && one(k, gaps_sql, "40 71,50 71"), "a deletion below an earlier one is seen, too");
	direct(&k->f, "XDEL events 1-90 1-120");
	ok(stream_doubt(k->f.s, &k->err) == STREAM_OK && tick(k) &&
			one(k, gaps_sql, "40 71,50 71,80 91,110 121"),
		"a keeper that died over it begins again; the newest entry counts as well");
	ok(deliver(&k->f, "w0", 9) == 4 && ack(&k->f, "w0", generation(&k->f), 30, 110) == 5 && tick(k) &&
			one(k, "SELECT seq FROM standpipe.watermark", "110") &&
			append(&k->f, 1, 1000) == STREAM_OK && tick(k) &&
			one(k, "SELECT count(*) FROM standpipe.gaps", "4"),
		"what is left is processed, and the head is where it was");
	direct(&k->f, "XDEL events 1-30 1-40 1-80 1-100 1-110");
	ok(tick(k) && one(k, "SELECT count(*) FROM standpipe.gaps", "4"), "nor is what was acknowledged a gap");
}

/* What our appender and a reader see of a head that is not ours, and after the next tick. */
static bool set_back(struct keeper_fixture *k)
{
	struct stream_state state;
	bool waits = stream_get_state(k->f.s, &state, &k->err) == STREAM_E_UNPREPARED &&
		     append(&k->f, 1, 1000) == STREAM_E_MOVED;

	return waits && tick(k) && stream_get_state(k->f.s, &state, &k->err) == STREAM_OK &&
	       stream_id_cmp(state.head, k->f.head) == 0 && append(&k->f, 1, 1000) == STREAM_OK;
}

static void test_foreign_head(struct keeper_fixture *k)
{
	anew(k);
	must(k->p.pg, "TRUNCATE standpipe.dead_letters");
	append(&k->f, 4, 1000);
	deliver(&k->f, "w0", 2);
	direct(&k->f, "XADD events * a b c d");
	direct(&k->f, "XADD events * p nopack");
	ok(set_back(k), "entries with ids of their own: nobody goes on from there, then the head is ours again");
	ok(one(k,
		   "SELECT string_agg(class || ' ' || op || ' ' || convert_from(bytes, 'UTF8'), ',' ORDER BY epoch)"
		   " FROM standpipe.dead_letters",
		   "foreign -1 a\nb\nc\nd\n,foreign -1 nopack"),
		"they are dead letters with what was in them");
	direct(&k->f, "XADD events 1-55 x y");
	ok(deliver(&k->f, "w0", 9) == 4 && direct(&k->f, "XACK events g 1-55")->integer == 1 && set_back(k) &&
			one(k, "SELECT max(seq) FROM standpipe.dead_letters WHERE epoch = 1", "55"),
		"one of our epoch, delivered and acknowledged, too");
	ok(deliver(&k->f, "w0", 9) == 1, "what is appended after it is delivered");
	direct(&k->f, "XADD events 1-70 x y");
	direct(&k->f, "XDEL events 1-70");
	ok(set_back(k), "one that came and went");
	direct(&k->f, "XSETID events 7-7");
	ok(set_back(k) && one(k, "SELECT count(*) FROM standpipe.dead_letters", "3"), "and a head set by hand");
	direct(&k->f, "XADD events 18446744073709551614-18446744073709551615 big one");
	ok(set_back(k) && one(k, "SELECT count(*) FROM standpipe.dead_letters", "4"), "the highest id there is, too");
	deliver(&k->f, "w0", 99);
	ok(ack(&k->f, "w0", generation(&k->f), 10, 90) == 9 && tick(k) &&
			one(k, "SELECT seq FROM standpipe.watermark", "90") &&
			one(k, "SELECT count(*) FROM standpipe.gaps", "0"),
		"nothing of ours was lost over it");
	must(k->p.pg, "TRUNCATE standpipe.dead_letters");
}

static void test_epochs(struct keeper_fixture *k)
{
	struct stream_state state;

	anew(k);
	append(&k->f, 3, 1000);
	deliver(&k->f, "w0", 3);
	ack(&k->f, "w0", generation(&k->f), 10, 20);
	ok(stream_want_epoch(k->f.s, "wss://two:443", "77", &k->err) == STREAM_OK && tick(k) &&
			one(k, "SELECT host || ' ' || start FROM standpipe.epochs WHERE epoch = 2",
				"wss://two:443 77") &&
			stream_get_state(k->f.s, &state, &k->err) == STREAM_OK &&
			state.epoch == 2 && strcmp(state.host, "wss://two:443") == 0 &&
			strcmp(state.start, "77") == 0,
		"the epoch that the reader wants is opened");
	ok(tick(k) && one(k, "SELECT count(*) FROM standpipe.epochs", "2"), "once");
	direct(&k->f, "FLUSHALL");
	ok(tick(k) &&
			one(k, "SELECT host || ' ' || start FROM standpipe.epochs WHERE epoch = 3",
				"wss://bsky.network:443 20") &&
			stream_get_state(k->f.s, &state, &k->err) == STREAM_OK &&
			is_id(state.head, 1, 20) && state.epoch == 3,
		"emptied behind a change of host: the old host is read again from the watermark");
}

static void test_restored(struct keeper_fixture *k)
{
	struct stream_state state;

	anew(k);
	append(&k->f, 6, 1000);
	deliver(&k->f, "w0", 6);
	ack(&k->f, "w0", generation(&k->f), 10, 60);
	tick(k);
	must(k->p.pg, "UPDATE standpipe.watermark SET seq = 20");
	ok(load(k) && tick(k) && deliver(&k->f, "w1", 9) == 4,
		"an older PostgreSQL gets the rest again");
	ack(&k->f, "w1", generation(&k->f), 30, 60);
	k->conf->redis.replay_events = 0;
	tick(k);
	must(k->p.pg, "UPDATE standpipe.watermark SET seq = 20");
	ok(load(k) && tick(k) &&
			one(k, "SELECT host || ' ' || start FROM standpipe.epochs WHERE epoch = 2",
				"wss://bsky.network:443 20") &&
			stream_get_state(k->f.s, &state, &k->err) == STREAM_OK && state.epoch == 2,
		"older than the replay buffer: the source is read again from the watermark, in a new epoch");
	ok(one(k, "SELECT count(*) FROM standpipe.gaps", "0"), "which is no gap");
}

/* ---- missing parents ---- */

/* n missing posts of one actor with rkeys from, from + 1, ... */
static void add_missing(struct keeper_fixture *k, int from, int n)
{
	char sql[400];

	snprintf(sql, sizeof sql,
		"INSERT INTO bsky.keys (rkey, actor, kind) SELECT r, 7, 1 FROM generate_series(%d, %d) r;"
		"INSERT INTO standpipe.pending (rkey, actor, kind, first_seen)"
		" SELECT r, 7, 1, now() + make_interval(secs => r) - interval '1 hour' FROM generate_series(%d, %d) r",
		from, from + n - 1, from, from + n - 1);
	must(k->p.pg, sql);
}

static void pending_anew(struct keeper_fixture *k)
{
	must(k->p.pg,
		"TRUNCATE bsky.actors CASCADE; TRUNCATE standpipe.dead_letters;"
		"INSERT INTO bsky.actors VALUES (7, 'did:plc:seven')");
	k->pending = (struct keeper_pending){ .pg = k->p.pg, .stats = &k->stats, .conf = k->conf };
	k->stats = (struct stats_slot){ 0 };
	k->conf->pending.retry = 5;
	k->conf->pending.retry_max = 3600;
	k->conf->pending.expire = 86400;
	k->conf->pending.max_rows = 1000000;
	strcpy(k->conf->pending.then, "keep");
}

static bool pending_tick(struct keeper_fixture *k)
{
	return keeper_pending_tick(&k->pending, &k->err) == PG_OK
		? true
		: (printf("# %s\n", k->err.text), false);
}

static void test_retries(struct keeper_fixture *k)
{
	bool worked = true;

	pending_anew(k);
	add_missing(k, 1, 3);
	must(k->p.pg,
		"INSERT INTO bsky.posts (rkey, actor, rev, seq, epoch, cid) VALUES (2, 7, 1, 1, 1, '\\x00')");
	ok(pending_tick(k) &&
			one(k,
				"SELECT string_agg(rkey || ':' || attempts || state, ' ' ORDER BY rkey)"
				" FROM standpipe.pending",
				"1:1waiting 3:1waiting"),
		"a row whose parent is there goes, the others wait");
	ok(stats_get(&k->stats, STAT_pending_completed) == 1 &&
			stats_get(&k->stats, STAT_pending_rows) == 2,
		"and is counted");
	ok(one(k,
		   "SELECT bool_and(next_retry BETWEEN now() + interval '3.5 s' AND now() + interval '5.5 s')"
		   " FROM standpipe.pending",
		   "t"),
		"the first pause is retry, give or take a tenth");
	ok(pending_tick(k) && one(k, "SELECT max(attempts) FROM standpipe.pending", "1"),
		"nobody is retried early");
	must(k->p.pg,
		"UPDATE standpipe.pending SET next_retry = now(), attempts = CASE rkey WHEN 1 THEN 4 ELSE 60 END");
	ok(pending_tick(k) &&
			one(k,
				"SELECT bool_and(next_retry - now() BETWEEN"
				" CASE rkey WHEN 1 THEN interval '70 s' ELSE interval '3230 s' END AND"
				" CASE rkey WHEN 1 THEN interval '88 s' ELSE interval '3960 s' END)"
				" FROM standpipe.pending",
				"t"),
		"it doubles with each attempt up to retry_max");
	add_missing(k, 1000, 2500);
	/* a tick has a time budget, and this machine may be slow: it goes on where it stopped */
	for (int i = 0; i < 10; i++)
		worked &= pending_tick(k);
	ok(worked && one(k, "SELECT count(*) FROM standpipe.pending WHERE attempts = 0", "0"),
		"more due rows than one statement takes are worked off");
}

static void test_giving_up(struct keeper_fixture *k)
{
	pending_anew(k);
	add_missing(k, 1, 4);
	k->conf->pending.expire = 3600 - 2.5;
	ok(pending_tick(k) &&
			one(k, "SELECT string_agg(rkey || state, ' ' ORDER BY rkey) FROM standpipe.pending",
				"1expired 2expired 3waiting 4waiting") &&
			stats_get(&k->stats, STAT_pending_expired) == 2,
		"rows older than expire are given up");
	strcpy(k->conf->pending.then, "dead_letter");
	must(k->p.pg,
		"UPDATE standpipe.pending SET state = 'waiting', next_retry = now() WHERE rkey = 1");
	ok(pending_tick(k) &&
			one(k, "SELECT state FROM standpipe.pending WHERE rkey = 1",
				"dead_lettered") &&
			one(k, "SELECT class || ' ' || reason || ' ' || (id = sha256(bytes)) FROM standpipe.dead_letters",
				"missing_parent at://did:plc:seven/app.bsky.feed.post/2222222222223 true") &&
			stats_get(&k->stats, STAT_dead_letters) == 1,
		"with pending.then = dead_letter they leave one that names the parent");
	pending_anew(k);
	add_missing(k, 1, 500);
	k->conf->pending.max_rows = 100;
	ok(pending_tick(k) &&
			one(k, "SELECT count(*) || ' ' || min(rkey) FROM standpipe.pending WHERE state = 'waiting'",
				"99 402"),
		"beyond max_rows the oldest are given up early");
}

int main(void)
{
	struct keeper_fixture k = { 0 };
	struct buf problems = BUF_INIT;

	signal(SIGPIPE, SIG_IGN);
	if (!fixture_begin(&k.p))
		return 0;
	for (int i = 1; i < n_migrations; i++)
		must(k.p.pg, migrations[i].sql);
	must(k.p.pg, "INSERT INTO standpipe.meta VALUES ('uuid', 'u') ON CONFLICT DO NOTHING");
	k.conf = conf_parse(slice_str("pending: { then = \"dead_letter\"; }"), "test", &problems);
	if (!k.conf || !start_redis(&k.f)) {
		skip("no redis-server here");
		fixture_end(&k.p);
		return done();
	}
	k.f.s = open_stream(&k.f, k.f.url, NULL, 0);
	if (!ok(stream_connect(k.f.s, &k.err) == STREAM_OK, "connects to %s",
		    stream_address(k.f.s)))
		return done();
	test_first_start(&k);
	test_moves(&k);
	test_losses(&k);
	test_holes(&k);
	test_foreign_head(&k);
	test_epochs(&k);
	test_restored(&k);
	test_retries(&k);
	test_giving_up(&k);
	stream_free(k.f.s);
	stop_redis(&k.f);
	conf_free(k.conf);
	buf_done(&problems);
	fixture_end(&k.p);
	return done();
}
