# SPDX-License-Identifier: MIT
"""One lane: servers of its own and one standpipe at a time; what a case does and how its end is judged."""
import collections
import glob
import json
import os
import shutil
import signal
import struct
import subprocess
import time

from proxy import Proxy
from servers import GROUP, STREAM, TICK_S, Postgres, Redis, Relay, Trouble, wait_until

ACTIONS = {"count": 0, "kill": 1, "error": 2, "delay": 3, "crash": 4, "stop": 5, "exit": 6}
SLOT = struct.Struct("=32s6I8x")  # struct failpoint_slot

DUMP = """
select line collate "C" from (
    select format('%s %s %s %s %s %s %s', did, collection, rkey, state, rev, cid,
                  case when state <> 'deleted' then value end) as line from bsky.records
    union all
    select format('%s %s %s %s %s', did, handle, active, status, desynchronized) from bsky.accounts where present) d
order by 1"""


class NotReached(Trouble):
    """The run was over before a failpoint was passed that often; args[0]: place -> (passes, fired)."""


class Failpoints:
    """The file that standpipe's processes map."""

    def __init__(self, path):
        self.path, self.places, self.wanted = path, [], []

    def set(self, *wanted):
        """wanted: (place, action, from, times, ms); action "count" does nothing."""
        self.places, self.wanted = [w[0] for w in wanted], [w[1] != "count" for w in wanted]
        with open(self.path, "wb") as f:
            for place, action, first, times, ms in wanted:
                f.write(SLOT.pack(place.encode(), ACTIONS[action], ms, first, times, 0, 0))

    def arm(self, place, action):
        """At the next pass, while it runs."""
        at = self.places.index(place) * SLOT.size
        with open(self.path, "r+b") as f:
            f.seek(at)
            words = list(SLOT.unpack(f.read(SLOT.size)))
            words[1], words[3], words[4] = ACTIONS[action], words[5] + 1, 1
            f.seek(at)
            f.write(SLOT.pack(*words)[:48])

    def read(self):
        """place -> (passes, fired)"""
        with open(self.path, "rb") as f:
            slots = [SLOT.unpack(s) for s in iter(lambda: f.read(SLOT.size), b"")]
        return {s[0].rstrip(b"\0").decode(): (s[5], s[6]) for s in slots}

    def fired(self):
        """Every place that something was asked of."""
        return all(fired for (_, fired), wanted in zip(self.read().values(), self.wanted) if wanted)


def children_of(pid):
    """role-slot -> pid of the supervisor's children."""
    found = {}
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            pids = f.read().split()
    except OSError:
        return found
    for child in pids:
        try:
            with open(f"/proc/{child}/cmdline", "rb") as f:
                words = f.read().split(b"\0")
            if words[1] == b"--role":
                found[f"{words[2].decode()}-{words[4].decode()}"] = int(child)
        except (OSError, IndexError):
            pass  # it ended meanwhile, or has not become what it will be
    return found


def n_fds(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return -1


def session_of(leader):
    """pids of living processes in the session."""
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as f:
                words = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[3]) == leader and words[0] not in "ZX":
            found.append(int(path.split("/")[2]))
    return found


class Lane:
    def __init__(self, number, folder, tools, template):
        self.number, self.folder, self.tools = number, folder, tools
        os.mkdir(folder)
        self.pg = Postgres(folder, template)
        self.redis = Redis(folder)
        self.relay = Relay(tools.relay, folder)
        self.failpoints = Failpoints(folder + "/failpoints")
        self.supervisor, self.sessions, self.restarts = None, [], 0
        self.redis_url, self.conninfo, self.source = f"unix://{self.redis.socket}", self.pg.conninfo, None
        self.clean, self.history, self.environment, self.proxies = False, None, {}, {}

    def open(self):
        self.pg.start()
        self.redis.start()

    def close(self):
        for step in (self.kill, self.close_proxies, self.relay.stop, self.redis.stop, lambda: self.pg.stop(signal.SIGKILL)):
            try:
                step()
            except Exception:  # the end must reach every server
                pass

    # ---- standpipe ----

    def configure(self, **groups):
        """groups: dictionaries of settings that differ, per group."""
        settings = {
            "source": {"urls": [self.source or "ws://" + self.relay.address], "start": "oldest", "idle_timeout": 2.0},
            "redis": {"url": self.redis_url},
            "postgres": {"conninfo": self.conninfo},
            "workers": {"count": 2, "batch_events": 10, "batch_events_max": 16, "claim_interval": 0.3},
            "pending": {"retry": 0.5},
            "http": {"listen": ""},
            "runtime": {"dir": self.folder + "/run", "drain_timeout": 10.0},
        }
        for group, more in groups.items():
            settings.setdefault(group, {}).update(more)
        os.makedirs(self.folder + "/run", exist_ok=True)
        with open(self.folder + "/standpipe.conf", "w") as f:
            for group, values in settings.items():
                f.write(f"{group}: {{ {' '.join(f'{k} = {json.dumps(v)};' for k, v in values.items())} }};\n")

    def put_between(self, *links):
        """A proxy between standpipe and each of these servers; from the next configure() on."""
        for link in links:
            if link == "redis":
                proxy = Proxy(self.redis.socket)
                self.redis_url = f"redis://127.0.0.1:{proxy.port}/0"
            elif link == "redis by path":
                proxy = Proxy(self.redis.socket, self.folder + "/proxy.sock")
                self.redis_url = f"unix://{self.folder}/proxy.sock"
            elif link == "postgres":
                proxy = Proxy(self.pg.folder + "/.s.PGSQL.5432")
                self.conninfo = f"host=127.0.0.1 port={proxy.port} user=standpipe dbname=standpipe"
            else:
                host, port = self.relay.address.split(":")
                proxy = Proxy((host, int(port)))
                self.source = f"ws://127.0.0.1:{proxy.port}"
            self.proxies[link] = proxy

    def close_proxies(self):
        while self.proxies:
            self.proxies.popitem()[1].close()

    def command(self, *words):
        return subprocess.run([self.tools.standpipe, words[0], "-c", self.folder + "/standpipe.conf", *words[1:]],
                              capture_output=True, text=True, timeout=60)

    def start(self, output=None):
        with open(self.folder + "/standpipe.log", "ab") as log:
            self.supervisor = subprocess.Popen(
                [self.tools.standpipe, "run", "-c", self.folder + "/standpipe.conf"], stdout=output or log,
                stderr=output or log, start_new_session=True,
                env={**os.environ, **self.environment, "STANDPIPE_FAILPOINTS": self.failpoints.path})
        self.sessions.append(self.supervisor.pid)

    def revive(self):
        """What an init system does."""
        if self.supervisor.poll() is not None:
            self.restarts += 1
            self.start()

    def kill(self):
        for session in self.sessions:
            for pid in session_of(session):
                os.kill(pid, signal.SIGKILL)
        if self.supervisor:
            self.supervisor.wait()
        self.supervisor, self.sessions = None, []

    def pids(self):
        return children_of(self.supervisor.pid)

    def pid_of(self, role):
        """Of a role's first child that is there."""
        wait_until(lambda: any(n.startswith(role) for n in self.pids()), 20, f"a {role} runs")
        return next(pid for name, pid in sorted(self.pids().items()) if name.startswith(role))

    # ---- a case ----

    def fresh(self):
        """Everything as after the first start of a new installation."""
        self.kill()
        self.close_proxies()
        self.relay.stop()
        if self.clean:
            self.pg.fresh()
            self.redis.fresh(False)
        else:
            self.pg.remake()
            self.redis.fresh(True)
        for name in ("standpipe.log", "redis.log", "pg.log", "relay.log"):
            open(f"{self.folder}/{name}", "wb").close()
        self.redis_url, self.conninfo, self.source = f"unix://{self.redis.socket}", self.pg.conninfo, None
        self.restarts, self.clean, self.environment = 0, False, {}
        for path in glob.glob(self.folder + "/*.old"):
            shutil.rmtree(path)
        self.failpoints.set()

    def reach(self, share):
        """Until the stream's head has passed that share of the history."""
        def there():
            if self.supervisor.poll() is not None:
                raise Trouble(f"the supervisor ended: {self.supervisor.returncode}")
            return int(self.redis.last_id().split("-")[1]) >= share * self.history.last
        wait_until(there, 40, f"{share:.2f} of the frames are in the stream")

    def seen(self):
        """seq of the watermark."""
        return self.pg.value("select seq from standpipe.watermark")

    def committed(self, last):
        return self.seen() == last and self.redis.pending() == 0 and \
            int(self.redis.last_id().split("-")[1]) == last

    def finish(self, history, within, restarts=False, n_processes=4):
        """Until everything is stored, every failpoint fired and every process runs."""
        quiet_since = None

        def done():
            nonlocal quiet_since
            if restarts:
                self.revive()
            elif self.supervisor.poll() is not None:
                raise Trouble(f"the supervisor ended: {self.supervisor.returncode}")
            if not self.committed(history.last) or len(self.pids()) != n_processes:
                quiet_since = None
                return False
            quiet_since = quiet_since or time.monotonic()
            if not self.failpoints.fired() and time.monotonic() - quiet_since > 6:
                raise NotReached(self.failpoints.read())
            return self.failpoints.fired()

        try:
            wait_until(done, within, "everything committed and running")
        except NotReached:
            raise
        except Trouble as e:
            raise Trouble(f"{e}; {self.standing(history)}") from None

    def standing(self, history):
        words = [f"failpoints {self.failpoints.read()}", f"children {sorted(self.pids())}"]
        try:
            words += [f"watermark {self.seen()} of {history.last}", f"pending {self.redis.pending()}",
                      f"head {self.redis.last_id()}"]
        except Exception as e:
            words.append(str(e))
        return ", ".join(words)

    def dump(self):
        return [r[0] for r in self.pg.sql(DUMP)]

    def gaps(self):
        return sorted(self.pg.sql("select after_epoch, after_seq, epoch, first_seq, reason from standpipe.gaps"))

    def dead_letters(self):
        """(seq, op, class) -> how often, over all epochs: reading again may repeat one."""
        return sorted(set(self.pg.sql("select seq, op, class from standpipe.dead_letters")))

    def stopped(self):
        """role-slot -> pid of those that a failpoint has stopped."""
        found = {}
        for name, pid in self.pids().items():
            try:
                with open(f"/proc/{pid}/stat") as f:
                    if f.read().rpartition(")")[2].split()[0] == "T":
                        found[name] = pid
            except OSError:
                pass
        return found

    def stopped_with_the_rest_done(self):
        """One worker has stopped itself; everything it does not hold is stored, and the keeper has seen that."""
        wait_until(lambda: len(self.stopped()) == 1, 20, "a worker has stopped itself")
        self.reach(1)
        (name, pid), = self.stopped().items()
        consumer = "standpipe-w" + name[-1]
        wait_until(lambda: self.redis.pending() == len(self.redis.pending_of(consumer)) and
                   self.redis.delivered() == self.redis.last_id(), 30, "everything else is acknowledged")
        ticks = self.ticks()
        wait_until(lambda: self.ticks() >= ticks + 2, 20, "the keeper looks twice")
        return name, pid

    def ticks(self):
        """How often the keeper has passed; its failpoint counts them."""
        return self.failpoints.read()["keeper_mark"][0]

    def judge(self, expected, fds=None):
        """Compares with what must be; raises Trouble with the first differences."""
        wrong = differences("records", expected.dump, self.dump())
        wrong += differences("gaps", expected.gaps, self.gaps())
        wrong += differences("dead letters", expected.dead_letters, self.dead_letters())
        if fds:
            wrong += self.leaked(fds)
        fsck = self.command("fsck")
        if fsck.returncode:
            wrong.append(f"fsck exits {fsck.returncode}: {fsck.stdout[-600:]}{fsck.stderr[-300:]}")
        if wrong:
            raise Trouble("; ".join(wrong))

    def fds(self):
        return {name.partition("-")[0]: n_fds(pid) for name, pid in self.pids().items()} | \
            {"supervisor": n_fds(self.supervisor.pid)}

    def leaked(self, fds):
        """A process that has just begun has fewer; one that leaks never comes down."""
        deadline = time.monotonic() + 10
        while True:
            now = self.fds()
            over = {role: n for role, n in now.items() if n > fds.get(role, n)}
            if not over:
                return []
            if time.monotonic() > deadline:
                return [f"open descriptors {over}, should be {fds}"]
            time.sleep(TICK_S)

    def stop(self):
        """Asks it to end; exit code 0, and nothing of it is left."""
        self.supervisor.terminate()
        try:
            code = self.supervisor.wait(20)
        except subprocess.TimeoutExpired:
            raise Trouble("SIGTERM does not end it within 20 s") from None
        if code:
            raise Trouble(f"it ends with exit code {code}")
        for session in self.sessions:
            wait_until(lambda s=session: not session_of(s), 3, f"no process of session {session} is left")
        self.sessions, self.supervisor = [], None

    def tail(self, lines=25):
        with open(self.folder + "/standpipe.log", errors="replace") as f:
            return f.readlines()[-lines:]


def differences(what, expected, found):
    missing = collections.Counter(expected) - collections.Counter(found)
    extra = collections.Counter(found) - collections.Counter(expected)
    return [f"{what}: {sum(d.values())} {kind}, e.g. {str(next(iter(d)))[:160]}"
            for kind, d in (("missing", missing), ("not expected", extra)) if d]
