/* SPDX-License-Identifier: MIT */
#include "workers/suspect.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char crashed_sql[] =
	"INSERT INTO standpipe.suspects AS s (epoch, seq, signal, version)"
	" VALUES ($1, $2, $3, '" STANDPIPE_VERSION "')"
	" ON CONFLICT (epoch, seq) DO UPDATE SET crashes = s.crashes + 1, signal = excluded.signal,"
	" last_at = now(), version = excluded.version RETURNING crashes";
static const char load_sql[] = "SELECT epoch, seq FROM standpipe.suspects ORDER BY epoch, seq";
static const char stored_sql[] = "DELETE FROM standpipe.suspects WHERE epoch = $1 AND seq = $2";
static const char buried_sql[] =
	"UPDATE standpipe.dead_letters d SET attempts = s.crashes FROM standpipe.suspects s"
	" WHERE s.epoch = $1 AND s.seq = $2 AND d.epoch = s.epoch AND d.seq = s.seq AND d.op = -1"
	" AND d.class = 'crash'";

/* A place as the first two parameters of a statement. */
struct place_text {
	char epoch[24], seq[24];
};

static struct place_text text_of(struct stream_id place)
{
	struct place_text text;

	snprintf(text.epoch, sizeof text.epoch, "%" PRIu64, place.epoch);
	snprintf(text.seq, sizeof text.seq, "%" PRIu64, place.seq);
	return text;
}

enum pg_class suspect_crashed(
	struct pg *pg, struct stream_id place, int signal, int *ret_crashes, struct err *err)
{
	struct place_text text = text_of(place);
	const char *name = sigabbrev_np(signal);
	char full[16];
	const char *params[] = { text.epoch, text.seq, full };
	struct pg_result *r = NULL;
	enum pg_class class;

	snprintf(full, sizeof full, "SIG%s", name ? name : "?");
	class = pg_query(pg, crashed_sql, 3, params, &r, err);
	*ret_crashes = class == PG_OK ? atoi(pg_text(r, 0, 0)) : 0;
	pg_result_free(r);
	return class;
}

static enum pg_class run(struct pg *pg, const char *sql, struct stream_id place, struct err *err)
{
	struct place_text text = text_of(place);
	const char *params[] = { text.epoch, text.seq };

	return pg_query(pg, sql, 2, params, NULL, err);
}

enum pg_class suspect_stored(struct pg *pg, struct stream_id place, struct err *err)
{
	return run(pg, stored_sql, place, err);
}

enum pg_class suspect_buried(struct pg *pg, struct stream_id place, struct err *err)
{
	return run(pg, buried_sql, place, err);
}

/* What the supervisor left in the slot becomes a row; only then is it forgotten there. */
static enum pg_class write_down(struct pg *pg, struct stats_slot *slot, struct err *err)
{
	struct stream_id place = { slot->suspect_epoch, slot->suspect_seq };
	enum pg_class class = PG_OK;
	int n;

	if (!slot->suspect_signal)
		return PG_OK;
	class = suspect_crashed(pg, place, (int)slot->suspect_signal, &n, err);
	if (class == PG_OK) {
		log_warning("worker.suspect", "epoch=%" PRIu64 " seq=%" PRIu64 " crashes=%d action=\"processed alone\"",
			place.epoch, place.seq, n);
		slot->suspect_signal = 0;
	}
	return class;
}

enum pg_class suspects_load(struct suspects *s, struct pg *pg, struct stats_slot *slot, struct err *err)
{
	struct pg_result *r = NULL;
	enum pg_class class = write_down(pg, slot, err);

	if (class == PG_OK)
		class = pg_query(pg, load_sql, 0, NULL, &r, err);
	if (class != PG_OK)
		return class;
	suspects_done(s);
	s->n = pg_rows(r);
	s->places = calloc((size_t)s->n + 1, sizeof *s->places);
	if (!s->places)
		abort();
	for (int i = 0; i < s->n; i++)
		s->places[i] = (struct stream_id){ strtoull(pg_text(r, i, 0), NULL, 10),
			strtoull(pg_text(r, i, 1), NULL, 10) };
	pg_result_free(r);
	return PG_OK;
}

void suspects_done(struct suspects *s)
{
	free(s->places);
	*s = (struct suspects){ 0 };
}

static int place_order(const void *a, const void *b)
{
	return stream_id_cmp(*(const struct stream_id *)a, *(const struct stream_id *)b);
}

bool suspects_have(const struct suspects *s, uint64_t epoch, uint64_t seq)
{
	struct stream_id place = { epoch, seq };

	return s && s->n && bsearch(&place, s->places, (size_t)s->n, sizeof place, place_order);
}
