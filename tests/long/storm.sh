#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# runs alone
# seconds: 4200
# Nothing is lost and nothing doubled: five random faults a minute under load for half an hour.
exec "$(dirname "$0")/../fault/storm" --minutes 30 ${STANDPIPE_REPORTS:+--json "$STANDPIPE_REPORTS/storm.json"} "$@"
