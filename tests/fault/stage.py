# SPDX-License-Identifier: MIT
"""What every program here needs: another user than root, the tools, a place for servers, lanes."""
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import threading

from lane import Lane
from servers import Postgres

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def leave_root(program):
    """PostgreSQL refuses to run as root: begins again as its user."""
    if os.geteuid() == 0:
        os.execvp("setpriv", ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--inh-caps=-all",
                              sys.executable, os.path.abspath(program), *sys.argv[1:]])


@dataclasses.dataclass
class Tools:
    standpipe: str
    relay: str
    compare: str
    clock_shift: str


def tools_of(build, standpipe=None):
    return Tools(standpipe or build + "/tests/fault/standpipe-faults", build + "/tests/relay/standpipe-relay",
                 TOP + "/tests/compare", build + "/tests/fault/libclock-shift.so")


def place_for_servers():
    """Memory if there is enough: the servers' syncs cost nothing there, and a kill loses as little."""
    try:
        if shutil.disk_usage("/dev/shm").free > 3 << 30:
            return "/dev/shm"
    except OSError:
        pass
    return None


def make_template(tools, folder):
    """A PostgreSQL cluster with an empty, migrated database, to be copied."""
    os.mkdir(folder)
    pg = Postgres(folder)
    pg.start()
    pg.sql("create database standpipe", db="postgres")
    with open(folder + "/migrate.conf", "w") as f:
        f.write(f'postgres: {{ conninfo = "{pg.conninfo}"; }};\n')
    subprocess.run([tools.standpipe, "migrate", "-c", folder + "/migrate.conf"], check=True, capture_output=True)
    pg.make_pristine()
    pg.stop(signal.SIGINT)
    return pg


def open_lanes(tools, folder, template, n):
    lanes = [Lane(i, f"{folder}/lane{i}", tools, template) for i in range(n)]
    threads = [threading.Thread(target=lane.open) for lane in lanes]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return lanes
