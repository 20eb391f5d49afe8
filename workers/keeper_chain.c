/* SPDX-License-Identifier: MIT */
#include "workers/keeper_chain.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>

enum { BUDGET_US = 250000 };

/* Up to 1000 commits, oldest first: how many were looked at, and how many chains are broken. What is older than
 * the newest one audited of its repo was seen before, or fills a hole: it cannot be broken off. Audited ones
 * below are forgotten: only the newest of each repo is ever followed on. */
static const char audit_sql[] =
	"WITH due AS MATERIALIZED ("
	"SELECT c.* FROM standpipe.chain c, standpipe.watermark w"
	" WHERE NOT c.audited AND (c.epoch, c.seq) <= (w.epoch, w.seq) AND c.stored_at < now() - interval '10 s'"
	" AND NOT EXISTS (SELECT FROM standpipe.parked p JOIN bsky.actors a ON a.did = p.did WHERE a.id = c.actor)"
	" ORDER BY c.epoch, c.seq LIMIT 1000),"
	"judged AS MATERIALIZED ("
	"SELECT d.*, l.rev AS last_rev, coalesce(f.data, CASE WHEN d.since IS NULL THEN l.data END) AS followed,"
	" d.rev <= (SELECT max(t.rev) FROM standpipe.chain t WHERE t.actor = d.actor AND t.audited) AS old"
	" FROM due d LEFT JOIN LATERAL (SELECT rev, data FROM standpipe.chain b WHERE b.actor = d.actor AND b.rev < d.rev"
	"  ORDER BY b.rev DESC LIMIT 1) l ON true"
	" LEFT JOIN standpipe.chain f ON f.actor = d.actor AND f.rev = d.since),"
	"broken AS (INSERT INTO standpipe.chain_breaks (actor, rev, kind, since, last_rev, epoch, seq)"
	" SELECT actor, rev, CASE WHEN followed IS NULL THEN 'since' ELSE 'prev_data' END, since, last_rev, epoch, seq"
	" FROM judged WHERE last_rev IS NOT NULL AND old IS NOT TRUE AND (followed IS NULL OR prev_data <> followed)"
	" ON CONFLICT DO NOTHING RETURNING 1),"
	"closed AS (DELETE FROM standpipe.chain_breaks b USING judged j"
	" WHERE b.actor = j.actor AND b.kind = 'since' AND b.since = j.rev),"
	"forgotten AS (DELETE FROM standpipe.chain c USING judged j"
	" WHERE c.actor = j.actor AND c.audited AND c.rev < j.rev),"
	"passed AS (UPDATE standpipe.chain c SET audited = true FROM judged j WHERE c.actor = j.actor AND c.rev = j.rev)"
	"SELECT (SELECT count(*) FROM judged), (SELECT count(*) FROM broken)";

static enum pg_class audit(struct keeper_chain *k, long *ret_n, struct err *err)
{
	struct pg_result *r = NULL;
	enum pg_class class = pg_query(k->pg, audit_sql, 0, NULL, &r, err);
	long n_broken = class == PG_OK ? strtol(pg_text(r, 0, 1), NULL, 10) : 0;

	*ret_n = class == PG_OK ? strtol(pg_text(r, 0, 0), NULL, 10) : 0;
	pg_result_free(r);
	if (n_broken)
		log_warning("keeper.chain_broken", "commits=%ld see=standpipe.broken_chains", n_broken);
	stats_add(k->stats, STAT_chain_breaks, (uint64_t)n_broken);
	return class;
}

enum pg_class keeper_chain_tick(struct keeper_chain *k, struct err *err)
{
	int64_t begin_us = clock_mono_us();
	enum pg_class class;
	long n;

	do
		class = audit(k, &n, err);
	while (class == PG_OK && n && clock_mono_us() - begin_us < BUDGET_US);
	return class;
}
