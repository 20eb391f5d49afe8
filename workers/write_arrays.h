/* SPDX-License-Identifier: MIT
 *
 * write_arrays - what a merged batch looks like as parameters of the statements, queued as one pipeline
 *
 * Owns: nothing; arrays live in the writer's arena until the next batch.
 */
#ifndef WORKERS_WRITE_ARRAYS_H
#define WORKERS_WRITE_ARRAYS_H

#include "workers/write.h"

/* Records [from, to) of the sorted list of collections[c]. insert: what is there already is an error. */
struct write_range {
	int c, from, to;
	bool insert;
};

/* Where in the pipeline each statement went (-1: not sent), to read its outcome. */
struct write_sent {
	int keys, pending_done, dead_letters;
	int first_upsert, n_upserts;
	struct write_range upserts[64];
};

/* Takes the rows of m and queues both transactions on w->pg, the second without its end. */
void write_queue(struct writer *w, struct merge *m, struct write_sent *ret);
/* Queues the dead letter of the only event of m instead of its rows, without the transaction's end. Its own keys, which an attempt before may
 * have made, become missing parents, unless they have content. */
void write_queue_dead(struct writer *w, struct merge *m, const struct merged_dead *dead, struct write_sent *ret);
/* A key as one number, for the cache of known ones. */
uint64_t write_key_id(const struct merged_key *k);

#endif
