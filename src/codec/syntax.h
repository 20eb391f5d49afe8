/* SPDX-License-Identifier: MIT
 *
 * syntax - DID, handle, NSID, record key, AT-URI: checks over borrowed text
 *
 * Source: atproto.com/specs/{did,handle,nsid,record-key,at-uri-scheme}; interop vectors.
 */
#ifndef CODEC_SYNTAX_H
#define CODEC_SYNTAX_H

#include "base/slice.h"

enum { DID_MAX = 2048, HANDLE_MAX = 253, NSID_MAX = 317, RKEY_MAX = 512, ATURI_MAX = 8192 };

bool did_valid(struct slice s);
bool handle_valid(struct slice s);
bool nsid_valid(struct slice s);
bool rkey_valid(struct slice s);

/* at://authority[/collection[/rkey]]; collection and rkey empty when absent. */
struct aturi {
	struct slice authority, collection, rkey;
	bool authority_is_did;
};

/* False unless s is a valid AT-URI (no fragment, no query: records do not carry them). */
bool aturi_parse(struct slice s, struct aturi *ret_uri);
/* "collection/rkey" of a repo operation: exactly one slash, both parts valid. */
bool repo_path_parse(struct slice s, struct slice *ret_collection, struct slice *ret_rkey);

#endif
