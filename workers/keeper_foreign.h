/* SPDX-License-Identifier: MIT
 *
 * keeper_foreign - what foreigners did to the stream, put on record and right again
 *
 * Entries that standpipe did not write become dead letters of class `foreign`, are removed, and the head is ours
 * again; of our own entries that somebody deleted, the exact ranges become gaps. In this order: on record in
 * PostgreSQL first, then forgotten in Redis.
 * Owns: nothing; see keeper_watermark. Errors: enum keeper_status. Must not know: what an event is.
 */
#ifndef WORKERS_KEEPER_FOREIGN_H
#define WORKERS_KEEPER_FOREIGN_H

#include "workers/keeper_watermark.h"

/* Sets the head back if it is not ours. *ret_stream: how Redis took it. */
enum keeper_status keeper_evict(struct keeper_watermark *m, enum stream_status *ret_stream, struct err *err) NODISCARD;
/* Walks the chain of packs and records every hole above PostgreSQL's watermark. */
enum keeper_status keeper_walk(struct keeper_watermark *m, enum stream_status *ret_stream, struct err *err) NODISCARD;

#endif
