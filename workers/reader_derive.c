/* SPDX-License-Identifier: MIT
 *
 * Where the stream stands and whose epoch it is: the half of the reader that talks to Redis; and how long to wait
 * before it does so again.
 */
#include "workers/reader.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	SETTINGS_RETRY_US = 5000000,
	KEEPER_RETRY_US = 200000,
	FULL_RETRY_US = 500000,
	REDIS_RETRY_MIN_US = 500000,
	REDIS_RETRY_MAX_US = 5000000,
	EPOCH_PATIENCE_US = 30000000, /* for the keeper to open the epoch we asked for */
	MAX_ATTEMPTS = 5,             /* in a row, until another URL is tried */
	BACKOFF_MIN_US = 100000,
	BACKOFF_MAX_US = 30000000,
	HEALTHY_US = 60000000, /* of streaming, or */
	HEALTHY_FRAMES = 1000, /* so many frames: the next failure is a first one */
};

#define LINK_PATH "/xrpc/com.atproto.sync.subscribeRepos"

/* The stream's waiter; it also tells us which socket to watch while an append is under way. Only
 * the derivation may be interrupted: an append under way is better finished. */
enum wait_result reader_wait(void *ctx, int fd, short events, int64_t deadline_us)
{
	struct reader *r = ctx;

	if (fd >= 0)
		r->redis_fd = fd;
	return r->interruptible ? child_wait(r->child, fd, events, deadline_us)
				: child_wait_through(r->child, fd, events, deadline_us);
}

enum link_event reader_unfit(struct reader *r, enum stream_status status, const struct err *err)
{
	switch (status) {
	case STREAM_E_STOP:
		return EV_LINK_DRAIN;
	case STREAM_E_SETTINGS:
		child_refused(r->child, err->text);
		r->retry_us = SETTINGS_RETRY_US;
		break;
	case STREAM_E_UNPREPARED:
	case STREAM_E_NOGROUP:
		r->retry_us = KEEPER_RETRY_US;
		break;
	case STREAM_E_FULL:
		r->retry_us = FULL_RETRY_US;
		break;
	default:
		r->redis_retry_us = r->redis_retry_us ? r->redis_retry_us * 2 : REDIS_RETRY_MIN_US;
		if (r->redis_retry_us > REDIS_RETRY_MAX_US)
			r->redis_retry_us = REDIS_RETRY_MAX_US;
		r->retry_us = r->redis_retry_us;
	}
	child_set_state(r->child, CHILD_WAITING, err->text);
	/* the keeper needs a moment at every start; settings are the supervisor's to tell */
	if (status != STREAM_E_SETTINGS && (status != STREAM_E_UNPREPARED || r->child->ready) &&
		complaint_due(&r->no_redis))
		log_warning("reader.redis_unfit", "redis=%s status=%s error=%s%s", stream_address(r->stream),
			stream_status_name(status), LOG_QUOTED(err->text), r->no_redis.repeated);
	return EV_LINK_UNFIT;
}

int reader_url_of(const struct conf *conf, const char *host)
{
	char other[300];

	for (int i = 0; i < conf->source.n_urls; i++)
		if (websocket_url_valid(conf->source.urls[i], other, sizeof other) &&
			strcmp(other, host) == 0)
			return i;
	return -1;
}

/* The host to fail over to: that of the next URL elsewhere, past those that did not answer; false if there is
 * none. */
static bool other_host(const struct reader *r, char *ret, size_t size)
{
	const struct conf *conf = r->child->conf;
	int n_others = conf->source.n_urls - 1;

	for (int i = 0; i < n_others; i++) {
		int others = (int)((r->n_passed_over + (unsigned)i) % (unsigned)n_others);

		if (websocket_url_valid(conf->source.urls[(r->url + 1 + others) % conf->source.n_urls], ret, size) &&
			strcmp(ret, r->position.host) != 0)
			return true;
	}
	return false;
}

/* Was an epoch asked for that starts where "live" is at the very host, and nothing has begun meanwhile? */
static bool awaits_live(const struct reader *r)
{
	return strcmp(r->position.host, r->want_host) == 0 && strcmp(r->position.start, "live") == 0 &&
		strcmp(r->want_start, "live") != 0 && r->position.head.epoch == 0;
}

/* Is the epoch's host the one to connect to? Fills in want_host if not. */
static enum link_event judge_host(struct reader *r)
{
	int url = reader_url_of(r->child->conf, r->position.host);
	bool asked = r->want_host[0] != '\0';

	if (url >= 0) {
		r->url = url;
		if (asked && awaits_live(r))
			return EV_LINK_DECIDED;
		if (asked && (strcmp(r->position.host, r->want_host) == 0 ||
				     clock_mono_us() >= r->want_until_us)) {
			r->want_host[0] = '\0'; /* it is there, or the keeper has other cares: try
						   again here */
			r->n_failed = 0;
			return EV_LINK_DERIVED;
		}
		if (asked)
			return EV_LINK_FOREIGN;
		if (r->n_failed < MAX_ATTEMPTS || !other_host(r, r->want_host, sizeof r->want_host))
			return EV_LINK_DERIVED;
		return EV_LINK_FOREIGN;
	}
	url = (int)(r->n_passed_over % (unsigned)r->child->conf->source.n_urls);
	if (!asked && !websocket_url_valid(
			      r->child->conf->source.urls[url], r->want_host, sizeof r->want_host)) {
		log_error("reader.url_invalid", "url=%s way_out=\"correct source.urls\"",
			r->child->conf->source.urls[url]);
		r->want_host[0] = '\0';
		r->retry_us = SETTINGS_RETRY_US;
		return EV_LINK_UNFIT;
	}
	return EV_LINK_FOREIGN;
}

void reader_build_request(struct reader *r, bool has_cursor, uint64_t cursor)
{
	const char *url = r->child->conf->source.urls[r->url];
	const char *host = strstr(url, "://"), *path = host ? strchr(host + 3, '/') : NULL;
	bool has_path = path && path[1] && path[1] != '?';
	size_t n = path && !has_path ? (size_t)(path - url) : strlen(url);
	int used = snprintf(
		r->request, sizeof r->request, "%.*s%s", (int)n, url, has_path ? "" : LINK_PATH);

	if (has_cursor && used > 0 && (size_t)used < sizeof r->request)
		snprintf(r->request + used, sizeof r->request - (size_t)used, "%ccursor=%" PRIu64,
			strchr(r->request, '?') ? '&' : '?', cursor);
}

/* Saves what is packed, then asks the stream where it stands. */
enum link_event reader_derive(struct reader *r)
{
	char run_id[41];
	struct err err;
	enum stream_status status = reader_append_settle(r->append, &err);

	if (status == STREAM_E_FULL)
		return reader_unfit(r, status, &err);
	r->interruptible = true;
	status = stream_connect(r->stream, &err);
	FAILPOINT_CUT(reader_derive, stream_fd(r->stream));
	if (status == STREAM_OK)
		status = stream_check_settings(r->stream, run_id, &err);
	if (status == STREAM_OK)
		status = stream_get_state(r->stream, &r->position, &err);
	r->interruptible = false;
	if (status != STREAM_OK)
		return reader_unfit(r, status, &err);
	complaint_clear(&r->no_redis);
	r->redis_retry_us = 0;
	return judge_host(r);
}

enum link_event reader_retry(struct reader *r)
{
	reader_arm(r->timer, r->retry_us);
	return EV_LINK_NONE;
}

/* Asks the keeper, once; then looks from time to time whether it is done. */
enum link_event reader_ask_epoch(struct reader *r)
{
	bool elsewhere = strcmp(r->want_host, r->position.host) != 0;
	enum stream_status status;
	struct err err;

	log_write(elsewhere ? LOG_WARNING : LOG_NOTICE, "reader.epoch_wanted",
		"host=%s start=%s now=%s failed_attempts=%u", r->want_host, r->want_start, r->position.host,
		r->n_failed);
	status = stream_want_epoch(r->stream, r->want_host, r->want_start, &err);
	if (status != STREAM_OK) {
		if (elsewhere)
			r->want_host[0] = '\0';
		return reader_unfit(r, status, &err);
	}
	r->want_until_us = clock_mono_us() + EPOCH_PATIENCE_US;
	child_set_state(r->child, CHILD_WAITING, elsewhere ? "the keeper to open an epoch at another host"
							   : "the keeper to write down where \"live\" is");
	reader_arm(r->timer, KEEPER_RETRY_US);
	return EV_LINK_NONE;
}

enum link_event reader_await_epoch(struct reader *r)
{
	bool overdue = clock_mono_us() >= r->want_until_us;

	if (overdue && complaint_due(&r->no_epoch))
		log_warning("reader.epoch_overdue",
			"host=%s way_out=\"is the keeper running and PostgreSQL there?\"%s", r->want_host,
			r->no_epoch.repeated);
	if (overdue && awaits_live(r))
		return reader_ask_epoch(r); /* Redis may have forgotten it */
	reader_arm(r->timer, KEEPER_RETRY_US);
	return EV_LINK_NONE;
}

/* Uniform in [0, us): many readers that lost the same relay do not come back together. */
static int64_t jitter(int64_t us)
{
	uint64_t x;

	if (getrandom(&x, sizeof x, 0) != (ssize_t)sizeof x)
		abort();
	return (int64_t)(x % (uint64_t)us);
}

int64_t reader_backoff(struct reader *r)
{
	int64_t us, asked_us = r->ended.retry_after_s * 1000000LL;
	bool healthy = r->proven_us && (reader_source_frames(r->source) >= HEALTHY_FRAMES ||
					       clock_mono_us() - r->proven_us >= HEALTHY_US);

	r->backoff_us = healthy || !r->backoff_us ? BACKOFF_MIN_US : r->backoff_us * 2;
	if (r->backoff_us > BACKOFF_MAX_US)
		r->backoff_us = BACKOFF_MAX_US;
	us = jitter(r->backoff_us);
	return us > asked_us ? us : asked_us;
}
