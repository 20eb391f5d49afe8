# SPDX-License-Identifier: MIT
"""What a case is, how it runs on a lane, and the histories that cases read."""
import dataclasses
import os
import random
import subprocess
import time
import typing

from lane import NotReached
from servers import Trouble, wait_until


@dataclasses.dataclass
class History:
    """Generated frames and what they must lead to. expected: of a run without a fault, which is compared with the
    generator's own model. passes and fds: of that run."""
    name: str
    frames: str
    last: int
    n_frames: int
    dump: list = None
    gaps: list = dataclasses.field(default_factory=list)
    dead_letters: list = dataclasses.field(default_factory=list)
    passes: dict = dataclasses.field(default_factory=dict)
    fds: dict = None


@dataclasses.dataclass
class Case:
    row: str
    name: str
    history: History
    act: typing.Callable = None     # (lane, case): does the harm while the frames flow
    failpoints: list = dataclasses.field(default_factory=list)
    conf: dict = dataclasses.field(default_factory=dict)
    relay: tuple = ()               # options of the relay
    between: tuple = ()             # servers behind a proxy
    rate: int = 900                 # frames a second; 0: all past
    within: float = 60              # seconds from the start to everything stored
    restarts: bool = False          # the supervisor may die and is started again
    dirty: bool = False             # servers need more than being emptied
    expected: History = None        # other than the history's
    seed: int = 0
    prepare: typing.Callable = None  # (lane, case): before standpipe starts
    n_processes: int = 4
    count_fds: bool = True

    def run(self, lane):
        self.rng = random.Random(f"{self.seed} {self.row} {self.name}")
        lane.fresh()
        lane.history = self.history
        options = self.relay + (("--rate", str(self.rate)) if self.rate else ())
        lane.relay.start(self.history.frames, *options)
        lane.put_between(*self.between)
        lane.configure(**self.conf)
        lane.failpoints.set(*self.failpoints)
        if self.prepare:
            self.prepare(lane, self)
        lane.start()
        if self.act:
            self.act(lane, self)
        lane.finish(self.history, self.within, self.restarts, self.n_processes)
        fds = {**self.history.fds, "supervisor": self.history.fds["supervisor"] + self.n_processes - 4}
        lane.judge(self.expected or self.history, fds if self.count_fds else None)
        lane.stop()
        lane.clean = not self.dirty


@dataclasses.dataclass
class Outcome:
    case: Case
    result: str     # ok | failed | skipped
    why: str
    seconds: float


def earlier(case, seen):
    """The same at an earlier pass: how often a place is passed depends on how the frames fell into batches."""
    points = [(place, action, first if seen[place][1] else min(first - 1, max(1, seen[place][0] // 2)), times, ms)
              for place, action, first, times, ms in case.failpoints]
    if any(p[2] < 1 for p in points):
        raise Trouble(f"never passed: {seen}")
    return dataclasses.replace(case, failpoints=points,
                               name=case.name.rpartition(" ")[0] + f" {points[0][2]}")


def try_case(case, lane):
    began = time.monotonic()
    try:
        while True:
            try:
                case.run(lane)
                break
            except NotReached as e:
                case = earlier(case, e.args[0])
        result, why = "ok", ""
    except Exception as e:  # whatever happens in one case is that case's failure
        why = f"{type(e).__name__}: {e}" if not isinstance(e, Trouble) else str(e)
        result = "failed"
    return Outcome(case, result, why, time.monotonic() - began)


def generate(tools, folder, name, seed, n_frames, *more):
    prefix = f"{folder}/{name}"
    subprocess.run([tools.relay, "generate", "--out", prefix, "--frames", str(n_frames), "--late", "10", "--odd=10",
                    "--accounts", "25", "--seed", str(seed), *more], check=True, capture_output=True)
    with open(prefix + ".frames", "rb") as f:
        data, at, last = f.read(), 0, 0
    while at < len(data):
        size = int.from_bytes(data[at:at + 4], "big")
        last = max(last, seq_of(data[at + 4:at + 4 + size]))
        at += 4 + size
    return History(name, prefix + ".frames", last, n_frames)


def seq_of(frame):
    """0 if it has none."""
    at = frame.rfind(b"cseq")
    if at < 0:
        return 0
    head, rest = frame[at + 4], frame[at + 5:]
    sizes = {0x18: 1, 0x19: 2, 0x1a: 4, 0x1b: 8}
    if head < 0x18:
        return head
    return int.from_bytes(rest[:sizes[head]], "big") if head in sizes else 0


@dataclasses.dataclass
class TwoParts(History):
    """A relay that lost its frames between two parts: a gap, announced or not."""
    later: str = ""

    def switch(self, lane):
        """After the first part is in the stream: the relay comes back with the second one."""
        wait_until(lambda: int(lane.redis.last_id().split("-")[1]) == self.first_last, 40, "the first part is read")
        lane.relay.stop()
        lane.relay.start(self.later, "--silent", again=True)


def two_parts(tools, folder, seed):
    first = generate(tools, folder, "early", seed, 150)
    later = generate(tools, folder, "later", seed + 1, 150, "--seq0", "1000")
    found = TwoParts("two parts", first.frames, later.last, 300, later=later.frames)
    found.first_last = first.last
    return found


def learn_two_parts(history, lane):
    """The run without a fault; the gap is exactly what lies between the parts."""
    lane.fresh()
    lane.relay.start(history.frames)
    lane.configure()
    lane.start()
    history.switch(lane)
    wait_until(lambda: lane.committed(history.last) and len(lane.pids()) == 4, 60 + history.n_frames / 1000,
               "a run without a fault")
    history.dump, history.gaps, history.dead_letters = lane.dump(), lane.gaps(), lane.dead_letters()
    history.fds = lane.fds()
    if [g[:4] for g in history.gaps] != [(1, history.first_last, 1, 1001)]:
        raise Trouble(f"the gap between the parts is recorded as {history.gaps}")
    lane.stop()
    lane.clean = True


def learn(history, lane, places, prepare=None):
    """The run without a fault. prepare: makes that it does not lead to what the generator's model says."""
    # a long history (that of a storm) goes by in about a minute
    case = Case("-", "no fault", history, failpoints=[(p, "count", 0, 0, 0) for p in places],
                rate=max(Case.rate, history.n_frames // 60))
    lane.fresh()
    lane.relay.start(history.frames, "--rate", str(case.rate))
    lane.configure()
    lane.failpoints.set(*case.failpoints)
    if prepare:
        prepare(lane, case)
    lane.start()
    wait_until(lambda: lane.committed(history.last) and len(lane.pids()) == 4, 60 + history.n_frames / 1000,
               "a run without a fault")
    history.dump, history.gaps, history.dead_letters = lane.dump(), lane.gaps(), lane.dead_letters()
    history.passes = {place: passes for place, (passes, _) in lane.failpoints.read().items()}
    history.fds = lane.fds()
    if not prepare:
        compare_with_model(history, lane)
    lane.judge(history, history.fds)
    lane.stop()
    lane.clean = not prepare


def compare_with_model(history, lane):
    model = subprocess.run([lane.tools.compare, history.frames.removesuffix(".frames")], capture_output=True, text=True,
                           env={**os.environ, "PGHOST": lane.pg.folder, "PGUSER": "standpipe", "PGDATABASE": "standpipe"})
    if model.returncode:
        raise Trouble(f"without a fault {history.name} differs from the model: {model.stdout}{model.stderr}")
