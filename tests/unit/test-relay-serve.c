/* SPDX-License-Identifier: MIT
 *
 * The relay program from outside: a plain socket, a recording that the program itself has made.
 * Usage: test-relay-serve PATH-OF-STANDPIPE-RELAY
 */
#include "tests/unit/tap.h"

#include "base/buf.h"
#include "tests/relay/frame_file.h"
#include "tests/unit/relay_process.h"

#include <arpa/inet.h>
#include <sys/socket.h>

enum { N_FRAMES = 400, DEADLINE_S = 20, CLOSED = -1, LATE = -2 };

#define MAKE                                                                                       \
	"--frames", "400", "--odd=5", "--accounts", "20", "--gaps", "3", "--seq0", "5000",         \
		"--start", "2026-01-01T00:00:00Z"

struct peer {
	int fd;
	struct buf message;
	int opcode;
};

static const char *program;
static char prefix[] = "/tmp/test-relay-serve-XXXXXX";

/* Reads exactly n bytes into the message: 0, CLOSED or LATE. */
static int read_n(struct peer *peer, size_t n)
{
	while (n) {
		ssize_t got = recv(peer->fd, buf_room(&peer->message, n), n, 0);

		if (got <= 0)
			return got == 0 ? CLOSED : LATE;
		peer->message.n += (size_t)got;
		n -= (size_t)got;
	}
	return 0;
}

/* Connects and asks for the stream; the answer's head is read. */
static struct peer subscribe(const struct relay *relay, const char *query)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)relay->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval deadline = {.tv_sec = DEADLINE_S};
	struct peer peer = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
	struct buf request = BUF_INIT;

	setsockopt(peer.fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
	buf_printf(&request,
		"GET /xrpc/com.atproto.sync.subscribeRepos%s HTTP/1.1\r\nHost: x\r\n"
		"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		query);
	if (connect(peer.fd, (struct sockaddr *)&at, sizeof at) ||
		send(peer.fd, request.p, request.n, 0) != (ssize_t)request.n)
		printf("# cannot connect to port %d\n", relay->port);
	while (read_n(&peer, 1) == 0)
		if (peer.message.n >= 4 &&
			memcmp(peer.message.p + peer.message.n - 4, "\r\n\r\n", 4) == 0)
			break;
	buf_done(&request);
	return peer;
}

static void leave(struct peer *peer)
{
	close(peer->fd);
	buf_done(&peer->message);
}

/* Reads one WebSocket frame behind what is in the message; 1 if it is the last of its message. */
static int read_fragment(struct peer *peer)
{
	size_t start = peer->message.n, n;
	uint8_t head[10];
	int r = read_n(peer, 2);

	if (r)
		return r;
	memcpy(head, peer->message.p + start, 2);
	n = head[1];
	if (n >= 126 && (r = read_n(peer, n == 126 ? 2 : 8)))
		return r;
	if (n >= 126) {
		const uint8_t *p = peer->message.p + start + 2,
			      *end = peer->message.p + peer->message.n;

		for (n = 0; p < end; p++)
			n = n << 8 | *p;
	}
	peer->message.n = start;
	if ((head[0] & 15) != 0)
		peer->opcode = head[0] & 15;
	r = read_n(peer, n);
	return r ? r : head[0] >> 7;
}

/* Reads one message: 0, CLOSED or LATE. */
static int next(struct peer *peer)
{
	int r;

	buf_reset(&peer->message);
	do
		r = read_fragment(peer);
	while (r == 0);
	return r == 1 ? 0 : r;
}

static bool is_text(struct peer *peer, const char *text)
{
	return next(peer) == 0 && memmem(peer->message.p, peer->message.n, text, strlen(text));
}

/* True if the next messages are the recording's from that index on, byte by byte. */
static bool is_rest(struct peer *peer, const struct frame_file *file, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		const struct frame *f = &file->log.frames[i];

		if (next(peer) ||
			!slice_eq(buf_slice(&peer->message), slice_of(f->body, f->n_body))) {
			printf("# message %zu differs\n", i);
			return false;
		}
	}
	return true;
}

static void check_cursors(const struct frame_file *file, const char *frames)
{
	const struct frame *f = file->log.frames;
	struct relay relay = relay_serve(program, (const char *const[]){"serve", frames, NULL});
	struct peer peer = subscribe(&relay, "?cursor=0");
	char query[64];

	ok(is_rest(&peer, file, 0, N_FRAMES), "cursor=0: the whole recording, byte by byte");
	leave(&peer);
	snprintf(query, sizeof query, "?cursor=%llu", (unsigned long long)f[99].seq);
	peer = subscribe(&relay, query);
	ok(is_rest(&peer, file, 100, N_FRAMES), "cursor=N: what follows seq N");
	leave(&peer);
	peer = subscribe(&relay, "?cursor=17");
	ok(is_text(&peer, "OutdatedCursor") && is_rest(&peer, file, 0, 3),
		"too old: #info, then the oldest");
	leave(&peer);
	peer = subscribe(&relay, "?cursor=99999999");
	ok(is_text(&peer, "FutureCursor") && peer.opcode == 2 && is_text(&peer, "FutureCursor") &&
			peer.opcode == 8 && peer.message.p[0] == 1008 >> 8 &&
			peer.message.p[1] == (1008 & 255),
		"ahead: error frame, then close 1008");
	leave(&peer);
	peer = subscribe(&relay, "?cursor=now");
	ok(is_text(&peer, "InternalServerError"), "no integer: error frame");
	leave(&peer);
	ok(relay_stop(&relay) == 0, "SIGTERM ends it with exit code 0");
}

static void check_variants(const struct frame_file *file, const char *frames)
{
	struct relay relay = relay_serve(program, (const char *const[]){
		"serve", frames, "--inclusive", "--silent", "--fragment", "100", NULL});
	struct peer peer;
	char query[64];

	snprintf(query, sizeof query, "?cursor=%llu", (unsigned long long)file->log.frames[99].seq);
	peer = subscribe(&relay, query);
	ok(is_rest(&peer, file, 99, N_FRAMES),
		"--inclusive begins at seq N; fragments make the same messages");
	leave(&peer);
	peer = subscribe(&relay, "?cursor=17");
	ok(is_rest(&peer, file, 0, 3), "--silent announces no lost range");
	leave(&peer);
	relay_stop(&relay);
}

/* A live subscriber of a paced recording, and one that comes after it. */
static void check_live(const struct frame_file *file, const char *frames)
{
	struct relay relay = relay_serve(program, 
		(const char *const[]){"serve", frames, "--rate", "20000", "--past", "50", NULL});
	struct peer peer = subscribe(&relay, ""), late;

	ok(is_rest(&peer, file, 50, N_FRAMES), "live: what becomes due, not what is past");
	late = subscribe(&relay, "?cursor=0");
	ok(is_rest(&late, file, 0, N_FRAMES), "a second subscriber gets all of it from cursor 0");
	leave(&late);
	leave(&peer);
	relay_stop(&relay);
}

static void check_generated(const struct frame_file *file)
{
	struct relay relay = relay_serve(program, (const char *const[]){"generate", "--rate", "max", MAKE, NULL});
	struct peer peer = subscribe(&relay, "");

	ok(is_rest(&peer, file, 0, N_FRAMES),
		"a network generated live is the one written to a file");
	leave(&peer);
	relay_stop(&relay);
	relay = relay_serve(program, 
		(const char *const[]){"generate", "--past", "all", "--history", "100", MAKE, NULL});
	peer = subscribe(&relay, "?cursor=1");
	ok(is_text(&peer, "OutdatedCursor") && is_rest(&peer, file, N_FRAMES - 100, N_FRAMES),
		"its window is bounded, and what left it is announced");
	leave(&peer);
	relay_stop(&relay);
}

static void check_bad(const struct frame_file *file, const char *frames)
{
	char seq[24];
	struct relay relay;
	struct peer peer;

	snprintf(seq, sizeof seq, "%llu", (unsigned long long)file->log.frames[5].seq);
	relay = relay_serve(program, (const char *const[]){
		"serve", frames, "--bad-frame", seq, "--bad-times", "2", NULL});
	for (int i = 0; i < 2; i++) {
		peer = subscribe(&relay, "?cursor=0");
		ok(is_rest(&peer, file, 0, 5) && is_text(&peer, "\xff\xff garbage") &&
				is_rest(&peer, file, 5, 8),
			"garbage comes before its frame, time %d", i + 1);
		leave(&peer);
	}
	peer = subscribe(&relay, "?cursor=0");
	ok(is_rest(&peer, file, 0, 8), "and not a third time");
	leave(&peer);
	relay_stop(&relay);
	relay = relay_serve(program, (const char *const[]){
		"serve", frames, "--oversize-frame", seq, "6000000", "--bad-instead", NULL});
	peer = subscribe(&relay, "?cursor=0");
	ok(is_rest(&peer, file, 0, 5) && next(&peer) == 0 && peer.message.n == 6000000 &&
			is_rest(&peer, file, 6, 8),
		"an oversize message can stand in for its frame");
	leave(&peer);
	relay_stop(&relay);
}

static void check_ends(const struct frame_file *file, const char *frames)
{
	static const uint8_t ping[] = {0x89, 0x82, 1, 2, 3, 4, 'h' ^ 1, 'i' ^ 2};
	struct relay relay =
		relay_serve(program, (const char *const[]){"serve", frames, "--cut-after", "7", NULL});
	struct peer peer = subscribe(&relay, "?cursor=0");

	ok(is_rest(&peer, file, 0, 7) && next(&peer) == CLOSED,
		"--cut-after 7: seven messages, then the end");
	leave(&peer);
	relay_stop(&relay);
	relay = relay_serve(program, (const char *const[]){"serve", frames, "--ping", "1", NULL});
	peer = subscribe(&relay, "");
	ok(send(peer.fd, ping, sizeof ping, 0) == sizeof ping && is_text(&peer, "hi") &&
			peer.opcode == 10,
		"a ping is answered");
	ok(next(&peer) == 0 && peer.opcode == 9, "an idle connection is pinged");
	leave(&peer);
	relay_stop(&relay);
	relay = relay_serve(program, (const char *const[]){"serve", frames, "--stall=7", "--ping", "1", NULL});
	peer = subscribe(&relay, "?cursor=0");
	setsockopt(peer.fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 2},
		sizeof(struct timeval));
	ok(is_rest(&peer, file, 0, 7) && next(&peer) == LATE,
		"--stall=7: seven messages, then nothing, not even pings");
	leave(&peer);
	ok(relay_stop(&relay) == 0, "a stalled relay ends too");
}

/* The bytes that come before the end. */
static size_t n_until_end(struct peer *peer)
{
	size_t n = 0;

	peer->message.n = 0;
	for (; read_n(peer, 1) == 0; n++)
		peer->message.n = 0;
	return n;
}

static void check_changed(const struct frame_file *file, const char *frames)
{
	struct relay relay = relay_serve(program, (const char *const[]){"serve", frames, "--cut-within", "2", NULL});
	bool all = true, as_it_was;
	struct peer peer;
	char seq[24];

	for (size_t i = 0; i < 40; i++) {
		peer = subscribe(&relay, "?cursor=0");
		all &= is_rest(&peer, file, 0, 2) && n_until_end(&peer) == i;
		leave(&peer);
	}
	ok(all, "--cut-within 2: two messages and 0 bytes, then 1, then 2, ... of the third");
	relay_stop(&relay);
	snprintf(seq, sizeof seq, "%llu", (unsigned long long)file->log.frames[3].seq);
	relay = relay_serve(program, (const char *const[]){"serve", frames, "--flip-bit", seq, "83", NULL});
	peer = subscribe(&relay, "?cursor=0");
	all = is_rest(&peer, file, 0, 3) && next(&peer) == 0 && peer.message.n == file->log.frames[3].n_body;
	as_it_was = all && memcmp(peer.message.p, file->log.frames[3].body, peer.message.n) == 0;
	if (all)
		peer.message.p[10] ^= 1 << 3;
	ok(all && !as_it_was && memcmp(peer.message.p, file->log.frames[3].body, peer.message.n) == 0 &&
			is_rest(&peer, file, 4, 8),
		"--flip-bit SEQ 83: bit 3 of byte 10 of that frame, and nothing else");
	leave(&peer);
	relay_stop(&relay);
	relay = relay_serve(program, (const char *const[]){"serve", frames, "--drip", "7", NULL});
	peer = subscribe(&relay, "?cursor=0");
	setsockopt(peer.fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_usec = 500000}, sizeof(struct timeval));
	peer.message.n = 0;
	all = read_n(&peer, 7) == 0 && read_n(&peer, 1) == LATE && peer.message.n == 7;
	ok(all, "--drip 7: seven bytes, then none for a while");
	leave(&peer);
	relay_stop(&relay);
}

static void remove_files(void)
{
	static const char *const suffixes[] = {
		"", ".frames", ".records.jsonl", ".accounts.jsonl", ".diddocs.json"};
	char path[64];

	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		snprintf(path, sizeof path, "%s%s", prefix, suffixes[i]);
		unlink(path);
	}
}

int main(int argc, char **argv)
{
	struct frame_file file = {0};
	struct relay maker;
	struct err err = {""};
	char frames[64];
	int fd = mkstemp(prefix);

	if (argc != 2 || fd < 0)
		return 2;
	close(fd);
	program = argv[1];
	maker = relay_start(program, (const char *const[]){"generate", "--out", prefix, MAKE, NULL});
	snprintf(frames, sizeof frames, "%s.frames", prefix);
	ok(relay_wait(&maker) == 0 && frame_file_open(&file, frames, &err) == 0 &&
			file.n_frames == N_FRAMES,
		"the program writes a recording %s", err.text);
	if (file.n_frames == N_FRAMES) {
		check_cursors(&file, frames);
		check_variants(&file, frames);
		check_live(&file, frames);
		check_generated(&file);
		check_bad(&file, frames);
		check_ends(&file, frames);
		check_changed(&file, frames);
	}
	frame_file_done(&file);
	remove_files();
	return done();
}
