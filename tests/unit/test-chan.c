/* SPDX-License-Identifier: MIT */
#include "io/chan.h"

#include "tap.h"

#include <sys/socket.h>
#include <unistd.h>

/* A pair, or the end of the test. */
static void make_pair(int fds[2])
{
	struct err err;

	if (chan_pair(fds, &err) < 0) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
}

static void test_messages(void)
{
	struct chan_msg msg;
	char longer[400];
	int fds[2];

	make_pair(fds);
	ok(chan_recv(fds[1], &msg) == CHAN_EMPTY, "an idle channel is empty, not at its end");
	chan_send(fds[0], CHAN_BEAT, CHILD_WAITING, "redis is away");
	chan_send(fds[0], CHAN_READY, 0, NULL);
	ok(chan_recv(fds[1], &msg) == CHAN_OK && msg.type == CHAN_BEAT &&
			msg.value == CHILD_WAITING && strcmp(msg.text, "redis is away") == 0,
		"type, value and text arrive");
	ok(chan_recv(fds[1], &msg) == CHAN_OK && msg.type == CHAN_READY && msg.text[0] == 0,
		"messages keep their borders and order");
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = 0;
	chan_send(fds[1], CHAN_REFUSED, 0, longer);
	ok(chan_recv(fds[0], &msg) == CHAN_OK && strlen(msg.text) == sizeof msg.text - 1,
		"a text too long is cut, with its NUL");
	close(fds[0]);
	chan_send(fds[1], CHAN_BEAT, 0, NULL);
	ok(chan_recv(fds[1], &msg) == CHAN_EOF,
		"a closed peer is the end, and sending to it is harmless");
	close(fds[1]);
}

static void test_hostile(void)
{
	struct chan_msg msg = { .type = N_CHAN_TYPES };
	int fds[2];

	make_pair(fds);
	ok(send(fds[0], "short", 5, 0) == 5 && chan_recv(fds[1], &msg) == CHAN_EOF,
		"a message of another shape counts as nobody");
	msg.type = N_CHAN_TYPES;
	ok(send(fds[0], &msg, sizeof msg, 0) == sizeof msg && chan_recv(fds[1], &msg) == CHAN_EOF,
		"a message of an unknown type counts as nobody");
	msg = (struct chan_msg){ .type = CHAN_BEAT };
	memset(msg.text, 'x', sizeof msg.text);
	ok(send(fds[0], &msg, sizeof msg, 0) == sizeof msg && chan_recv(fds[1], &msg) == CHAN_OK &&
			msg.text[sizeof msg.text - 1] == 0, "a text without NUL gets one");
	close(fds[0]);
	close(fds[1]);
}

/* A reader that does not read must not stop the sender. */
static void test_full(void)
{
	struct chan_msg msg;
	int fds[2], n = 0;

	make_pair(fds);
	for (int i = 0; i < 100000; i++)
		chan_send(fds[0], CHAN_BEAT, (uint32_t)i, NULL);
	while (chan_recv(fds[1], &msg) == CHAN_OK && msg.value == (uint32_t)n)
		n++;
	ok(n > 0 && n < 100000, "a full channel drops what does not fit and never blocks");
	close(fds[0]);
	close(fds[1]);
}

static void test_names(void)
{
	bool all = true;

	for (int i = 0; i < N_CHAN_TYPES; i++)
		all = all && chan_type_name((enum chan_type)i);
	for (int i = 0; i < N_CHILD_STATES; i++)
		all = all && child_state_name((enum child_state)i);
	for (int i = 0; i < N_SLOT_STATES; i++)
		all = all && slot_state_name((enum slot_state)i);
	ok(all, "every type and state has a name");
}

int main(void)
{
	test_messages();
	test_hostile();
	test_full();
	test_names();
	return done();
}
