/* SPDX-License-Identifier: MIT
 *
 * write_ledger - the outcomes of a merged batch from the answers of its statements, and their ledger rows
 *
 * The order in one attempt: write_count_rows reads what the upserts answered; where not every row was written it
 * queues look-ups, whose answers write_count_fates reads; write_queue_ledger ends the transaction.
 */
#ifndef WORKERS_WRITE_LEDGER_H
#define WORKERS_WRITE_LEDGER_H

#include "workers/write_arrays.h"

/* What the look-ups are about, in the order of the pipeline. */
struct write_fates {
	int n;
	struct write_range of[64];
};

/* True if look-ups are queued: they want to be run, and then counted. */
bool write_count_rows(struct writer *w, struct merge *m, const struct write_sent *sent, const struct pg_outcome *o,
	struct write_fates *ret);
void write_count_fates(struct merge *m, const struct write_fates *fates, const struct pg_outcome *o);
/* Queues the ledger rows of the packs that end with the batch's event `to` (exclusive), and the COMMIT. */
void write_queue_ledger(struct writer *w, struct merge *m, int to);
/* That transaction is committed. */
void write_ledger_done(struct writer *w, const struct merge *m, int to);

#endif
