# SPDX-License-Identifier: MIT
"""Rows 48-56 and K23, K24: what can happen to PostgreSQL."""
import os
import shutil
import signal
import subprocess
import threading
import time

import psycopg2

from case import Case
from servers import Trouble, program, wait_until


def restart(how, pause=0.2):
    def act(lane, case):
        lane.reach(case.rng.uniform(0.05, 0.9))
        lane.pg.stop(how)
        time.sleep(pause)
        lane.pg.start()
    return act


def backends(lane):
    return [r[0] for r in lane.pg.sql("select pid from pg_stat_activity where application_name like 'standpipe%'")]


def kill_backend(lane, case):
    """PostgreSQL ends every session and recovers."""
    lane.reach(case.rng.uniform(0.05, 0.9))
    os.kill(case.rng.choice(backends(lane)), signal.SIGKILL)
    lane.pg.disconnect()


def terminate(times, who="like 'standpipe%'"):
    def act(lane, case):
        for _ in range(times):
            lane.reach(case.rng.uniform(0.05, 0.9))
            lane.pg.sql("select pg_terminate_backend(pid) from pg_stat_activity"
                        f" where application_name {who} and pid <> pg_backend_pid()")
            time.sleep(0.1)
    return act


def cancel(lane, case):
    for _ in range(20):
        lane.pg.sql("select pg_cancel_backend(pid) from pg_stat_activity where application_name like 'standpipe%'")
        time.sleep(0.03)


def stop_for(seconds):
    def act(lane, case):
        lane.reach(case.rng.uniform(0.05, 0.9))
        pids = backends(lane) + [lane.pg.process.pid]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass
    return act


def locked(table, seconds):
    def act(lane, case):
        lane.reach(case.rng.uniform(0.05, 0.9))
        with lane.pg.connect() as c:
            c.autocommit = False
            with c.cursor() as cursor:
                cursor.execute(f"lock table {table} in access exclusive mode")
                time.sleep(seconds)
            c.rollback()
        c.close()
    return act


def refusing(sqlstate, share, seconds):
    """A trigger raises the state for a share of the statements: the server's own errors of that class are rare."""
    def act(lane, case):
        lane.pg.sql(f"""create function public.refuse() returns trigger language plpgsql as $$ begin
            if random() < {share} then raise exception 'refused on purpose' using errcode = '{sqlstate}'; end if;
            return null; end $$;
            create trigger refuse after insert or update on bsky.repos for each statement
            execute function public.refuse()""")
        lane.reach(0.3)
        time.sleep(seconds)
        lane.pg.sql("drop trigger refuse on bsky.repos; drop function public.refuse()")
    return act


def slow(lane, case):
    lane.pg.sql("""create function public.slow() returns trigger language plpgsql as $$ begin
        perform pg_sleep(0.4); return null; end $$;
        create trigger slow after insert or update on bsky.repos for each statement execute function public.slow()""")
    time.sleep(2.5)
    lane.pg.sql("drop trigger slow on bsky.repos; drop function public.slow()")


def set_and_back(setting, value, seconds):
    """A setting of the database, which every new session gets."""
    def act(lane, case):
        lane.reach(case.rng.uniform(0.05, 0.7))
        lane.pg.sql(f"alter database standpipe set {setting} = {value}")
        lane.pg.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'standpipe%'")
        time.sleep(seconds)
        c = lane.pg.connect("postgres")  # its own sessions are bound by the setting too
        with c.cursor() as cursor:
            cursor.execute(f"alter database standpipe reset {setting}")
        c.close()
        lane.pg.disconnect()
        lane.pg.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'standpipe%'")
    return act


def too_many(lane, case):
    lane.reach(case.rng.uniform(0.05, 0.7))
    lane.pg.sql("alter role standpipe connection limit -1")
    held = []
    lane.pg.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'standpipe%'")
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        try:
            held.append(lane.pg.connect("postgres"))
        except psycopg2.Error:
            time.sleep(0.02)
    for c in held:
        c.close()


def database_away(lane, case):
    lane.reach(case.rng.uniform(0.05, 0.7))
    lane.pg.disconnect()

    def rename(a, b):
        c = lane.pg.connect("postgres")
        with c.cursor() as cursor:
            for _ in range(200):
                cursor.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (a,))
                try:
                    cursor.execute(f"alter database {a} rename to {b}")
                    break
                except psycopg2.Error:
                    time.sleep(0.02)
            else:
                raise Trouble("the database cannot be renamed")
        c.close()

    rename("standpipe", "elsewhere")
    time.sleep(1)
    rename("elsewhere", "standpipe")


def newer_schema(lane, case):
    lane.reach(case.rng.uniform(0.05, 0.7))
    lane.pg.sql("insert into standpipe.schema_version (version, name) values (9999, 'from the future')")
    lane.pg.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'standpipe%'")
    time.sleep(1)
    lane.pg.sql("delete from standpipe.schema_version where version = 9999")


def renamed(what, back):
    def act(lane, case):
        lane.reach(case.rng.uniform(0.05, 0.7))
        lane.pg.sql(what)
        time.sleep(1)
        lane.pg.sql(back)
    return act


def older_files(lane, case):
    """The data directory of some time ago comes back."""
    lane.reach(case.rng.uniform(0.1, 0.4))
    lane.pg.stop(signal.SIGINT)
    shutil.copytree(lane.pg.data, lane.folder + "/pg.old")
    lane.pg.start()
    lane.reach(case.rng.uniform(0.6, 1))
    wait_until(lambda: lane.seen() > 0, 20, "the watermark moves")
    time.sleep(case.rng.uniform(0, 1))
    lane.pg.stop(signal.SIGKILL if case.rng.random() < 0.5 else signal.SIGINT)
    lane.pg.remove()
    os.rename(lane.folder + "/pg.old", lane.pg.data)
    lane.pg.start()


def empty_copy(lane, case):
    lane.pg.stop(signal.SIGINT)
    shutil.copytree(lane.pg.data, lane.folder + "/pg.old")
    lane.pg.start()


def late_ack(lane, case):
    """A worker that has committed is about to acknowledge when that commit is taken back by an older PostgreSQL; the
    entries are delivered to another one, which holds them when the first goes on, and dies before it has stored them."""
    _, first = lane.stopped_with_the_rest_done()
    lane.pg.stop(signal.SIGKILL)
    lane.pg.remove()
    os.rename(lane.folder + "/pg.old", lane.pg.data)
    lane.failpoints.arm("write_begin", "stop")
    lane.pg.start()
    wait_until(lambda: len(lane.stopped()) == 2, 30, "another worker has the entries")
    second, = (pid for pid in lane.stopped().values() if pid != first)
    acks = lane.failpoints.read()["ack_reply"][0]
    os.kill(first, signal.SIGCONT)
    wait_until(lambda: lane.failpoints.read()["ack_reply"][0] > acks, 20, "the first one has tried to acknowledge")
    os.kill(second, signal.SIGKILL)


def older_dump(lane, case):
    """A dump of some time ago is restored into a new database of the same name."""
    lane.reach(case.rng.uniform(0.1, 0.6))
    path = lane.folder + "/old.dump"
    host = ["-h", lane.pg.folder, "-U", "standpipe"]
    subprocess.run([program("pg_dump"), *host, "-Fc", "-f", path, "standpipe"], check=True, capture_output=True)
    lane.reach(case.rng.uniform(0.7, 1))
    lane.pg.disconnect()
    c = lane.pg.connect("postgres")
    with c.cursor() as cursor:
        cursor.execute("drop database standpipe with (force)")
        cursor.execute("create database standpipe")
    c.close()
    subprocess.run([program("pg_restore"), *host, "-d", "standpipe", "-1", path], check=True, capture_output=True)


def fsync_off(lane, case):
    """Refused until it is on again."""
    lane.reach(case.rng.uniform(0.05, 0.7))
    lane.pg.stop(signal.SIGINT)
    lane.pg.start(fsync="off")
    time.sleep(1)
    lane.pg.stop(signal.SIGINT)
    lane.pg.start()


def deadlocks(lane, case):
    """Others lock the same rows in the opposite order, in small transactions."""
    enough = threading.Event()

    def fight():
        c = lane.pg.connect()
        while not enough.is_set():
            try:
                with c.cursor() as cursor:
                    cursor.execute("begin; set local deadlock_timeout = '20ms'; set local lock_timeout = '300ms';"
                                   " select 1 from (select actor from bsky.repos order by actor desc limit 12) a,"
                                   " lateral (select 1 from bsky.repos r where r.actor = a.actor for update) b; commit")
            except psycopg2.Error:
                if c.closed:
                    c = lane.pg.connect()
                else:
                    with c.cursor() as cursor:
                        cursor.execute("rollback")
        c.close()

    threads = [threading.Thread(target=fight, daemon=True) for _ in range(3)]
    for t in threads:
        t.start()
    time.sleep(1.5)
    enough.set()
    for t in threads:
        t.join()


def cases(history, long):
    def case(row, name, act, **more):
        return Case(row, name, history, act=act, **{"rate": 500, "dirty": True, **more})

    found = [
        case("48", "fast stop and start", restart(signal.SIGINT)),
        case("48", "immediate stop and start", restart(signal.SIGQUIT)),
        case("48", "SIGKILL of the postmaster and start", restart(signal.SIGKILL, 0.5)),
        case("48", "away for 3 s", restart(signal.SIGQUIT, 3)),
        case("48", "SIGKILL of a backend", kill_backend),
        case("48", "every session terminated", terminate(1)),
        case("48", "every session terminated 5 times", terminate(5), rate=200),
        case("48", "the keeper's session terminated", terminate(2, "= 'standpipe keeper'")),
        case("48", "statements cancelled", cancel),
        case("49", "PostgreSQL stopped for 2 s", stop_for(2)),
        case("49", "posts locked for 2 s", locked("bsky.posts", 2)),
        case("49", "watermark locked for 2 s", locked("standpipe.watermark", 2)),
        case("49", "actors locked for 2 s", locked("bsky.actors", 2)),
        case("49", "slow statements", slow),
        case("50", "too many connections", too_many),
        case("50", "read only", set_and_back("default_transaction_read_only", "on", 1)),
        case("51", "others lock in the opposite order", deadlocks, rate=200),
        case("52", "the database is away", database_away),
        case("52", "a newer schema", newer_schema),
        case("53", "a table renamed", renamed("alter table bsky.likes rename to elsewhere",
                                              "alter table bsky.elsewhere rename to likes")),
        case("53", "a column renamed", renamed("alter table bsky.posts rename column langs to elsewhere",
                                               "alter table bsky.posts rename column elsewhere to langs")),
        case("55", "older files come back", older_files, rate=250),
        case("55", "older files come back before a late ack", late_ack, prepare=empty_copy,
             failpoints=[("ack_send", "stop", 2, 1, 0), ("write_begin", "count", 0, 0, 0),
                         ("ack_reply", "count", 0, 0, 0), ("keeper_mark", "count", 0, 0, 0)]),
        case("55", "an older dump comes back", older_dump, rate=250),
        case("56", "synchronous_commit off", set_and_back("synchronous_commit", "off", 0.5)),
        case("56", "fsync off", fsync_off),
    ]
    for sqlstate in ("53100", "53200", "53300", "57014", "25006", "55P03", "58030", "XX000", "08006", "57P01"):
        found.append(case("50", f"SQLSTATE {sqlstate} for a second", refusing(sqlstate, 1, 1)))
    for sqlstate in ("40001", "40P01"):
        found.append(case("51", f"SQLSTATE {sqlstate} in half of the statements", refusing(sqlstate, 0.5, 2), rate=200))
    if long:
        found += [
            case("49", "PostgreSQL stopped for 60 s", stop_for(60), within=180),
            case("49", "posts locked for 60 s", locked("bsky.posts", 60), within=180),
            case("48", "away for 40 s", restart(signal.SIGQUIT, 40), within=150),
        ]
    return found
