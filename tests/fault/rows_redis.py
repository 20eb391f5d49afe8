# SPDX-License-Identifier: MIT
"""Rows 36-47 and K5, K6, K12, K19-K22: what can happen to Redis."""
import os
import resource
import shutil
import signal
import time

import redis as redis_client

from case import Case
from servers import GROUP, STREAM, Trouble, wait_until


def restart(how, times=1, *settings):
    def act(lane, case):
        for _ in range(times):
            lane.reach(case.rng.uniform(0.05, 0.9))
            lane.redis.stop(how)
            lane.redis.start(*settings)
    return act


def new_redis(lane, case):
    """Not one that was emptied: the cut could bring back what it held before."""
    lane.redis.fresh(True)


def cut_tail(n_bytes):
    """As a machine that lost power: the AOF's last bytes were never written."""
    def act(lane, case):
        lane.reach(case.rng.uniform(0.3, 0.9))
        lane.redis.stop(signal.SIGKILL)
        path = lane.redis.aof()
        os.truncate(path, max(0, os.path.getsize(path) - n_bytes))
        lane.redis.start()
    return act


def damaged(where):
    """Redis refuses to start; a person wipes it."""
    def act(lane, case):
        lane.reach(case.rng.uniform(0.3, 0.9))
        lane.redis.stop(signal.SIGKILL)
        path = lane.redis.aof()
        with open(path, "r+b") as f:
            if where == "tail":
                f.seek(0, os.SEEK_END)
                f.write(bytes(4096))
            else:
                text = f.read()
                f.seek(text.index(b"\r\n*", len(text) // 2))  # its protocol: damage inside an entry loads silently
                f.write(bytes(6))
        lane.redis.start(wait=False)
        if lane.redis.process.wait(30) == 0:
            raise Trouble("Redis starts with a damaged AOF")
        lane.redis.wipe()
        lane.redis.start()
    return act


def older_copy(lane, case):
    """An older state of Redis comes back: as a replica that lagged and was promoted."""
    lane.reach(case.rng.uniform(0.1, 0.4))
    lane.redis.stop(signal.SIGKILL)
    shutil.copytree(lane.redis.folder + "/redis", lane.folder + "/redis.old")
    lane.redis.start()
    lane.reach(case.rng.uniform(0.6, 0.95))
    lane.redis.stop(signal.SIGKILL)
    shutil.rmtree(lane.redis.folder + "/redis")
    os.rename(lane.folder + "/redis.old", lane.redis.folder + "/redis")
    lane.redis.start()


def command(*words):
    def act(lane, case):
        lane.reach(case.rng.uniform(0.1, 0.95))
        lane.redis.client.execute_command(*words)
    return act


def emptied_while_silent(lane, case):
    """Nothing that was appended is stored yet, and no further frame will tell the reader that its stream is gone."""
    wait_until(lambda: len(lane.pids()) == 4, 20, "every process runs")
    workers = [pid for name, pid in lane.pids().items() if name.startswith("worker")]
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    lane.reach(1)
    lane.redis.client.flushall()
    wait_until(lambda: lane.redis.client.exists(STREAM), 20, "the keeper makes the stream anew")
    for pid in workers:
        os.kill(pid, signal.SIGCONT)


def emptied_while_held(lane, case):
    """What is pending is not stored: it must come again."""
    _, pid = lane.stopped_with_the_rest_done()
    lane.redis.client.flushall()
    wait_until(lambda: lane.redis.client.exists(STREAM), 20, "the keeper makes the stream anew")
    os.kill(pid, signal.SIGKILL)


def destroyed_while_silent(lane, case):
    """The group goes while all entries wait to be delivered."""
    wait_until(lambda: len(lane.pids()) == 4, 20, "every process runs")
    workers = [pid for name, pid in lane.pids().items() if name.startswith("worker")]
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    lane.reach(1)
    lane.redis.client.xgroup_destroy(STREAM, GROUP)
    wait_until(lambda: lane.redis.client.xinfo_groups(STREAM), 20, "the keeper makes the group anew")
    for pid in workers:
        os.kill(pid, signal.SIGCONT)


def and_back(first, then, seconds, kill_clients=False):
    """first: list of commands, then: those that undo them."""
    def act(lane, case):
        lane.reach(case.rng.uniform(0.1, 0.9))
        for words in first:
            lane.redis.client.execute_command(*words)
        if kill_clients:
            lane.redis.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        time.sleep(seconds)
        for words in then:
            lane.redis.client.execute_command(*words)
    return act


def password(lane, case):
    lane.reach(case.rng.uniform(0.1, 0.9))
    c = redis_client.Redis(unix_socket_path=lane.redis.socket)
    c.config_set("requirepass", "secret")
    c.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    time.sleep(1)
    c = redis_client.Redis(unix_socket_path=lane.redis.socket, password="secret")
    c.config_set("requirepass", "")


def wrong_type(lane, case):
    """Somebody else's value at the key; when it is gone the stream is rebuilt."""
    lane.reach(case.rng.uniform(0.1, 0.9))
    p = lane.redis.client.pipeline(transaction=True)
    p.delete(STREAM)
    p.set(STREAM, "not a stream")
    p.execute()
    time.sleep(1)
    lane.redis.client.delete(STREAM)


def less_memory(lane, case):
    lane.reach(case.rng.uniform(0.1, 0.6))
    c = lane.redis.client
    c.config_set("maxmemory", max(1, int(c.info("memory")["used_memory"] * case.rng.uniform(0.5, 1.1))))
    time.sleep(1)
    c.config_set("maxmemory", "512mb")


def disk_full(lane, case):
    """Every write of the AOF fails; the limit stands for a full disk."""
    lane.reach(case.rng.uniform(0.1, 0.6))
    pid = lane.redis.process.pid
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    time.sleep(1.5)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def ignore_file_limit(lane, case):
    lane.redis.stop()
    lane.redis.wipe()
    lane.redis.start(limited=True)


def busy(lane, case):
    lane.reach(case.rng.uniform(0.1, 0.9))
    c = redis_client.Redis(unix_socket_path=lane.redis.socket, socket_timeout=0.2)
    lane.redis.client.config_set("busy-reply-threshold", 100)
    try:
        c.eval("while true do end", 0)
    except redis_client.RedisError:
        pass
    time.sleep(1)
    lane.redis.client.execute_command("SCRIPT", "KILL")


def stop_for(seconds):
    def act(lane, case):
        lane.reach(case.rng.uniform(0.1, 0.9))
        lane.redis.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        lane.redis.process.send_signal(signal.SIGCONT)
    return act


def clients_killed(times):
    def act(lane, case):
        for _ in range(times):
            lane.reach(case.rng.uniform(0.05, 0.9))
            lane.redis.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            time.sleep(0.1)
    return act


def cases(history, long):
    def case(row, name, act, **more):
        return Case(row, name, history, act=act, **{"rate": 500, "dirty": True, **more})

    setting = lambda name, value: ("CONFIG", "SET", name, value)  # noqa: E731
    found = [
        case("36", "Redis SIGTERM and start", restart(signal.SIGTERM)),
        case("36", "Redis SIGKILL and start", restart(signal.SIGKILL)),
        case("36", "Redis SIGKILL and start, 5 times", restart(signal.SIGKILL, 5), rate=200),
        case("38", "AOF with a tail of zeros", damaged("tail")),
        case("38", "AOF damaged in the middle", damaged("middle")),
        case("39", "FLUSHALL", command("FLUSHALL")),
        case("39", "FLUSHALL while the source is silent", emptied_while_silent),
        case("39", "FLUSHALL while a worker holds entries", emptied_while_held,
             failpoints=[("write_begin", "stop", 3, 1, 0), ("keeper_mark", "count", 0, 0, 0)]),
        case("39", "XGROUP DESTROY while all entries wait", destroyed_while_silent),
        case("39", "DEL stream", command("DEL", STREAM)),
        case("39", "DEL meta", command("DEL", STREAM + ":meta")),
        case("39", "XGROUP DESTROY", command("XGROUP", "DESTROY", STREAM, GROUP)),
        case("39", "XGROUP SETID 0", command("XGROUP", "SETID", STREAM, GROUP, "0")),
        case("39", "XGROUP DELCONSUMER of another", command("XGROUP", "DELCONSUMER", STREAM, GROUP, "nobody")),
        case("40", "maxmemory lowered", less_memory),
        case("40", "maxmemory 1 byte for a second", and_back([setting("maxmemory", 1)], [setting("maxmemory", "512mb")], 1)),
        case("41", "AOF cannot be written", disk_full, prepare=ignore_file_limit),
        case("41", "a replica for a second", and_back([("REPLICAOF", "127.0.0.1", "1")], [("REPLICAOF", "NO", "ONE")], 1)),
        case("41", "a script that runs too long", busy),
        case("41", "no more clients", and_back([setting("maxclients", 1)], [setting("maxclients", 1000)], 1, True)),
        case("42", "Redis stopped for 1 s", stop_for(1)),
        case("42", "every client killed", clients_killed(1)),
        case("42", "every client killed 5 times", clients_killed(5), rate=200),
        case("42", "CLIENT PAUSE 1 s", command("CLIENT", "PAUSE", "1000")),
        case("43", "an older state comes back", older_copy, rate=300),
        case("44", "SCRIPT FLUSH", command("SCRIPT", "FLUSH")),
        case("44", "appendonly off and on", and_back([setting("appendonly", "no")], [setting("appendonly", "yes")], 1)),
        case("44", "a password nobody told", password),
        case("44", "no right to XADD", and_back([("ACL", "SETUSER", "default", "-xadd")],
                                                [("ACL", "SETUSER", "default", "+@all")], 1)),
        case("44", "no right to scripts", and_back([("ACL", "SETUSER", "default", "-evalsha")],
                                                   [("ACL", "SETUSER", "default", "+@all")], 1)),
        case("44", "another type at the key", wrong_type),
    ]
    for n_bytes in (1, 100, 2000, 30000, 100000, 2000000):
        found.append(case("37", f"AOF loses {n_bytes} bytes", cut_tail(n_bytes), prepare=new_redis))
    if long:
        found.append(case("36", "Redis SIGKILL and start, 40 times", restart(signal.SIGKILL, 40), rate=20, within=120))
        found.append(case("42", "Redis stopped for 40 s", stop_for(40), within=150))
        found.append(case("42", "CLIENT PAUSE 15 s", command("CLIENT", "PAUSE", "15000"), within=90))
    return found
