/* SPDX-License-Identifier: MIT
 *
 * dead_letter - what the files of the command dead-letter share; nobody else includes this
 *
 * dead_letter.c reads the arguments, lists and drops; dead_letter_show.c prints what is inside,
 * dead_letter_retry.c writes it again.
 * Invariant: an id chooses by place (EPOCH-SEQ: all letters there; EPOCH-SEQ.OP: that operation's) or by the
 * first digits of the SHA-256 of the bytes; several letters may have the same id.
 */
#ifndef SUPERVISOR_COMMANDS_DEAD_LETTER_H
#define SUPERVISOR_COMMANDS_DEAD_LETTER_H

#include "base/arena.h"
#include "base/buf.h"
#include "domain/event.h"
#include "io/conf.h"
#include "io/pg.h"

enum { LETTER_ID = 64, LETTER_CHOICE = 5 };

/* Which letters are meant; NULL parameters choose everything. */
struct letter_choice {
	char epoch[20], seq[20], op[12], id[LETTER_ID + 1];
	const char *params[LETTER_CHOICE]; /* epoch, seq, op, first digits of id, class */
};

/* The condition over parameters 1 to LETTER_CHOICE. */
#define LETTER_CHOSEN                                                                              \
	"epoch = coalesce($1::bigint, epoch) AND seq = coalesce($2::bigint, seq)"                  \
	" AND op = coalesce($3::integer, op) AND encode(id, 'hex') LIKE coalesce($4::text, '') || '%'" \
	" AND class = coalesce($5::text, class)"
#define LETTER_PLACE "epoch || '-' || seq || CASE WHEN op >= 0 THEN '.' || op ELSE '' END"

struct letter {
	struct pg_result *row; /* NULL: none yet, or no more */
	char epoch[20], seq[20], op[12], id[LETTER_ID + 1];
	const char *place, *class, *reason, *attempts; /* in row, as the bytes are in `bytes` */
	struct buf bytes;
};

/* The columns that show prints, by their headings. */
extern const char *const letter_columns[];
extern const int n_letter_columns;

/* Goes to the next chosen letter in the order of (epoch, seq, op, id); at first *l is zeroed. Not PG_OK: err
 * says why. l->row is NULL after the last one. */
enum pg_class letter_next(struct pg *pg, const struct letter_choice *choice, struct letter *l,
	struct err *err) NODISCARD;
void letter_done(struct letter *l);
/* How many letters are chosen. */
enum pg_class letter_count(struct pg *pg, const struct letter_choice *choice, long *ret_n,
	struct err *err) NODISCARD;
/* Opens bytes that begin with the head of an event in a pack; -1 with err if they hold no event. */
int letter_event(struct slice bytes, struct arena *arena, struct event *ret, struct err *err) NODISCARD;
/* Nothing is chosen: says so, EXIT_CHECK. */
int letter_none(void);

/* Prints the chosen letters, or writes the bytes of the one that is chosen. Returns an exit code. */
int dead_letter_show(struct pg *pg, const struct letter_choice *choice, bool raw);
/* Writes the chosen letters again; a line for each. Returns an exit code. */
int dead_letter_retry(struct pg *pg, const struct conf *conf, const struct letter_choice *choice);

#endif
