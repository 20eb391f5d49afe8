/* SPDX-License-Identifier: MIT
 *
 * suspect - events over which a worker has crashed, by their place; the table standpipe.suspects
 *
 * A crash while an event is decoded is left in the slot's counters by the supervisor; the next process of that
 * slot writes it down here before it touches the stream. Whoever has loaded the list sets such events aside,
 * and each is processed alone. A row goes when its event has been stored; it stays, with its count, when the
 * event became a dead letter, so that a replay does not crash a worker over it again.
 * Owns: the list. Errors: enum pg_class. Must not know: what an event is.
 */
#ifndef WORKERS_SUSPECT_H
#define WORKERS_SUSPECT_H

#include "base/stats.h"
#include "io/pg.h"
#include "io/stream.h"

struct suspects {
	struct stream_id *places; /* (epoch, seq), ascending */
	int n;
};

/* Writes down what the slot's last process left, then reads the whole list anew. */
enum pg_class suspects_load(struct suspects *s, struct pg *pg, struct stats_slot *slot, struct err *err) NODISCARD;
void suspects_done(struct suspects *s);
/* s NULL: none. */
bool suspects_have(const struct suspects *s, uint64_t epoch, uint64_t seq);

/* One more crash over the event, by that signal; *ret_crashes: how many there were now. */
enum pg_class suspect_crashed(struct pg *pg, struct stream_id place, int signal, int *ret_crashes,
	struct err *err) NODISCARD;
/* It was stored after all. */
enum pg_class suspect_stored(struct pg *pg, struct stream_id place, struct err *err) NODISCARD;
/* It is a dead letter now: the letter gets the number of crashes as its attempts. */
enum pg_class suspect_buried(struct pg *pg, struct stream_id place, struct err *err) NODISCARD;

#endif
