"""Faults as data: which kind strikes at which step of a worker, and when. Drawn from the seed.

Steps are where a process may stop, be held, or others may run: between two of them nothing of the
outside world happens. Strikes wait for the n-th time that any worker comes to their step.
"""

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field

# The five steps of a commit (stream/flow/account.py), the last one in its parts, are marked.
STEPS = (
    "idle",  # nothing is under way
    "start",  # the producer has taken its id over
    "restore",  # between two chunks of the changelog
    "assign",  # restored, before the flow hears of it
    "fetch",  # a chunk was handed over
    "decode",  # on the decode thread, before a batch
    "take",  # a batch was merged
    "apply",  # rows are in the state; nothing is scored
    "score",  # on the score thread, before a batch
    "scored",  # after it
    "landed",  # the worker has the scores
    "encode",  # commit 1: state rows, header, receipts
    "publish",  # commit 2: outputs of a batch were produced
    "produce",  # commit 3: some of state rows, receipts, headers were produced
    "confirm",  # commit 4: outputs outside the transaction are written
    "flush",  # commit 5a: all records are written
    "offsets",  # commit 5b: offsets are in the transaction
    "end",  # commit 5c: it is decided; the worker has not heard
    "noted",  # the worker has heard
    "hand_over",  # partitions are asked back
)
SELDOM = frozenset({"start", "restore", "assign", "hand_over", "confirm"})

ANYWHERE = (
    "crash",  # kill -9
    "pause",  # SIGSTOP beyond the session, then SIGCONT
    "fence",  # a second process of the same instance
    "rebalance",
    "restart",  # of the broker
    "time_out",  # the transaction is open for too long
    "clock",  # the wall clock jumps
    "late_markers",  # of the next commit
    "late_sends",  # records wait until the commit
    "lost_sends",  # the next records are never delivered
)
SCORING = ("slow_scorer", "stuck_scorer", "broken_scorer")
FETCHING = ("again", "full")  # a chunk that comes twice; a buffer that is full
KINDS = (*ANYWHERE, *SCORING, *FETCHING)

Table = Counter[tuple[str, str]]  # (fault, step) -> times


@dataclass(slots=True)
class Plan:
    """What strikes when. `on` are the kinds of this run; some are off for all of it."""

    on: frozenset[str]
    strikes: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    met: Table = field(default_factory=Counter)
    _seen: Counter[str] = field(default_factory=Counter)

    def due(self, step: str) -> str | None:
        """Count a step; the fault that strikes there now, if one does."""
        self._seen[step] += 1
        waiting = self.strikes.get(step)
        if not waiting or waiting[0][0] > self._seen[step]:
            return None
        return waiting.pop(0)[1]

    def strike_next(self, step: str, kind: str) -> None:
        """Have a fault strike the next time that a step is reached."""
        if (0, kind) not in self.strikes[step]:
            self.strikes[step].insert(0, (0, kind))

    def note(self, kind: str, step: str) -> None:
        """Count a fault that has met a step."""
        self.met[kind, step] += 1


def draw_plan(chance: random.Random, *, confirms: bool) -> Plan:
    """Draw a crash, a rebalance and two to seven others."""
    on = {kind for kind in KINDS if chance.random() < 0.7} | {"crash", "rebalance"}
    if confirms:  # outputs outside the transaction are not fenced: see docs/simulation.md
        on -= {"pause", "fence"}
    plan = Plan(frozenset(on))
    # A process is never halted below what others do meanwhile, nor in a quarter of the runs.
    anywhere = [kind for kind in (*ANYWHERE, "pause", "fence") if kind in on]
    scoring = [kind for kind in SCORING if kind in on]
    kinds = ["crash", "rebalance", *chance.choices(anywhere, k=chance.randrange(2, 7))]
    if scoring and chance.random() < 0.3:
        kinds.append(chance.choice(scoring))
    # A quarter of the runs confirms: so it is drawn as often as the others.
    steps = [step for step in STEPS if step != "confirm"] + 4 * ["confirm"] * confirms
    for kind in kinds:
        step = "score" if kind in SCORING else chance.choice(steps)
        nth = chance.randrange(1, 3 if step in SELDOM else 8)
        plan.strikes[step].append((nth, kind))
    for waiting in plan.strikes.values():
        waiting.sort()
    return plan
