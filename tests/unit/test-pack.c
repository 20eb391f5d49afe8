/* SPDX-License-Identifier: MIT */
#include "codec/pack.h"
#include "base/clock.h"
#include "tests/unit/tap.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct pack_prefix sample_prefix = {
	.prev_epoch = 3,
	.prev_seq = 4000000001,
	.epoch = 4,
	.first_seq = 4000000002,
	.last_seq = 4000000009,
	.first_ordinal = 5000000005,
	.first_byte = 6000000006,
	.received_us = 1781000000000007,
	.source_time_us = 1781000000000008,
	.n_events = 3,
};

/* Three events: some bytes, none, and 300. */
static void build(struct buf *out)
{
	static uint8_t of_300[300];

	memset(of_300, 0x5a, sizeof of_300);
	pack_begin(out);
	pack_add(out, 1, 0x80, 4000000002, slice_str("payload"));
	pack_add(out, 2, 0, 4000000005, slice_of(NULL, 0));
	pack_add(out, 255, 255, UINT64_MAX, slice_of(of_300, sizeof of_300));
	pack_end(out, &sample_prefix);
}

static bool prefix_eq(const struct pack_prefix *a, const struct pack_prefix *b)
{
	return a->prev_epoch == b->prev_epoch && a->prev_seq == b->prev_seq &&
	       a->epoch == b->epoch && a->first_seq == b->first_seq && a->last_seq == b->last_seq &&
	       a->first_ordinal == b->first_ordinal && a->first_byte == b->first_byte &&
	       a->received_us == b->received_us && a->source_time_us == b->source_time_us &&
	       a->n_events == b->n_events;
}

static void test_round_trip(void)
{
	struct buf bytes = BUF_INIT;
	struct pack_event event;
	struct pack pack;

	buf_add_str(&bytes, "left over from before");
	build(&bytes);
	ok(bytes.n == PACK_PREFIX + 3 * PACK_EVENT_HEAD + 7 + 0 + 300,
		"a pack has the size it says");
	ok(pack_open(buf_slice(&bytes), &pack) == PACK_OK &&
			prefix_eq(&pack.prefix, &sample_prefix),
		"every field of the prefix comes back");
	ok(pack_next(&pack, &event) == PACK_OK && event.kind == 1 && event.flags == 0x80 &&
			event.seq == 4000000002 && slice_is(event.payload, "payload"),
		"the first event comes back");
	ok(pack_next(&pack, &event) == PACK_OK && event.kind == 2 && event.payload.n == 0,
		"an event without payload comes back");
	ok(pack_next(&pack, &event) == PACK_OK && event.kind == 255 && event.flags == 255 &&
			event.seq == UINT64_MAX && event.payload.n == 300,
		"the largest values come back");
	ok(pack_next(&pack, &event) == PACK_END && pack_next(&pack, &event) == PACK_END,
		"then there are no more, however often one asks");
	pack_begin(&bytes);
	pack_end(&bytes, &(struct pack_prefix){.epoch = 1, .last_seq = 2});
	ok(bytes.n == PACK_PREFIX && pack_open(buf_slice(&bytes), &pack) == PACK_OK &&
			pack_next(&pack, &event) == PACK_END,
		"a pack without events is 88 bytes and legal");
	buf_done(&bytes);
}

static void test_refused(void)
{
	struct buf bytes = BUF_INIT;
	size_t n_unseen = 0, n_unexpected = 0;
	struct pack pack;

	build(&bytes);
	for (size_t n = 0; n < bytes.n; n++) {
		uint8_t *cut = memcpy(malloc(n ? n : 1), bytes.p, n);
		enum pack_status r = pack_open(slice_of(cut, n), &pack);

		n_unexpected += r != (n < PACK_PREFIX ? PACK_E_TRUNCATED : PACK_E_CRC);
		free(cut);
	}
	ok(n_unexpected == 0, "a pack cut anywhere is refused");
	for (size_t bit = 0; bit < bytes.n * 8; bit++) {
		enum pack_status r;

		bytes.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		r = pack_open(buf_slice(&bytes), &pack);
		n_unseen += r == PACK_OK;
		n_unexpected += r != (bit < 32 ? PACK_E_FORMAT : PACK_E_CRC);
		bytes.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ok(n_unseen == 0 && n_unexpected == 0, "every single flipped bit of %zu is seen",
		bytes.n * 8);
	ok(pack_open(buf_slice(&bytes), &pack) == PACK_OK, "and put right again it is read");
	buf_done(&bytes);
}

/* Reads events until something else is said. */
static enum pack_status read_all(struct pack *pack)
{
	struct pack_event event;
	enum pack_status r;

	do
		r = pack_next(pack, &event);
	while (r == PACK_OK);
	return r;
}

/* A pack whose checksum is right and whose events are not: what a bug of the writer would make. */
static void test_disagreeing(void)
{
	struct pack_prefix prefix = sample_prefix;
	struct buf bytes = BUF_INIT;
	struct pack pack;

	build(&bytes);
	prefix.n_events = 2;
	pack_end(&bytes, &prefix);
	ok(pack_open(buf_slice(&bytes), &pack) == PACK_OK && read_all(&pack) == PACK_E_COUNT,
		"one event more than the prefix says is seen");
	prefix.n_events = 4;
	pack_end(&bytes, &prefix);
	ok(pack_open(buf_slice(&bytes), &pack) == PACK_OK && read_all(&pack) == PACK_E_COUNT,
		"one event less than the prefix says is seen");
	bytes.n -= 1;
	pack_end(&bytes, &sample_prefix);
	ok(pack_open(buf_slice(&bytes), &pack) == PACK_OK && read_all(&pack) == PACK_E_TRUNCATED,
		"a payload that reaches behind the end is seen");
	bytes.n = PACK_PREFIX + PACK_EVENT_HEAD + 7 + PACK_EVENT_HEAD - 1;
	pack_end(&bytes, &sample_prefix);
	ok(pack_open(buf_slice(&bytes), &pack) == PACK_OK && read_all(&pack) == PACK_E_TRUNCATED,
		"half the head of an event is seen");
	buf_done(&bytes);
}

/* The definition, bit by bit. */
static uint32_t naive_crc32c(const uint8_t *p, size_t n)
{
	uint32_t crc = ~0U;

	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static void test_crc32c(void)
{
	uint8_t bytes[300], zeros[32] = {0};
	size_t n_wrong = 0;
	unsigned seed = 1;

	ok(crc32c(slice_str("123456789")) == 0xe3069283, "CRC32C of 123456789 is 0xe3069283");
	ok(crc32c(slice_of(zeros, 32)) == 0x8a9136aa, "CRC32C of 32 zeros is RFC 3720's");
	ok(crc32c(slice_of(NULL, 0)) == 0 && crc32c_by_table(slice_of(NULL, 0)) == 0,
		"CRC32C of nothing is 0");
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)rand_r(&seed);
	for (size_t at = 0; at < 9; at++)
		for (size_t n = 0; n + at <= sizeof bytes; n++) {
			uint32_t crc = naive_crc32c(bytes + at, n);

			n_wrong += crc32c(slice_of(bytes + at, n)) != crc;
			n_wrong += crc32c_by_table(slice_of(bytes + at, n)) != crc;
		}
	ok(n_wrong == 0, "instruction, table and definition agree at every length and alignment");
}

/* A Redis of our own, on a socket in its own folder. */
struct redis {
	char dir[64];
	struct sockaddr_un address;
	pid_t pid;
};

static void start_redis(struct redis *redis)
{
	*redis = (struct redis){.dir = "/tmp/standpipe-test-XXXXXX", .pid = -1};
	if (!mkdtemp(redis->dir))
		return;
	redis->address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(redis->address.sun_path, sizeof redis->address.sun_path, "%s/socket", redis->dir);
	redis->pid = fork();
	if (redis->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* stdout is the TAP stream */
		if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
			_exit(127);
		execlp("redis-server", "redis-server", "--port", "0", "--unixsocket",
			redis->address.sun_path, "--dir", redis->dir, "--save", "", (char *)NULL);
		_exit(127);
	}
}

static void stop_redis(struct redis *redis)
{
	if (redis->pid > 0) {
		kill(redis->pid, SIGKILL);
		waitpid(redis->pid, NULL, 0);
	}
	unlink(redis->address.sun_path);
	rmdir(redis->dir);
}

/* A connection once the server listens, or negative if it ended or did not within ten seconds. */
static int connect_redis(struct redis *redis)
{
	int64_t deadline_us = clock_mono_us() + 10000000;

	while (redis->pid > 0 && clock_mono_us() < deadline_us) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		if (connect(fd, (struct sockaddr *)&redis->address, sizeof redis->address) == 0)
			return fd;
		close(fd);
		if (waitpid(redis->pid, NULL, WNOHANG) == redis->pid)
			redis->pid = -1; /* there is none to run */
		poll(NULL, 0, 10);
	}
	return -1;
}

/* Runs a script with one argument; its answer, a bulk string, is put into ret_text. */
static void eval(int fd, const char *script, struct slice arg, char *ret_text, size_t n_text)
{
	struct timeval timeout = {.tv_sec = 10};
	struct buf request = BUF_INIT;
	const char *line_end;
	ssize_t n, n_all = 0;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
	buf_printf(&request, "*4\r\n$4\r\nEVAL\r\n$%zu\r\n%s\r\n$1\r\n0\r\n$%zu\r\n",
		strlen(script), script, arg.n);
	buf_add_slice(&request, arg);
	buf_add_str(&request, "\r\n");
	if (write(fd, request.p, request.n) != (ssize_t)request.n)
		n_all = -1;
	ret_text[0] = 0;
	/* a bulk string is "$length\r\n" and its bytes; ours holds no line end */
	while (n_all >= 0) {
		n = read(fd, ret_text + n_all, n_text - 1 - (size_t)n_all);
		if (n <= 0)
			break;
		n_all += n;
		ret_text[n_all] = 0;
		line_end = strstr(ret_text, "\r\n");
		if (line_end && (ret_text[0] != '$' || strstr(line_end + 2, "\r\n")))
			break;
	}
	buf_done(&request);
}

static void test_lua(void)
{
	static const char script[] =
		"local t = {struct.unpack('<I4I4I8I8I8I8I8I8I8I8I8I4I4', ARGV[1])} "
		"for i, v in ipairs(t) do t[i] = string.format('%.0f', v) end "
		"return table.concat(t, ' ')";
	char answer[512], expected[512];
	struct buf bytes = BUF_INIT;
	const struct pack_prefix *p = &sample_prefix;
	struct redis redis;
	int fd;

	build(&bytes);
	/* struct.unpack adds the position behind what it read, counted from one */
	snprintf(expected, sizeof expected,
		"\r\n%d %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
		" %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 " 0 %d\r\n",
		PACK_FORMAT, crc32c(slice_of(bytes.p + 8, bytes.n - 8)), p->prev_epoch, p->prev_seq,
		p->epoch, p->first_seq, p->last_seq, p->first_ordinal, p->first_byte,
		p->received_us, p->source_time_us, p->n_events, PACK_PREFIX + 1);
	start_redis(&redis);
	fd = connect_redis(&redis);
	if (fd < 0) {
		skip("no redis-server to run Lua in");
	} else {
		eval(fd, script, buf_slice(&bytes), answer, sizeof answer);
		ok(strstr(answer, expected) != NULL, "Redis's Lua unpacks it as pack.h says");
		close(fd);
	}
	stop_redis(&redis);
	buf_done(&bytes);
}

int main(void)
{
	test_round_trip();
	test_refused();
	test_disagreeing();
	test_crc32c();
	test_lua();
	return done();
}
