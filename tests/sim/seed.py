"""One seed: draw world, events and faults; run; check. The same seed gives the same bytes."""

import hashlib
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import msgspec

from stream.audit.run import audit
from stream.flow.limits import FlowLimits
from stream.wire.topics import ALERTS
from tests.sim.broker import Transactions
from tests.sim.clock import SimClock
from tests.sim.events import draw_events
from tests.sim.faults import Plan, Table, draw_plan
from tests.sim.ledger import Ledger
from tests.sim.process import Process, Setup
from tests.sim.reader import FakeReader
from tests.sim.reference import NAMES, Reference
from tests.sim.shape import Shape
from tests.sim.step_loop import StepLoop
from tests.sim.tenure import Tenure
from tests.sim.world import StuckRunError, World
from tests.strategies.streams import CONFIGS

PARTITIONS = 2
EVENTS_MIN = 100  # of a partition number
AUDIT_EVERY = 3  # one seed in so many is audited as an operator would
ORACLE_EVERY = 10  # one is played to the oracle too
# Ways to end that a fault explains. Everything else is a fault of ours.
EXPECTED = {
    16: {"pause", "fence", "rebalance", "time_out", "restart"},  # fenced
    17: {"lost_sends", "time_out", "pause", "restart"},  # aborted
    18: {"restart", "slow_scorer", "time_out", "pause"},  # late
    19: {"lost_sends", "restart"},  # outputs not delivered
    20: {"stuck_scorer"},
    23: {"broken_scorer"},
}
CATCH_UP_SHARE = 0.4  # of runs that coalesce rows written before a moment
_loop = StepLoop()


@dataclass(slots=True)
class Result:
    """What became of a seed."""

    seed: int
    problems: list[str]
    met: Table
    ended: Counter[int] = field(default_factory=Counter)
    events: int = 0
    commits: int = 0
    digest: str = ""
    milliseconds: float = 0.0  # of processor time


def play(
    seed: int, spoil: Callable[[Process], None] | None = None, *, digest: bool = False
) -> Result:
    """Run one seed. `spoil` is told of every process: a canary."""
    began = time.process_time()
    logging.disable(logging.CRITICAL)  # stops are what is drawn here
    chance = random.Random(seed)
    shape = draw_shape(chance)
    plan = draw_plan(chance, confirms=shape.setup.direct)
    world = World(chance, shape, plan, _loop)
    world.spoil = spoil or world.spoil
    ledger = Ledger(world.broker, shape.setup.direct)
    ledger.tenure_of = lambda known, number: _tenure_of(world, known, number)
    world.broker.on_decided = ledger.decided
    problems: list[str] = []
    try:
        world.run()
    except StuckRunError as error:
        problems.append(str(error))
    problems += ledger.problems
    problems += _unexpected(world, plan)
    if not problems:
        problems += check(
            world, ledger, audits=not seed % AUDIT_EVERY, oracle=not seed % ORACLE_EVERY
        )
    logging.disable(logging.NOTSET)
    return Result(
        seed,
        problems,
        plan.met,
        Counter(world.ended.codes),
        sum(len(events) for events in shape.events),
        ledger.commits,
        digest_of(world) if digest else "",
        (time.process_time() - began) * 1000,
    )


def draw_shape(chance: random.Random) -> Shape:
    """Draw everything but the faults."""
    config = chance.choice(CONFIGS)
    # Sweeps end batches: with buckets as they are a row or two would be left in each.
    config = replace(
        config,
        bucket_ms=config.bucket_ms * chance.choice((3, 40, 40, 40)),
        users_max=chance.choice((config.users_max, 12)),
    )
    aside = random.Random(chance.getstate()[1][0])  # old seeds keep all their other draws
    limits = FlowLimits(
        at_once_rows_max=aside.choice((0, 0, 6)),
        batch_events_max=chance.choice((7, 64, 64, 64)),
        topic_bytes_max=chance.choice((2_000, 1 << 20)),
        merge_wait_ms=chance.choice((0, 5)),
        merge_hold_ms=chance.choice((0, 50, 500)),
        future_ms_max=config.future_ms_max,
        commit_interval_s=chance.choice((0.05, 0.3, 0.6)),
        commit_events_max=chance.choice((70, 1000)),
        commit_bytes_max=chance.choice((30_000, 1 << 20)),
        batch_deadline_s=4.0,
        dead_letters_per_minute_max=chance.choice((5, 10_000)),
        catch_up_ms=0,
        hidden_users_max=config.hidden_users_max,
        model_warm_ms=10.0,
        model_warm_share=0.9,
        model_warm_s_max=chance.choice((0.5, 60.0)),
        model_shadow_share=1.0,
    )
    setup = Setup(
        config, limits, PARTITIONS, chance.random() < 0.25,
        transaction_timeout_s=10.0, commit_deadline_s=8.0, session_timeout_s=15.0,
    )  # fmt: skip
    events = [
        draw_events(
            chance.randrange(1 << 30), config, number, PARTITIONS, EVENTS_MIN + chance.randrange(5)
        )
        for number in range(PARTITIONS)
    ]
    if aside.random() < CATCH_UP_SHARE:  # what is written from some event on counts as in time
        start = aside.choice([event for part in events for event in part])
        age_ms = SimClock().now_ms() - start.timestamp_ms
        setup = replace(setup, limits=replace(limits, catch_up_ms=max(1, age_ms)))
    return Shape(
        setup,
        events,
        instances=["a", "b"] if chance.random() < 0.8 else ["a", "b", "c"],
        standby=chance.random() < 0.3,
        late_markers=chance.choice((0.0, 0.2, 0.8)),
        compact=chance.choice((0.0, 0.1)),
        meanwhile=chance.choice((0.0, 0.03, 0.1)),
        swap_at=chance.choice((0.2, 0.6, 2.0, 2.0)),
        sender_aborts=chance.choice((0.0, 0.2)),
    )


def check(world: World, ledger: Ledger, *, audits: bool, oracle: bool) -> list[str]:
    """Check what is there at the end."""
    setup = world.shape.setup
    reader = FakeReader(world.broker)
    problems: list[str] = []
    if audits:
        report = audit(reader, NAMES, repeats=setup.direct)
        problems += report.problems.shown
        if report.total("in_flight"):
            problems.append(f"{report.total('in_flight')} events are in flight")
    if problems:
        return problems
    for number in range(setup.partitions):
        reference = Reference(world.broker, reader, setup.config, number, setup.partitions)
        problems += reference.merge_problems(ledger.tenures[number])
        problems += reference.problems(repeats=setup.direct)
        if oracle:
            problems += reference.oracle_problems()
        if not setup.direct:
            problems += _alerts_twice(world, number)
    return problems


def _tenure_of(world: World, known: Transactions, number: int) -> Tenure | None:
    for member in (*world.members.values(), *world.zombies):
        if member is not None and member.process.producer.is_owner(known.id, known.epoch):
            return member.tenures.get(number)
    return None


def digest_of(world: World) -> str:
    """Hash every byte of every log."""
    digest = hashlib.sha256()
    for place, log in world.broker.logs.items():
        digest.update(repr((place, log.end)).encode())
        for entry in log.entries:
            digest.update(repr((entry.offset, entry.state, entry.key, entry.value)).encode())
    digest.update(repr(sorted(world.broker.group.committed.items())).encode())
    return digest.hexdigest()


def _alerts_twice(world: World, number: int) -> list[str]:
    """One alert per silence: each of its transitions is told once.

    A user that was evicted is not remembered: the same silence of another epoch is another one.
    """
    entries, _ = world.broker.logs[ALERTS, number].read(0, 1 << 60)
    seen: Counter[tuple[str, int, str]] = Counter()
    for entry in entries:
        alert = msgspec.json.decode(entry.value or b"")
        seen[alert["alert_id"], alert["user_epoch"], alert["state"]] += 1
    return [f"alert {key} told {count} times" for key, count in seen.items() if count > 1]


def _unexpected(world: World, plan: Plan) -> list[str]:
    kinds = {kind for kind, _ in plan.met}
    return [
        f"a process ended with code {code}: {cause}"
        for code, cause in zip(world.ended.codes, world.ended.causes, strict=True)
        if not EXPECTED.get(code, set()) & kinds
    ]
