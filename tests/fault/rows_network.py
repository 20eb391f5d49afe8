# SPDX-License-Identifier: MIT
"""Rows 42, 49, 54 and 57: a network that delays, throttles, cuts, half-closes and changes what it carries."""
import dataclasses
import time

from case import Case
from proxy import CUT, DOWN, HALF, UP
from rows_foreign import read_again
from servers import Trouble, wait_until

LINKS = {"redis": "42", "redis by path": "42", "postgres": "49", "relay": "57"}
WAYS = {UP: "requests", DOWN: "answers"}


def for_a_while(link, seconds, **rule):
    """seconds None: to the end."""
    def act(lane, case):
        lane.reach(case.rng.uniform(0.05, 0.5))
        proxy = lane.proxies[link]
        for way in WAYS:
            proxy.set(way, **rule)
        if seconds:
            time.sleep(seconds)
            proxy.heal()
    return act


def ended(link, way, then, times):
    """In the middle of whatever comes next, again and again."""
    def act(lane, case):
        for _ in range(times):
            lane.reach(case.rng.uniform(0.05, 0.7))
            once(lane, link, way, then=then, keep=case.rng.choice((0, 1, 5, 20, 100, 1000, 10000)))
    return act


def once(lane, link, way, **rule):
    rule = lane.proxies[link].set(way, **rule)
    # a reader that was cut off again and again asks again only after up to 30 s
    wait_until(lambda: not rule.times, 60, f"the proxy has harmed {link}")


def at(link, way, times, **rule):
    """Each time these bytes come by."""
    def act(lane, case):
        lane.reach(case.rng.uniform(0.05, 0.3))
        for _ in range(times):
            once(lane, link, way, **rule)
    return act


def reset(link, times):
    def act(lane, case):
        for _ in range(times):
            lane.reach(case.rng.uniform(0.05, 0.9))
            lane.proxies[link].reset()
            time.sleep(0.1)
    return act


def abandoned(link):
    """As after a power cut at the other side: nobody is told."""
    def act(lane, case):
        lane.reach(case.rng.uniform(0.05, 0.7))
        if not lane.proxies[link].pairs:
            raise Trouble("no connection to abandon")
        lane.proxies[link].abandon()
    return act


def record_changed(lane, case):
    """Its CID tells: a dead letter each; what the relay really has comes with reading it again."""
    at("relay", DOWN, 2, change=(b"e\\$type", b"e$tyqe"))(lane, case)
    read_again(lane, case, 0)
    refused = [d for d in lane.dead_letters() if d[2] == "refused" and d not in case.history.dead_letters]
    if len(refused) != 2:
        raise Trouble(f"dead letters of two changed records: {refused}")
    case.expected = dataclasses.replace(case.history, dead_letters=sorted(case.history.dead_letters + refused))


def of_link(history, link, row, long):
    def case(name, act, **more):
        return Case(row, f"{link}: {name}", history, act=act, between=(link,), **{"rate": 250, **more})

    yield case("200 ms later", for_a_while(link, 3, delay_s=0.2))
    yield case("1 byte a second for 3 s", for_a_while(link, 3, rate=1))
    yield case("every connection reset, 5 times", reset(link, 5))
    for way, name in WAYS.items():
        yield case(f"cut in the middle of {name}, 4 times", ended(link, way, CUT, 4))
        yield case(f"half-closed in the middle of {name}, 3 times", ended(link, way, HALF, 3))
    if long:
        yield case("20 ms later all the time", for_a_while(link, None, delay_s=0.02), within=120)
        yield case("60 kB a second all the time", for_a_while(link, None, rate=60000), within=120)


def cases(history, long):
    def case(row, link, name, act, **more):
        return Case(row, f"{link}: {name}", history, act=act, between=(link,), **{"rate": 250, **more})

    found = [
        case("54", "postgres", "COMMIT cut off on its way", at("postgres", UP, 3, then=CUT, at=b"COMMIT")),
        case("54", "postgres", "COMMIT cut in the middle", at("postgres", UP, 3, then=CUT, at=b"COMMIT", keep=3)),
        case("54", "postgres", "COMMIT arrives, its answer does not",
             at("postgres", DOWN, 3, then=CUT, at=b"COMMIT\0")),
        case("54", "postgres", "reset behind the answer to COMMIT",
             at("postgres", DOWN, 3, then=CUT, at=b"COMMIT\0", keep=7)),
        case("54", "postgres", "half-closed before COMMIT", at("postgres", UP, 2, then=HALF, at=b"COMMIT")),
        case("57", "relay", "silent connection", abandoned("relay")),
        case("57", "relay", "two records changed on their way", record_changed),
        case("57", "relay", "a frame's opcode changed",
             at("relay", DOWN, 2, change=(b"\x82\x7e(..\xa2at)", b"\x83\x7e\\1"))),
    ]
    for link, row in LINKS.items():
        if long or link != "redis by path":
            found += of_link(history, link, row, long)
    if long:
        found += [
            case("42", "redis", "silent connections", abandoned("redis"), within=150),
            case("49", "postgres", "silent connections", abandoned("postgres"), within=400),
        ]
    return found


SKIPPED = {
    "49b": "bytes changed between standpipe and PostgreSQL: its protocol has no checksum; TCP has one, and TLS a better",
    "42b": "bytes changed between standpipe and Redis: an entry's checksum tells, and it is a dead letter (rows 46, 62)",
}
