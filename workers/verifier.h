/* SPDX-License-Identifier: MIT
 *
 * verifier - the frames of a batch held against their accounts' keys, before anything of them is written
 *
 * Runs in every worker, so it uses as many cores as there are workers. A frame that passes becomes the commit
 * or sync it holds. One whose account has no key yet, or whose check fails for the first time (its key may have
 * been replaced), stays a frame: the writer parks it and asks the resolver. One that was parked and fails with
 * what the resolver found becomes a dead letter of class `unverified`, the reason naming the check.
 * Owns: the cache of keys. Invariant: what it says of an event depends on the event and the key alone.
 * Must not know: Redis, SQL of the writer, the network.
 */
#ifndef WORKERS_VERIFIER_H
#define WORKERS_VERIFIER_H

#include "io/conf.h"
#include "workers/identity.h"
#include "workers/write.h"

struct verifier {
	const struct conf *conf;
	struct stats_slot *stats;
	struct identities identities;
	bool full; /* source.verify; else frames that a reader left before it was changed are taken as they are */
};

void verifier_init(struct verifier *v, const struct conf *conf, struct stats_slot *stats);
void verifier_done(struct verifier *v);
/* Opens and judges every frame of the batch that is still one. Repeating it is harmless. */
enum write_status verifier_run(struct verifier *v, struct writer *w, struct batch *b, struct err *err) NODISCARD;
/* The same, then writes what it says. */
enum write_status verifier_write(struct verifier *v, struct writer *w, struct batch *b, struct err *err) NODISCARD;

#endif
