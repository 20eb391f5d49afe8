/* SPDX-License-Identifier: MIT
 *
 * record - contents of records, written exactly as jsonb prints them: keys by length, then bytewise
 */
#include "any_order.h"

#include "codec/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define POST "app.bsky.feed.post"
#define SOME_CID "bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
#define RAW_CID "bafkreibme22gw2h7y2h7tg2fhqotaqjucnbc24deqo72b6mkl2egezxhvy"

const char *text_of(struct arena *arena, const char *fmt, ...)
{
	va_list ap, again;
	int n;
	char *p;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	p = arena_alloc(arena, (size_t)n + 1);
	vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return p;
}

#define PICK(m, list) ((list)[rng_below((m)->rng, sizeof(list) / sizeof *(list))])

/* The text with every escaped U+0000 as U+FFFD. */
static const char *without_nul(struct arena *arena, const char *json)
{
	static const char escape[] = "\\u0000";
	const char *at;

	while ((at = strstr(json, escape)))
		json = text_of(arena, "%.*s\xef\xbf\xbd%s", (int)(at - json), json, at + sizeof escape - 1);
	return json;
}

/* Completes a record from its JSON: its bytes and their hash. */
static struct record *record_new(struct maker *m, const char *json)
{
	struct record *r = arena_zalloc(m->arena, 1, sizeof *r);
	struct buf cbor = BUF_INIT;

	r->json = json;
	r->value = without_nul(m->arena, json);
	if (json_to_cbor(slice_str(json), m->arena, &cbor) != JSON_OK) {
		fprintf(stderr, "no JSON: %s\n", json);
		abort();
	}
	r->cbor = arena_copy(m->arena, buf_slice(&cbor));
	buf_done(&cbor);
	sha256(r->cbor, r->digest);
	return r;
}

static void refer(struct record *r, enum role role, struct path to)
{
	r->refs[r->n_refs++] = (struct reference){ role, to };
}

static const char *uri_of(struct maker *m, struct path p)
{
	return text_of(m->arena, "at://%s/%s/%s", m->h->dids[p.account], p.collection, p.rkey);
}

static const char *strong(struct maker *m, struct path p)
{
	return text_of(m->arena, "{\"cid\": \"" SOME_CID "\", \"uri\": \"%s\"}", uri_of(m, p));
}

/* Mostly what clients write; also what the database has no exact time for. */
static const char *date(struct maker *m)
{
	static const char *const odd[] = { "yesterday", "2024-13-45T99:00:00.000Z", "2024-06-01T12:00:00.123456Z",
		"2024-06-01T12:00:00+02:00", "0000-01-01T00:00:00.000Z", "", "2024-06-01" };

	if (rng_percent(m->rng, 8))
		return PICK(m, odd);
	return text_of(m->arena, "2024-0%d-1%dT10:2%d:30.%03dZ", (int)rng_below(m->rng, 9) + 1,
		(int)rng_below(m->rng, 10), (int)rng_below(m->rng, 10), (int)rng_below(m->rng, 1000));
}

static const char *words(struct maker *m)
{
	static const char *const odd[] = { "", "with \\u0000 inside", "a \\\"quoted\\\" \\\\ line\\nand another",
		"gr\xc3\xbc\xc3\x9f dich \xf0\x9f\x8c\x8d", "{\\\"$link\\\": 1}" };

	if (rng_percent(m->rng, 20))
		return PICK(m, odd);
	return text_of(m->arena, "words %d", (int)rng_below(m->rng, 100000));
}

const struct record *record_plain_post(struct maker *m)
{
	return record_new(m, text_of(m->arena, "{\"text\": \"%s\", \"$type\": \"" POST "\", \"langs\": [\"en\", \"de\"], "
					       "\"createdAt\": \"%s\"}", words(m), date(m)));
}

const struct record *record_reply(struct maker *m, struct path root, struct path parent)
{
	struct record *r = record_new(m, text_of(m->arena,
		"{\"text\": \"%s\", \"$type\": \"" POST "\", \"reply\": {\"root\": %s, \"parent\": %s}, \"createdAt\": \"%s\"}",
		words(m), strong(m, root), strong(m, parent), date(m)));

	refer(r, ROLE_OTHER, root);
	refer(r, ROLE_PARENT, parent);
	return r;
}

static const char *image(struct maker *m)
{
	return text_of(m->arena, "{\"$type\": \"app.bsky.embed.images\", \"images\": [{\"alt\": \"%s\", \"image\": "
				 "{\"ref\": {\"$link\": \"" RAW_CID "\"}, \"size\": %d, \"$type\": \"blob\", "
				 "\"mimeType\": \"image/png\"}}]}", words(m), (int)rng_below(m->rng, 90000));
}

const struct record *record_quote(struct maker *m, struct path quoted)
{
	const char *record =
		text_of(m->arena, "{\"$type\": \"app.bsky.embed.record\", \"record\": %s}", strong(m, quoted));
	const char *embed = record;
	struct record *r;

	if (rng_percent(m->rng, 40))
		embed = text_of(m->arena, "{\"$type\": \"app.bsky.embed.recordWithMedia\", \"media\": %s, \"record\": %s}",
			image(m), record);
	r = record_new(m, text_of(m->arena, "{\"text\": \"%s\", \"$type\": \"" POST "\", \"embed\": %s, \"createdAt\": \"%s\"}",
		words(m), embed, date(m)));
	refer(r, ROLE_QUOTE, quoted);
	return r;
}

/* A post with a reply, a quote, and a mention at once. */
static const struct record *everything_post(struct maker *m, struct path root, struct path parent, struct path quoted)
{
	struct record *r = record_new(m, text_of(m->arena,
		"{\"text\": \"%s\", \"$type\": \"" POST "\", \"embed\": {\"$type\": \"app.bsky.embed.record\", \"record\": %s}, "
		"\"reply\": {\"root\": %s, \"parent\": %s}, \"facets\": [{\"index\": {\"byteEnd\": 3, \"byteStart\": 0}, "
		"\"features\": [{\"did\": \"%s\", \"$type\": \"app.bsky.richtext.facet#mention\"}]}], \"createdAt\": \"%s\"}",
		words(m), strong(m, quoted), strong(m, root), strong(m, parent), m->h->dids[0], date(m)));

	refer(r, ROLE_QUOTE, quoted);
	refer(r, ROLE_OTHER, root);
	refer(r, ROLE_PARENT, parent);
	return r;
}

const struct record *record_of_subject(struct maker *m, const char *collection, struct path to)
{
	static const char *const extra[] = { "", "", "", "\"via\": {\"cid\": \"" SOME_CID "\", \"uri\": \"at://x.test\"}, ",
		"\"abc\": [1, -2, null, true, {\"x\": \"\\u0000\"}], " };
	struct record *r = record_new(m, text_of(m->arena, "{%s\"$type\": \"%s\", \"subject\": %s, \"createdAt\": \"%s\"}",
		PICK(m, extra), collection, strong(m, to), date(m)));

	refer(r, ROLE_SUBJECT, to);
	return r;
}

/* Subjects that name a record but can be no foreign key. */
static const struct record *odd_subject(struct maker *m, const char *collection)
{
	static const char *const uris[] = { "at://alice.test/" POST "/3kaaaaaaaaaa2", "at://not a uri", "",
		"https://example.com/post" };
	struct path like = path_random(m, "app.bsky.feed.like");
	const char *uri = rng_percent(m->rng, 30) ? uri_of(m, like) : PICK(m, uris);

	return record_new(m, text_of(m->arena, "{\"$type\": \"%s\", \"subject\": {\"cid\": \"" SOME_CID
		"\", \"uri\": \"%s\"}, \"createdAt\": \"%s\"}", collection, uri, date(m)));
}

const struct record *record_of_account(struct maker *m, const char *collection, int account)
{
	return record_new(m, text_of(m->arena, "{\"$type\": \"%s\", \"subject\": \"%s\", \"createdAt\": \"%s\"}", collection,
		rng_percent(m->rng, 95) ? m->h->dids[account] : "alice.test", date(m)));
}

struct path path_random(struct maker *m, const char *collection)
{
	/* a TID, one beyond 63 bits, a text */
	static const char *const rkeys[] = { "3kaaaaaaaaaa2", "3kaaaaaaaaab2", "3kaaaaaaaaac2", "3kaaaaaaaaad2",
		"jzzzzzzzzzzzz", "a.text~key" };
	struct path p = { (int)rng_below(m->rng, (uint64_t)m->h->n_accounts), collection, "self" };

	if (strcmp(collection, "app.bsky.actor.profile") != 0)
		p.rkey = rkeys[rng_skewed(m->rng, sizeof rkeys / sizeof *rkeys, 1.5)];
	return p;
}

/* The same, but sometimes of an account that never does anything. */
static struct path target(struct maker *m, const char *collection)
{
	struct path p = path_random(m, collection);

	if (rng_percent(m->rng, 8))
		p.account = m->h->n_accounts;
	return p;
}

static const struct record *random_post(struct maker *m)
{
	static const char *const quotable[] = { POST, POST, "app.bsky.graph.list", "app.bsky.feed.generator",
		"app.bsky.graph.starterpack" };

	switch (rng_below(m->rng, 4)) {
	case 0:
		return record_plain_post(m);
	case 1:
		return record_reply(m, target(m, POST), target(m, POST));
	case 2:
		return record_quote(m, target(m, PICK(m, quotable)));
	default:
		return everything_post(m, target(m, POST), target(m, POST), target(m, POST));
	}
}

static const struct record *random_subject(struct maker *m, const char *collection)
{
	static const char *const likeable[] = { POST, POST, POST, "app.bsky.graph.list", "app.bsky.feed.generator" };

	if (rng_percent(m->rng, 10))
		return odd_subject(m, collection);
	return record_of_subject(m, collection, target(m, PICK(m, likeable)));
}

static const struct record *random_account(struct maker *m, const char *collection)
{
	return record_of_account(m, collection, (int)rng_below(m->rng, (uint64_t)m->h->n_accounts + 1));
}

/* Lists, and what hangs on them. */
static const struct record *random_list(struct maker *m, const char *collection)
{
	struct path list = target(m, "app.bsky.graph.list");
	const char *json, *last = strrchr(collection, '.');
	struct record *r;

	if (!strcmp(last, ".listitem"))
		json = text_of(m->arena, "{\"list\": \"%s\", \"$type\": \"%s\", \"subject\": \"%s\", \"createdAt\": \"%s\"}",
			uri_of(m, list), collection, m->h->dids[0], date(m));
	else if (!strcmp(last, ".listblock"))
		json = text_of(m->arena, "{\"$type\": \"%s\", \"subject\": \"%s\", \"createdAt\": \"%s\"}", collection,
			uri_of(m, list), date(m));
	else if (!strcmp(last, ".starterpack"))
		json = text_of(m->arena, "{\"list\": \"%s\", \"name\": \"%s\", \"$type\": \"%s\", \"createdAt\": \"%s\"}",
			uri_of(m, list), words(m), collection, date(m));
	else
		return record_new(m, text_of(m->arena, "{\"name\": \"%s\", \"$type\": \"%s\", \"purpose\": "
			"\"app.bsky.graph.defs#curatelist\", \"createdAt\": \"%s\"}", words(m), collection, date(m)));
	r = record_new(m, json);
	refer(r, ROLE_OTHER, list);
	return r;
}

static const struct record *random_threadgate(struct maker *m, const char *collection)
{
	struct path post = target(m, POST);
	struct record *r = record_new(m, text_of(m->arena, "{\"post\": \"%s\", \"$type\": \"%s\", \"createdAt\": \"%s\"}",
		uri_of(m, post), collection, date(m)));

	refer(r, ROLE_OTHER, post);
	return r;
}

static const struct record *random_profile(struct maker *m, const char *collection)
{
	struct path pack = target(m, "app.bsky.graph.starterpack");
	struct record *r;

	if (rng_percent(m->rng, 50))
		return record_new(m, text_of(m->arena, "{\"$type\": \"%s\", \"displayName\": \"%s\"}", collection, words(m)));
	r = record_new(m, text_of(m->arena, "{\"$type\": \"%s\", \"createdAt\": \"%s\", \"displayName\": \"%s\", "
		"\"joinedViaStarterPack\": %s}", collection, date(m), words(m), strong(m, pack)));
	refer(r, ROLE_OTHER, pack);
	return r;
}

/* Records of namespaces we know nothing of, and of known ones in the wrong form. */
static const struct record *random_unknown(struct maker *m)
{
	static const char *const whole[] = { "[1, 2, {\"a\": []}]", "\"only text\"", "17", "null", "{}" };

	if (rng_percent(m->rng, 20))
		return record_new(m, PICK(m, whole));
	return record_new(m, text_of(m->arena, "{\"n\": %d, \"$type\": \"com.example.thing\", \"subject\": \"%s\"}",
		(int)rng_below(m->rng, 1000), m->h->dids[0]));
}

const struct record *record_random(struct maker *m, const char *collection)
{
	if (rng_percent(m->rng, 3) || !strncmp(collection, "com.", 4))
		return random_unknown(m);
	if (!strcmp(collection, POST))
		return random_post(m);
	if (!strcmp(collection, "app.bsky.feed.like") || !strcmp(collection, "app.bsky.feed.repost"))
		return random_subject(m, collection);
	if (!strcmp(collection, "app.bsky.graph.follow") || !strcmp(collection, "app.bsky.graph.block"))
		return random_account(m, collection);
	if (!strcmp(collection, "app.bsky.feed.threadgate"))
		return random_threadgate(m, collection);
	if (!strcmp(collection, "app.bsky.actor.profile"))
		return random_profile(m, collection);
	return random_list(m, collection);
}
