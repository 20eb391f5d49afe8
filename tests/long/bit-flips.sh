#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# seconds: 1800
# A thousand of the flips of tests/integration/bit-flips.sh.
exec "$(dirname "$0")/../integration/bit-flips.sh" --flips 1000 --seed "${STANDPIPE_SEED:-2}"
