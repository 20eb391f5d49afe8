/* SPDX-License-Identifier: MIT
 *
 * fsck - what fsck.c (the command), fsck_checks.c (THE table of checks) and fsck_cids.c share
 *
 * A check is one query whose rows are what is wrong: none is good. All of it only reads.
 */
#ifndef SUPERVISOR_COMMANDS_FSCK_H
#define SUPERVISOR_COMMANDS_FSCK_H

#include "base/buf.h"
#include "io/pg.h"

/* What a check's SQL is written for; the pieces are joined by UNION ALL. */
enum fsck_scope { FSCK_ONCE, FSCK_EACH_TABLE, FSCK_EACH_REFERENCE, FSCK_EACH_FOREIGN_KEY };

struct fsck_check {
	const char *name;
	const char *proves; /* what is so if there are no rows */
	const char *to_do;  /* if there are */
	enum fsck_scope scope;
	bool settles;	   /* an unfinished batch may show for a moment: what is found must last */
	const char *sql; /* with {names} that fsck_checks.c fills in */
};

extern const struct fsck_check fsck_checks[];
extern const int n_fsck_checks;

/* The check's query over every place of its scope. */
void fsck_check_sql(const struct fsck_check *check, struct buf *out);

enum { FSCK_EXAMPLES = 10 };

/* What a check found. */
struct fsck_finding {
	int64_t n_rows;
	bool more;	     /* at least so many */
	struct buf examples; /* up to FSCK_EXAMPLES rows as JSON, one per line */
};

struct fsck_cids {
	int64_t n_checked, n_expected; /* expected: an estimate, for progress */
	int64_t elapsed_us;
	struct fsck_finding found;
};

/* Rebuilds every record that is live or waiting and compares its CID; progress may be NULL. */
enum pg_class fsck_cids(const char *conninfo, void (*progress)(const struct fsck_cids *so_far),
	struct fsck_cids *ret, struct err *err) NODISCARD;

#endif
