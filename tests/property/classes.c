/* SPDX-License-Identifier: MIT
 *
 * classes - histories of six events, short enough to be tried in all 720 orders
 */
#include "any_order.h"

#define POST "app.bsky.feed.post"
#define LIKE "app.bsky.feed.like"
#define KEY_A "3kaaaaaaaaaa2"
#define KEY_B "3kaaaaaaaaab2"
#define KEY_C "3kaaaaaaaaac2"

/* A commit of one account with one change. */
static struct happening *one(struct maker *m, int account, int rev, const char *collection, const char *rkey,
	const struct record *record)
{
	struct happening *e = happen_commit(m, account, nth_rev(rev));

	happen_change(e, collection, rkey, record);
	return e;
}

static struct path post(int account, const char *rkey)
{
	return (struct path){ account, POST, rkey };
}

static void one_record(struct maker *m)
{
	const struct happening *update;

	one(m, 0, 1, POST, KEY_A, record_plain_post(m));
	update = one(m, 0, 2, POST, KEY_A, record_plain_post(m));
	happen_again(m, update);
	one(m, 0, 3, POST, KEY_A, NULL);
	one(m, 0, 4, POST, KEY_A, record_plain_post(m));
	one(m, 0, 4, POST, KEY_A, record_plain_post(m));
}

static void deletion_last(struct maker *m)
{
	one(m, 0, 1, POST, KEY_A, record_plain_post(m));
	one(m, 0, 3, POST, KEY_A, NULL);
	one(m, 0, 2, POST, KEY_A, record_plain_post(m));
	one(m, 0, 2, POST, KEY_A, record_plain_post(m));
	one(m, 0, 1, POST, KEY_B, NULL);
	one(m, 0, 1, POST, KEY_B, record_plain_post(m));
}

static void account_deleted(struct maker *m)
{
	const struct happening *first = one(m, 0, 1, POST, KEY_A, record_plain_post(m));
	struct happening again = *first;

	one(m, 0, 2, LIKE, KEY_A, record_of_subject(m, LIKE, post(0, KEY_A)));
	happen_account(m, 0, false, "deleted");
	happen_again(m, &again);
	one(m, 0, 3, POST, KEY_B, record_reply(m, post(0, KEY_A), post(0, KEY_C)));
	happen_account(m, 0, true, NULL);
}

static void parent_and_child(struct maker *m)
{
	one(m, 0, 1, POST, KEY_A, record_plain_post(m));
	one(m, 1, 1, LIKE, KEY_A, record_of_subject(m, LIKE, post(0, KEY_A)));
	one(m, 1, 2, POST, KEY_B, record_reply(m, post(0, KEY_A), post(0, KEY_A)));
	one(m, 0, 2, POST, KEY_A, NULL);
	one(m, 1, 3, LIKE, KEY_B, record_of_subject(m, LIKE, post(1, KEY_B)));
	happen_account(m, 1, false, "deleted");
}

static void two_accounts(struct maker *m)
{
	happen_identity(m, 0, "same.test");
	happen_identity(m, 1, "same.test");
	happen_identity(m, 0, "handle.invalid");
	happen_account(m, 1, false, "suspended");
	happen_account(m, 1, true, NULL);
	one(m, 1, 1, "app.bsky.graph.follow", KEY_A, record_of_account(m, "app.bsky.graph.follow", 0));
}

static void child_points_elsewhere(struct maker *m)
{
	one(m, 1, 1, LIKE, KEY_A, record_of_subject(m, LIKE, post(0, KEY_A)));
	one(m, 1, 2, LIKE, KEY_A, record_of_subject(m, LIKE, post(0, KEY_B)));
	one(m, 0, 1, POST, KEY_A, record_plain_post(m));
	one(m, 0, 2, POST, KEY_B, record_quote(m, post(0, KEY_C)));
	one(m, 1, 3, LIKE, KEY_B, record_of_subject(m, LIKE, post(0, KEY_B)));
	one(m, 1, 4, LIKE, KEY_B, record_of_subject(m, LIKE, post(0, KEY_C)));
}

static void commits_and_syncs(struct maker *m)
{
	struct happening second;

	one(m, 0, 1, POST, KEY_A, record_plain_post(m));
	second = *one(m, 0, 2, POST, KEY_A, record_plain_post(m));
	one(m, 0, 2, POST, KEY_B, record_plain_post(m));
	happen_sync(m, 0, nth_rev(2), &second);
	happen_sync(m, 0, nth_rev(2), NULL);
	happen_sync(m, 0, nth_rev(1), NULL);
}

/* Two commits of one rev, each with several ops on the same path, and one of the rev before. */
static void several_ops(struct maker *m)
{
	struct happening *e = one(m, 0, 2, POST, KEY_A, record_plain_post(m));

	happen_change(e, POST, KEY_A, record_plain_post(m));
	e = one(m, 0, 2, POST, KEY_A, record_plain_post(m));
	happen_change(e, POST, KEY_A, NULL);
	e = one(m, 0, 2, POST, KEY_A, record_plain_post(m));
	happen_change(e, POST, KEY_B, record_plain_post(m));
	e = one(m, 0, 2, POST, KEY_B, record_plain_post(m));
	happen_change(e, POST, KEY_A, NULL);
	happen_change(e, POST, KEY_A, record_plain_post(m));
	e = one(m, 0, 1, POST, KEY_A, NULL);
	happen_change(e, POST, KEY_B, record_plain_post(m));
	e = one(m, 0, 3, POST, KEY_B, record_plain_post(m));
	happen_change(e, POST, KEY_B, record_plain_post(m));
	e->changes[1].flaw = FLAW_INVALID;
}

/* Two posts that reply to each other, a third that never comes. */
static void cycle(struct maker *m)
{
	one(m, 0, 1, POST, KEY_A, record_reply(m, post(1, KEY_B), post(1, KEY_B)));
	one(m, 1, 1, POST, KEY_B, record_reply(m, post(0, KEY_A), post(0, KEY_A)));
	one(m, 0, 2, POST, KEY_A, record_reply(m, post(1, KEY_B), post(1, KEY_C)));
	one(m, 0, 3, POST, KEY_A, record_reply(m, post(0, KEY_A), post(1, KEY_B)));
	happen_account(m, 1, false, "deleted");
	happen_account(m, 1, false, "takendown");
}

/* Deleted twice, with commits between and after. */
static void deleted_twice(struct maker *m)
{
	one(m, 0, 1, POST, KEY_A, record_plain_post(m));
	happen_account(m, 0, false, "deleted");
	one(m, 0, 2, POST, KEY_B, record_plain_post(m));
	happen_account(m, 0, false, "deleted");
	one(m, 0, 3, POST, KEY_A, record_plain_post(m));
	happen_account(m, 0, true, "throttled");
}

const struct class classes[] = {
	{ "one record created, updated, deleted and created again", 1, one_record },
	{ "a deletion that comes before what it deletes", 1, deletion_last },
	{ "an account deleted among commits and active again", 1, account_deleted },
	{ "a parent deleted among its children", 2, parent_and_child },
	{ "two accounts with one handle", 2, two_accounts },
	{ "a child updated to point elsewhere", 2, child_points_elsewhere },
	{ "commits and #syncs of one rev", 1, commits_and_syncs },
	{ "several ops on one path and forks", 1, several_ops },
	{ "replies in a circle", 2, cycle },
	{ "an account deleted twice", 1, deleted_twice },
};

const int n_classes = sizeof classes / sizeof *classes;
