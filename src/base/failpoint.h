/* SPDX-License-Identifier: MIT
 *
 * failpoint - places at which a test lets a process die, lose a connection or stall
 *
 * Only programs built with -DFAILPOINTS hold them (tests/fault); in any other build every macro here is
 * nothing. The test names in STANDPIPE_FAILPOINTS a file with one struct failpoint_slot for each place it is
 * interested in, and may change it at any time; all processes map it, so passes are counted over all of them
 * and over their restarts, and what fired once does not fire again.
 * Owns: the mapping, for the life of the process. Errors: a file that cannot be used ends the process.
 * Must not know: what stands around a place.
 */
#ifndef BASE_FAILPOINT_H
#define BASE_FAILPOINT_H

#include <stdbool.h>
#include <stdint.h>

/* X(place); the comments name the kill points of the durability chain. */
#define FAILPOINT_LIST(X)                                                                      \
	X(reader_frame)    /* K1: a frame was received, nothing done yet */                    \
	X(reader_packed)   /* K2: it is packed, in memory only */                              \
	X(reader_derive)   /* the reader is about to ask where the stream stands */            \
	X(append_send)     /* K3: before the append is sent */                                 \
	X(append_sent)     /* K3, K4: it is on its way */                                      \
	X(append_reply)    /* K4: it was executed, nobody has heard the answer */              \
	X(worker_read)     /* before a worker asks for entries */                              \
	X(worker_read_sent) /* K7: it has asked; the entries are pending for it */             \
	X(worker_own)      /* it reads what it had left pending */                             \
	X(worker_claim)    /* it looks for what others left */                                 \
	X(batch_event)     /* K8: in the middle of decoding */                                 \
	X(write_begin)     /* decoded, before anything is sent to PostgreSQL */                \
	X(tx_begin)        /* K13: between the two transactions of a batch */                  \
	X(tx_commit)       /* K9: in the transaction, before COMMIT */                         \
	X(tx_committing)   /* K10: COMMIT is on its way */                                     \
	X(tx_done)         /* K10, K11: committed, the answer is lost */                       \
	X(dead_letter)     /* K14: a dead letter was written, not acknowledged */              \
	X(ack_send)        /* K11: committed, before the ack */                                \
	X(ack_sent)        /* K12: the ack is on its way */                                    \
	X(ack_reply)       /* K12: acknowledged, nobody has heard the answer */                \
	X(keeper_prepare)  /* before Redis is made to agree with PostgreSQL */                 \
	X(prepare_sent)    /* while it is */                                                   \
	X(keeper_epoch)    /* an epoch is in PostgreSQL, not yet in Redis */                   \
	X(keeper_mark)     /* K15: the low mark is read, not written */                        \
	X(keeper_gap)      /* a hole is recorded, its pending entries not yet forgotten */     \
	X(keeper_commit)   /* K16: the watermark is in PostgreSQL, not yet in Redis */         \
	X(trim_sent)       /* K17, K18: watermark and trim are on their way to Redis */        \
	X(keeper_trimmed)  /* K17: trimmed */                                                  \
	X(keeper_purge)    /* before records of deleted accounts are emptied */                \
	X(spawn_fork)      /* K25: the supervisor is about to fork */                          \
	X(spawn_forked)    /* the forked process would not yet die with its parent */          \
	X(spawn_exec)      /* the forked process is about to become a child */                 \
	X(child_beat)      /* any child gives a sign of life */                                \
	X(malloc)          /* an allocation, in whatever process and library */

enum failpoint {
	FAILPOINT_none,
#define X(place) FAILPOINT_##place,
	FAILPOINT_LIST(X)
#undef X
	N_FAILPOINTS
};

enum failpoint_action { FAIL_NOT, FAIL_KILL, FAIL_ERROR, FAIL_DELAY, FAIL_CRASH, FAIL_STOP, FAIL_EXIT };

/* The file: an array of these, in the machine's byte order. */
struct failpoint_slot {
	char place[32];
	uint32_t action;
	uint32_t ms;           /* FAIL_DELAY */
	uint32_t from, times;  /* fires at the passes from .. from + times - 1; the first pass is 1 */
	_Atomic uint32_t passes, fired;
	uint32_t unused[2];
};
_Static_assert(sizeof(struct failpoint_slot) == 64, "tests/fault writes it");

#ifdef FAILPOINTS
/* True: act as if the step had failed. May not return. */
bool failpoint_pass(enum failpoint place);
/* FAIL_ERROR cuts the connection in both directions. */
void failpoint_cut(enum failpoint place, int fd);
#define FAILPOINTS_BUILT_IN true
#define FAILPOINT(place) failpoint_pass(FAILPOINT_##place)
#define FAILPOINT_CUT(place, fd) failpoint_cut(FAILPOINT_##place, fd)
#else
#define FAILPOINTS_BUILT_IN false
#define FAILPOINT(place) false
#define FAILPOINT_CUT(place, fd) ((void)0)
#endif

#endif
