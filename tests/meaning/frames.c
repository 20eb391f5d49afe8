/* SPDX-License-Identifier: MIT
 *
 * test-frames - turns a readable script of events into a recording that standpipe-relay serves
 *
 *   test-frames [--records FILE] <SCRIPT >FILE.frames
 *
 * One event per line; `#` begins a comment. NAME is a DID, or a name that becomes did:web:NAME.SCOPE.test.
 *
 *   scope SCOPE                       what NAMEs of the following lines belong to
 *   create NAME PATH JSON             a commit with one operation; update likewise
 *   create! NAME PATH JSON            the same with the record verbatim; without `!` an object gets $type and
 *                                     createdAt where it has none
 *   delete NAME PATH
 *   commit NAME                       a commit with many: operations (without NAME) on the lines up to `end`
 *   identity NAME HANDLE
 *   account NAME active|STATUS
 *   sync NAME
 *   seq=N rev=N ...                   before any of these: its seq (default: the one before plus 1) and rev
 *
 * PATH is COLLECTION/RKEY; a collection without a dot is the one whose NSID ends so (post, like, ...); an RKEY
 * of #N, like rev=N, is the Nth TID of 2025, and without rev=N an event's rev is the one of its seq.
 * In JSON, outside strings: did(NAME), uri(NAME/PATH), ref(NAME/PATH) (a strong reference whose cid is the
 * hash of its uri), text(N), array(N), nested(N). A whole record may be cbor(HEX).
 * --records: the newest version of each record as tests/compare reads it; what cbor() made has no value there.
 * Signatures are zeros and data roots stand for no tree.
 */
#include "script.h"

#include <stdio.h>
#include <stdlib.h>

/* Cuts the next word off; "" at the end. */
static char *word(char **rest)
{
	char *begin = *rest + strspn(*rest, " \t"), *end = begin + strcspn(begin, " \t");

	*rest = *end ? end + 1 : end;
	*end = 0;
	return begin;
}

/* ---- the newest version of each record ---- */

static void remember(struct script *s, const struct wire_op *op)
{
	struct known *k = s->known;

	while (k < s->known + s->n_known && (strcmp(k->uri_path, op->path) != 0 || strcmp(k->did, s->did) != 0))
		k++;
	if (k == s->known + MAX_RECORDS)
		die(s, "too many records");
	if (k == s->known + s->n_known) {
		*k = (struct known){ .uri_path = strdup(op->path), .did = strdup(s->did) };
		s->n_known++;
	} else if (k->rev > s->rev) {
		return;
	}
	k->rev = s->rev;
	free(k->value);
	k->value = op->action == WIRE_DELETE ? NULL : strdup(buf_str(&s->json));
	if (k->value) {
		struct cid cid = { .codec = CID_DAG_CBOR };

		memcpy(cid.digest, op->cid, CID_DIGEST);
		cid_to_text(&cid, k->cid);
	}
}

static void write_records(const struct script *s, const char *name)
{
	FILE *file = fopen(name, "w");

	if (!file)
		die(s, "%s: cannot be written", name);
	for (const struct known *k = s->known; k < s->known + s->n_known; k++) {
		const char *rkey = strchr(k->uri_path, '/') + 1;

		if (!k->value)
			continue;
		fprintf(file, "{\"did\":\"%s\",\"collection\":\"%.*s\",\"rkey\":\"%s\",\"cid\":\"%s\"", k->did,
			(int)(rkey - 1 - k->uri_path), k->uri_path, rkey, k->cid);
		if (*k->value)
			fprintf(file, ",\"value\":%s", k->value);
		fputs("}\n", file);
	}
	fclose(file);
}

/* ---- events ---- */

static struct wire_head head_of(const struct script *s)
{
	return (struct wire_head){ .did = s->did, .seq = s->seq, .time = FRAME_TIME };
}

static void write_frame(struct script *s)
{
	uint8_t n[4] = { (uint8_t)(s->frame.n >> 24), (uint8_t)(s->frame.n >> 16), (uint8_t)(s->frame.n >> 8),
		(uint8_t)s->frame.n };

	fwrite(n, sizeof n, 1, stdout);
	fwrite(s->frame.p, 1, s->frame.n, stdout);
	buf_reset(&s->frame);
}

static void begin_commit(struct script *s, const char *name)
{
	did_of(s, name, s->did);
	s->n_ops = 0;
	buf_reset(&s->blocks);
}

static void add_op(struct script *s, const char *verb, char *rest)
{
	struct wire_op *op = &s->ops[s->n_ops++];
	char path[PATH_SIZE];
	struct buf record = BUF_INIT;

	if (s->n_ops == MAX_OPS)
		die(s, "too many operations");
	path_of(s, word(&rest), path);
	*op = (struct wire_op){ .path = (const char *)arena_copy(&s->arena, slice_of(path, strlen(path) + 1)).p };
	op->action = *verb == 'c' ? WIRE_CREATE : *verb == 'u' ? WIRE_UPDATE : WIRE_DELETE;
	if (op->action != WIRE_DELETE) {
		record_of(s, rest, path, strchr(verb, '!') != NULL, &record);
		sha256(buf_slice(&record), op->cid);
		wire_car_block(&s->blocks, op->cid, buf_slice(&record));
	}
	if (s->known)
		remember(s, op);
	buf_done(&record);
}

/* The commit block over a made-up tree; ret gets the CAR that begins with it. */
static void put_car(struct script *s, uint8_t ret_commit[CID_DIGEST], struct buf *ret)
{
	struct buf block = BUF_INIT;
	uint8_t root[CID_DIGEST];

	sha256(slice_of(&s->rev, sizeof s->rev), root);
	wire_commit_block(&block, s->did, s->rev, root, NULL, NULL, ret_commit);
	wire_car_header(ret, ret_commit);
	wire_car_block(ret, ret_commit, buf_slice(&block));
	buf_add_slice(ret, buf_slice(&s->blocks));
	buf_done(&block);
}

static void end_commit(struct script *s, bool is_sync)
{
	struct wire_head head = head_of(s);
	uint8_t commit[CID_DIGEST];
	struct buf car = BUF_INIT;

	put_car(s, commit, &car);
	if (is_sync)
		wire_sync(&s->frame, &head, s->rev, buf_slice(&car));
	else
		wire_commit(&s->frame, &head, &(struct wire_commit){ .rev = s->rev, .commit = commit,
			.ops = s->ops, .n_ops = s->n_ops, .blocks = buf_slice(&car) });
	write_frame(s);
	buf_done(&car);
	arena_reset(&s->arena);
}

static void account(struct script *s, char *rest)
{
	struct wire_head head = head_of(s);
	const char *status;

	did_of(s, word(&rest), s->did);
	status = word(&rest);
	if (strcmp(status, "active") == 0)
		wire_account(&s->frame, &head, true, NULL);
	else
		wire_account(&s->frame, &head, false, status);
	write_frame(s);
}

static void identity(struct script *s, char *rest)
{
	struct wire_head head = head_of(s);

	did_of(s, word(&rest), s->did);
	wire_identity(&s->frame, &head, word(&rest));
	write_frame(s);
}

static bool is_op(const char *verb)
{
	return strncmp(verb, "create", 6) == 0 || strncmp(verb, "update", 6) == 0 || strcmp(verb, "delete") == 0;
}

/* Reads seq= and rev=, decides what is not given; returns the verb. */
static char *begin_event(struct script *s, char **rest)
{
	char *verb = word(rest);
	bool rev_given = false;

	if (!s->open)
		s->seq++;
	for (; strchr(verb, '='); verb = word(rest)) {
		uint64_t n = strtoull(strchr(verb, '=') + 1, NULL, 10);

		if (strncmp(verb, "seq=", 4) == 0)
			s->seq = n;
		else
			s->rev = tid_of(n);
		rev_given |= *verb == 'r';
	}
	if (!rev_given && !s->open)
		s->rev = tid_of(s->seq);
	return verb;
}

static void event(struct script *s, char *rest)
{
	char *verb = begin_event(s, &rest);

	if (s->open && is_op(verb)) {
		add_op(s, verb, rest);
	} else if (s->open && strcmp(verb, "end") == 0) {
		end_commit(s, false);
		s->open = false;
	} else if (s->open) {
		die(s, "a commit is open: %s", verb);
	} else if (is_op(verb)) {
		begin_commit(s, word(&rest));
		add_op(s, verb, rest);
		end_commit(s, false);
	} else if (strcmp(verb, "commit") == 0) {
		begin_commit(s, word(&rest));
		s->open = true;
	} else if (strcmp(verb, "sync") == 0) {
		begin_commit(s, word(&rest));
		end_commit(s, true);
	} else if (strcmp(verb, "account") == 0) {
		account(s, rest);
	} else if (strcmp(verb, "identity") == 0) {
		identity(s, rest);
	} else {
		die(s, "unknown: %s", verb);
	}
}

static void one_line(struct script *s, char *line)
{
	char *rest = line + strspn(line, " \t");

	line[strcspn(line, "\n")] = 0;
	if (!*rest || *rest == '#')
		return;
	if (strncmp(rest, "scope ", 6) == 0)
		snprintf(s->scope, sizeof s->scope, "%s", rest + 6);
	else
		event(s, rest);
}

int main(int argc, char **argv)
{
	static struct script s;
	const char *records = argc == 3 && strcmp(argv[1], "--records") == 0 ? argv[2] : NULL;
	char *line = NULL;
	size_t cap = 0;

	if (argc != 1 && !records)
		die(&s, "usage: test-frames [--records FILE] <SCRIPT >FILE.frames");
	if (records)
		s.known = calloc(MAX_RECORDS + 1, sizeof *s.known);
	while (getline(&line, &cap, stdin) >= 0) {
		s.line++;
		one_line(&s, line);
	}
	if (s.open)
		die(&s, "a commit is open");
	if (records)
		write_records(&s, records);
	return fflush(stdout) ? 70 : 0;
}
