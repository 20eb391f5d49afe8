/* SPDX-License-Identifier: MIT
 *
 * rules - the rules that make order and repetition harmless, each with a switch that breaks it
 *
 * Why this exists: a property test that passes proves little until it is seen to fail. Every rule of the
 * data's meaning is written once, behind RULE(name); `meson setup -Dbreak_rule=no_NAME` builds a program
 * with that one rule broken, and tests/property/rules.sh demands that the test of any order then fails.
 * Invariant: in a normal build RULE() is the constant true and costs nothing. A build with a broken rule
 * is for that test only: it corrupts data.
 * Owns: nothing. Must not know: any other module.
 */
#ifndef BASE_RULES_H
#define BASE_RULES_H

/* X(rule, name of the build that breaks it) */
#define RULES(X)                                                                                   \
	X(tombstone, no_tombstone)                 /* a delete is kept, also of what was never seen */ \
	X(rev_gate, no_rev_gate)                   /* an older version never replaces a newer one */   \
	X(cid_order, no_cid_order)                 /* of two versions of one rev the larger CID wins */ \
	X(per_record_rev, no_per_record_rev)       /* a commit older than its repo is still applied */ \
	X(batch_merge_order, no_batch_merge_order) /* inside a batch too the newest version wins */    \
	X(last_op, no_last_op)                     /* of a commit's ops on one path the last counts */ \
	X(purge_before, no_purge_before)           /* a deleted account's earlier records are dead */  \
	X(minimal_position, position_not_minimal)  /* a version counts from where it was seen first */ \
	X(newest_epoch, no_newest_epoch)           /* ...in the newest epoch that has shown it */      \
	X(account_position, no_account_position)   /* the newest account event wins */                 \
	X(handle_position, no_handle_position)     /* the newest handle wins */                        \
	X(repo_order, no_repo_order)               /* a repo's newest commit is its state */           \
	X(waiting, waiting_ignored)                /* a record waits while a parent has not been seen */

/* Of the chain from the source to the acknowledgement; tests/fault/rules.sh demands that faults show each. Those
 * without RULE() in any C file stand in a Lua script, of which tests/fault makes a broken copy. */
#define CHAIN_RULES(Y)                                                                             \
	Y(ack_after_commit, ack_before_commit)       /* XACK never precedes COMMIT */                  \
	Y(own_pending_first, no_own_pending)         /* what is pending for a worker it reads first */ \
	Y(only_data_dead, dead_letter_on_outage)     /* only an event's data make it a dead letter */  \
	Y(cursor_after_append, cursor_before_append) /* the position moves when Redis said OK */       \
	Y(derive_after_loss, blind_retry)            /* after a lost connection the head is asked */   \
	Y(ack_fenced, unfenced_ack)                  /* only the owner acks, of one generation */      \
	Y(trim_acked, trim_at_delivered)             /* only what is stored is trimmed */              \
	Y(group_at_watermark, group_at_dollar)       /* a lost group is made where PostgreSQL is */    \
	Y(watermark_acked, watermark_past_pending)   /* the watermark stays below what is pending */   \
	Y(rewind_with_postgres, no_rewind)           /* an older PostgreSQL gets it all again */

enum rule {
	RULE_none,
#define X(rule, broken) RULE_##rule,
	RULES(X) CHAIN_RULES(X)
#undef X
};

enum broken_rule {
	BROKEN_none = RULE_none,
#define X(rule, broken) BROKEN_##broken = RULE_##rule,
	RULES(X) CHAIN_RULES(X)
#undef X
};

#ifndef BREAK_RULE
#define BREAK_RULE none
#endif
#define RULE_PASTE(a, b) a##b
#define RULE_EXPAND(a, b) RULE_PASTE(a, b)

/* True unless this build breaks the rule. */
#define RULE(name) ((int)RULE_##name != (int)RULE_EXPAND(BROKEN_, BREAK_RULE))

#endif
