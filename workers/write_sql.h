/* SPDX-License-Identifier: MIT
 *
 * write_sql - every statement a worker sends: the collections' (derived) and the few fixed ones
 *
 * Owns: the derived texts, for the process's life. Each fixed statement's parameters are listed beside it.
 */
#ifndef WORKERS_WRITE_SQL_H
#define WORKERS_WRITE_SQL_H

#include "domain/collection.h"
#include "io/pg.h"

struct write_sql {
	struct pg_stmt insert[32], upsert[32], fate[32]; /* by index into collections[] */
	char insert_names[32][48], fate_names[32][48];
};

void write_sql_init(struct write_sql *w);
void write_sql_done(struct write_sql *w);

/* First transaction: what foreign keys point to. */
extern const struct pg_stmt sql_actors;		 /* id[], did[] */
extern const struct pg_stmt sql_keys; /* rkey[], actor[], kind[], rkey_text[], own[], child_rkey[], child_actor[], child_kind[] */
/* Second transaction: before the records... */
extern const struct pg_stmt sql_actors_check; /* id[], did[]: fails with 23505 if an id belongs to another DID */
/* ...and after them. */
extern const struct pg_stmt sql_repos;	    /* actor[], rev[], data[], commit_cid[] */
extern const struct pg_stmt sql_repo_syncs; /* actor[], rev[], data[] */
extern const struct pg_stmt sql_account_states; /* actor[], handle[], handle_epoch[], handle_seq[], active[], status[],
						   account_epoch[], account_seq[], purge_epoch[], purge_seq[] */
extern const struct pg_stmt sql_pending_done; /* rkey[], actor[], kind[] */
extern const struct pg_stmt sql_pending_again; /* rkey[], actor[], kind[]: the keys among them without content */
extern const struct pg_stmt sql_gaps;	      /* epoch[], after_epoch[], after_seq[], first_seq[], reason[] */
extern const struct pg_stmt sql_dead_letters; /* epoch[], seq[], op[], class[], reason[], sqlstate[], did[], collection[], rkey[], bytes[] */
/* Last, when the answers are known. */
extern const struct pg_stmt sql_ledger_recut; /* epoch[], seq[], prev_epoch[], prev_seq[] */
extern const struct pg_stmt sql_ledger; /* epoch[], seq[], prev_epoch[], prev_seq[], first_ordinal[], n_events[], redelivered[], counts[] */
extern const struct pg_stmt sql_ledger_part; /* class[], n[] */

#endif
