/* SPDX-License-Identifier: MIT
 *
 * conf - the configuration file as one immutable struct
 *
 * THE table of keys is in conf_keys.c: name, type, default, range, owner, meaning. Start-up, reload and the
 * children all go through conf_parse with the same bytes. Owner of libconfig.
 * Owns: a struct conf owns its strings until conf_free.
 * Errors: every problem of a file is reported ("file:line: key: problem, accepted range"), not only
 * the first. Unknown keys are errors.
 * Must not know: what the values are used for.
 */
#ifndef IO_CONF_H
#define IO_CONF_H

#include "base/buf.h"
#include "base/log.h"

enum { CONF_MAX_URLS = 8, CONF_MAX_COLLECTIONS = 64 };

/* Which process must be told (or replaced) when a key changes; FIXED needs a full restart. */
enum conf_owner { OWNER_SUPERVISOR, OWNER_READER, OWNER_WORKER, OWNER_KEEPER, OWNER_MONITOR, OWNER_RESOLVER,
	OWNER_ALL, OWNER_FIXED, N_OWNERS };

enum conf_start { START_LIVE, START_OLDEST, START_SEQ };

struct conf {
	struct {
		char *type;		/* "relay" */
		char *urls[CONF_MAX_URLS];
		int n_urls;
		char *start;		/* "live" | "oldest" | digits */
		enum conf_start start_kind;
		uint64_t start_seq;
		char *collections[CONF_MAX_COLLECTIONS]; /* NSIDs, "prefix.*", or "*" */
		int n_collections;
		char *verify;		/* "blocks" | "full" */
		char *ca_file;		/* "" = the system's */
		double idle_timeout;	/* seconds without a frame or pong before the link counts as dead */
	} source;
	struct {
		char *url;		/* redis://[:password@]host:port/db | unix:///path[?db=N] */
		char *password_file;	/* "" = none */
		char *stream, *group;
		int64_t max_events, max_bytes, replay_events, replay_bytes;
	} redis;
	struct {
		char *conninfo;
	} postgres;
	struct {
		int64_t count, batch_events, batch_events_max;
		double claim_interval;
	} workers;
	struct {
		double retry, retry_max, expire;
		char *then;		/* "keep" | "dead_letter" */
		int64_t max_rows;
	} pending;
	struct {
		int64_t warn_events, critical_events;
		double warn_risk, warn_overflow, check_interval;
	} queue;
	struct {
		char *plc_url;
		double refresh;
		bool allow_loopback;
	} identity;
	struct {
		char *listen;		/* "" = off */
	} http;
	struct {
		char *dir;		/* "" = chosen by conf_runtime_dir */
		char *name;		/* of this instance: consumer names are <name>-w<slot> */
		double drain_timeout;
	} runtime;
	struct {
		char *level;
		enum log_level level_value;
	} log;
};

/* Reads a whole file (at most 1 MB). path NULL: $STANDPIPE_CONFIG, /etc/standpipe/standpipe.conf, or, if
 * neither exists, no bytes (all defaults). *ret_name is the name for messages, to be freed. */
int conf_read(const char *path, struct buf *ret_bytes, char **ret_name, struct err *err) NODISCARD;
/* Parses and validates; NULL on error with one line per problem in `problems`. */
struct conf *conf_parse(struct slice bytes, const char *name, struct buf *problems);
/* NULL is allowed; returns NULL. */
struct conf *conf_free(struct conf *conf);
/* The effective configuration as a file that parses again; passwords masked unless `secrets`. */
void conf_print(const struct conf *conf, bool secrets, struct buf *out);
/* One line per key that differs: "workers.count: 2 -> 4". Returns the owners concerned as a bit set. */
unsigned conf_diff(const struct conf *a, const struct conf *b, struct buf *out);
/* Puts the values that `old` has for FIXED keys back into `conf`; one line per key refused, as conf_diff. */
void conf_keep_fixed(struct conf *conf, const struct conf *old, struct buf *out);
/* Directory for lock, pid and socket: runtime.dir, $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR/standpipe, or
 * /tmp/standpipe-<uid>; made with mode 0700 if it is not there. */
int conf_runtime_dir(const struct conf *conf, char *ret_dir, size_t size, struct err *err) NODISCARD;

#endif
