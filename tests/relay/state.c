/* SPDX-License-Identifier: MIT */
#include "state.h"
#include "network.h"

#include <errno.h>

static int open_one(FILE **ret_file, const char *prefix, const char *suffix, struct err *err)
{
	struct buf path = BUF_INIT;
	int r = 0;

	buf_printf(&path, "%s.%s", prefix, suffix);
	*ret_file = fopen(buf_str(&path), "w");
	if (!*ret_file)
		r = err_set(err, "%s: %s", buf_str(&path), strerror(errno));
	buf_done(&path);
	return r;
}

int state_open(struct state *state, const char *prefix, struct err *err)
{
	*state = (struct state){0};
	if (open_one(&state->records, prefix, "records.jsonl", err) ||
		open_one(&state->accounts, prefix, "accounts.jsonl", err) ||
		open_one(&state->diddocs, prefix, "diddocs.json", err))
		return -1;
	fputc('{', state->diddocs);
	return 0;
}

static void put_line(struct buf *line, FILE *file)
{
	fwrite(line->p, 1, line->n, file);
	buf_reset(line);
}

/* Appends a digest as the JSON text of a CID; null if it is all zeros. */
static void put_cid(struct buf *line, const uint8_t digest[CID_DIGEST])
{
	static const uint8_t none[CID_DIGEST];
	struct cid cid = {.codec = CID_DAG_CBOR};
	char text[CID_TEXT + 1];

	if (memcmp(digest, none, CID_DIGEST) == 0) {
		buf_add_str(line, "null");
		return;
	}
	memcpy(cid.digest, digest, CID_DIGEST);
	cid_to_text(&cid, text);
	buf_printf(line, "\"%s\"", text);
}

static void put_record(struct state *state, const struct account *a, const struct mst_leaf *leaf)
{
	struct buf *line = &state->line;
	int n_collection = (int)(strchr(leaf->key, '/') - leaf->key);

	/* Paths hold no character that JSON would escape. */
	buf_printf(line, "{\"did\":\"%s\",\"collection\":\"%.*s\",\"rkey\":\"%s\",\"cid\":", a->did,
		n_collection, leaf->key, leaf->key + n_collection + 1);
	put_cid(line, leaf->value);
	buf_add_str(line, ",\"value\":");
	state_json(line, slice_of(leaf->block, leaf->n_block));
	buf_add_str(line, "}\n");
	put_line(line, state->records);
}

static void put_account(struct state *state, const struct account *a, uint64_t n_records)
{
	static const uint8_t none[CID_DIGEST];
	bool committed = memcmp(a->commit, none, CID_DIGEST) != 0;
	struct buf *line = &state->line;
	char rev[TID_TEXT + 1];

	tid_format(a->rev, rev);
	buf_printf(line, "{\"did\":\"%s\",\"handle\":\"%s\",\"active\":%s,\"status\":", a->did,
		a->handle, a->active ? "true" : "false");
	buf_printf(line, a->status ? "\"%s\"" : "null", a->status ? a->status : "");
	buf_printf(
		line, committed ? ",\"rev\":\"%s\",\"commit\":" : ",\"rev\":null,\"commit\":", rev);
	put_cid(line, a->commit);
	buf_add_str(line, ",\"data\":");
	if (committed)
		put_cid(line, a->data);
	else
		buf_add_str(line, "null");
	buf_printf(line, ",\"records\":%llu}\n", (unsigned long long)n_records);
	put_line(line, state->accounts);
}

static void put_diddoc(struct state *state, const struct account *a, const struct signer *signer)
{
	struct buf *line = &state->line;

	buf_printf(line,
		"%s\n\"%s\":{\"id\":\"%s\",\"alsoKnownAs\":[\"at://"
		"%s\"],\"verificationMethod\":[{\"id\":"
		"\"%s#atproto\",\"type\":\"Multikey\",\"controller\":\"%s\",\"publicKeyMultibase\":"
		"\"",
		state->n_accounts ? "," : "", a->did, a->did, a->handle, a->did, a->did);
	sign_multibase(signer, a->key, line);
	buf_add_str(line,
		"\"}],\"service\":[{\"id\":\"#atproto_pds\",\"type\":\"AtprotoPersonalDataServer\","
		"\"serviceEndpoint\":\"https://pds.example.com\"}]}");
	put_line(line, state->diddocs);
}

void state_account(struct state *state, const struct account *account, const struct signer *signer)
{
	bool deleted = account->status && strcmp(account->status, "deleted") == 0;
	uint64_t n_records = 0;

	if (!account->seen)
		return;
	for (size_t i = 0; i < account->repo.n && !deleted; i++) {
		if (account->repo.leaves[i]->hidden)
			continue;
		put_record(state, account, account->repo.leaves[i]);
		n_records++;
	}
	put_account(state, account, n_records);
	put_diddoc(state, account, signer);
	state->n_accounts++;
}

static int close_one(FILE **file, const char *name, struct err *err)
{
	bool failed = *file && ferror(*file);

	if (*file && fclose(*file))
		failed = true;
	*file = NULL;
	return failed ? err_set(err, "%s: cannot write: %s", name, strerror(errno)) : 0;
}

int state_close(struct state *state, struct err *err)
{
	int r = 0;

	if (state->diddocs)
		fputs("\n}\n", state->diddocs);
	r |= close_one(&state->records, "records.jsonl", err);
	r |= close_one(&state->accounts, "accounts.jsonl", err);
	r |= close_one(&state->diddocs, "diddocs.json", err);
	buf_done(&state->line);
	return r;
}
