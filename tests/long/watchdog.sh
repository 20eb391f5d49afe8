#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# seconds: 300
# A child that gives signs of life but does not get on with its work is ended after three minutes and comes back; the
# others are left alone, and status says why. (One without signs of life: tests/integration/test-supervisor.sh.)
. "$(dirname "$0")/../lib.sh"

export STAND_IN=$T/wishes
mkdir -p "$STAND_IN" "$T/run"
echo stuck >"$STAND_IN/worker-1"
echo "workers: { count = 2; }; http: { listen = \"\"; }; runtime: { dir = \"$T/run\"; };" >"$T/standpipe.conf"
"$build/tests/supervisor-stand-in" -c "$T/standpipe.conf" >"$T/standpipe.log" 2>&1 &
standpipe_pid=$!
wait_until 'grep -q stand_in.obeying "$T/standpipe.log"' 20 || bail "it does not obey"
before=$(pids_of worker)
ok "it beats, and is busy" wait_until 'standpipe status | grep -qE "^worker-1 +ready +busy +[0-9]+ +0 +[0-2][.][0-9] s "' 20
ok "and is aborted" wait_until 'grep -q "child.stuck role=supervisor child=worker-1 .*: busy with one piece of work for 18[0-9] s" "$T/standpipe.log"' 220
rm "$STAND_IN/worker-1"
ok "it is back" wait_until 'standpipe status | grep -qE "^worker-1 +ready +(idle|busy) .* 1 .*signal=SIGABRT \(was stuck\)$"' 20
is "the other is the same process" "$(comm -12 <(sort <<<"$before") <(pids_of worker | sort) | wc -l)" 1
none "and was not complained about" "$(grep -E 'child.(late|stuck|killed).*worker-0' "$T/standpipe.log")"
standpipe_stop
is "TERM exits 0" "$standpipe_status" 0
plan
