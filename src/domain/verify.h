/* SPDX-License-Identifier: MIT
 *
 * verify - is a commit what its account signed, and all of it?
 *
 * Takes an event as event_from_frame left it, with the CAR, and the account's key. That a block hashes to its
 * CID, and that frame and commit block agree on repo and rev, was decided there. Here: the commit is signed by
 * the key, every operation's outcome is proven in the signed tree, and undoing the operations leads to the
 * tree before (prevData): none is missing, none was made up.
 * Commits without prevData (older hosts) are not undone; those without operations have nothing to prove.
 * Owns: nothing. Errors: the first check that failed, and why.
 * Must not know: where keys come from, what happens to an event that fails.
 * Source: atproto.com/specs/{sync,repository}.
 */
#ifndef DOMAIN_VERIFY_H
#define DOMAIN_VERIFY_H

#include "codec/sign.h"
#include "domain/event.h"

/* In this order. The names are what a dead letter says. */
#define VERIFY_CHECKS(X)                                                                           \
	X(OK, "ok")                                                                                \
	X(COMMIT_FIELDS, "commit_fields") /* not a version 3 commit with a signature */            \
	X(NO_KEY, "no_key")               /* the account has no key that could have signed */      \
	X(SIGNATURE, "signature")         /* the key did not sign this */                          \
	X(TREE, "tree")                   /* the nodes are no sound part of the signed tree */     \
	X(OP_PROOF, "op_proof")           /* an operation's outcome is not what the tree holds */  \
	X(INVERSION, "inversion")         /* undone, the operations do not lead to prevData */

enum verify_check {
#define X(name, text) VERIFY_##name,
	VERIFY_CHECKS(X)
#undef X
	N_VERIFY_CHECKS
};

const char *verify_check_name(enum verify_check check);
/* e: a commit or sync from a frame. key: loaded, or NULL. On anything but VERIFY_OK why says more. */
enum verify_check verify_event(
	const struct event *e, const struct sign_key *key, struct arena *arena, struct err *why) NODISCARD;

#endif
