# SPDX-License-Identifier: MIT
"""Private Redis, PostgreSQL and relay of one lane: real servers on unix sockets in the lane's folder.

Everything here may be killed, stopped, filled or put back to an older state by a case; `fresh` methods bring
it back. The relay listens on a loopback port the kernel chose.
"""
import glob
import os
import shutil
import signal
import subprocess
import time

import psycopg2
import redis as redis_client

STREAM, GROUP = "firehose:events", "firehose-processors"
TICK_S = 0.03


class Trouble(Exception):
    """What a case found wrong; the text is for people."""


def wait_until(condition, seconds, what):
    """Evaluates condition until it is true; it may raise while servers are away."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
            why = ""
        except (psycopg2.Error, redis_client.RedisError, OSError) as e:
            why = f" ({str(e).strip()})"
        if time.monotonic() > deadline:
            raise Trouble(f"not within {seconds:.0f} s: {what}{why}")
        time.sleep(TICK_S)


def program(name):
    """A PostgreSQL program that is not on the PATH."""
    for path in sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True):
        return path
    return name


class Postgres:
    SETTINGS = {"listen_addresses": "", "shared_buffers": "16MB", "max_connections": "30",
                "max_wal_size": "64MB", "log_min_messages": "fatal", "autovacuum_naptime": "10s", "jit": "off",
                "dynamic_shared_memory_type": "mmap"}  # a killed one leaves nothing outside of its folder

    def __init__(self, folder, template=None):
        self.folder, self.data = folder, folder + "/pg"
        self.template, self.connection = template, None
        if template:
            shutil.copytree(template.data, self.data)
        else:
            subprocess.run([program("initdb"), "-D", self.data, "-U", "standpipe", "-A", "trust", "-E", "UTF8",
                            "--locale=C.UTF-8", "--wal-segsize=1"], check=True, stdout=subprocess.DEVNULL)

    @property
    def conninfo(self):
        return f"host={self.folder} user=standpipe dbname=standpipe"

    def start(self, **settings):
        options = {**self.SETTINGS, "unix_socket_directories": self.folder, **settings}
        with open(self.folder + "/pg.log", "ab") as log:
            self.process = subprocess.Popen(
                [program("postgres"), "-D", self.data] + [f"-c{k}={v}" for k, v in options.items()],
                stdout=log, stderr=log, start_new_session=True)
        wait_until(lambda: self.sql("select 1", db="postgres"), 30, "PostgreSQL starts")

    def stop(self, how=signal.SIGQUIT):
        """SIGINT: fast; SIGQUIT: immediate; SIGKILL leaves its children, which then end by themselves."""
        self.disconnect()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
            self.process.wait(60)

    def connect(self, db="standpipe"):
        c = psycopg2.connect(host=self.folder, user="standpipe", dbname=db, connect_timeout=5,
                             application_name="faults")
        c.autocommit = True
        return c

    def disconnect(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def sql(self, text, *args, db=None):
        """Rows of one statement, over a connection that is kept."""
        if db:
            c = self.connect(db)
        else:
            if not self.connection or self.connection.closed:
                self.connection = self.connect()
            c = self.connection
        try:
            with c.cursor() as cursor:
                cursor.execute(text, args or None)
                return cursor.fetchall() if cursor.description else []
        except psycopg2.Error:
            if c.closed:
                self.connection = None
            raise
        finally:
            if db:
                c.close()

    def value(self, text, *args):
        return self.sql(text, *args)[0][0]

    def make_pristine(self):
        """After migrate: remembers which tables have rows and what is in them."""
        self.sql("create schema pristine")
        for name in self.tables():
            schema, table = name.split(".")
            if self.value(f"select count(*) from {name}"):
                self.sql(f"create table pristine.{schema}__{table} as table {name}")

    def tables(self):
        return [r[0] for r in self.sql(
            "select schemaname || '.' || tablename from pg_tables where schemaname in ('bsky', 'standpipe') order by 1")]

    def fresh(self):
        """As migrate left it. What another session still does is ended first: a late commit would stay."""
        self.sql("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
                 " and backend_type = 'client backend'")
        wait_until(lambda: not self.value("select count(*) from pg_stat_activity where pid <> pg_backend_pid()"
                                          " and backend_type = 'client backend'"), 20, "old sessions end")
        kept = {r[0] for r in self.sql("select tablename from pg_tables where schemaname = 'pristine'")}
        names = self.tables()
        text = ["set session_replication_role = replica"] + [f"delete from {name}" for name in names]
        for name in names:
            copy = name.replace(".", "__")
            if copy in kept:
                text.append(f"insert into {name} table pristine.{copy}")
        self.sql("; ".join(text + ["set session_replication_role = origin"]))

    def remake(self):
        """From the template: for cases that put another data directory in its place."""
        self.stop(signal.SIGKILL)
        self.remove()
        shutil.copytree(self.template.data, self.data)
        self.start()

    def remove(self):
        """Processes of a killed postmaster may still be writing."""
        def gone():
            shutil.rmtree(self.data, ignore_errors=True)
            return not os.path.exists(self.data)
        wait_until(gone, 20, "the data directory is gone")


class Redis:
    def __init__(self, folder):
        self.folder, self.socket = folder, folder + "/redis.sock"
        self.client = redis_client.Redis(unix_socket_path=self.socket, socket_timeout=20,
                                         single_connection_client=False)
        self.wipe()

    def wipe(self):
        shutil.rmtree(self.folder + "/redis", ignore_errors=True)
        os.mkdir(self.folder + "/redis")

    def start(self, *settings, wait=True, limited=False, environment=None):
        """limited: a limit on the size of its files is an error, not a signal."""
        name = shutil.which("redis-server") or shutil.which("redis-check-rdb")
        with open(self.folder + "/redis.log", "ab") as log:
            self.process = subprocess.Popen(
                ["redis-server", "--port", "0", "--unixsocket", self.socket, "--dir", self.folder + "/redis",
                 "--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory", "512mb",
                 "--maxmemory-policy", "noeviction", "--auto-aof-rewrite-percentage", "0",
                 "--enable-debug-command", "yes", *settings],
                executable=name, stdout=log, stderr=log, start_new_session=True, restore_signals=not limited,
                env={**os.environ, **(environment or {})},
                preexec_fn=(lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN)) if limited else None)
        if wait:
            wait_until(self.client.ping, 30, "Redis starts")

    def stop(self, how=signal.SIGKILL):
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(how)
        self.process.wait(30)

    def fresh(self, dirty):
        """Empty, with the settings of the start."""
        if dirty or self.process.poll() is not None:
            self.stop()
            self.wipe()
            self.start()
        else:
            self.client.flushall()

    def aof(self):
        """The file that grows."""
        return sorted(glob.glob(self.folder + "/redis/appendonlydir/*.incr.aof"))[-1]

    def pending_of(self, consumer, among=None):
        """Ids pending for the consumer."""
        ids = [e["message_id"] for e in self.client.xpending_range(STREAM, GROUP, "-", "+", 10000, consumer)]
        return [i for i in ids if among is None or i in among]

    def ids(self):
        """Of all entries."""
        return [entry.decode() for entry, _ in self.client.xrange(STREAM)]

    def claim(self, consumer, ids):
        if ids:
            self.client.xclaim(STREAM, GROUP, consumer, 0, ids, justid=True)

    def pending(self):
        return self.client.xpending(STREAM, GROUP)["pending"]

    def delivered(self):
        return self.client.xinfo_groups(STREAM)[0]["last-delivered-id"].decode()

    def last_id(self):
        return self.client.xinfo_stream(STREAM)["last-generated-id"].decode()


class Relay:
    """standpipe-relay serving one file; started for each case, so that its clock begins with the case."""

    def __init__(self, relay_program, folder):
        self.program, self.folder, self.process, self.address = relay_program, folder, None, None

    def start(self, frames, *options, again=False):
        """again: on the address it had, as a relay that was restarted."""
        arguments = [self.program, *(["serve", frames] if frames else ["generate"]), *options]
        if again:
            arguments += ["--listen", self.address]
        with open(self.folder + "/relay.log", "ab") as log:
            self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
        line = self.process.stdout.readline().decode()
        if not line.startswith("listening ws://"):
            raise Trouble(f"the relay does not listen: {line}")
        self.address = line.split()[1].removeprefix("ws://").split("/")[0]

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
        self.process = None
