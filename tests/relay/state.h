/* SPDX-License-Identifier: MIT
 *
 * state - the files that say what a consumer must end up with: PREFIX.records.jsonl,
 * .accounts.jsonl and .diddocs.json
 *
 * An account is written once, when nothing more will happen to it. Owns: the open files until
 * state_close. Errors: struct err from opening and closing (write errors show there).
 */
#ifndef RELAY_STATE_H
#define RELAY_STATE_H

#include "base/buf.h"

#include <stdio.h>

struct account;
struct signer;

struct state {
	FILE *records, *accounts, *diddocs;
	uint64_t n_accounts;
	struct buf line;
};

int state_open(struct state *state, const char *prefix, struct err *err) NODISCARD;
/* Writes what is known of an account that appeared in the stream. */
void state_account(struct state *state, const struct account *account, const struct signer *signer);
int state_close(struct state *state, struct err *err) NODISCARD;
/* Of state_json.c: appends the JSON form of a record. Independent of codec/json on purpose: it
 * checks it. */
void state_json(struct buf *out, struct slice block);

#endif
