# SPDX-License-Identifier: MIT
"""A random process dies every 200 ms under load; in the second half the supervisor too, at times."""
import collections
import os
import signal
import time

from lane import n_fds, session_of
from servers import wait_until

KILL_EVERY_S, SUPERVISOR_EVERY_S = 0.2, 12.0
BACK_WITHIN_S, ALL_BACK_WITHIN_S = 2.0, 5.0
WANTED = ["keeper-0", "reader-0", "worker-0", "worker-1"]
# What may lie between two means: a process of a second's age holds a batch, of 4 MB at most, as read and as rows, or none.
MEMORY_KB, DESCRIPTORS = 8192, 2


def rss_kb(pid):
    try:
        with open(f"/proc/{pid}/status") as f:
            return next((int(line.split()[1]) for line in f if line.startswith("VmRSS")), 0)
    except OSError:
        return 0


class Absences:
    """How long each process was away; what a supervisor's death took with it is counted apart."""

    def __init__(self):
        self.since, self.longest = {}, collections.Counter()
        self.all_since, self.all_longest = None, 0.0

    def look(self, there):
        now = time.monotonic()
        if self.all_since:
            self.all_longest = max(self.all_longest, now - self.all_since)
            if sorted(there) != WANTED:
                return
            self.all_since = None
        for name in WANTED:
            if name in there:
                self.since.pop(name, None)
            else:
                away = now - self.since.setdefault(name, now)
                self.longest[name] = max(self.longest[name], away)

    def all_away(self):
        self.since = {}
        self.all_since = self.all_since or time.monotonic()


class Sizes:
    """Memory and descriptors of every role, in the order they were taken."""

    def __init__(self):
        self.memory, self.fds = collections.defaultdict(list), collections.defaultdict(list)

    def take(self, name, pid, channels=0):
        memory, fds = rss_kb(pid), n_fds(pid) - channels
        if memory and fds > 0:
            self.memory[name.partition("-")[0]].append(memory)
            self.fds[name.partition("-")[0]].append(fds)

    @staticmethod
    def ends(values):
        """The first and the last fifth."""
        n = max(1, len(values) // 5)
        return values[:n], values[-n:]

    def memory_growth(self, role):
        first, last = self.ends(self.memory[role])
        return round(sum(last) / len(last) - sum(first) / len(first))

    def more_fds(self, role):
        first, last = self.ends(self.fds[role])
        return max(last) - max(first)

    def fds_kept(self, role):
        """What is open for a moment, as a child's end of its channel is around a fork, is not in the least of them."""
        first, last = self.ends(self.fds[role])
        return min(last) - min(first)


class KillAll:
    def __init__(self, lane, minutes, rng):
        self.lane, self.minutes, self.rng = lane, minutes, rng
        self.kills, self.absences, self.sizes, self.alone = collections.Counter(), Absences(), Sizes(), Sizes()

    def kill_one(self, there):
        name = self.rng.choice(sorted(there))
        try:
            os.kill(there[name], signal.SIGKILL)
            self.kills[name.partition("-")[0]] += 1
        except ProcessLookupError:
            pass

    def kill_supervisor(self):
        """Its children go with it, and an init system starts it again."""
        session = self.lane.supervisor.pid
        self.absences.all_away()
        self.lane.supervisor.kill()
        self.lane.supervisor.wait()
        self.kills["supervisor"] += 1
        wait_until(lambda: not session_of(session), 1.5, "no orphan of a killed supervisor is left")
        self.lane.revive()

    def run(self):
        wait_until(lambda: sorted(self.lane.pids()) == WANTED, 30, "every process runs")
        began = time.monotonic()
        next_kill, next_supervisor = 0, began + self.minutes * 30
        while time.monotonic() < began + self.minutes * 60:
            there = self.lane.pids()
            self.absences.look(there)
            if time.monotonic() >= next_supervisor:
                self.kill_supervisor()
                next_supervisor = time.monotonic() + SUPERVISOR_EVERY_S
            elif time.monotonic() >= next_kill and there:
                if time.monotonic() > began + self.minutes * 3:  # nothing has its size from the first moment on
                    for name, pid in there.items():
                        self.sizes.take(name, pid)
                    if not self.kills["supervisor"]:
                        self.alone.take("supervisor", self.lane.supervisor.pid, channels=len(there))
                self.kill_one(there)
                next_kill = time.monotonic() + KILL_EVERY_S
            time.sleep(0.02)
        return self

    def claims(self):
        """(does it hold, what is claimed)"""
        workers = max((s for name, s in self.absences.longest.items() if name.startswith("worker")), default=0)
        roles = sorted(self.sizes.memory)
        grown = {role: self.sizes.memory_growth(role) for role in roles}
        fds = {role: self.sizes.more_fds(role) for role in roles}
        own, own_fds = self.alone.memory_growth("supervisor"), self.alone.fds_kept("supervisor")
        return [
            (workers <= BACK_WITHIN_S, f"a worker is back within {BACK_WITHIN_S:.0f} s ({workers:.2f})"),
            (self.kills["supervisor"] > 0 and self.absences.all_longest <= ALL_BACK_WITHIN_S,
             f"after each of {self.kills['supervisor']} deaths of the supervisor no orphan was left, and everything was "
             f"back within {ALL_BACK_WITHIN_S:.0f} s ({self.absences.all_longest:.2f})"),
            (own < 1024, f"the supervisor does not grow over {sum(self.kills.values())} deaths ({own:+d} kB)"),
            (own_fds <= 0, f"nor does it leak descriptors ({own_fds:+d})"),
            (max(grown.values()) < MEMORY_KB, f"no child is larger at the end than at the beginning ({grown} kB)"),
            (max(fds.values()) <= DESCRIPTORS, f"nor has it more descriptors ({fds})"),
        ]

    def seen(self):
        """For people, and JSON."""
        return {"kills": self.kills, "longest_absence_s": {n: round(s, 2) for n, s in self.absences.longest.items()},
                "all_back_s": round(self.absences.all_longest, 2),
                "memory_kb": {r: [round(sum(e) / len(e)) for e in Sizes.ends(v)] for r, v in self.sizes.memory.items()},
                "descriptors": {r: [max(e) for e in Sizes.ends(v)] for r, v in self.sizes.fds.items()}}
