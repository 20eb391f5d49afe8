/* SPDX-License-Identifier: MIT
 *
 * notify - the service manager's datagram socket ($NOTIFY_SOCKET); silently nothing without one
 */
#ifndef IO_NOTIFY_H
#define IO_NOTIFY_H

/* text: newline-separated assignments, e.g. "READY=1\nSTATUS=...". */
void notify_send(const char *text);
/* "RELOADING=1" with the monotonic stamp that Type=notify-reload asks for. */
void notify_reloading(void);

#endif
