/* SPDX-License-Identifier: MIT */
#include "network.h"
#include "base/clock.h"
#include "codec/datetime.h"
#include "state.h"

#include <assert.h>
#include <stdlib.h>

enum { HIDDEN_RECORDS = 4 };

static const int64_t day_us = (int64_t)86400 * 1000000;

uint64_t network_tid(struct network *net)
{
	net->last_tid_us = net->now_us > net->last_tid_us ? net->now_us : net->last_tid_us + 1;
	return (uint64_t)net->last_tid_us << 10 | rng_below(&net->rng, 1024);
}

void network_path(const char *collection, uint64_t rkey, char ret_path[NETWORK_PATH])
{
	char tid[TID_TEXT + 1];

	tid_format(rkey, tid);
	snprintf(ret_path, NETWORK_PATH, "%s/%s", collection, tid);
}

/* Moves the clock to this frame. */
static void set_clock(struct network *net)
{
	net->now_us = net->start_us < 0 ? clock_wall_us()
					: net->start_us + (int64_t)((double)net->n_frames * 1e6 /
								    (double)net->options->eps);
	datetime_format(net->now_us, net->time);
}

static void make_key(const struct network *net, struct account *a)
{
	char text[80];

	snprintf(text, sizeof text, "key %llu %llu", (unsigned long long)net->options->seed,
		(unsigned long long)a->number);
	sha256(slice_str(text), a->key);
}

/* Fills a slot with a new account without a commit. */
static void account_init(struct network *net, struct account *a)
{
	*a = (struct account){.number = net->n_made++, .active = true};
	network_make_did(net, "did", a->number, a->did);
	make_key(net, a);
	snprintf(a->handle, sizeof a->handle, "u%llu.example.com", (unsigned long long)a->number);
}

/* Records that were there before the stream began: nobody saw them created. */
static void add_hidden(struct network *net, struct account *a)
{
	char path[NETWORK_PATH];
	uint8_t digest[CID_DIGEST];

	for (int i = 0; i < HIDDEN_RECORDS; i++) {
		buf_reset(&net->record);
		record_thing(&net->record, &net->rng, COLLECTION_LIKE);
		sha256(buf_slice(&net->record), digest);
		network_path(COLLECTION_LIKE, network_tid(net), path);
		mst_put(&a->repo, path, digest)->hidden = true;
		a->n_hidden++;
	}
}

/* The account had its first commit before the stream began. */
static void make_old(struct network *net, struct account *a)
{
	if (net->options->odd > 0)
		add_hidden(net, a);
	a->rev = network_tid(net);
	mst_root(&a->repo, a->data, NULL, NULL);
}

static int start_clock(struct network *net, struct err *err)
{
	const char *start = net->options->start;

	if (!start)
		start = net->options->out ? "2026-01-01T00:00:00Z" : "now";
	net->start_us = -1;
	if (strcmp(start, "now") && !datetime_parse(slice_str(start), &net->start_us))
		return err_set(err, "--start %s: neither 'now' nor YYYY-MM-DDTHH:MM:SSZ", start);
	set_clock(net);
	net->last_tid_us = net->now_us - day_us;
	return 0;
}

int network_init(
	struct network *net, const struct options *options, struct state *state, struct err *err)
{
	*net = (struct network){.options = options,
		.rng = rng_seeded(options->seed),
		.seq = options->seq0,
		.n_accounts = options->n_accounts};
	if (start_clock(net, err))
		return -1;
	signer_init(&net->signer);
	net->accounts = calloc(net->n_accounts, sizeof *net->accounts);
	net->pool = calloc(NETWORK_POOL, sizeof *net->pool);
	net->promises = calloc(options->late_span + 1, sizeof *net->promises);
	if (!net->accounts || !net->pool || !net->promises)
		abort();
	for (size_t i = 0; i <= options->late_span; i++)
		STAILQ_INIT(&net->promises[i]);
	STAILQ_INIT(&net->overdue);
	for (size_t i = 0; i < net->n_accounts; i++) {
		int64_t now = net->now_us;

		net->now_us = 0; /* below last_tid_us, which begins a day ago */
		account_init(net, &net->accounts[i]);
		make_old(net, &net->accounts[i]);
		net->now_us = now;
	}
	net->state = state;
	return 0;
}

struct account *network_slot(struct network *net)
{
	return &net->accounts[rng_below(&net->rng, net->n_accounts)];
}

struct account *network_actor(struct network *net)
{
	size_t i = rng_skewed(&net->rng, net->n_accounts, 2);

	/* Inactive ones are few: the next active one is near. There is always one. */
	while (!net->accounts[i].active)
		i = (i + 1) % net->n_accounts;
	return &net->accounts[i];
}

struct wire_head network_head(struct network *net, struct account *account)
{
	net->seq++;
	if (rng_percent(&net->rng, net->options->gaps))
		net->seq += 1 + rng_below(&net->rng, 20);
	account->seen = true;
	return (struct wire_head){.did = account->did, .seq = net->seq, .time = net->time};
}

/* Collects the computed nodes as CAR blocks; a cheap network sends only the root, which comes last.
 */
static void take_node(void *ctx, const uint8_t digest[CID_DIGEST], struct slice block)
{
	struct network *net = ctx;

	if (net->options->is_unsigned)
		buf_reset(&net->nodes);
	wire_car_block(&net->nodes, digest, block);
}

/* Applies one change to the repo and describes it. */
static struct wire_op apply(struct network *net, struct account *a, const struct change *change)
{
	struct mst_leaf *leaf = mst_find(&a->repo, change->path, NULL);
	struct wire_op op = {.path = change->path};

	assert(leaf || change->block.n);
	op.action = !change->block.n ? WIRE_DELETE : leaf ? WIRE_UPDATE : WIRE_CREATE;
	if (leaf) {
		memcpy(op.prev, leaf->value, CID_DIGEST);
		a->n_hidden -= leaf->hidden;
	}
	if (op.action == WIRE_DELETE) {
		mst_delete(&a->repo, change->path);
		return op;
	}
	sha256(change->block, op.cid);
	leaf = mst_put(&a->repo, change->path, op.cid);
	leaf->hidden = false;
	if (net->state)
		mst_leaf_keep(leaf, change->block);
	wire_car_block(&net->blocks, op.cid, change->block);
	return op;
}

/* Signs the root that a->data says, at a new rev, and fills net->car up to and with the commit
 * block. */
static void write_commit(struct network *net, struct account *a)
{
	bool is_signed = !net->options->is_unsigned;

	buf_reset(&net->block);
	wire_commit_block(&net->block, a->did, a->rev, a->data, &net->signer,
		is_signed ? a->key : NULL, a->commit);
	buf_reset(&net->car);
	wire_car_header(&net->car, a->commit);
	wire_car_block(&net->car, a->commit, buf_slice(&net->block));
}

void network_commit(struct network *net, struct account *account, const struct change *changes,
	size_t n, struct buf *out)
{
	struct wire_op ops[NETWORK_OPS];
	struct wire_head head = network_head(net, account);
	struct wire_commit commit = {.since = account->rev, .ops = ops, .n_ops = n};
	uint8_t prev_data[CID_DIGEST];

	assert(n <= NETWORK_OPS);
	memcpy(prev_data, account->data, CID_DIGEST);
	commit.prev_data = account->rev ? prev_data : NULL;
	buf_reset(&net->nodes);
	buf_reset(&net->blocks);
	for (size_t i = 0; i < n; i++)
		ops[i] = apply(net, account, &changes[i]);
	mst_root(&account->repo, account->data, take_node, net);
	account->rev = network_tid(net);
	write_commit(net, account);
	buf_add_slice(&net->car, buf_slice(&net->nodes));
	buf_add_slice(&net->car, buf_slice(&net->blocks));
	commit.rev = account->rev;
	commit.commit = account->commit;
	commit.blocks = buf_slice(&net->car);
	wire_commit(out, &head, &commit);
}

uint64_t network_create(
	struct network *net, struct account *account, const char *collection, struct buf *out)
{
	uint64_t rkey = network_tid(net);
	char path[NETWORK_PATH];
	struct change change = {.path = path, .block = buf_slice(&net->record)};

	network_path(collection, rkey, path);
	network_commit(net, account, &change, 1, out);
	return rkey;
}

void network_sync(struct network *net, struct account *account, struct buf *out)
{
	struct wire_head head;

	if (!account->rev) {
		network_commit(net, account, NULL, 0, out);
		return;
	}
	head = network_head(net, account);
	/* The commit is signed again and, signatures being deterministic, the same. */
	write_commit(net, account);
	wire_sync(out, &head, account->rev, buf_slice(&net->car));
}

void network_status(struct network *net, struct account *account, bool active, const char *status,
	struct buf *out)
{
	struct wire_head head = network_head(net, account);

	net->n_inactive += (size_t)account->active - (size_t)active;
	account->active = active;
	account->status = status;
	wire_account(out, &head, active, status);
}

void network_step(
	struct network *net, enum step_kind kind, struct account *account, const char *path)
{
	struct step *step = &net->steps[(net->step_first + net->n_steps++) % NETWORK_STEPS];

	assert(net->n_steps <= NETWORK_STEPS);
	*step = (struct step){.kind = kind, .account = account};
	if (path)
		snprintf(step->path, sizeof step->path, "%s", path);
}

void network_replace(struct network *net, struct account *account, bool announce)
{
	assert(!account->n_promises);
	if (net->state)
		state_account(net->state, account, &net->signer);
	net->n_inactive -= !account->active;
	mst_done(&account->repo);
	account_init(net, account);
	if (!announce)
		return;
	network_step(net, STEP_IDENTITY, account, NULL);
	network_step(net, STEP_ACCOUNT, account, NULL);
	network_step(net, STEP_COMMIT, account, NULL);
	network_step(net, STEP_SYNC, account, NULL);
}

/* Creates a record again where one was deleted. */
static void recreate(struct network *net, struct account *a, const char *path, struct buf *out)
{
	struct record_post post = {.created_at = net->time};
	struct change change = {.path = path};

	buf_reset(&net->record);
	record_post(&net->record, &net->rng, &post);
	change.block = buf_slice(&net->record);
	network_commit(net, a, &change, 1, out);
}

static void do_step(struct network *net, struct buf *out)
{
	struct step *step = &net->steps[net->step_first];
	struct account *a = step->account;
	struct wire_head head;

	net->step_first = (net->step_first + 1) % NETWORK_STEPS;
	net->n_steps--;
	switch (step->kind) {
	case STEP_IDENTITY:
		head = network_head(net, a);
		wire_identity(out, &head, a->handle);
		break;
	case STEP_ACCOUNT:
		network_status(net, a, true, NULL, out);
		break;
	case STEP_COMMIT:
		network_commit(net, a, NULL, 0, out);
		break;
	case STEP_SYNC:
		network_sync(net, a, out);
		break;
	case STEP_RECREATE:
		recreate(net, a, step->path, out);
		break;
	}
}

static void promise_free(struct promise *p)
{
	p->account->n_promises--;
	buf_done(&p->block);
	free(p);
}

/* The record that was referred to arrives. */
static void keep_promise(struct network *net, struct buf *out)
{
	struct promise *p = STAILQ_FIRST(&net->overdue);
	char path[NETWORK_PATH];
	struct change change = {.path = path, .block = buf_slice(&p->block)};

	STAILQ_REMOVE_HEAD(&net->overdue, link);
	network_path(COLLECTION_POST, p->post.self.rkey, path);
	network_commit(net, p->account, &change, 1, out);
	network_pool_add(net, &p->post);
	promise_free(p);
}

uint64_t network_next(struct network *net, struct buf *out)
{
	set_clock(net);
	net->n_frames++;
	STAILQ_CONCAT(&net->overdue, &net->promises[net->n_frames % (net->options->late_span + 1)]);
	if (net->n_steps)
		do_step(net, out);
	else if (!STAILQ_EMPTY(&net->overdue))
		keep_promise(net, out);
	else if (!rng_percent(&net->rng, net->options->odd) || !odd_next(net, out))
		activity_next(net, out);
	return net->seq;
}

static void drop_promises(struct promise_list *list)
{
	while (!STAILQ_EMPTY(list)) {
		struct promise *p = STAILQ_FIRST(list);

		STAILQ_REMOVE_HEAD(list, link);
		promise_free(p);
	}
}

void network_done(struct network *net)
{
	for (size_t i = 0; net->promises && i <= net->options->late_span; i++)
		drop_promises(&net->promises[i]);
	drop_promises(&net->overdue);
	for (size_t i = 0; net->accounts && i < net->n_accounts; i++) {
		if (net->state)
			state_account(net->state, &net->accounts[i], &net->signer);
		mst_done(&net->accounts[i].repo);
	}
	free(net->accounts);
	free(net->pool);
	free(net->promises);
	signer_done(&net->signer);
	buf_done(&net->nodes);
	buf_done(&net->blocks);
	buf_done(&net->car);
	buf_done(&net->record);
	buf_done(&net->block);
	*net = (struct network){0};
}
