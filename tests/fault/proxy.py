# SPDX-License-Identifier: MIT
"""A proxy that harms what it passes on: between standpipe and Redis, PostgreSQL (unix socket or loopback) or a relay.

One thread serves all connections of one link. What it does is set from outside, for each direction: UP is from
standpipe to the server, DOWN what comes back.
"""
import collections
import dataclasses
import os
import re
import select
import socket
import struct
import threading
import time

UP, DOWN = 0, 1
CUT, HALF = "cut", "half"
CHUNK, HELD_MAX = 65536, 1 << 20
IDLE_S, BUSY_S = 0.05, 0.005
RESET = struct.pack("ii", 1, 0)  # as SO_LINGER: closing sends RST


@dataclasses.dataclass
class Rule:
    """What happens to one direction. delay_s, rate and swallow hold on; a change or an end comes `times` times.
    What to look for is a regular expression; only what was read in one piece is looked at."""
    delay_s: float = 0
    rate: int = 0           # bytes a second of each connection; 0: any
    swallow: bool = False
    change: tuple = None    # (what, becomes what)
    then: str = None        # CUT: both directions are reset; HALF: this one ends
    at: bytes = b""         # there; by default at the next byte, whatever it is
    keep: int = 0           # so many from there on still go
    times: int = 1

    def harm(self, data):
        """What is left of the bytes, and whether that is the end of them."""
        if self.swallow:
            return b"", None
        if self.times and self.change:
            data, n = re.subn(*self.change, data, 1, re.DOTALL)
            self.times -= n
        elif self.times and self.then and (found := re.search(self.at, data)):
            self.times -= 1
            return data[:found.start() + self.keep], self.then
        return data, None


class Way:
    """One direction of one connection, with what was read and not yet passed on: (due, bytes or an end)."""

    def __init__(self, source, sink):
        self.source, self.sink, self.held = source, sink, collections.deque()
        self.ended = False      # nothing more is read
        self.deaf = False       # what is read goes nowhere
        self.sent, self.since = 0, time.monotonic()

    def n_held(self):
        return sum(len(what) for _, what in self.held)

    def read(self, rule):
        try:
            data = self.source.recv(CHUNK)
        except BlockingIOError:
            return
        now = time.monotonic()
        self.ended = not data
        if self.deaf:
            return
        if not data:
            self.held.append((now + rule.delay_s, HALF))
        else:
            data, end = rule.harm(data)
            self.held.append((now + rule.delay_s, data))
            if end:
                self.deaf = True
                self.held.append((now + rule.delay_s, end))

    def allowed(self, rule, n):
        """How many of n bytes may go now; counted from when there was first something to send at this rate."""
        if not rule.rate:
            self.sent, self.since = 0, time.monotonic()
            return n
        return max(0, min(n, int((time.monotonic() - self.since) * rule.rate) - self.sent))

    def pass_on(self, rule):
        """What is due and allowed; True: the connection is to be cut."""
        while self.held and self.held[0][0] <= time.monotonic():
            due, what = self.held.popleft()
            if what == CUT:
                return True
            if what == HALF:
                self.sink.shutdown(socket.SHUT_WR)
                continue
            try:
                n = self.sink.send(what[:self.allowed(rule, len(what))])
            except BlockingIOError:
                n = 0
            self.sent += n
            if n < len(what):
                self.held.appendleft((due, what[n:]))
                break
        return False


class Proxy:
    """target: a path or (host, port); listens on a path, or on a port of loopback that the kernel chooses."""

    def __init__(self, target, path=None):
        self.target, self.rules = target, [Rule(), Rule()]
        self.pairs = []  # each (the way up, the way down)
        self.lock, self.closing = threading.Lock(), False
        self.listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        if path and os.path.exists(path):
            os.unlink(path)
        self.listener.bind(path or ("127.0.0.1", 0))
        self.listener.listen(64)
        self.listener.setblocking(False)
        self.port = None if path else self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    # ---- from outside ----

    def set(self, direction, **rule):
        with self.lock:
            self.rules[direction] = Rule(**rule)
        return self.rules[direction]

    def heal(self):
        self.set(UP)
        self.set(DOWN)

    def reset(self):
        """Every connection, at once."""
        with self.lock:
            while self.pairs:
                self.drop(self.pairs[0])

    def abandon(self):
        """Connections that are there never carry a byte again, and nobody is told; new ones are sound."""
        with self.lock:
            for pair in self.pairs:
                for way in pair:
                    way.deaf = True

    def close(self):
        self.closing = True
        self.thread.join()
        self.reset()
        self.listener.close()

    # ---- the thread ----

    def accept(self):
        ours, _ = self.listener.accept()
        theirs = socket.socket(socket.AF_UNIX if isinstance(self.target, str) else socket.AF_INET)
        try:
            theirs.connect(self.target)
        except OSError:  # the server is away, and so are we
            ours.close()
            theirs.close()
            return
        for s in (ours, theirs):
            s.setblocking(False)
        self.pairs.append((Way(ours, theirs), Way(theirs, ours)))

    def drop(self, pair):
        self.pairs.remove(pair)
        for way in pair:
            if way.source.family == socket.AF_INET:
                way.source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            way.source.close()

    def serve_pair(self, pair, ready):
        """False: it is over."""
        try:
            for way, rule in zip(pair, self.rules):
                if way.source.fileno() in ready:
                    way.read(rule)
                if way.pass_on(rule):
                    return False
        except OSError:  # one side has reset it
            return False
        return not all(way.ended and not way.held for way in pair)

    def poll(self):
        """What can be read; waits a little for it."""
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        with self.lock:
            ways = [way for pair in self.pairs for way in pair]
            for way in ways:
                if not way.ended and way.n_held() < HELD_MAX:
                    poll.register(way.source, select.POLLIN)
            busy = any(way.held for way in ways)
        return {fd for fd, _ in poll.poll((BUSY_S if busy else IDLE_S) * 1000)}

    def serve(self):
        while not self.closing:
            ready = self.poll()
            with self.lock:
                if self.listener.fileno() in ready:
                    self.accept()
                for pair in list(self.pairs):
                    if not self.serve_pair(pair, ready):
                        self.drop(pair)
