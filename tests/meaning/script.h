/* SPDX-License-Identifier: MIT
 *
 * script - the state of one run of test-frames, and how its names and records are read
 *
 * Owns: what struct script holds, until the process ends. Errors: a message with the line, then exit 64.
 * Must not know: frames.
 */
#ifndef MEANING_SCRIPT_H
#define MEANING_SCRIPT_H

#include "base/arena.h"
#include "codec/cid.h"
#include "wire.h"

#define FRAME_TIME "2025-01-01T00:00:00.000Z"

enum { MAX_OPS = 200, MAX_RECORDS = 100000, NAME_SIZE = 600, PATH_SIZE = 1024 };

/* The newest version of a record, for --records. */
struct known {
	char *uri_path, *did, *value; /* value NULL: deleted, "": not known */
	uint64_t rev;
	char cid[CID_TEXT + 1];
};

struct script {
	int line;
	char scope[NAME_SIZE];
	uint64_t seq, rev; /* of the event under way */
	bool open;	   /* between commit and end */
	char did[NAME_SIZE];
	struct wire_op ops[MAX_OPS];
	size_t n_ops;
	struct buf blocks, frame, json;
	struct arena arena;
	struct known *known;
	size_t n_known;
};

void die(const struct script *s, const char *fmt, ...) PRINTF(2, 3) __attribute__((noreturn));
/* The Nth TID of 2025. */
uint64_t tid_of(uint64_t n);
/* A DID as it is, a name as one. */
void did_of(const struct script *s, const char *name, char ret[NAME_SIZE]);
/* COLLECTION/RKEY as it is in a repo. */
void path_of(const struct script *s, const char *text, char ret[PATH_SIZE]);
/* Appends the record as DAG-CBOR; s->json becomes its JSON, empty if it was given as bytes. */
void record_of(struct script *s, const char *text, const char *path, bool verbatim, struct buf *out);

#endif
