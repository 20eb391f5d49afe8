/* SPDX-License-Identifier: MIT
 *
 * replay - runs a fuzz target over a corpus, without libFuzzer: usage: NAME FOLDER [N [SEED]]
 *
 * First every file of the folder; files whose name begins with "found-" are what fuzzing once found. Then,
 * if asked for, N inputs made of those by random changes: many more a second than libFuzzer has, and blind.
 * The same seed makes the same inputs. A broken claim aborts; the input is then in the file "hammered".
 */
#include "tests/fuzz/fuzz.h"

#include "tests/unit/tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

enum { MAX_INPUTS = 4096, MAX_BYTES = 4096 };

struct input {
	uint8_t *p;
	size_t n;
};

static struct {
	struct input inputs[MAX_INPUTS];
	size_t n;
	int n_found, n_unreadable;
} corpus;

/* The input under way, for whoever dies of it. */
static struct input now;

static void keep_input(int number)
{
	int fd = open("hammered", O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd >= 0 && write(fd, now.p, now.n) >= 0)
		close(fd);
	signal(number, SIG_DFL);
	raise(number);
}

static bool load(const char *folder, const char *name)
{
	struct input *in = &corpus.inputs[corpus.n];
	char path[4096];
	FILE *f;
	long n;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "r");
	if (!f || fseek(f, 0, SEEK_END) != 0 || (n = ftell(f)) < 0)
		return false;
	rewind(f);
	*in = (struct input){malloc((size_t)n + 1), (size_t)n};
	if (!in->p || fread(in->p, 1, in->n, f) != in->n)
		return false;
	fclose(f);
	corpus.n++;
	return true;
}

/* The input in memory of exactly its size. */
static void run(const uint8_t *p, size_t n)
{
	now = (struct input){malloc(n), n};
	if (n)
		memcpy(now.p, p, n);
	LLVMFuzzerTestOneInput(now.p, n);
	free(now.p);
}

static void replay(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;

	while (folder && corpus.n < MAX_INPUTS && (entry = readdir(folder))) {
		if (entry->d_name[0] == '.')
			continue;
		printf("# %s\n", entry->d_name); /* if it breaks, the last line names it */
		fflush(stdout);
		if (!load(path, entry->d_name)) {
			corpus.n_unreadable++;
			continue;
		}
		corpus.n_found += strncmp(entry->d_name, "found-", 6) == 0;
		run(corpus.inputs[corpus.n - 1].p, corpus.inputs[corpus.n - 1].n);
	}
	if (folder)
		closedir(folder);
}

/* ---- the hammer ---- */

/* xorshift64* */
static uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1d;
}

/* Makes room for n bytes at `at`, or takes n away. */
static size_t insert(uint8_t *p, size_t size, size_t at, size_t n)
{
	n = n < MAX_BYTES - size ? n : MAX_BYTES - size;
	memmove(p + at + n, p + at, size - at);
	return size + n;
}

static size_t erase(uint8_t *p, size_t size, size_t at, size_t n)
{
	n = n < size - at ? n : size - at;
	memmove(p + at, p + at + n, size - at - n);
	return size - n;
}

/* One change; returns the new size. */
static size_t change(uint8_t *p, size_t n, uint64_t *seed)
{
	static const uint8_t telling[] = {0, 1, 0x17, 0x18, 0x19, 0x1b, 0x1f, 0x20, 0x7f, 0x80, 0xff, '\n', '\r', '"', '/', '.'};
	uint64_t r = random_next(seed);
	size_t at = n ? (r >> 32) % n : 0, grown;
	const struct input *other;

	switch (n ? r % 8 : 5) {
	case 0:
		p[at] ^= (uint8_t)(1 << (r >> 8) % 8);
		return n;
	case 1:
		p[at] = (uint8_t)(r >> 8);
		return n;
	case 2:
		p[at] = telling[(r >> 8) % sizeof telling];
		return n;
	case 3:
		p[at] = (uint8_t)(p[at] + ((r >> 8) % 2 ? 1 : -1));
		return n;
	case 4:
		return erase(p, n, at, 1 + (r >> 8) % 8);
	case 5:
		grown = insert(p, n, at, 1 + (r >> 8) % 4);
		for (size_t i = 0; i < grown - n; i++)
			p[at + i] = (uint8_t)random_next(seed);
		return grown;
	case 6: /* a piece of itself again */
		grown = insert(p, n, at, 1 + (r >> 8) % 16);
		memmove(p + at, p + (r >> 16) % n, grown - n < n ? (grown - n) % (n - (r >> 16) % n + 1) : 0);
		return grown;
	default: /* a piece of another one over it */
		other = &corpus.inputs[random_next(seed) % corpus.n];
		if (other->n) {
			size_t from = (r >> 8) % other->n, left = other->n - from < n - at ? other->n - from : n - at;

			memcpy(p + at, other->p + from, left % (1 + (r >> 20) % 64));
		}
		return n;
	}
}

static void hammer(uint64_t n_runs, uint64_t seed)
{
	uint8_t *room = malloc(MAX_BYTES);

	for (uint64_t i = 0; i < n_runs; i++) {
		const struct input *in = &corpus.inputs[random_next(&seed) % corpus.n];
		size_t n = in->n < MAX_BYTES ? in->n : MAX_BYTES;

		memcpy(room, in->p, n);
		for (uint64_t changes = 1 + random_next(&seed) % 4; changes > 0; changes--)
			n = change(room, n, &seed);
		run(room, n);
	}
	free(room);
}

int main(int argc, char **argv)
{
	uint64_t n_runs = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;

	signal(SIGABRT, keep_input);
	if (argc > 1)
		replay(argv[1]);
	ok(corpus.n > 0 && !corpus.n_unreadable, "%zu inputs of the corpus, %d of them once findings: every claim holds",
		corpus.n, corpus.n_found);
	if (n_runs && corpus.n) {
		hammer(n_runs, argc > 3 ? strtoull(argv[3], NULL, 10) * 2 + 1 : 1);
		ok(true, "%llu inputs made of them: every claim holds", (unsigned long long)n_runs);
	}
	return done();
}
