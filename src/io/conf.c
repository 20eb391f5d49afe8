/* SPDX-License-Identifier: MIT */
#include "io/conf_private.h"

#include <errno.h>
#include <fcntl.h>
#include <libconfig.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 1000000 };

/* One parse; lines[i] is where key i was set, 0 if it was not. */
struct parse {
	const char *name;
	struct buf *problems;
	struct conf *conf;
	int lines[CONF_MAX_KEYS];
	int n_problems;
};

/* ---- reading ---- */

/* The whole of fd into ret_bytes. */
static int read_all(int fd, const char *path, struct buf *ret_bytes, struct err *err)
{
	for (;;) {
		ssize_t n = read(fd, buf_room(ret_bytes, 65536), 65536);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, "%s: cannot read: %s", path, strerror(errno));
		if (n == 0)
			return 0;
		ret_bytes->n += (size_t)n;
		if (ret_bytes->n > FILE_MAX_BYTES)
			return err_set(err, "%s: larger than %d bytes", path, FILE_MAX_BYTES);
	}
}

int conf_read(const char *path, struct buf *ret_bytes, char **ret_name, struct err *err)
{
	static const char system_path[] = "/etc/standpipe/standpipe.conf";
	const char *wanted = path ? path : getenv("STANDPIPE_CONFIG");
	int fd, r;

	*ret_name = NULL;
	buf_reset(ret_bytes);
	if (wanted && !wanted[0])
		wanted = NULL;
	fd = open(wanted ? wanted : system_path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && (wanted || errno != ENOENT))
		return err_set(
			err, "%s: cannot open: %s", wanted ? wanted : system_path, strerror(errno));
	r = fd < 0 ? 0 : read_all(fd, wanted ? wanted : system_path, ret_bytes, err);
	if (!r) {
		*ret_name = strdup(fd < 0 ? "(defaults)" : wanted ? wanted : system_path);
		if (!*ret_name)
			abort();
	}
	if (fd >= 0)
		close(fd);
	return r;
}

/* ---- parsing ---- */

/* "FILE:LINE: section.key: problem; accepted: range" */
static void problem(struct parse *p, int line, const struct conf_key *key, const char *fmt, ...)
	PRINTF(4, 5);
static void problem(struct parse *p, int line, const struct conf_key *key, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	buf_printf(p->problems, "%s:%d: %s.%s: %s; accepted: ", p->name, line, key->section,
		key->name, text);
	conf_key_accepted(key, p->problems);
	buf_add_str(p->problems, "\n");
	p->n_problems++;
}

static const char *type_name(const config_setting_t *s)
{
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return "a whole number";
	case CONFIG_TYPE_FLOAT:
		return "a number with a point";
	case CONFIG_TYPE_STRING:
		return "a string";
	case CONFIG_TYPE_BOOL:
		return "true or false";
	case CONFIG_TYPE_GROUP:
		return "a group";
	default:
		return "a list";
	}
}

static const char *const type_wanted[N_CONF_TYPES] = {
	[CONF_STRING] = "a string in quotes",
	[CONF_STRINGS] = "a list of strings in [ ]",
	[CONF_INT] = "a whole number",
	[CONF_FLOAT] = "a number",
	[CONF_BOOL] = "true or false",
};

/* Whole numbers by either width; false if s is none. */
static bool get_int(const config_setting_t *s, int64_t *ret)
{
	if (config_setting_type(s) == CONFIG_TYPE_INT)
		*ret = config_setting_get_int(s);
	else if (config_setting_type(s) == CONFIG_TYPE_INT64)
		*ret = config_setting_get_int64(s);
	else
		return false;
	return true;
}

/* A value to be shown: what stands before the @ of a URL is nobody's business. */
static const char *without_user(const char *text, struct buf *room)
{
	const char *slashes = strstr(text, "://"), *at = slashes ? strrchr(slashes, '@') : NULL;

	if (at)
		buf_printf(room, "%.*s***%s", (int)(slashes + 3 - text), text, at);
	else
		buf_add_str(room, text);
	return buf_str(room);
}

/* Takes a copy of the string of s if it is valid, else says what is wrong. */
static char *get_string(struct parse *p, const struct conf_key *key, const config_setting_t *s)
{
	const char *text = config_setting_get_string(s);
	int line = (int)config_setting_source_line(s);
	struct buf shown = BUF_INIT;
	char *copy;

	if (!text) {
		problem(p, line, key, "expected a string in quotes, found %s", type_name(s));
		return NULL;
	}
	if (!conf_key_valid(key, text)) {
		if (key->mask || !conf_key_printable(text))
			problem(p, line, key, key->mask ? "malformed" : "has control bytes");
		else
			problem(p, line, key, "\"%s\" is not valid", without_user(text, &shown));
		buf_done(&shown);
		return NULL;
	}
	copy = strdup(text);
	if (!copy)
		abort();
	return copy;
}

static void set_strings(struct parse *p, const struct conf_key *key, const config_setting_t *s)
{
	char **items = conf_key_at(key, p->conf);
	int *n = conf_key_n(key, p->conf), length = config_setting_length(s);

	if (length < 1 || length > key->max_items) {
		problem(p, (int)config_setting_source_line(s), key, "has %d items", length);
		return;
	}
	conf_key_done(key, p->conf);
	for (int i = 0; i < length; i++) {
		char *text = get_string(p, key, config_setting_get_elem(s, (unsigned)i));

		if (text)
			items[(*n)++] = text;
	}
}

static void set_number(struct parse *p, const struct conf_key *key, const config_setting_t *s)
{
	int line = (int)config_setting_source_line(s);
	int64_t i = 0;
	bool whole = get_int(s, &i);
	double f = whole ? (double)i : config_setting_get_float(s);

	if (key->type == CONF_INT && (i < key->i.min || i > key->i.max))
		problem(p, line, key, "%lld is out of range", (long long)i);
	else if (key->type == CONF_INT)
		*(int64_t *)conf_key_at(key, p->conf) = i;
	else if (!(f >= key->f.min && f <= key->f.max))
		problem(p, line, key, "%g is out of range", f);
	else
		*(double *)conf_key_at(key, p->conf) = f;
}

static bool type_fits(enum conf_type type, const config_setting_t *s)
{
	int64_t unused;

	switch (type) {
	case CONF_STRING:
		return config_setting_type(s) == CONFIG_TYPE_STRING;
	case CONF_STRINGS:
		return config_setting_is_aggregate(s) && !config_setting_is_group(s);
	case CONF_INT:
		return get_int(s, &unused);
	case CONF_FLOAT:
		return get_int(s, &unused) || config_setting_type(s) == CONFIG_TYPE_FLOAT;
	default:
		return config_setting_type(s) == CONFIG_TYPE_BOOL;
	}
}

/* Checks one setting of the file and stores it. */
static void set_key(struct parse *p, const struct conf_key *key, const config_setting_t *s)
{
	char *text;

	p->lines[key - conf_keys] = (int)config_setting_source_line(s);
	if (!type_fits(key->type, s)) {
		problem(p, (int)config_setting_source_line(s), key, "expected %s, found %s",
			type_wanted[key->type], type_name(s));
	} else if (key->type == CONF_STRING) {
		text = get_string(p, key, s);
		if (text) {
			conf_key_done(key, p->conf);
			*(char **)conf_key_at(key, p->conf) = text;
		}
	} else if (key->type == CONF_STRINGS) {
		set_strings(p, key, s);
	} else if (key->type == CONF_BOOL) {
		*(bool *)conf_key_at(key, p->conf) = config_setting_get_bool(s) != 0;
	} else {
		set_number(p, key, s);
	}
}

/* What stands where s does: the sections, or the keys of one. */
static void unknown(struct parse *p, const config_setting_t *s, const char *section)
{
	const char *separator = " ";

	buf_printf(p->problems, "%s:%d: %s%s%s: unknown %s; accepted:", p->name,
		(int)config_setting_source_line(s), section ? section : "", section ? "." : "",
		config_setting_name(s), section ? "key" : "section");
	for (int i = 0; i < n_conf_keys; i++) {
		const struct conf_key *key = &conf_keys[i];

		if (section ? strcmp(key->section, section) != 0 :
			      conf_key_find(key->section, NULL) != key)
			continue;
		buf_printf(p->problems, "%s%s", separator, section ? key->name : key->section);
		separator = ", ";
	}
	buf_add_str(p->problems, "\n");
	p->n_problems++;
}

static void set_section(struct parse *p, const config_setting_t *group)
{
	const char *section = config_setting_name(group);

	if (!conf_key_find(section, NULL)) {
		unknown(p, group, NULL);
		return;
	}
	if (!config_setting_is_group(group)) {
		buf_printf(p->problems,
			"%s:%d: %s: expected a group, found %s; accepted: %s: { ... }\n", p->name,
			(int)config_setting_source_line(group), section, type_name(group), section);
		p->n_problems++;
		return;
	}
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
		const struct conf_key *key = conf_key_find(section, config_setting_name(s));

		if (key)
			set_key(p, key, s);
		else
			unknown(p, s, section);
	}
}

/* a must not be above b; the complaint goes where one of the two was set. */
static void check_order(struct parse *p, const char *section, const char *a, const char *b)
{
	const struct conf_key *low = conf_key_find(section, a), *high = conf_key_find(section, b);
	int low_line = p->lines[low - conf_keys], high_line = p->lines[high - conf_keys];
	void *low_at = conf_key_at(low, p->conf), *high_at = conf_key_at(high, p->conf);
	const struct conf_key *at = low_line ? low : high;

	if (low->type == CONF_INT ? *(int64_t *)low_at <= *(int64_t *)high_at :
				    *(double *)low_at <= *(double *)high_at)
		return;
	problem(p, low_line ? low_line : high_line, at, "%s.%s is above %s.%s", section, a, section,
		b);
}

/* Values that follow from others. */
static void derive(struct parse *p)
{
	struct conf *c = p->conf;

	check_order(p, "workers", "batch_events", "batch_events_max");
	check_order(p, "pending", "retry", "retry_max");
	check_order(p, "queue", "warn_events", "critical_events");
	c->source.start_kind = strcmp(c->source.start, "live") == 0 ? START_LIVE :
		strcmp(c->source.start, "oldest") == 0 ? START_OLDEST : START_SEQ;
	c->source.start_seq = c->source.start_kind == START_SEQ ?
		strtoull(c->source.start, NULL, 10) : 0;
	if (!log_level_of(c->log.level, &c->log.level_value))
		abort(); /* the table allows only names that it knows */
}

static void parse_text(struct parse *p, const char *text)
{
	config_t config;
	const config_setting_t *root;

	config_init(&config);
	if (config_read_string(&config, text) != CONFIG_TRUE) {
		buf_printf(p->problems, "%s:%d: %s; accepted: section: { key = value; ... }\n",
			p->name, config_error_line(&config), config_error_text(&config));
		p->n_problems++;
	} else {
		root = config_root_setting(&config);
		for (int i = 0; i < config_setting_length(root); i++)
			set_section(p, config_setting_get_elem(root, (unsigned)i));
	}
	config_destroy(&config);
}

struct conf *conf_parse(struct slice bytes, const char *name, struct buf *problems)
{
	struct parse p = { .name = name, .problems = problems, .conf = calloc(1, sizeof *p.conf) };
	struct buf text = BUF_INIT;

	if (!p.conf)
		abort();
	for (int i = 0; i < n_conf_keys; i++)
		conf_key_default(&conf_keys[i], p.conf);
	p.n_problems = conf_scan(bytes, name, problems, &text);
	if (p.n_problems >= 0) {
		parse_text(&p, buf_str(&text));
		derive(&p);
	}
	buf_done(&text);
	return p.n_problems ? conf_free(p.conf) : p.conf;
}

struct conf *conf_free(struct conf *conf)
{
	if (!conf)
		return NULL;
	for (int i = 0; i < n_conf_keys; i++)
		conf_key_done(&conf_keys[i], conf);
	free(conf);
	return NULL;
}
