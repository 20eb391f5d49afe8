# SPDX-License-Identifier: MIT
"""The test of the tests: for every rule of the chain the cases of which one must fail when it is broken."""
WITHIN_S = 25
TRIES = 4  # what is wrong in a broken program also takes a moment that not every run has

SHOWN_BY = {
    "ack_before_commit": ("write_begin kill at pass 2", "tx_commit kill at pass 2"),
    "no_own_pending": ("worker_read_sent error at pass 2",),
    "dead_letter_on_outage": ("SQLSTATE 55P03 for a second", "SQLSTATE 57014 for a second"),
    "cursor_before_append": ("maxmemory 1 byte for a second",),
    "blind_retry": ("AOF loses 30000 bytes", "append_reply error at pass 2", "FLUSHALL"),
    "unfenced_ack": ("older files come back before a late ack",),
    "trim_at_delivered": ("entries held while the rest is trimmed",),
    "group_at_dollar": ("XGROUP DESTROY while all entries wait",),
    "watermark_past_pending": ("FLUSHALL while a worker holds entries",),
    "no_rewind": ("older files come back",),
}
