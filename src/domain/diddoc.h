/* SPDX-License-Identifier: MIT
 *
 * diddoc - what a DID document says of an account: signing key, host, handle
 *
 * Key: the first verification method named #atproto. Host: the first service named #atproto_pds. Handle: the
 * first at:// name among alsoKnownAs; it is a claim, nobody has asked the name itself.
 * Owns: nothing; text lives in the arena. Errors: -1 if it is no document of that DID; a document without a
 * usable key is none (curve SIGN_NONE). Must not know: where documents come from.
 * Source: atproto.com/specs/{did,cryptography}.
 */
#ifndef DOMAIN_DIDDOC_H
#define DOMAIN_DIDDOC_H

#include "base/arena.h"
#include "base/err.h"
#include "codec/sign.h"

struct diddoc {
	struct sign_key key;	 /* not loaded, but proven to be on its curve */
	struct slice pds, handle; /* empty: not given, or not valid */
};

int diddoc_parse(struct slice json, struct slice did, struct arena *arena, struct diddoc *ret, struct err *err) NODISCARD;

#endif
