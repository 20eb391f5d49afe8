/* SPDX-License-Identifier: MIT */
#include "io/chan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int chan_pair(int ret_fds[2], struct err *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds) < 0)
		return err_set(err, "cannot make a channel: %s", strerror(errno));
	return 0;
}

void chan_send(int fd, enum chan_type type, uint32_t value, const char *text)
{
	struct chan_msg msg = { .type = type, .value = value };

	snprintf(msg.text, sizeof msg.text, "%s", text ? text : "");
	while (send(fd, &msg, sizeof msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

enum chan_status chan_recv(int fd, struct chan_msg *ret_msg)
{
	ssize_t n;

	do
		n = recv(fd, ret_msg, sizeof *ret_msg, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return CHAN_EMPTY;
	/* a message of another shape comes from another program: as good as nobody */
	if (n != (ssize_t)sizeof *ret_msg || ret_msg->type >= N_CHAN_TYPES)
		return CHAN_EOF;
	ret_msg->text[sizeof ret_msg->text - 1] = 0;
	return CHAN_OK;
}

const char *chan_type_name(enum chan_type type)
{
	static const char *const names[N_CHAN_TYPES] = {
#define X(name) [CHAN_##name] = #name,
		CHAN_MESSAGES(X)
#undef X
	};

	return names[type];
}

const char *child_state_name(enum child_state state)
{
	static const char *const names[N_CHILD_STATES] = {
		[CHILD_STARTING] = "starting",
		[CHILD_WAITING] = "waiting",
		[CHILD_IDLE] = "idle",
		[CHILD_BUSY] = "busy",
		[CHILD_DRAINING] = "draining",
	};

	return names[state];
}

const char *slot_state_name(enum slot_state state)
{
	static const char *const names[N_SLOT_STATES] = {
#define X(name, text) [SLOT_##name] = text,
		SLOT_STATES(X)
#undef X
	};

	return names[state];
}

const char *alarm_level_name(enum alarm_level level)
{
	static const char *const names[N_ALARM_LEVELS] = {
#define X(name, text) [LEVEL_##name] = text,
		ALARM_LEVELS(X)
#undef X
	};

	return names[level];
}
