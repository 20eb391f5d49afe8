/* SPDX-License-Identifier: MIT */
#include "io/conf_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const owner_effect[N_OWNERS] = {
	[OWNER_SUPERVISOR] = "at once",
	[OWNER_READER] = "replaces the reader",
	[OWNER_WORKER] = "replaces the workers",
	[OWNER_KEEPER] = "replaces the keeper",
	[OWNER_MONITOR] = "replaces the monitor",
	[OWNER_RESOLVER] = "replaces the resolver",
	[OWNER_ALL] = "replaces all children",
	[OWNER_FIXED] = "refused, needs a restart",
};

void conf_print(const struct conf *conf, bool secrets, struct buf *out)
{
	const char *section = "";

	for (int i = 0; i < n_conf_keys; i++) {
		const struct conf_key *key = &conf_keys[i];

		if (strcmp(section, key->section) != 0)
			buf_printf(out, "%s%s: {\n", section[0] ? "};\n\n" : "", key->section);
		else
			buf_add_str(out, "\n");
		section = key->section;
		buf_printf(out, "\t# %s\n\t# accepted: ", key->meaning);
		conf_key_accepted(key, out);
		buf_printf(out, "; on reload: %s\n\t%s = ", owner_effect[key->owner], key->name);
		conf_key_print(key, conf, secrets, out);
		buf_add_str(out, ";\n");
	}
	buf_add_str(out, "};\n");
}

/* Appends "section.key: old -> new" if they differ. */
static bool diff_key(
	const struct conf_key *key, const struct conf *a, const struct conf *b, struct buf *out)
{
	struct buf old = BUF_INIT, new = BUF_INIT;
	bool differ;

	conf_key_print(key, a, true, &old);
	conf_key_print(key, b, true, &new);
	differ = !slice_eq(buf_slice(&old), buf_slice(&new));
	if (differ) {
		buf_printf(out, "%s.%s: ", key->section, key->name);
		conf_key_print(key, a, false, out);
		buf_add_str(out, " -> ");
		conf_key_print(key, b, false, out);
		buf_add_str(out, "\n");
	}
	buf_done(&old);
	buf_done(&new);
	return differ;
}

unsigned conf_diff(const struct conf *a, const struct conf *b, struct buf *out)
{
	unsigned owners = 0;

	for (int i = 0; i < n_conf_keys; i++)
		if (diff_key(&conf_keys[i], a, b, out))
			owners |= 1u << conf_keys[i].owner;
	return owners;
}

void conf_keep_fixed(struct conf *conf, const struct conf *old, struct buf *out)
{
	for (int i = 0; i < n_conf_keys; i++) {
		const struct conf_key *key = &conf_keys[i];
		char **at = conf_key_at(key, conf);

		/* every fixed key is a string */
		if (key->owner != OWNER_FIXED || !diff_key(key, old, conf, out))
			continue;
		free(*at);
		*at = strdup(*(char **)conf_key_at(key, old));
		if (!*at)
			abort();
	}
}

/* The first rule that gives a directory. */
static int choose_dir(const struct conf *conf, char *ret_dir, size_t size, struct err *err)
{
	const char *dir = getenv("RUNTIME_DIRECTORY"), *xdg = getenv("XDG_RUNTIME_DIR");
	int n;

	if (conf->runtime.dir[0])
		n = snprintf(ret_dir, size, "%s", conf->runtime.dir);
	else if (dir && dir[0])
		n = snprintf(ret_dir, size, "%.*s", (int)strcspn(dir, ":"), dir);
	else if (xdg && xdg[0])
		n = snprintf(ret_dir, size, "%s/standpipe", xdg);
	else
		n = snprintf(ret_dir, size, "/tmp/standpipe-%u", (unsigned)geteuid());
	if (n < 0 || (size_t)n >= size || !conf_is_dir(ret_dir))
		return err_set(err,
			"runtime directory \"%s\" is no absolute path of at most 68 bytes: set "
			"runtime.dir",
			ret_dir);
	return 0;
}

int conf_runtime_dir(const struct conf *conf, char *ret_dir, size_t size, struct err *err)
{
	struct stat st;

	if (choose_dir(conf, ret_dir, size, err) < 0)
		return -1;
	if (mkdir(ret_dir, 0700) < 0 && errno != EEXIST)
		return err_set(
			err, "%s: cannot make the runtime directory: %s", ret_dir, strerror(errno));
	/* below /tmp anybody may have made it first */
	if (lstat(ret_dir, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(err, "%s: the runtime directory is not a directory", ret_dir);
	if ((st.st_uid != geteuid() && geteuid() != 0) || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return err_set(err,
			"%s: the runtime directory must belong to uid %u and be writable by "
			"nobody else: chmod it to 0700 or set runtime.dir",
			ret_dir, (unsigned)geteuid());
	return 0;
}
