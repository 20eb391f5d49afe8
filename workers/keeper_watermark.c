/* SPDX-License-Identifier: MIT */
#include "workers/keeper_watermark.h"

#include "workers/keeper_foreign.h"

#include "base/failpoint.h"
#include "base/log.h"
#include "io/websocket.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* MAX_LOSSES: steps of 1000 entries in which a foreigner's deletions are worked off in one tick. */
enum { MAX_LOSSES = 100, NUMBER_SIZE = 24 };

/* The start of the server is part of its identity: an older copy of its files has the same identifiers, and may have
 * the same watermark although later commits, acknowledged by now, are gone. Each start costs one delivery of what is
 * above the watermark. */
static const char load_sql[] =
	"SELECT w.epoch, w.seq, e.epoch, e.host, e.start,"
	" (SELECT system_identifier FROM pg_control_system()) || ':' ||"
	" ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int || ':' ||"
	" (SELECT oid FROM pg_database WHERE datname = current_database()) || ':' ||"
	" (SELECT value FROM standpipe.meta WHERE key = 'uuid') || ':' ||"
	" to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS')"
	" FROM standpipe.watermark w LEFT JOIN standpipe.epochs e"
	" ON e.epoch = (SELECT max(epoch) FROM standpipe.epochs)";

/* Of a rewind ($5, the watermark's epoch, given) the host is that epoch's: a seq belongs to one
 * host. */
static const char open_epoch_sql[] =
	"INSERT INTO standpipe.epochs (epoch, host, start, reason)"
	" VALUES ($1, coalesce((SELECT host FROM standpipe.epochs WHERE epoch = $5::bigint), $2),"
	" $3, $4)"
	" RETURNING host";

static const char move_sql[] =
	"SELECT standpipe.move_watermark($1::bigint, $2::bigint)";

/* RETURNING: a row only the first time. */
static const char gap_sql[] =
	"INSERT INTO standpipe.gaps (epoch, after_epoch, after_seq, first_seq, reason)"
	" VALUES ($1, $2, $3, $4, 'foreign_trim') ON CONFLICT DO NOTHING RETURNING 1";

static const char *number(char text[NUMBER_SIZE], uint64_t v)
{
	snprintf(text, NUMBER_SIZE, "%" PRIu64, v);
	return text;
}

enum keeper_status keeper_postgres_failed(const struct pg *pg, const char *doing, struct err *err)
{
	/* a lost connection is told with the address, an error of the server without */
	if (strncmp(err->text, "PostgreSQL at ", 14) == 0)
		err_wrap(err, "%s", doing);
	else
		err_wrap(err, "PostgreSQL at %s: %s", pg_address(pg), doing);
	return KEEPER_E_POSTGRES;
}

/* Inserts the row and makes it the newest. host_epoch 0: the host given counts. */
static enum keeper_status open_epoch(struct keeper_watermark *m, uint64_t epoch, const char *host,
	const char *start, uint64_t host_epoch, const char *reason, struct err *err)
{
	char epoch_text[NUMBER_SIZE], host_epoch_text[NUMBER_SIZE];
	const char *params[] = { number(epoch_text, epoch), host, start, reason,
		host_epoch ? number(host_epoch_text, host_epoch) : NULL };
	struct pg_result *r = NULL;

	if (pg_query(m->pg, open_epoch_sql, 5, params, &r, err) != PG_OK)
		return keeper_postgres_failed(m->pg, "opening an epoch", err);
	FAILPOINT_CUT(keeper_epoch, stream_fd(m->stream));
	m->epoch = epoch;
	snprintf(m->host, sizeof m->host, "%s", pg_text(r, 0, 0));
	if (start != m->start)
		snprintf(m->start, sizeof m->start, "%s", start);
	pg_result_free(r);
	log_notice("keeper.epoch_opened", "epoch=%" PRIu64 " host=%s start=%s reason=%s",
		m->epoch, m->host, m->start, LOG_QUOTED(reason));
	return KEEPER_OK;
}

/* A database that never saw an epoch begins as the configuration says. */
static enum keeper_status open_first(struct keeper_watermark *m, struct err *err)
{
	char host[sizeof m->host];

	if (m->conf->source.n_urls == 0 ||
		!websocket_url_valid(m->conf->source.urls[0], host, sizeof host)) {
		err_set(err,
			"source.urls: the first one is no ws:// or wss:// URL: correct it");
		return KEEPER_E_REFUSED;
	}
	return open_epoch(m, 1, host, m->conf->source.start, 0, "first start", err);
}

static uint64_t column(const struct pg_result *r, int col)
{
	return pg_text(r, 0, col) ? strtoull(pg_text(r, 0, col), NULL, 10) : 0;
}

enum keeper_status keeper_watermark_load(struct keeper_watermark *m, struct err *err)
{
	struct pg_result *r = NULL;

	if (pg_query(m->pg, load_sql, 0, NULL, &r, err) != PG_OK)
		return keeper_postgres_failed(m->pg, "reading the watermark", err);
	if (pg_rows(r) != 1 || !pg_text(r, 0, 5)) {
		pg_result_free(r);
		err_set(err,
			"PostgreSQL at %s: standpipe.watermark or standpipe.meta lost its row: "
			"restore the database, or run `standpipe migrate` on a new one",
			pg_address(m->pg));
		return KEEPER_E_REFUSED;
	}
	m->at = (struct stream_id){ column(r, 0), column(r, 1) };
	m->epoch = column(r, 2);
	snprintf(m->host, sizeof m->host, "%s", m->epoch ? pg_text(r, 0, 3) : "");
	snprintf(m->start, sizeof m->start, "%s", m->epoch ? pg_text(r, 0, 4) : "");
	snprintf(m->identity, sizeof m->identity, "%s", pg_text(r, 0, 5));
	pg_result_free(r);
	return m->epoch ? KEEPER_OK : open_first(m, err);
}

/* What Redis cannot replay is read again from the source, from the watermark on. */
static enum keeper_status rewind_source(
	struct keeper_watermark *m, uint64_t top_epoch, struct err *err)
{
	uint64_t epoch = (m->epoch > top_epoch ? m->epoch : top_epoch) + 1;
	char seq[NUMBER_SIZE];

	if (epoch > INT32_MAX) {
		err_set(err,
			"Redis at %s: stream %s holds ids that standpipe never wrote: delete it, "
			"or choose another redis.stream",
			stream_address(m->stream), m->conf->redis.stream);
		return KEEPER_E_REDIS;
	}
	return open_epoch(m, epoch, m->host, m->at.epoch ? number(seq, m->at.seq) : m->start,
		m->at.epoch, "Redis cannot replay from the watermark on: reading again", err);
}

/* True if the next tick's prepare heals it: Redis was emptied or the group destroyed just now. */
static bool heals(enum stream_status status)
{
	return status == STREAM_E_NOGROUP || status == STREAM_E_UNPREPARED;
}

static enum keeper_status prepare(struct keeper_watermark *m, struct err *err)
{
	enum stream_prepared prepared = PREPARED_EPOCH;

	for (int tries = 0;; tries++) {
		const struct stream_base base = { m->at, m->epoch, m->host, m->start, m->identity };
		enum keeper_status status;
		uint64_t top_epoch;

		if (stream_prepare(m->stream, &base, &prepared, &top_epoch, err) != STREAM_OK)
			return KEEPER_E_REDIS;
		if (prepared == PREPARED_NEW)
			log_notice("keeper.prepared",
				"watermark=%" PRIu64 "-%" PRIu64 " epoch=%" PRIu64, m->at.epoch,
				m->at.seq, m->epoch);
		if (prepared == PREPARED_REWOUND)
			log_warning("keeper.rewound",
				"watermark=%" PRIu64 "-%" PRIu64
				" action=\"PostgreSQL was started again, or is another or older one; delivering again\"",
				m->at.epoch, m->at.seq);
		if (prepared != PREPARED_EPOCH)
			return KEEPER_OK;
		if (tries > 0)
			break; /* an epoch that starts at the watermark always does */
		status = rewind_source(m, top_epoch, err);
		if (status != KEEPER_OK)
			return status;
	}
	err_set(err, "Redis at %s: no epoch satisfies it: the hash %s:meta is damaged; delete it",
		stream_address(m->stream), m->conf->redis.stream);
	return KEEPER_E_REDIS;
}

enum keeper_status keeper_record_loss(struct keeper_watermark *m, struct stream_id after,
	struct stream_id through, struct err *err)
{
	char epoch[NUMBER_SIZE], after_epoch[NUMBER_SIZE], after_seq[NUMBER_SIZE],
		first[NUMBER_SIZE];
	const char *params[] = { number(epoch, through.epoch), number(after_epoch, after.epoch),
		number(after_seq, after.seq), number(first, through.seq + 1) };
	struct pg_result *r = NULL;

	if (pg_query(m->pg, gap_sql, 4, params, &r, err) != PG_OK)
		return keeper_postgres_failed(m->pg, "recording a gap", err);
	if (pg_rows(r) > 0) {
		stats_add(m->stats, STAT_gaps, 1);
		log_error("keeper.gap_recorded",
			"after=%s-%s through=%s-%" PRIu64 " reason=foreign_trim "
			"action=\"somebody deleted entries of stream %s before they were stored; "
			"find out who, then `standpipe rewind` to before the gap\"",
			after_epoch, after_seq, epoch, through.seq, m->conf->redis.stream);
	}
	pg_result_free(r);
	return KEEPER_OK;
}

/* Reads the watermark; what a foreigner deleted is recorded and dropped on the way. */
static enum keeper_status read_watermark(struct keeper_watermark *m, struct stream_watermark *ret,
	enum stream_status *ret_stream, struct err *err)
{
	for (int i = 0; i < MAX_LOSSES; i++) {
		enum keeper_status status;
		int dropped = 0;

		*ret_stream = stream_get_watermark(m->stream, ret, err);
		if (*ret_stream == STREAM_OK && ret->doubt) {
			status = keeper_walk(m, ret_stream, err);
			if (status != KEEPER_OK || *ret_stream != STREAM_OK)
				return status;
			continue;
		}
		if (*ret_stream != STREAM_OK || !ret->lost)
			return KEEPER_OK;
		status = keeper_record_loss(m, ret->lost_after, ret->lost_through, err);
		if (status != KEEPER_OK)
			return status;
		FAILPOINT_CUT(keeper_gap, stream_fd(m->stream));
		*ret_stream = stream_drop_lost(m->stream, ret->lost_through, &dropped, err);
		/* None pending: they were never delivered, and the watermark is valid as it is. */
		if (*ret_stream != STREAM_OK || dropped == 0)
			return KEEPER_OK;
	}
	return KEEPER_OK;
}

/* Moves PostgreSQL's watermark if this one is higher; it never goes back here. */
static enum keeper_status commit(struct keeper_watermark *m, struct stream_id id, struct err *err)
{
	char epoch[NUMBER_SIZE], seq[NUMBER_SIZE];
	const char *params[] = { number(epoch, id.epoch), number(seq, id.seq) };

	if (stream_id_cmp(id, m->at) > 0) {
		if (pg_query(m->pg, move_sql, 2, params, NULL, err) != PG_OK)
			return keeper_postgres_failed(m->pg, "moving the watermark", err);
		m->at = id;
	}
	stats_set(m->stats, STAT_watermark_epoch, m->at.epoch);
	stats_set(m->stats, STAT_watermark_seq, m->at.seq);
	return KEEPER_OK;
}

/* Opens the epoch that the reader wants. */
static enum keeper_status fulfil(
	struct keeper_watermark *m, const struct stream_watermark *w, struct err *err)
{
	enum keeper_status status;

	if (!w->want_host[0])
		return KEEPER_OK;
	status = open_epoch(
		m, m->epoch + 1, w->want_host, w->want_start, 0, "asked for by the reader", err);
	return status == KEEPER_OK ? prepare(m, err) : status;
}

enum keeper_status keeper_watermark_tick(struct keeper_watermark *m, struct err *err)
{
	enum stream_status stream = STREAM_OK;
	enum keeper_status status;
	struct stream_watermark w;
	uint64_t trimmed = 0;

	FAILPOINT_CUT(keeper_prepare, stream_fd(m->stream));
	status = keeper_evict(m, &stream, err);
	if (status == KEEPER_OK && stream != STREAM_OK && !heals(stream))
		return KEEPER_E_REDIS;
	if (status == KEEPER_OK)
		status = prepare(m, err);
	if (status == KEEPER_OK)
		status = read_watermark(m, &w, &stream, err);
	if (status != KEEPER_OK)
		return status;
	if (stream != STREAM_OK)
		return heals(stream) ? KEEPER_OK : KEEPER_E_REDIS;
	FAILPOINT_CUT(keeper_mark, stream_fd(m->stream));
	status = commit(m, w.id, err);
	if (status != KEEPER_OK)
		return status;
	FAILPOINT_CUT(keeper_commit, stream_fd(m->stream));
	/* w.id may be behind PostgreSQL's if Redis lost its tail; Redis records PostgreSQL's. */
	w.id = m->at;
	stream = stream_trim(m->stream, &w, (uint64_t)m->conf->redis.replay_events,
		(uint64_t)m->conf->redis.replay_bytes, &trimmed, err);
	if (stream != STREAM_OK)
		return heals(stream) ? KEEPER_OK : KEEPER_E_REDIS;
	FAILPOINT_CUT(keeper_trimmed, stream_fd(m->stream));
	stats_add(m->stats, STAT_entries_trimmed, trimmed);
	return fulfil(m, &w, err);
}
