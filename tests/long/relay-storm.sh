#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# seconds: 1200
# Ten minutes of the storm of tests/integration/relay-storm.sh.
exec "$(dirname "$0")/../integration/relay-storm.sh" --minutes 10 --seed "${STANDPIPE_SEED:-2}"
