/* SPDX-License-Identifier: MIT
 *
 * keeper - the one process that moves the watermark, deletes from the stream, retries missing parents
 * and empties the records of deleted accounts
 *
 * Nothing ends it but a drain request: while PostgreSQL or Redis is away, or refuses what the
 * promise needs, it waits inside and says for what. One per database, by an advisory lock of its
 * session.
 */
#include "workers/child.h"
#include "workers/keeper_chain.h"
#include "workers/keeper_pending.h"
#include "workers/keeper_purge.h"
#include "workers/keeper_watermark.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "domain/schema.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	TICK_US = 1000000,
	RETRY_US = 2000000, /* after a failure */
	CONSUMERS_EVERY_US = 10000000,
	SETTINGS_EVERY_US = 10000000, /* somebody may change them while we run */
	LOCK_PATIENCE_US = 10000000, /* a killed keeper's session may live for some seconds */
	LAST_US = 5000000, /* for what is under way when asked to drain */
	EXIT_DONE = 0,
	EXIT_CONFIG = 78,
};

struct keeper {
	struct child *child;
	struct pg *pg;
	struct stream *stream;
	struct keeper_watermark watermark;
	struct keeper_pending pending;
	struct keeper_purge purge;
	struct keeper_chain chain;
	bool postgres_checked, redis_checked; /* of the connections there are now */
	int64_t locked_since_us; /* another session holds the lock since; 0: no */
	int64_t next_consumers_us, next_settings_us;
	int64_t give_up_us; /* draining: until then what is under way may finish; 0: not draining */
	struct complaint complaint;
};

/* Schema, standby, and a setting that is off but must not be. to_regclass is NULL where `standpipe migrate` never
 * ran. */
static const char server_sql[] =
	"SELECT to_regclass('standpipe.schema_version') IS NOT NULL, pg_is_in_recovery(),"
	" (SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'"
	" ORDER BY name LIMIT 1)";
static const char version_sql[] = "SELECT coalesce(max(version), 0) FROM standpipe.schema_version";
/* The migrations' lock is another one. A session that is not heard of any more, because the network or our machine is
 * gone, must not hold the lock until the kernel notices, in two hours: a living keeper is never so long idle, unless
 * Redis is away, and then it connects again. */
static const char lock_sql[] =
	"SELECT pg_try_advisory_lock(8319675075286920561),"
	" CASE WHEN current_setting('server_version_num')::int >= 140000"
	" THEN set_config('idle_session_timeout', '150s', false) END";

/* The waiter of both connections: a drain request lets what is under way finish, but bounded. */
static enum wait_result wait_for(void *ctx, int fd, short events, int64_t deadline_us)
{
	struct keeper *k = ctx;
	enum wait_result r = child_wait(k->child, fd, events, deadline_us);

	if (r != WAIT_STOP)
		return r;
	if (!k->give_up_us)
		k->give_up_us = clock_mono_us() + LAST_US;
	if (deadline_us >= 0 && deadline_us < k->give_up_us)
		return child_wait_through(k->child, fd, events, deadline_us);
	r = child_wait_through(k->child, fd, events, k->give_up_us);
	return r == WAIT_TIMEOUT ? WAIT_STOP : r;
}

/* True if the row's column is "t". */
static bool is_true(const struct pg_result *r, int col)
{
	return pg_text(r, 0, col) && pg_text(r, 0, col)[0] == 't';
}

/* The schema must be exactly what this program was written for. */
static enum keeper_status check_version(struct keeper *k, bool migrated, struct err *err)
{
	struct pg_result *r = NULL;
	int version = 0;

	if (migrated && pg_query(k->pg, version_sql, 0, NULL, &r, err) != PG_OK)
		return keeper_postgres_failed(k->pg, "reading the schema version", err);
	if (r)
		version = atoi(pg_text(r, 0, 0));
	pg_result_free(r);
	if (version == SCHEMA_VERSION)
		return KEEPER_OK;
	err_set(err, "PostgreSQL at %s: schema version %d, this program needs %d: %s",
		pg_address(k->pg), version, SCHEMA_VERSION,
		version < SCHEMA_VERSION ? "run `standpipe migrate`"
					 : "install the newer standpipe");
	return KEEPER_E_REFUSED;
}

/* A standby is waited for; settings that would lose what is committed and a wrong schema are refused. */
static enum keeper_status check_server(struct keeper *k, struct err *err)
{
	struct pg_result *r = NULL;
	bool migrated, standby;
	char off[40];

	if (pg_query(k->pg, server_sql, 0, NULL, &r, err) != PG_OK)
		return keeper_postgres_failed(k->pg, "reading its settings", err);
	migrated = is_true(r, 0);
	standby = is_true(r, 1);
	snprintf(off, sizeof off, "%s", pg_text(r, 0, 2) ? pg_text(r, 0, 2) : "");
	pg_result_free(r);
	if (standby) {
		err_set(err,
			"PostgreSQL at %s is a standby: promote it, or point postgres.conninfo at "
			"the primary",
			pg_address(k->pg));
		return KEEPER_E_POSTGRES;
	}
	if (off[0]) {
		err_set(err,
			"PostgreSQL at %s: %s is off, a power loss would destroy it: run "
			"`ALTER SYSTEM SET %s = on; SELECT pg_reload_conf()`",
			pg_address(k->pg), off, off);
		return KEEPER_E_REFUSED;
	}
	return check_version(k, migrated, err);
}

/* One keeper per database. A killed one's session may hold the lock a little longer. */
static enum keeper_status take_lock(struct keeper *k, struct err *err)
{
	struct pg_result *r = NULL;
	bool taken;

	if (pg_query(k->pg, lock_sql, 0, NULL, &r, err) != PG_OK)
		return keeper_postgres_failed(k->pg, "taking the keeper's lock", err);
	taken = is_true(r, 0);
	pg_result_free(r);
	if (taken) {
		k->locked_since_us = 0;
		return KEEPER_OK;
	}
	if (!k->locked_since_us)
		k->locked_since_us = clock_mono_us();
	err_set(err,
		"PostgreSQL at %s: another standpipe already keeps this database: stop it, or use "
		"another database",
		pg_address(k->pg));
	return clock_mono_us() - k->locked_since_us < LOCK_PATIENCE_US ? KEEPER_E_POSTGRES
								       : KEEPER_E_REFUSED;
}

/* A checked session whose watermark and epochs are loaded. */
static enum keeper_status postgres_up(struct keeper *k, struct err *err)
{
	enum keeper_status status;

	if (k->postgres_checked)
		return KEEPER_OK;
	if (pg_connect(k->pg, err) != PG_OK)
		return KEEPER_E_POSTGRES;
	status = check_server(k, err);
	if (status == KEEPER_OK)
		status = take_lock(k, err);
	if (status == KEEPER_OK)
		status = keeper_watermark_load(&k->watermark, err);
	k->postgres_checked = status == KEEPER_OK;
	return status;
}

/* A connection to a Redis whose settings keep the promise. */
static enum keeper_status redis_up(struct keeper *k, struct err *err)
{
	enum stream_status status;
	char run_id[41];

	if (k->redis_checked && clock_mono_us() < k->next_settings_us)
		return KEEPER_OK;
	k->next_settings_us = clock_mono_us() + SETTINGS_EVERY_US;
	status = stream_connect(k->stream, err);
	if (status == STREAM_OK)
		status = stream_check_settings(k->stream, run_id, err);
	k->redis_checked = status == STREAM_OK;
	if (status == STREAM_OK)
		return KEEPER_OK;
	return status == STREAM_E_SETTINGS ? KEEPER_E_REFUSED : KEEPER_E_REDIS;
}

/* Slot of a consumer of ours ("<name>-w<slot>"), -1 if it is not ours. */
static int slot_of(const struct keeper *k, const char *consumer)
{
	const char *name = k->child->conf->runtime.name;
	size_t n = strlen(name);

	if (strncmp(consumer, name, n) != 0 || strncmp(consumer + n, "-w", 2) != 0)
		return -1;
	consumer += n + 2;
	if (!isdigit((unsigned char)*consumer) || strlen(consumer) > 6 ||
		strspn(consumer, "0123456789") != strlen(consumer))
		return -1;
	return atoi(consumer);
}

/* Deletes our consumers that have no slot any more and nothing pending; others claim what is. */
static enum keeper_status drop_consumers(struct keeper *k, struct err *err)
{
	struct stream_consumer *list;
	enum stream_status status;
	int n;

	if (clock_mono_us() < k->next_consumers_us)
		return KEEPER_OK;
	k->next_consumers_us = clock_mono_us() + CONSUMERS_EVERY_US;
	status = stream_consumers(k->stream, &list, &n, err);
	for (int i = 0; i < n && status == STREAM_OK; i++)
		if (list[i].pending == 0 && slot_of(k, list[i].name) >= k->child->n_workers) {
			status = stream_drop_consumer(k->stream, list[i].name, err);
			log_info("keeper.consumer_dropped", "consumer=%s", list[i].name);
		}
	free(list);
	/* a group destroyed just now is made anew by the next tick */
	return status == STREAM_OK || status == STREAM_E_NOGROUP ? KEEPER_OK : KEEPER_E_REDIS;
}

static enum keeper_status retry_pending(struct keeper *k, struct err *err)
{
	return keeper_pending_tick(&k->pending, err) == PG_OK
		? KEEPER_OK
		: keeper_postgres_failed(k->pg, "retrying missing parents", err);
}

static enum keeper_status purge(struct keeper *k, struct err *err)
{
	if (FAILPOINT(keeper_purge))
		pg_disconnect(k->pg);
	return keeper_purge_tick(&k->purge, err) == PG_OK
		? KEEPER_OK
		: keeper_postgres_failed(k->pg, "emptying the records of deleted accounts", err);
}

static enum keeper_status audit_chains(struct keeper *k, struct err *err)
{
	return keeper_chain_tick(&k->chain, err) == PG_OK
		? KEEPER_OK
		: keeper_postgres_failed(k->pg, "auditing the chains of commits", err);
}

/* Shows and says, once in a while, what is waited for. The failing side is checked anew. */
static void trouble(struct keeper *k, enum keeper_status status, const struct err *err)
{
	if (status != KEEPER_E_REDIS)
		k->postgres_checked = false;
	if (status != KEEPER_E_POSTGRES)
		k->redis_checked = false;
	if (k->child->draining)
		return;
	child_set_state(k->child, CHILD_WAITING, err->text);
	if (status == KEEPER_E_REFUSED)
		child_refused(k->child, err->text);
	if (complaint_due(&k->complaint))
		log_error("keeper.waiting", "error=%s action=\"retrying\"%s", LOG_QUOTED(err->text), k->complaint.repeated);
}

/* Everything once; false: something is away or refused. */
static bool tick(struct keeper *k)
{
	enum keeper_status status;
	struct err err;

	status = postgres_up(k, &err);
	if (status == KEEPER_OK)
		status = redis_up(k, &err);
	if (status == KEEPER_OK)
		status = keeper_watermark_tick(&k->watermark, &err);
	if (status == KEEPER_OK)
		status = drop_consumers(k, &err);
	if (status == KEEPER_OK)
		status = retry_pending(k, &err);
	if (status == KEEPER_OK)
		status = purge(k, &err);
	if (status == KEEPER_OK)
		status = audit_chains(k, &err);
	if (status != KEEPER_OK) {
		trouble(k, status, &err);
		return false;
	}
	complaint_clear(&k->complaint);
	child_set_state(k->child, CHILD_IDLE, NULL);
	child_ready(k->child);
	return true;
}

/* Makes both clients; nothing is connected yet. */
static int open_clients(struct keeper *k, struct err *err)
{
	const struct conf *conf = k->child->conf;
	const struct waiter waiter = { wait_for, k };
	const struct pg_options pg = { .conninfo = conf->postgres.conninfo,
		.application_name = "standpipe keeper",
		.waiter = waiter };
	const struct stream_options stream = { .url = conf->redis.url,
		.password_file = conf->redis.password_file,
		.name = conf->redis.stream,
		.group = conf->redis.group,
		.waiter = waiter };

	if (pg_new(&pg, &k->pg, err) < 0 || stream_new(&stream, &k->stream, err) < 0)
		return -1;
	k->watermark = (struct keeper_watermark){
		.pg = k->pg, .stream = k->stream, .stats = k->child->stats, .conf = conf
	};
	k->pending = (struct keeper_pending){ .pg = k->pg, .stats = k->child->stats, .conf = conf };
	k->purge = (struct keeper_purge){ .pg = k->pg };
	k->chain = (struct keeper_chain){ .pg = k->pg, .stats = k->child->stats };
	return 0;
}

int keeper_main(struct child *c)
{
	struct keeper k = { .child = c };
	struct err err;
	int code = EXIT_DONE;

	if (open_clients(&k, &err) < 0) {
		log_error("keeper.failed", "error=%s", LOG_QUOTED(err.text));
		code = EXIT_CONFIG;
	}
	while (code == EXIT_DONE && !c->draining) {
		int64_t begin_us = clock_mono_us();
		int64_t pause_us = tick(&k) ? TICK_US : RETRY_US;

		if (child_wait(c, -1, 0, begin_us + pause_us) == WAIT_STOP)
			break;
	}
	/* the workers are done by now: record how far they came */
	if (k.postgres_checked && k.redis_checked &&
		keeper_watermark_tick(&k.watermark, &err) != KEEPER_OK)
		log_warning("keeper.last_tick_failed",
			"error=%s action=\"the next start replays more\"", LOG_QUOTED(err.text));
	stream_free(k.stream);
	pg_free(k.pg);
	return code;
}
