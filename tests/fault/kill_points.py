# SPDX-License-Identifier: MIT
"""Rows K1-K27: every failpoint as death, as error and as delay, at its first, second and a later pass; row 33b."""
from case import Case
from servers import wait_until

ACTIONS = ("kill", "error", "delay")
DELAY_MS = 400

# failpoint -> kill point of the durability chain
ROWS = {
    "reader_frame": "K1", "reader_packed": "K2", "append_send": "K3", "append_sent": "K3", "append_reply": "K4",
    "reader_derive": "K4", "worker_read": "K7", "worker_read_sent": "K7", "worker_own": "K7", "worker_claim": "K7",
    "batch_event": "K8", "write_begin": "K9", "tx_commit": "K9", "tx_committing": "K10", "tx_done": "K10",
    "ack_send": "K11", "ack_sent": "K12", "ack_reply": "K12", "tx_begin": "K13",
    "keeper_prepare": "K20", "prepare_sent": "K20", "keeper_epoch": "K20", "keeper_mark": "K15", "keeper_commit": "K16",
    "trim_sent": "K18", "keeper_trimmed": "K17", "keeper_purge": "K17",
    "spawn_fork": "K25", "spawn_forked": "K25", "spawn_exec": "K25", "child_beat": "K25",
}
PLACES = (*ROWS, "malloc")
# Without a connection to cut or a result to refuse an error is nothing.
NO_ERROR = {"batch_event", "child_beat", "spawn_forked"}
# Passed only at the start of a process: something else has to die for a later pass.
STARTS = {"worker_own": "write_begin", "reader_derive": "reader_packed", "spawn_fork": "write_begin",
          "spawn_forked": "write_begin", "spawn_exec": "write_begin"}
# Once a second.
TICKS = {"keeper_prepare", "prepare_sent", "keeper_mark", "keeper_commit", "trim_sent", "keeper_trimmed",
         "keeper_purge"}


# Passed once, at the first start of an installation.
ONCE = {"keeper_epoch"}


def later_pass(place, passes, rng):
    """One that is sure to come: how often a place is passed varies from run to run."""
    if place in TICKS or place in STARTS:
        return 3
    return rng.randint(3, max(4, passes.get(place, 0) // 4))


def failpoint_case(row, place, action, first, history, seed):
    points = [(place, action, first, 1, DELAY_MS)]
    if place in STARTS and first > 1:
        points.append((STARTS[place], "kill", 2, 3, 0))
    return Case(row, f"{place} {action} at pass {first}", history=history, failpoints=points, seed=seed,
                restarts=place == "spawn_fork" and action == "kill")


def malloc_cases(history, rng, n):
    """33b: an allocation fails, in whatever process; half of them while everything starts."""
    total = history.passes["malloc"]
    for i in range(n):
        first = rng.randint(1, total // 20 if i % 2 else total // 2)
        yield Case("33b", f"malloc fails at pass {first}", history, failpoints=[("malloc", "error", first, 1, 0)],
                   restarts=True)


def refuse(lane, case):
    """PostgreSQL refuses every eighth post: a dead letter each."""
    lane.pg.sql("""create function public.refuse() returns trigger language plpgsql as $$ begin
        raise exception 'refused on purpose' using errcode = '22023'; end $$;
        create trigger refuse before insert or update on bsky.posts for each row
        when (hashint8(new.rkey) % 8 = 3) execute function public.refuse()""")


def dead_letter_cases(refused, rng):
    """K14: written, not acknowledged. refused: what a history leads to with those refusals."""
    for action in ("kill", "delay"):
        for first in (1, 2, rng.randint(3, max(3, refused.passes["dead_letter"] // 2))):
            yield Case("K14", f"dead_letter {action} at pass {first}", refused, prepare=refuse, dirty=True,
                       failpoints=[("dead_letter", action, first, 1, DELAY_MS)])


def gap_cases(history):
    """K26: the gap and the first event behind it are one append."""
    def at_the_gap(place, action):
        def act(lane, case):
            wait_until(lambda: int(lane.redis.last_id().split("-")[1]) == history.first_last, 40, "the first part is read")
            lane.failpoints.arm(place, action)
            history.switch(lane)
        return act

    for place in ("reader_packed", "append_send", "append_sent", "append_reply"):
        for action in ("kill", "error"):
            yield Case("K26", f"{place} {action} at a gap", history, act=at_the_gap(place, action), rate=0,
                       failpoints=[(place, "count", 0, 0, 0)])


def cases(histories, rng, rounds):
    """rounds: how many later passes, each with another history; with one, what adds least is left out."""
    all_early, few_early = dict.fromkeys(ACTIONS, (1, 2)), {"kill": (1, 2), "error": (2,), "delay": ()}
    early = all_early if rounds > 1 else few_early
    found = []
    for place, row in ROWS.items():
        for action in ACTIONS:
            if action == "error" and place in NO_ERROR:
                continue
            if place in ONCE:
                found.append(failpoint_case(row, place, action, 1, histories[0], 0))
                continue
            for first in early[action]:
                found.append(failpoint_case(row, place, action, first, histories[0], 0))
            for n in range(rounds):
                history = histories[n % len(histories)]
                first = later_pass(place, history.passes, rng)
                found.append(failpoint_case(row, place, action, first, history, n))
    return found
