/* SPDX-License-Identifier: MIT */
#include "workers/keeper_foreign.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { ENTRIES_AT_ONCE = 16, MAX_ROUNDS = 1000, NUMBER_SIZE = 24 };

static const char foreign_sql[] =
	"INSERT INTO standpipe.dead_letters AS t (epoch, seq, op, id, class, reason, bytes, version)"
	" SELECT $1, $2, -1, sha256(b), 'foreign', 'an entry of the stream that standpipe did not write', b,"
	" '" STANDPIPE_VERSION "' FROM decode($3, 'hex') b"
	" ON CONFLICT (epoch, seq, op, id) DO UPDATE SET attempts = t.attempts + 1, last_at = now()";

/* A foreigner may choose ids that no bigint holds. */
static const char *bigint(char text[NUMBER_SIZE], uint64_t v)
{
	snprintf(text, NUMBER_SIZE, "%" PRId64, v > INT64_MAX ? INT64_MAX : (int64_t)v);
	return text;
}

static void put_hex(struct buf *out, struct slice s)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < s.n; i++) {
		buf_u8(out, (uint8_t)digits[s.p[i] >> 4]);
		buf_u8(out, (uint8_t)digits[s.p[i] & 15]);
	}
}

static enum keeper_status keep(struct keeper_watermark *m, const struct stream_entry *entry, struct err *err)
{
	char epoch[NUMBER_SIZE], seq[NUMBER_SIZE];
	struct buf hex = BUF_INIT;
	const char *params[3];
	enum pg_class class;

	put_hex(&hex, entry->bytes);
	params[0] = bigint(epoch, entry->id.epoch);
	params[1] = bigint(seq, entry->id.seq);
	params[2] = buf_str(&hex);
	class = pg_query(m->pg, foreign_sql, 3, params, NULL, err);
	buf_done(&hex);
	return class == PG_OK ? KEEPER_OK : keeper_postgres_failed(m->pg, "keeping a foreign entry", err);
}

/* A few entries; *ret_more: look again. */
static enum keeper_status evict_some(
	struct keeper_watermark *m, bool *ret_more, enum stream_status *ret_stream, struct err *err)
{
	enum keeper_status status = KEEPER_OK;
	struct stream_entries entries;
	struct stream_id head;

	*ret_more = false;
	*ret_stream = stream_foreign(m->stream, ENTRIES_AT_ONCE, &head, &entries, err);
	if (*ret_stream != STREAM_OK)
		return KEEPER_OK;
	if (head.epoch || head.seq) {
		for (int i = 0; i < entries.n && status == KEEPER_OK; i++)
			status = keep(m, &entries.entries[i], err);
		if (status == KEEPER_OK) {
			*ret_stream = stream_evict(m->stream, &entries, err);
			*ret_more = *ret_stream == STREAM_OK;
			log_error("keeper.foreign_head",
				"head=%" PRIu64 "-%" PRIu64 " entries=%d action=\"set back; somebody else writes to "
				"stream %s: find out who; what it wrote is in: standpipe dead-letter list --class foreign\"",
				head.epoch, head.seq, entries.n, m->conf->redis.stream);
		}
	}
	stream_entries_free(&entries);
	return status;
}

enum keeper_status keeper_evict(struct keeper_watermark *m, enum stream_status *ret_stream, struct err *err)
{
	enum keeper_status status = KEEPER_OK;
	bool more = true;

	/* who writes faster than this is caught at the next tick */
	for (int i = 0; i < MAX_ROUNDS && more && status == KEEPER_OK; i++)
		status = evict_some(m, &more, ret_stream, err);
	return status;
}

/* Up to the watermark everything is in PostgreSQL, whatever became of its entries. */
static enum keeper_status record_holes(struct keeper_watermark *m, const struct stream_walk *walk,
	enum stream_status *ret_stream, struct err *err)
{
	for (int i = 0; i < walk->n_holes && *ret_stream == STREAM_OK; i++) {
		struct stream_id after = walk->holes[i].after, through = walk->holes[i].through;
		enum keeper_status status;
		int dropped = 1;

		if (stream_id_cmp(after, m->at) < 0)
			after = m->at;
		if (stream_id_cmp(through, after) <= 0)
			continue;
		status = keeper_record_loss(m, after, through, err);
		if (status != KEEPER_OK)
			return status;
		while (*ret_stream == STREAM_OK && dropped > 0)
			*ret_stream = stream_drop_lost(m->stream, through, &dropped, err);
	}
	return KEEPER_OK;
}

enum keeper_status keeper_walk(struct keeper_watermark *m, enum stream_status *ret_stream, struct err *err)
{
	struct stream_walk walk = { 0 };
	enum keeper_status status = KEEPER_OK;

	*ret_stream = stream_doubt(m->stream, err);
	while (*ret_stream == STREAM_OK && !walk.ended && status == KEEPER_OK) {
		*ret_stream = stream_walk(m->stream, &walk, err);
		if (*ret_stream == STREAM_OK)
			status = record_holes(m, &walk, ret_stream, err);
	}
	if (status == KEEPER_OK && *ret_stream == STREAM_OK)
		*ret_stream = stream_doubt_over(m->stream, err);
	return status;
}
