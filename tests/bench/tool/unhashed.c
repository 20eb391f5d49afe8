/* SPDX-License-Identifier: MIT
 *
 * unhashed - takes every block for what its CID says, to measure what hashing them costs
 *
 * codec/cid with another cid_matches: the linker takes these definitions and leaves the library's aside. standpipe
 * itself has no such mode.
 */
#define cid_matches cid_matches_hashed
#include "codec/cid.c"
#undef cid_matches

bool cid_matches(const struct cid *cid, struct slice block);

bool cid_matches(const struct cid *cid, struct slice block)
{
	(void)cid;
	(void)block;
	return true;
}
