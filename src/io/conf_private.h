/* SPDX-License-Identifier: MIT
 *
 * conf_private - what the files of conf share: the row of a key, and checks over texts
 */
#ifndef IO_CONF_PRIVATE_H
#define IO_CONF_PRIVATE_H

#include "io/conf.h"

enum conf_type { CONF_STRING, CONF_STRINGS, CONF_INT, CONF_FLOAT, CONF_BOOL, N_CONF_TYPES };

enum { CONF_MAX_WORDS = 6, CONF_MAX_KEYS = 64 };

struct conf_key {
	const char *section, *name, *meaning;
	enum conf_type type;
	enum conf_owner owner;
	size_t offset;		/* of the value in struct conf */
	size_t n_offset;	/* CONF_STRINGS: of the int that counts them */
	int max_items;		/* CONF_STRINGS */
	struct {
		int64_t value, min, max;
	} i;			/* CONF_INT; CONF_BOOL uses value */
	struct {
		double value, min, max;
	} f;			/* CONF_FLOAT */
	const char *text;	/* default of CONF_STRING; the one item of CONF_STRINGS */
	const char *words[CONF_MAX_WORDS]; /* the only values, if any */
	const char *accepted;	/* for people, if not words */
	bool (*valid)(const char *text);
	void (*mask)(const char *text, struct buf *out); /* hides the secret in it; NULL: no secret */
};

extern const struct conf_key conf_keys[];
extern const int n_conf_keys;

/* NULL if there is no such key (or section, with name NULL: then its first key). */
const struct conf_key *conf_key_find(const char *section, const char *name);
/* "1..64", "\"keep\" or \"dead_letter\"", ...: what the key may be. */
void conf_key_accepted(const struct conf_key *key, struct buf *out);
/* Words and the key's own check, and no control bytes. */
bool conf_key_valid(const struct conf_key *key, const char *text);
/* No control bytes. */
bool conf_key_printable(const char *text);
/* The value as it is written in a file. */
void conf_key_print(const struct conf_key *key, const struct conf *conf, bool secrets, struct buf *out);
/* Sets the default. */
void conf_key_default(const struct conf_key *key, struct conf *conf);
/* Frees what the value owns. */
void conf_key_done(const struct conf_key *key, struct conf *conf);
/* Where the value is in conf; the items of a list, and where they are counted. */
void *conf_key_at(const struct conf_key *key, const struct conf *conf);
int *conf_key_n(const struct conf_key *key, const struct conf *conf);

/* ---- conf_checks.c ---- */

bool conf_is_redis_url(const char *text);
bool conf_is_websocket_url(const char *text);
bool conf_is_http_url(const char *text);
bool conf_is_listen(const char *text);   /* "" or host:port */
bool conf_is_path(const char *text);     /* "" or absolute */
bool conf_is_dir(const char *text);      /* conf_is_path, short enough for a socket below it */
bool conf_is_start(const char *text);    /* live | oldest | digits */
bool conf_is_collection(const char *text);
bool conf_is_name(const char *text);     /* [a-z0-9_-]{1,32} */
bool conf_is_redis_key(const char *text);
void conf_mask_redis_url(const char *text, struct buf *out);
void conf_mask_conninfo(const char *text, struct buf *out);

/* ---- conf_scan.c ---- */

/* Looks for what libconfig would take silently: integers that it wraps at 32 (or 64) bits, @include, NUL
 * bytes. Writes the problems and, into ret_text, a text that says what the author meant (L added).
 * Returns the number of problems, or -1 (problems written) if the text is not worth parsing. */
int conf_scan(struct slice bytes, const char *name, struct buf *problems, struct buf *ret_text);

#endif
