# SPDX-License-Identifier: MIT
"""Rows 28-35, 57, 71-81: signals to every role, the supervisor's own end, reloads, the network's clock."""
import calendar
import os
import resource
import signal
import socket
import struct
import subprocess
import time

from case import Case
from lane import session_of
from servers import Trouble, wait_until

HOUR = 3600


def kill_again_and_again(role, every_s, times):
    def act(lane, case):
        lane.reach(0.05)
        for _ in range(times):
            pids = [pid for name, pid in sorted(lane.pids().items()) if name.startswith(role)]
            if pids:
                try:
                    os.kill(case.rng.choice(pids), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(every_s)
    return act


def signal_once(role, number):
    def act(lane, case):
        lane.reach(case.rng.uniform(0.05, 0.9))
        os.kill(lane.pid_of(role) if role != "supervisor" else lane.supervisor.pid, number)
    return act


def stop_for(role, seconds):
    def act(lane, case):
        lane.reach(case.rng.uniform(0.05, 0.9))
        pid = lane.pid_of(role) if role != "supervisor" else lane.supervisor.pid
        os.kill(pid, signal.SIGSTOP)
        if seconds is None:
            wait_until(lambda: pid not in lane.pids().values(), 100, "the supervisor ends a child that stopped")
            return
        time.sleep(seconds)
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass
    return act


def kill_supervisor(group):
    """Its children end with it: none is left after a second, then it is started again."""
    def act(lane, case):
        lane.reach(case.rng.uniform(0.05, 0.9))
        session = lane.supervisor.pid
        if group:
            os.killpg(session, signal.SIGKILL)
        else:
            lane.supervisor.kill()
        lane.supervisor.wait()
        wait_until(lambda: not session_of(session), 1.5, "no orphan is left")
        lane.start()
    return act


def claimed_meanwhile(lane, case):
    """A worker stops in its transaction; another takes its entries, stores and acknowledges them; then it goes on."""
    wait_until(lane.failpoints.fired, 20, "a worker has stopped itself")
    workers = {name: pid for name, pid in lane.pids().items() if name.startswith("worker")}
    (name, pid), = lane.stopped().items()
    other = next(n for n in workers if n != name)
    held = lane.redis.pending_of("standpipe-w" + name[-1])
    lane.redis.claim("standpipe-w" + other[-1], held)
    os.kill(workers[other], signal.SIGKILL)  # it reads what is pending for it when it starts
    if case.failpoints[0][0] == "ack_send":  # in a transaction it holds locks that the other waits for
        wait_until(lambda: not lane.redis.pending_of("standpipe-w" + other[-1], held), 20, "the other one stores them")
    else:
        wait_until(lambda: lane.pids().get(other, workers[other]) != workers[other], 20, "the other one is back")
    os.kill(pid, signal.SIGCONT)


def held_while_trimmed(lane, case):
    """A worker holds entries while everything after them is stored; no replay buffer protects them."""
    _, pid = lane.stopped_with_the_rest_done()
    os.kill(pid, signal.SIGKILL)


def few_descriptors(lane, case):
    resource.prlimit(lane.supervisor.pid, resource.RLIMIT_NOFILE, (24, 24))
    for role in ("worker", "reader", "keeper"):
        os.kill(lane.pid_of(role), signal.SIGKILL)


def reload_storm(lane, case):
    lane.reach(0.05)
    for n in range(60):
        lane.configure(workers={"batch_events_max": 16 + n})
        lane.supervisor.send_signal(signal.SIGHUP)
        time.sleep(0.01)


def scale(lane, case):
    for count in (4, 1, 6, 2):
        lane.reach(0.1)
        lane.configure(workers={"count": count})
        lane.supervisor.send_signal(signal.SIGHUP)
        wait_until(lambda n=count: len(lane.pids()) == n + 2, 20, f"{count} workers run")


def bad_reload(lane, case):
    """A configuration with a mistake changes nothing."""
    lane.reach(0.2)
    with open(lane.folder + "/standpipe.conf", "a") as f:
        f.write("workers: { count = 0; };\n")
    before = lane.pids()
    lane.supervisor.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    if lane.pids() != before:
        raise Trouble("a bad configuration replaced processes")
    lane.configure(**case.conf)


def stop_while_starting(lane, case):
    code = lane.supervisor
    time.sleep(case.rng.uniform(0, 0.3))
    code.terminate()
    if case.rng.random() < 0.5:
        code.terminate()
    if code.wait(20) not in (0, -signal.SIGTERM):
        raise Trouble(f"stopped while starting: exit code {code.returncode}")
    lane.start()


def drain_and_start(how):
    def act(lane, case):
        for _ in range(3):
            wait_until(lambda: len(lane.pids()) == 4, 20, "every process runs")
            lane.reach(case.rng.uniform(0.05, 0.9))
            lane.supervisor.terminate()
            if how == "twice":
                lane.supervisor.terminate()
            elif how == "reload":
                lane.supervisor.send_signal(signal.SIGHUP)
            if lane.supervisor.wait(20):
                raise Trouble(f"drained with exit code {lane.supervisor.returncode}")
            lane.start()
    return act


def same_name(lane, case):
    lane.reach(0.1)
    second = lane.command("run")
    if second.returncode != 75:
        raise Trouble(f"a second instance of one name: exit code {second.returncode}, {second.stderr[-200:]}")


def second_instance(lane, case):
    """Another name, the same Redis and PostgreSQL: its reader is fenced, its workers share the work, its keeper waits."""
    lane.reach(0.1)
    with open(lane.folder + "/standpipe.conf") as f:
        text = f.read().replace('runtime: { ', 'runtime: { name = "other"; ')
    with open(lane.folder + "/other.conf", "w") as f:
        f.write(text)
    with open(lane.folder + "/other.log", "ab") as log:
        other = subprocess.Popen([lane.tools.standpipe, "run", "-c", lane.folder + "/other.conf"], stdout=log,
                                 stderr=log, start_new_session=True)
    lane.sessions.append(other.pid)
    try:
        wait_until(lambda: lane.committed(case.history.last), 40, "everything committed beside another instance")
    finally:
        other.terminate()
        other.wait(30)


def blocked_log(close):
    def act(lane, case):
        """The pipe that its messages go to is full, or nobody is at its other end."""
        wait_until(lambda: len(lane.pids()) == 4, 20, "every process runs")
        lane.supervisor.terminate()
        lane.supervisor.wait(20)
        read, write = os.pipe()
        lane.configure(log={"level": "debug"})
        lane.start(output=write)
        os.close(write)
        if close:
            os.close(read)
        else:
            case.keep = os.fdopen(read, "rb")
    return act


def clock(lane, seconds):
    """The environment of a process whose clock is off by what the lane's file says."""
    path = lane.folder + "/clock"
    with open(path, "wb") as f:
        f.write(struct.pack("=q", seconds))
    return {"LD_PRELOAD": lane.tools.clock_shift, "CLOCK_SHIFT": path}


def set_clock(lane, seconds):
    """Of processes that have the file mapped."""
    with open(lane.folder + "/clock", "r+b") as f:
        f.write(struct.pack("=q", seconds))


def with_clock(shift):
    def prepare(lane, case):
        lane.environment = clock(lane, shift)
    return prepare


def redis_with_clock(lane, case):
    lane.redis.stop()
    lane.redis.wipe()
    lane.redis.start(environment=clock(lane, 0))


def clock_jumps(of, *shifts):
    """While it runs; of: what says its time."""
    def act(lane, case):
        for shift in shifts:
            lane.reach(case.rng.uniform(0.05, 0.7))
            set_clock(lane, shift)
            wait_until(lambda s=shift: abs(of(lane) - time.time() - s) < 30, 15, f"the clock has jumped by {shift} s")
            time.sleep(0.5)
    return act


def time_of_redis(lane):
    return lane.redis.client.time()[0]


def time_of_supervisor(lane):
    """Asked for its state it writes some lines, with the time."""
    lane.supervisor.send_signal(signal.SIGUSR2)
    said = [line[:19] for line in lane.tail(5) if line[:2] == "20" and line[-1] == "\n"]
    return calendar.timegm(time.strptime(said[-1], "%Y-%m-%dT%H:%M:%S"))


def monitor_abused(lane, case):
    lane.reach(0.1)
    held = []
    for n in range(300):
        s = socket.create_connection(("127.0.0.1", case.port), timeout=5)
        s.setblocking(False)
        try:
            s.send((b"GET /metrics HTTP/1.1\r\nX: ", b"\0" * 4000, b"GET /../../etc/passwd HTTP/9.9\r\n\r\n",
                    b"DELETE / HTTP/1.1\r\n\r\n" * 50, b"GET / HT")[n % 5])
        except OSError:
            pass
        held.append(s)
    case.keep = held


def monitor_port(lane, case):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        case.port = s.getsockname()[1]
    lane.configure(http={"listen": f"127.0.0.1:{case.port}"})


RELAY = (("cut after 140 messages", ("--cut-after", "140")), ("fragments of 100 bytes", ("--fragment", "100")),
         ("begins at the cursor", ("--inclusive",)), ("says nothing of its range", ("--silent",)),
         ("silent after 60 messages", ("--stall=60",)), ("pings every second", ("--ping", "1")))


def cases(history, long):
    def case(row, name, act, **more):
        return Case(row, name, history, act=act, **{"rate": 500, **more})

    found = [
        case("28", "SIGKILL a worker every 200 ms", kill_again_and_again("worker", 0.2, 12), rate=200),
        case("29", "SIGKILL the reader every 500 ms", kill_again_and_again("reader", 0.5, 5), rate=200),
        case("30", "SIGKILL the supervisor", kill_supervisor(False)),
        case("30", "SIGKILL the process group", kill_supervisor(True)),
        case("31", "worker stopped in its transaction, claimed meanwhile", claimed_meanwhile,
             failpoints=[("tx_commit", "stop", 3, 1, 0)]),
        case("31", "worker stopped before its ack, claimed meanwhile", claimed_meanwhile,
             failpoints=[("ack_send", "stop", 2, 1, 0)]),
        case("K18", "entries held while the rest is trimmed", held_while_trimmed,
             conf={"redis": {"replay_events": 0, "replay_bytes": 0}},
             failpoints=[("write_begin", "stop", 3, 1, 0), ("keeper_mark", "count", 0, 0, 0)]),
        case("33", "fork fails", None, failpoints=[("spawn_fork", "error", 2, 4, 0)], restarts=True),
        case("33", "exec fails", None, failpoints=[("spawn_exec", "error", 2, 3, 0)]),
        case("33", "24 descriptors", few_descriptors),
        case("34", "a worker crashes on an event", None, failpoints=[("batch_event", "crash", 77, 1, 0)], within=30),
        case("34", "the reader crashes on a frame", None, failpoints=[("reader_frame", "crash", 77, 1, 0)], within=30),
        case("77", "a bad configuration is reloaded", bad_reload),
        case("78", "100 reloads a second", reload_storm, rate=150),
        case("78", "1, 4 and 6 workers by reloads", scale, rate=100),
        case("78", "SIGTERM while starting", stop_while_starting),
        case("78", "drained and started again", drain_and_start("once"), rate=200),
        case("78", "SIGTERM twice", drain_and_start("twice"), rate=200),
        case("78", "reload while draining", drain_and_start("reload"), rate=200),
        case("79", "a second supervisor of the same name", same_name),
        case("79", "a second instance of another name", second_instance, rate=150),
        case("80", "log pipe full", blocked_log(False), count_fds=False),
        case("80", "log pipe closed", blocked_log(True), count_fds=False),
        case("76", "monitor port abused", monitor_abused, prepare=monitor_port, n_processes=5),
        case("72", "8 workers", None, conf={"workers": {"count": 8, "batch_events": 3, "batch_events_max": 5}},
             n_processes=10),
    ]
    for role in ("reader", "worker", "keeper"):
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGABRT, signal.SIGBUS, signal.SIGSEGV):
            found.append(case("31", f"{number.name} to the {role}", signal_once(role, number)))
    for role in ("reader", "worker", "keeper", "supervisor"):
        row = "31" if role == "worker" else "32"
        found.append(case(row, f"{role} stopped for 2 s", stop_for(role, 2)))
        if long:
            found.append(case(row, f"{role} stopped for 40 s", stop_for(role, 40), within=150))
    for name, shift in (("an hour ahead", HOUR), ("a day ahead", 24 * HOUR), ("a day back", -24 * HOUR)):
        found.append(case("75", f"clock of every process {name}", None, prepare=with_clock(shift)))
    for name, shifts in (("an hour ahead", [HOUR]), ("a day back", [-24 * HOUR]), ("to and fro", [HOUR, -HOUR, 0])):
        found.append(case("75", f"clock of every process jumps {name}", clock_jumps(time_of_supervisor, *shifts),
                          prepare=with_clock(0), rate=250))
        found.append(case("75", f"Redis's clock jumps {name}", clock_jumps(time_of_redis, *shifts),
                          prepare=redis_with_clock, dirty=True, rate=250))
    for name, options in RELAY:
        found.append(case("57", f"relay: {name}", None, relay=options))
    if long:
        found.append(case("31", "worker stopped for ever", stop_for("worker", None), within=150))
        found.append(case("35", "no child comes up for a while", None, within=150,
                          failpoints=[("spawn_exec", "error", 1, 22, 0)]))
    return found


SKIPPED = {
    "71": "cycles and references to itself: tests/property, on the same writer",
    "73": "parents deleted and created again beside their children: tests/property, in every order",
    "74": "frames at the size limits: belong to the relay's frames",
    "81": "there is no earlier release to upgrade from",
}
