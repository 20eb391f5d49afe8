/* SPDX-License-Identifier: MIT */
#include "supervisor/commands/fsck_stream.h"

#include "codec/pack.h"
#include "io/stream.h"

#include <inttypes.h>
#include <stdlib.h>

/* The watermark as PostgreSQL has it, and the ordinal that follows it. */
struct mark {
	struct stream_id id;
	uint64_t ordinal;
	bool known;
};

static enum pg_class read_mark(struct pg *pg, struct mark *ret, struct err *err)
{
	struct pg_result *r = NULL;
	enum pg_class class = pg_query(
		pg, "SELECT epoch, seq, ordinal FROM standpipe.watermark", 0, NULL, &r, err);

	*ret = (struct mark){0};
	if (class == PG_OK && pg_rows(r) == 1 && pg_text(r, 0, 2)) {
		ret->id.epoch = strtoull(pg_text(r, 0, 0), NULL, 10);
		ret->id.seq = strtoull(pg_text(r, 0, 1), NULL, 10);
		ret->ordinal = strtoull(pg_text(r, 0, 2), NULL, 10);
		ret->known = true;
	}
	pg_result_free(r);
	return class;
}

/* The ordinal that follows the entry at id; false if Redis does not hold that entry (any more). */
static bool entry_ordinal(struct stream *s, struct stream_id id, uint64_t *ret, struct err *err)
{
	struct stream_id before = {id.epoch, id.seq ? id.seq - 1 : 0};
	struct stream_entries entries = {0};
	struct pack pack;
	bool found;

	if (stream_range(s, before, 1, &entries, err) != STREAM_OK)
		return false;
	found = entries.n == 1 && stream_id_cmp(entries.entries[0].id, id) == 0 &&
		pack_open(entries.entries[0].bytes, &pack) == PACK_OK;
	if (found)
		*ret = pack.prefix.first_ordinal + pack.prefix.n_events;
	else
		err_set(err, "Redis does not hold the entry at the watermark");
	stream_entries_free(&entries);
	return found;
}

static void compare(const struct mark *mark, uint64_t ordinal, struct fsck_finding *found)
{
	if (ordinal == mark->ordinal)
		return;
	found->n_rows = 1;
	buf_printf(&found->examples,
		"{\"epoch\":%" PRIu64 ",\"seq\":%" PRIu64 ",\"ordinal\":%" PRIu64
		",\"ordinal_in_redis\":%" PRIu64 "}\n",
		mark->id.epoch, mark->id.seq, mark->ordinal, ordinal);
}

enum pg_class fsck_stream(struct pg *pg, const struct stream_options *options, bool *ret_looked,
	struct fsck_finding *found, struct err *err)
{
	struct stream *s = NULL;
	enum pg_class class;
	struct mark mark;
	uint64_t ordinal;

	*ret_looked = false;
	class = read_mark(pg, &mark, err);
	if (class != PG_OK)
		return class;
	if (!mark.known)
		err_set(err, "no pack is in the ledger yet");
	else if (stream_new(options, &s, err) == 0 && stream_connect(s, err) == STREAM_OK &&
		 entry_ordinal(s, mark.id, &ordinal, err)) {
		*ret_looked = true;
		compare(&mark, ordinal, found);
	}
	stream_free(s);
	return PG_OK;
}
