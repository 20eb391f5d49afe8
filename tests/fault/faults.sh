#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# runs alone
# seconds: 600
# Nothing is lost and nothing doubled, whatever dies, fails or stalls: the short selection of the fault matrix. On a
# machine where it takes more than five minutes (where every page fault costs 15 us it took fourteen) each row has its
# first case, and what was left out is reported as skipped.
exec "$(dirname "$0")/faults" --seconds 300 "$@"
