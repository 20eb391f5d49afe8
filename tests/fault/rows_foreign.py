# SPDX-License-Identifier: MIT
"""Rows 39 and 45-47: what others do to the stream and its group. What is lost is an exact gap, which reading the
source again from there mends."""
import dataclasses
import os
import signal

from case import Case
from servers import GROUP, STREAM, Trouble, wait_until

JUST_AHEAD = """
local info = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
        return redis.call('XADD', KEYS[1], '1-' .. (string.match(info[i + 1], '-(%d+)') + ARGV[1]), 'p', 'junk')
    end
end"""


def seq(entry):
    return int(entry.split("-")[1])


def runs(ids, gone, reason):
    """The ids that are gone, as gaps between those of the stream that are not."""
    found, before, through = [], 0, None
    for i in ids:
        if i in gone:
            through = i
            continue
        if through:
            found.append((1, before, 1, seq(through) + 1, reason))
        before, through = seq(i), None
    return found + ([(1, before, 1, seq(through) + 1, reason)] if through else [])


def expect(case, gaps=(), dead_letters=()):
    h = case.history
    case.expected = dataclasses.replace(h, gaps=sorted(h.gaps + list(gaps)),
                                        dead_letters=sorted(h.dead_letters + list(dead_letters)))


def read_again(lane, case, after):
    """When everything else is stored an operator has what lies behind `after` read once more."""
    wait_until(lambda: lane.committed(case.history.last) and not lane.stopped(), 40, "everything else is committed")
    lane.supervisor.terminate()
    lane.supervisor.wait(20)
    rewound = lane.command("rewind", str(after) if after else "oldest")
    if rewound.returncode:
        raise Trouble(f"rewind: {rewound.stderr}")
    lane.start()
    wait_until(lambda: lane.pg.value("select epoch from standpipe.watermark") == 2, 40, "the new epoch is read")


def with_workers_standing(lane, do):
    """While everything of the source is in the stream and most of it not delivered: do(ids that are not)."""
    wait_until(lambda: len(lane.pids()) == 4 and lane.seen() > 0, 20, "every process runs, and something is stored")
    workers = [pid for name, pid in lane.pids().items() if name.startswith("worker")]
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    lane.reach(1)
    ids = lane.redis.ids()
    do(ids, [i for i in ids if seq(i) > seq(lane.redis.delivered())])
    for pid in workers:
        os.kill(pid, signal.SIGCONT)


def deleted(lane, case):
    def do(ids, waiting):
        gone = waiting[len(waiting) // 3:][:5]
        lane.redis.client.xdel(STREAM, *gone)
        expect(case, runs(ids, gone, "foreign_trim"))
    with_workers_standing(lane, do)
    read_again(lane, case, case.expected.gaps[-1][1])


def passed_over(lane, case):
    """XGROUP SETID forward: what lies between will never be delivered, and nothing of it is pending."""
    def do(ids, waiting):
        gone = waiting[:len(waiting) // 2]
        lane.redis.client.xgroup_setid(STREAM, GROUP, gone[-1])
        expect(case, runs(ids, gone, "never_stored"))
    with_workers_standing(lane, do)
    read_again(lane, case, case.expected.gaps[-1][1])


def held(lane, lose):
    """A worker holds entries and dies over them, after somebody else has made that they cannot come again."""
    name, pid = lane.stopped_with_the_rest_done()
    ids, mine = lane.redis.ids(), lane.redis.pending_of("standpipe-w" + name[-1])
    mine = [i.decode() for i in mine]
    lose(ids, mine)
    os.kill(pid, signal.SIGKILL)


def held_and_trimmed(lane, case):
    def lose(ids, mine):
        through = ids.index(mine[-1])
        lane.redis.client.execute_command("XTRIM", STREAM, "MINID", "=", ids[through + 1])
        first = ids.index(mine[0])
        expect(case, [(1, seq(ids[first - 1]) if first else 0, 1, seq(mine[-1]) + 1, "foreign_trim")])
    held(lane, lose)
    read_again(lane, case, case.expected.gaps[-1][1])


def held_and_deleted(lane, case):
    def lose(ids, mine):
        lane.redis.client.xdel(STREAM, *mine)
        expect(case, runs(ids, mine, "foreign_trim"))
    held(lane, lose)
    read_again(lane, case, case.expected.gaps[0][1])


def acknowledged(lane, case):
    def lose(ids, mine):
        lane.redis.client.xack(STREAM, GROUP, *mine)
        expect(case, runs(ids, mine, "never_stored"))
    held(lane, lose)
    read_again(lane, case, case.expected.gaps[0][1])


def junk(lane, case):
    """What is written behind our head is a dead letter, of a worker or of the keeper, and the head is ours again."""
    def letters():
        return [d for d in lane.dead_letters() if d not in case.history.dead_letters]

    def write(share, do):
        lane.reach(share)
        n, entry = len(letters()), do().decode()
        wait_until(lambda: len(letters()) > n, 20, f"the foreign entry {entry} is a dead letter")
        return seq(entry)

    written = [write(0.2, lambda: lane.redis.client.xadd(STREAM, {"some": "thing"})),
               write(0.5, lambda: lane.redis.client.eval(JUST_AHEAD, 1, STREAM, 40))]
    wait_until(lambda: lane.committed(case.history.last), 40, "everything is committed")
    found = letters()
    if sorted(d[0] for d in found) != sorted(written) or any(d[2] not in ("bad", "foreign") for d in found):
        raise Trouble(f"dead letters of {written}: {found}")
    expect(case, (), found)


def cases(history, long):
    def case(row, name, act, **more):
        return Case(row, name, history, act=act, **{"rate": 500, **more})

    stops = [("write_begin", "stop", 3, 1, 0), ("keeper_mark", "count", 0, 0, 0)]
    found = [
        case("39", "XGROUP SETID forward", passed_over, rate=100),
        case("45", "waiting entries deleted by others", deleted, rate=100),
        case("45", "entries that a worker holds deleted by others", held_and_deleted, failpoints=stops),
        case("45", "entries that a worker holds trimmed by others", held_and_trimmed, failpoints=stops),
        case("46", "entries of others", junk, rate=150),
        case("47", "XACK of another before a worker has stored it", acknowledged, failpoints=stops),
    ]
    for action in ("kill", "error", "delay"):
        found.append(case("45", f"keeper_gap {action} at a foreign trim", held_and_trimmed,
                          failpoints=stops + [("keeper_gap", action, 1, 1, 400)]))
    return found
