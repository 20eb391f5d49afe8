/* SPDX-License-Identifier: MIT
 *
 * write_verify - what verification leaves in the database, in the transaction that finishes the batch
 *
 * Events that wait for a key are parked and the key is wanted; events taken up again are no longer parked;
 * verified commits are handed to the audit of their repo's chain. Repeating all that changes nothing.
 * Locks are taken in the order of their keys, as everywhere.
 * Owns: nothing; arrays live in the writer's arena.
 */
#ifndef WORKERS_WRITE_VERIFY_H
#define WORKERS_WRITE_VERIFY_H

#include "workers/write.h"

/* Queues what events[0..n) need, inside the transaction that is open; counts the statements in *n_sent. */
void write_queue_verify(struct writer *w, const struct batch_event *events, int n, int *n_sent);
/* For events that became dead letters instead: only that they are no longer parked. */
void write_queue_unpark(struct writer *w, const struct batch_event *events, int n, int *n_sent);

#endif
