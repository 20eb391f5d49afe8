/* SPDX-License-Identifier: MIT */
#include "io/conf.h"

#include "tap.h"

#include <sys/stat.h>
#include <unistd.h>

/* libconfig 1.5 forgets the text of a token that a syntax error makes it give up; not ours to free. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig";
}

static struct conf *parse(const char *text, struct buf *problems)
{
	buf_reset(problems);
	return conf_parse(slice_str(text), "f.conf", problems);
}

/* A file and every piece that its complaint must have; no pieces: it is good. */
static const struct bad {
	const char *claim, *text, *pieces[4];
	int n_lines;
} bads[] = {
	{ "no bytes are all defaults", "", { NULL }, 0 },
	{ "a whole number is good where a fraction is", "pending: { retry = 7; }", { NULL }, 0 },
	{ "a 64-bit number is good where 32 bits suffice", "workers: { count = 3L; }", { NULL }, 0 },
	{ "the largest unsuffixed number is taken", "redis: { max_bytes = 2147483647; }", { NULL }, 0 },
	{ "numbers in strings and comments are left alone",
		"# 9999999999\n/* 9999999999 */ // 9999999999\nredis: { stream = \"a9999999999\"; }", { NULL }, 0 },
	{ "unknown section", "nope: { x = 1; }", { "f.conf:1: nope: unknown section", "source, redis" }, 1 },
	{ "unknown key", "workers: {\n counts = 1;\n}",
		{ "f.conf:2: workers.counts: unknown key", "accepted: count, batch_events" }, 1 },
	{ "a section that is no group", "workers = 3;", { "f.conf:1: workers: expected a group" }, 1 },
	{ "out of range, below", "workers: { count = 0; }",
		{ "f.conf:1: workers.count: 0 is out of range; accepted: 1..64" }, 1 },
	{ "out of range, above", "workers: {\n\n  count = 65;\n}",
		{ "f.conf:3: workers.count: 65 is out of range; accepted: 1..64" }, 1 },
	{ "a fraction out of range", "queue: { check_interval = 0.01; }",
		{ "f.conf:1: queue.check_interval: 0.01 is out of range; accepted: 0.1..3600.0" }, 1 },
	{ "infinity", "queue: { check_interval = 1e999; }", { "out of range" }, 1 },
	{ "a string for a number", "workers: { count = \"2\"; }",
		{ "workers.count: expected a whole number, found a string; accepted: 1..64" }, 1 },
	{ "a fraction for a whole number", "workers: { count = 2.5; }", { "expected a whole number" }, 1 },
	{ "a number for a string", "source: { start = 17; }", { "source.start: expected a string in quotes" }, 1 },
	{ "a string for a list", "source: { urls = \"ws://a\"; }", { "source.urls: expected a list" }, 1 },
	{ "an empty list", "source: { urls = []; }", { "source.urls: has 0 items" }, 1 },
	{ "too long a list", "source: { urls = [\"ws://a\",\"ws://a\",\"ws://a\",\"ws://a\",\"ws://a\","
		"\"ws://a\",\"ws://a\",\"ws://a\",\"ws://a\"]; }", { "source.urls: has 9 items", "1..8 URLs" }, 1 },
	{ "an unsuffixed number that libconfig would wrap", "redis: {\n max_bytes = 3000000000;\n}",
		{ "f.conf:2: redis.max_bytes: 3000000000 does not fit 32 bits; accepted: 3000000000L" }, 1 },
	{ "a wrap that would land inside the range", "workers: { count = 4294967298; }",
		{ "f.conf:1: workers.count: 4294967298 does not fit 32 bits", "4294967298 is out of range" }, 2 },
	{ "a hexadecimal wrap", "workers: { count = 0x100000002; }", { "0x100000002 does not fit 32 bits" }, 2 },
	{ "more than 64 bits", "redis: { max_bytes = 99999999999999999999L; }", { "does not fit 64 bits" }, 2 },
	{ "@include", "source: { start = \"live\"; }\n@include \"other.conf\"\n",
		{ "f.conf:2: @include is refused" }, 1 },
	{ "a syntax error", "workers: {\n count = ;\n}", { "f.conf:2: syntax error" }, 1 },
	{ "a string without end", "redis: {\n stream = \"a;\n}\nlog: { }",
		{ "f.conf:2: redis.stream: a string begins here that never ends" }, 1 },
	{ "the same key twice", "workers: { count = 1; count = 2; }", { "f.conf:1: duplicate setting name" }, 1 },
	{ "https is no relay", "source: { urls = [\"https://bsky.network\"]; }",
		{ "source.urls: \"https://bsky.network\" is not valid", "ws://host" }, 1 },
	{ "a port beyond 65535", "source: { urls = [\"ws://a:65536\"]; }", { "source.urls" }, 1 },
	{ "TLS to Redis", "redis: { url = \"rediss://a\"; }", { "redis.url: malformed; accepted: redis://" }, 1 },
	{ "a bad URL's password is not shown", "redis: { url = \"redis://:hunter2@\"; }", { "redis.url: malformed" }, 1 },
	{ "a word that is none", "pending: { then = \"drop\"; }",
		{ "pending.then: \"drop\" is not valid; accepted: \"keep\" or \"dead_letter\"" }, 1 },
	{ "control bytes", "redis: { group = \"a\\nb\"; }", { "redis.group: has control bytes" }, 1 },
	{ "an instance name with capitals", "runtime: { name = \"Main\"; }", { "runtime.name: \"Main\"" }, 1 },
	{ "a relative directory", "runtime: { dir = \"run\"; }", { "runtime.dir: \"run\"" }, 1 },
	{ "a collection that is no NSID", "source: { collections = [\"app.bsky.feed.post\", \"like\"]; }",
		{ "source.collections: \"like\" is not valid" }, 1 },
	{ "a batch above its maximum", "workers: {\n batch_events = 5000;\n}",
		{ "f.conf:2: workers.batch_events: workers.batch_events is above workers.batch_events_max" }, 1 },
	{ "a listen address without port", "http: { listen = \"localhost\"; }", { "http.listen" }, 1 },
	{ "every problem, not only the first", "workers: { count = 0; claim_interval = \"x\"; }\nlog: { level = \"loud\"; }\n",
		{ "workers.count", "workers.claim_interval", "f.conf:2: log.level" }, 3 },
};

static int count_lines(struct buf *b)
{
	int n = 0;

	for (size_t i = 0; i < b->n; i++)
		n += b->p[i] == '\n';
	return n;
}

static void test_problems(void)
{
	struct buf problems = BUF_INIT;

	for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
		const struct bad *b = &bads[i];
		struct conf *conf = parse(b->text, &problems);
		bool pass = (conf == NULL) == (b->n_lines > 0) && count_lines(&problems) == b->n_lines &&
			!strstr(buf_str(&problems), "hunter2");

		for (int p = 0; p < 4 && b->pieces[p]; p++)
			pass = pass && strstr(buf_str(&problems), b->pieces[p]);
		if (!ok(pass, "%s: %s", b->n_lines ? "refused" : "accepted", b->claim))
			printf("# %s\n", buf_str(&problems));
		conf_free(conf);
	}
	buf_done(&problems);
}

static void test_nul(void)
{
	static const char text[] = "workers: { count = 3; }\0nonsense";
	struct buf problems = BUF_INIT;

	ok(!conf_parse(slice_of(text, sizeof text - 1), "f.conf", &problems) &&
			strstr(buf_str(&problems), "f.conf:1: NUL byte"), "bytes behind a NUL are not ignored");
	buf_done(&problems);
}

static void test_values(void)
{
	struct buf problems = BUF_INIT;
	struct conf *c = parse("source: { urls = [\"ws://127.0.0.1:2470\", \"wss://[::1]/x\"]; start = \"123456789012\";"
		" collections = (\"app.bsky.*\", \"com.example.thing\"); }\n"
		"redis: { url = \"unix:///run/redis.sock?db=3\"; max_bytes = 3000000000L; }\n"
		"workers: { count = 0x10; }\nlog: { level = \"debug\"; }\nidentity: { allow_loopback = true; }", &problems);

	if (!ok(c, "a full file is accepted")) {
		printf("# %s\n", buf_str(&problems));
		return;
	}
	ok(c->source.n_urls == 2 && strcmp(c->source.urls[1], "wss://[::1]/x") == 0, "lists keep order");
	ok(c->source.n_collections == 2 && strcmp(c->source.collections[0], "app.bsky.*") == 0, "( ) is a list too");
	ok(c->source.start_kind == START_SEQ && c->source.start_seq == 123456789012, "a start position is a number");
	ok(c->redis.max_bytes == 3000000000, "with L, 64 bits arrive");
	ok(c->workers.count == 16 && c->log.level_value == LOG_DEBUG && c->identity.allow_loopback,
		"hexadecimal, level and bool arrive");
	ok(c->source.idle_timeout == 60 && strcmp(c->runtime.name, "standpipe") == 0, "the rest are defaults");
	conf_free(c);
	buf_done(&problems);
}

/* One key set to something else than its default, so that printing is seen to carry it. */
static const char *const variants[] = {
	"", "source: { urls = [\"ws://a/b?c=d\"]; start = \"oldest\"; idle_timeout = 0.1e2; }",
	"redis: { url = \"redis://:p@ss\\\"w\\\\ord@h:1/2\"; max_bytes = 999999999999L; replay_events = 0; }",
	"postgres: { conninfo = \"host=a password='it\\\\'s' port=1\"; }",
	"workers: { count = 64; claim_interval = 0.3333333333333333; }",
	"pending: { expire = 31536000; max_rows = 10000000000L; }",
	"http: { listen = \"\"; } log: { level = \"error\"; } runtime: { dir = \"/x\"; name = \"a-b_9\"; }",
};

static void test_round_trip(void)
{
	struct buf problems = BUF_INIT, text = BUF_INIT, diff = BUF_INIT;

	for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++) {
		struct conf *a = parse(variants[i], &problems), *b = NULL;

		buf_reset(&text);
		buf_reset(&diff);
		if (a) {
			conf_print(a, true, &text);
			b = parse(buf_str(&text), &problems);
		}
		ok(a && b && conf_diff(a, b, &diff) == 0 && diff.n == 0, "printed and parsed again: %s",
			variants[i]);
		if (!a || !b || diff.n)
			printf("# %s%s\n", buf_str(&problems), buf_str(&diff));
		conf_free(a);
		conf_free(b);
	}
	buf_done(&problems);
	buf_done(&text);
	buf_done(&diff);
}

static const struct secret {
	const char *key, *value, *masked;
} secrets[] = {
	{ "redis: { url", "redis://:s3cret@h:1/0", "redis://:***@h:1/0" },
	{ "redis: { url", "redis://:s3cret@x@h", "redis://:***@h" },
	{ "redis: { url", "redis://h", "redis://h" },
	{ "postgres: { conninfo", "host=h password=s3cret dbname=d", "host=h password=*** dbname=d" },
	{ "postgres: { conninfo", "password = 's3cret and \\\\' more' host=h", "password = *** host=h" },
	{ "postgres: { conninfo", "host=h sslpassword=s3cret", "host=h sslpassword=***" },
	{ "postgres: { conninfo", "application_name='password=x' host=h", "application_name='password=x' host=h" },
	{ "postgres: { conninfo", "postgresql://u:s3cret@h/d", "postgresql://u:***@h/d" },
	{ "postgres: { conninfo", "postgres://u@h/d?password=s3cret&sslmode=prefer", "postgres://u@h/d?password=***&sslmode=prefer" },
};

static void test_secrets(void)
{
	struct buf problems = BUF_INIT, text = BUF_INIT, file = BUF_INIT;

	for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
		const struct secret *s = &secrets[i];
		struct conf *c, *again;

		buf_reset(&file);
		buf_reset(&text);
		buf_printf(&file, "%s = \"%s\"; }", s->key, s->value);
		c = parse(buf_str(&file), &problems);
		if (!ok(c, "accepted: %s", s->value))
			continue;
		conf_print(c, false, &text);
		ok(strstr(buf_str(&text), s->masked) && !strstr(buf_str(&text), "s3cret"), "masked: %s", s->masked);
		again = parse(buf_str(&text), &problems);
		ok(again, "what is masked still parses");
		conf_free(again);
		conf_free(c);
	}
	buf_done(&problems);
	buf_done(&text);
	buf_done(&file);
}

static void test_diff(void)
{
	struct buf problems = BUF_INIT, diff = BUF_INIT;
	struct conf *a = parse("redis: { url = \"redis://:old@h\"; }", &problems);
	struct conf *b = parse("redis: { url = \"redis://:new@h\"; stream = \"other\"; } workers: { count = 4; }", &problems);
	unsigned owners = conf_diff(a, b, &diff);

	ok(owners == (1u << OWNER_ALL | 1u << OWNER_FIXED | 1u << OWNER_SUPERVISOR), "owners of what differs");
	ok(strstr(buf_str(&diff), "workers.count: 2 -> 4\n"), "old and new value are named");
	ok(!strstr(buf_str(&diff), "new@") && strstr(buf_str(&diff), "redis.url:"), "a changed password is noticed, not shown");
	buf_reset(&diff);
	conf_keep_fixed(b, a, &diff);
	ok(strcmp(b->redis.stream, "firehose:events") == 0 && b->workers.count == 4, "fixed keys stay, others go on");
	ok(strcmp(buf_str(&diff), "redis.stream: \"firehose:events\" -> \"other\"\n") == 0, "and are named");
	conf_free(a);
	conf_free(b);
	buf_done(&problems);
	buf_done(&diff);
}

/* etc/standpipe.conf is a head and the printed defaults. */
static void test_shipped(void)
{
	struct buf bytes = BUF_INIT, problems = BUF_INIT, text = BUF_INIT;
	struct conf *defaults = parse("", &problems), *shipped = NULL;
	struct err err;
	char *name = NULL;
	size_t n;

	if (!ok(conf_read(ETC_DIR "/standpipe.conf", &bytes, &name, &err) == 0, "etc/standpipe.conf is there"))
		printf("# %s\n", err.text);
	conf_print(defaults, true, &text);
	n = strlen(buf_str(&text));
	ok(bytes.n > n && memcmp(bytes.p + bytes.n - n, text.p, n) == 0,
		"etc/standpipe.conf ends with what `standpipe config` prints for the defaults");
	shipped = conf_parse(buf_slice(&bytes), "standpipe.conf", &problems);
	if (!ok(shipped, "etc/standpipe.conf is valid"))
		printf("# %s\n", buf_str(&problems));
	conf_free(defaults);
	conf_free(shipped);
	free(name);
	buf_done(&bytes);
	buf_done(&problems);
	buf_done(&text);
}

static void test_read(void)
{
	struct buf bytes = BUF_INIT;
	struct err err;
	char *name = NULL;

	ok(conf_read("/nonexistent/x.conf", &bytes, &name, &err) < 0 && !name && strstr(err.text, "/nonexistent/x.conf"),
		"a missing file is an error that names it");
	ok(conf_read("/", &bytes, &name, &err) < 0 && strstr(err.text, "directory"), "a directory is an error");
	ok(conf_read("/dev/zero", &bytes, &name, &err) < 0 && strstr(err.text, "larger"), "reading ends at a megabyte");
	setenv("STANDPIPE_CONFIG", "/nonexistent/y.conf", 1);
	ok(conf_read(NULL, &bytes, &name, &err) < 0 && strstr(err.text, "y.conf"), "$STANDPIPE_CONFIG names the file");
	buf_done(&bytes);
}

static void test_runtime_dir(void)
{
	char top[] = "/tmp/standpipe-conf.XXXXXX", dir[128], text[160];
	struct buf problems = BUF_INIT;
	struct conf *c;
	struct stat st;
	struct err err;

	if (!mkdtemp(top))
		return;
	snprintf(text, sizeof text, "runtime: { dir = \"%s/run\"; }", top);
	c = parse(text, &problems);
	ok(c && conf_runtime_dir(c, dir, sizeof dir, &err) == 0 && stat(dir, &st) == 0 && (st.st_mode & 0777) == 0700,
		"the runtime directory is made, for us alone");
	ok(chmod(dir, 0777) == 0 && conf_runtime_dir(c, dir, sizeof dir, &err) < 0 && strstr(err.text, "0700"),
		"one that others may write is refused");
	rmdir(dir);
	ok(symlink("/tmp", dir) == 0 && conf_runtime_dir(c, dir, sizeof dir, &err) < 0, "a symbolic link is refused");
	unlink(dir);
	rmdir(top);
	conf_free(c);
	buf_done(&problems);
}

/* Every prefix of a good file, and every file with one byte changed, is judged without harm. */
static void test_damage(void)
{
	struct buf problems = BUF_INIT, text = BUF_INIT;
	struct conf *c = parse("redis: { url = \"redis://:a@b\"; }", &problems);
	static const char bytes[] = "\"{}[]();=,@#/*L0x\\\n";
	int n_good = 0, n_bad = 0;

	conf_print(c, true, &text);
	conf_free(c);
	for (size_t i = 0; i < text.n; i += 7) {
		uint8_t was = text.p[i];

		for (size_t k = 0; k < sizeof bytes; k++) {
			text.p[i] = (uint8_t)bytes[k];
			buf_reset(&problems);
			c = conf_parse(buf_slice(&text), "f.conf", &problems);
			n_good += c != NULL;
			n_bad += c == NULL && problems.n > 0;
			conf_free(c);
		}
		text.p[i] = was;
		c = conf_parse(slice_of(text.p, i), "f.conf", &problems);
		conf_free(c);
	}
	ok(n_good > 0 && n_bad > 0 && n_good + n_bad == (int)((text.n + 6) / 7 * sizeof bytes),
		"a damaged file is either still valid (%d) or has a complaint (%d)", n_good, n_bad);
	buf_done(&problems);
	buf_done(&text);
}

int main(void)
{
	test_problems();
	test_nul();
	test_values();
	test_round_trip();
	test_secrets();
	test_diff();
	test_shipped();
	test_read();
	test_runtime_dir();
	test_damage();
	return done();
}
