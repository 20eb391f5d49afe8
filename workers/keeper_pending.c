/* SPDX-License-Identifier: MIT */
#include "workers/keeper_pending.h"

#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* DUE_ROWS stands as a literal in due_sql: the planner must know that they are few. EXACT_ROWS: up
 * to here rows are counted, above that the planner's estimate does. */
enum {
	DUE_ROWS = 1000,
	BUDGET_US = 250000,
	COUNT_EVERY_US = 10000000,
	EXACT_ROWS = 100000,
	MAX_EXPIRE_ROWS = 100000,
	NUMBER_SIZE = 32
};

/* Continues `given_up` (rkey, actor, kind): with state $1 = dead_lettered each leaves a dead
 * letter, which names the parent. Version: $2. */
/* clang-format off */
#define LETTERS                                                                                    \
	"letters AS ("                                                                             \
	" INSERT INTO standpipe.dead_letters (epoch, seq, op, id, class, reason,"                  \
	"  did, collection, rkey, bytes, version)"                                                 \
	" SELECT 0, 0, -1, sha256(convert_to(u.uri, 'UTF8')), 'missing_parent', u.uri,"            \
	"  a.did, c.nsid, bsky.rkey(k.rkey, k.rkey_text), convert_to(u.uri, 'UTF8'), $2"           \
	" FROM given_up g JOIN bsky.keys k USING (rkey, actor, kind)"                              \
	" JOIN bsky.actors a ON a.id = g.actor"                                                    \
	" CROSS JOIN LATERAL (SELECT CASE g.kind WHEN 1 THEN 'app.bsky.feed.post'"                 \
	"   WHEN 2 THEN 'app.bsky.feed.generator' WHEN 3 THEN 'app.bsky.graph.list'"               \
	"   WHEN 4 THEN 'app.bsky.graph.starterpack'"                                              \
	"   ELSE 'app.bsky.labeler.service' END AS nsid) c"                                        \
	" CROSS JOIN LATERAL (SELECT 'at://' || a.did || '/' || c.nsid || '/' ||"                  \
	"   bsky.rkey(k.rkey, k.rkey_text) AS uri) u"                                              \
	" WHERE $1 = 'dead_lettered'"                                                              \
	" ON CONFLICT (epoch, seq, op, id) DO UPDATE SET last_at = now(),"                         \
	"  attempts = standpipe.dead_letters.attempts + 1"                                         \
	" RETURNING 1) "

#define CONTENT(kind, table)                                                                       \
	" WHEN " kind " THEN"                                                                      \
	" (SELECT true FROM " table " r WHERE r.rkey = d.rkey AND r.actor = d.actor)"

#define SAME_KEY(of) "p.rkey = " of ".rkey AND p.actor = " of ".actor AND p.kind = " of ".kind"

/* $3 retry, $4 retry_max, $5 expire, all in seconds. The content is looked for by scalar
 * subqueries, which cannot be turned into a hash over a whole table. 2 ^ 40 is above any
 * retry_max. */
static const char due_sql[] =
	"WITH due AS MATERIALIZED ("
	" SELECT rkey, actor, kind, first_seen FROM standpipe.pending"
	" WHERE state = 'waiting' AND next_retry <= now()"
	" ORDER BY next_retry LIMIT 1000 FOR UPDATE SKIP LOCKED),"
	"judged AS MATERIALIZED ("
	" SELECT rkey, actor, kind, first_seen <= now() - make_interval(secs => $5::float8) AS old,"
	"  coalesce(CASE d.kind"
	CONTENT("1", "bsky.posts")
	CONTENT("2", "bsky.generators")
	CONTENT("3", "bsky.lists")
	CONTENT("4", "bsky.starterpacks")
	CONTENT("5", "bsky.labelers")
	"  END, false) AS there FROM due d),"
	"gone AS ("
	" DELETE FROM standpipe.pending p USING judged j WHERE " SAME_KEY("j") " AND j.there"
	" RETURNING 1),"
	"later AS ("
	" UPDATE standpipe.pending p SET attempts = p.attempts + 1,"
	"  next_retry = now() + make_interval(secs => least($3::float8 * 2 ^ least(p.attempts, 40),"
	"   $4::float8) * (0.9 + 0.2 * random()))"
	" FROM judged j WHERE " SAME_KEY("j") " AND NOT j.there AND NOT j.old),"
	"given_up AS ("
	" UPDATE standpipe.pending p SET state = $1 FROM judged j"
	" WHERE " SAME_KEY("j") " AND NOT j.there AND j.old RETURNING p.rkey, p.actor, p.kind),"
	LETTERS
	"SELECT (SELECT count(*) FROM due), (SELECT count(*) FROM gone),"
	" (SELECT count(*) FROM given_up), (SELECT count(*) FROM letters)";

/* $3 how many. No index has first_seen; see expire_oldest. */
static const char oldest_sql[] =
	"WITH oldest AS MATERIALIZED ("
	" SELECT rkey, actor, kind FROM standpipe.pending WHERE state = 'waiting'"
	" ORDER BY first_seen LIMIT $3::bigint FOR UPDATE SKIP LOCKED),"
	"given_up AS ("
	" UPDATE standpipe.pending p SET state = $1 FROM oldest o WHERE " SAME_KEY("o")
	" RETURNING p.rkey, p.actor, p.kind),"
	LETTERS
	"SELECT 0, 0, (SELECT count(*) FROM given_up), (SELECT count(*) FROM letters)";

/* Both counts end at EXACT_ROWS + 1; beyond, the estimates for partial index and table count. */
static const char count_sql[] =
	"SELECT"
	" (SELECT count(*) FROM"
	"  (SELECT 1 FROM standpipe.pending WHERE state = 'waiting' LIMIT 100001) w),"
	" (SELECT count(*) FROM (SELECT 1 FROM standpipe.pending LIMIT 100001) a),"
	" (SELECT reltuples::bigint FROM pg_class WHERE oid = 'standpipe.pending_due'::regclass),"
	" (SELECT reltuples::bigint FROM pg_class WHERE oid = 'standpipe.pending'::regclass)";
/* clang-format on */

static int64_t column(const struct pg_result *r, int col)
{
	return pg_text(r, 0, col) ? strtoll(pg_text(r, 0, col), NULL, 10) : 0;
}

static const char *given_up_state(const struct keeper_pending *p)
{
	return strcmp(p->conf->pending.then, "dead_letter") == 0 ? "dead_lettered" : "expired";
}

/* Counters for what one statement did: { due, gone, given up, letters }. */
static void note(struct keeper_pending *p, const struct pg_result *r)
{
	stats_add(p->stats, STAT_pending_completed, (uint64_t)column(r, 1));
	stats_add(p->stats, STAT_dead_letters, (uint64_t)column(r, 3));
	p->expired_since += column(r, 2);
}

/* One step of at most DUE_ROWS rows; *ret_more is set if there may be more. */
static enum pg_class retry_due(struct keeper_pending *p, bool *ret_more, struct err *err)
{
	char retry[NUMBER_SIZE], retry_max[NUMBER_SIZE], expire[NUMBER_SIZE];
	const char *params[] = { given_up_state(p), STANDPIPE_VERSION, retry, retry_max, expire };
	struct pg_result *r = NULL;
	enum pg_class class;

	snprintf(retry, sizeof retry, "%.6f", p->conf->pending.retry);
	snprintf(retry_max, sizeof retry_max, "%.6f", p->conf->pending.retry_max);
	snprintf(expire, sizeof expire, "%.6f", p->conf->pending.expire);
	class = pg_query(p->pg, due_sql, 5, params, &r, err);
	if (class != PG_OK)
		return class;
	note(p, r);
	*ret_more = column(r, 0) == DUE_ROWS;
	if (column(r, 1) > 0)
		log_debug("keeper.parents_found", "rows=%" PRId64, column(r, 1));
	pg_result_free(r);
	return PG_OK;
}

/* Gives the n oldest up. The order by first_seen is a pass over the table, for which the session's
 * plan settings are wrong; so it takes some more than needed and comes back seldom. */
static enum pg_class expire_oldest(struct keeper_pending *p, int64_t over, struct err *err)
{
	int64_t n = over + p->conf->pending.max_rows / 100;
	char count[NUMBER_SIZE];
	const char *params[] = { given_up_state(p), STANDPIPE_VERSION, count };
	struct pg_result *r = NULL;
	enum pg_class class;

	snprintf(count, sizeof count, "%" PRId64, n < MAX_EXPIRE_ROWS ? n : MAX_EXPIRE_ROWS);
	class = pg_query(p->pg, "BEGIN; SET LOCAL enable_seqscan = on", 0, NULL, NULL, err);
	if (class == PG_OK)
		class = pg_query(p->pg, oldest_sql, 3, params, &r, err);
	if (class == PG_OK)
		class = pg_query(p->pg, "COMMIT", 0, NULL, NULL, err);
	if (class == PG_OK) {
		note(p, r);
		log_warning("keeper.pending_full",
			"max_rows=%" PRId64 " expired=%" PRId64
			" action=\"the oldest missing parents were given up early;"
			" raise pending.max_rows\"",
			p->conf->pending.max_rows, column(r, 2));
	}
	pg_result_free(r);
	return class;
}

/* Gauges, and the limit on rows. */
static enum pg_class count_rows(struct keeper_pending *p, struct err *err)
{
	int64_t waiting, all, estimate, estimate_all;
	struct pg_result *r = NULL;
	enum pg_class class = pg_query(p->pg, count_sql, 0, NULL, &r, err);

	if (class != PG_OK)
		return class;
	waiting = column(r, 0);
	all = column(r, 1);
	estimate = column(r, 2);
	estimate_all = column(r, 3);
	pg_result_free(r);
	if (estimate != p->estimate)
		p->expired_since = 0;
	p->estimate = estimate;
	if (waiting > EXACT_ROWS && estimate - p->expired_since > waiting)
		waiting = estimate - p->expired_since;
	if (all > EXACT_ROWS && estimate_all > all)
		all = estimate_all;
	stats_set(p->stats, STAT_pending_rows, (uint64_t)waiting);
	stats_set(p->stats, STAT_pending_expired, all > waiting ? (uint64_t)(all - waiting) : 0);
	if (waiting <= p->conf->pending.max_rows)
		return PG_OK;
	return expire_oldest(p, waiting - p->conf->pending.max_rows, err);
}

enum pg_class keeper_pending_tick(struct keeper_pending *p, struct err *err)
{
	int64_t end_us = clock_mono_us() + BUDGET_US;
	enum pg_class class;
	bool more = true;

	while (more && clock_mono_us() < end_us) {
		class = retry_due(p, &more, err);
		if (class != PG_OK)
			return class;
	}
	if (clock_mono_us() < p->next_count_us)
		return PG_OK;
	p->next_count_us = clock_mono_us() + COUNT_EVERY_US;
	return count_rows(p, err);
}
