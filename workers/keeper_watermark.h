/* SPDX-License-Identifier: MIT
 *
 * keeper_watermark - PostgreSQL's watermark and epochs, and Redis made to agree with them
 *
 * The order of one tick is the promise: what is lost is recorded as a gap before it is dropped; the
 * watermark is committed in PostgreSQL before Redis hears of it; only then is anything trimmed.
 * Owns: nothing; pg and stream are borrowed and must be connected. What was loaded is valid as long
 * as that PostgreSQL session lives: after a new one, load again (it may be another database, or an
 * older one). Errors: enum keeper_status; err says what. Must not know: what an event is, workers,
 * missing parents.
 */
#ifndef WORKERS_KEEPER_WATERMARK_H
#define WORKERS_KEEPER_WATERMARK_H

#include "base/stats.h"
#include "io/conf.h"
#include "io/pg.h"
#include "io/stream.h"

enum keeper_status {
	KEEPER_OK = 0,
	KEEPER_E_POSTGRES, /* not reachable, or a statement failed: begin anew with a checked
			      session */
	KEEPER_E_REDIS, /* not reachable, or it refuses to write */
	KEEPER_E_REFUSED, /* settings or schema break the promise: a person is needed */
};

struct keeper_watermark {
	struct pg *pg;
	struct stream *stream;
	struct stats_slot *stats;
	const struct conf *conf;

	/* What PostgreSQL holds. */
	struct stream_id at;
	uint64_t epoch;
	char host[256], start[32];
	char identity[160]; /* changes if this is another PostgreSQL, or one that was restored or
			       promoted */
};

/* Says in err what failed and where; returns KEEPER_E_POSTGRES. */
enum keeper_status keeper_postgres_failed(const struct pg *pg, const char *doing, struct err *err);
/* Reads watermark, newest epoch and identity; opens the first epoch if there is none. */
enum keeper_status keeper_watermark_load(struct keeper_watermark *m, struct err *err) NODISCARD;
/* Makes the range (after, through], deleted by a foreigner, durable as a gap, once. */
enum keeper_status keeper_record_loss(struct keeper_watermark *m, struct stream_id after,
	struct stream_id through, struct err *err) NODISCARD;
/* Prepares Redis (cheap if nothing is to do: heals FLUSHALL, XGROUP DESTROY, an older PostgreSQL),
 * moves the watermark, trims, and opens the epoch that the reader wants. */
enum keeper_status keeper_watermark_tick(struct keeper_watermark *m, struct err *err) NODISCARD;

#endif
