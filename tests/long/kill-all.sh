#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# runs alone
# seconds: 3600
# Nothing is lost and nothing doubled: a random process killed every 200 ms for ten minutes under 5000 events a second,
# the supervisor too in the second half.
exec "$(dirname "$0")/../fault/storm" --kill-all --minutes 10 ${STANDPIPE_REPORTS:+--json "$STANDPIPE_REPORTS/kill-all.json"} "$@"
