"""The real engine driven over a stream, and everything it gave back, compared with the oracle's.

An engine's answers are turned into the oracle's own records, so that a difference prints as one.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from stream.core.config import EngineConfig
from stream.core.engine import Engine
from stream.core.features import HEAD_FEATURES
from stream.core.layout import (
    COUNTER_BUCKETS,
    COUNTER_BUCKETS_MS,
    EVENT_TYPES,
    NEVER_MS,
    USER,
    Outcome,
    Records,
)
from stream.core.plan import Plan, Scorer, Scores
from stream.core.results import ALERT, ROW, Batch, Settled
from stream.wire.state import (
    FORGOTTEN_PREFIX,
    Header,
    changelog,
    clock_of,
    decode_row,
    restore,
)
from tests.oracle.batches import batch_of
from tests.oracle.digest import window_digest
from tests.oracle.engine import OracleEngine, ScoreWindow
from tests.oracle.int_scorer import IntScorer, score_window
from tests.oracle.records import Alert, Answer, Event, Row, User

PARTITION = 3
ROWS_MAX = 256
CHURN_TOLERANCE = 2e-6  # float32 of a float64
HEAD_NAMES = tuple(name for name, *_ in HEAD_FEATURES)


class EngineRun:
    """One engine with its pool, and all that it said, as plain rows and alerts."""

    def __init__(self, config: EngineConfig, scorer: Scorer | None = None) -> None:
        self.config = config
        self.engine = Engine(config, PARTITION, rows_max=ROWS_MAX)
        self.scorer = scorer or IntScorer()
        self.scorer.open(PARTITION, config.hidden_users_max)
        self.rows: list[dict[str, Any]] = []
        self.alerts: list[dict[str, Any]] = []
        self.heads: list[dict[str, float]] = []  # of predicted rows
        self.log: list[tuple[bytes, bytes | None]] = []  # all changelog records
        self.offset_next: dict[str, int] = {}

    def feed(self, events: Sequence[Event], cuts: Iterable[int] = ()) -> "EngineRun":
        """Apply events in batches that begin at the cuts."""
        edges = [0, *sorted(cuts), len(events)]
        for first, last in pairwise(edges):
            for start in range(first, last, ROWS_MAX):
                self._feed_batch(batch_of(events[start : min(last, start + ROWS_MAX)]))
        return self

    def _feed_batch(self, batch: Batch) -> None:
        heads: list[Plan] = []

        def score(plan: Plan) -> Scores:
            heads.append(plan)
            return self.scorer.score(PARTITION, plan)

        for settled in self.engine.run(batch, score):
            self._take(settled, batch)
        for plan in heads:
            self.heads += [dict(zip(HEAD_NAMES, row, strict=True)) for row in plan.head.tolist()]

    def _take(self, settled: Settled, batch: Batch) -> None:
        scored = 0
        for row in settled.rows:
            plain = {name: row[name].item() for name in ROW.names or ()}
            plain["user"] = batch.users[plain["user"]] if plain["user"] >= 0 else None
            index = plain.pop("scored")
            plain["answer"] = plain["churn"] = None
            if index >= 0:
                assert index == scored, f"scored {index} after {scored}"
                scored += 1
                plain["answer"] = answer_of(settled.scores, index)
                plain["churn"] = float(settled.churn[index])
            self.rows.append(plain)
        assert scored == len(settled.churn) == len(settled.scores.purchase)
        for alert in settled.alerts:
            plain = {name: alert[name].item() for name in ALERT.names or ()}
            plain["user"] = settled.alert_keys[plain.pop("key")]
            self.alerts.append(plain)

    def commit(self) -> list[tuple[bytes, bytes | None]]:
        """Take the changelog records since the last commit."""
        records = changelog(self.engine, 4, dict(self.offset_next), {}).records()
        self.log += records
        return records

    def compacted(self) -> dict[bytes, bytes]:
        """Return the last value of each key, tombstones left out."""
        last = dict(self.log)
        return {key: value for key, value in last.items() if value is not None}

    def reborn(self) -> "EngineRun":
        """Return a run that goes on from the changelog written so far, with an empty pool."""
        run = EngineRun(self.config)
        header = take_records(run.engine, self.log)
        assert header is not None
        run.engine.finish_restore(clock_of(header))
        run.log = list(self.log)
        return run


def take_records(engine: Engine, records: Iterable[tuple[bytes, bytes | None]]) -> Header | None:
    """Restore from records that are pairs."""
    pairs = list(records)
    return restore(engine, [key for key, _ in pairs], [value for _, value in pairs])


def answer_of(scores: Scores, index: int) -> Answer:
    """Return the scores of one row."""
    return Answer(
        next_event=tuple(scores.next_event[index].tolist()),
        purchase=float(scores.purchase[index]),
        hazard=tuple(scores.hazard[index].tolist()),
        items=tuple(scores.items[index].tolist()),
        item_scores=tuple(scores.item_scores[index].tolist()),
    )


def row_as_engine(row: Row) -> dict[str, Any]:
    """Say the oracle's row in the engine's fields."""
    predicted = row.outcome == Outcome.PREDICTED
    return {
        "partition_seq": row.partition_seq,
        "offset": row.offset,
        "event_time_ms": row.event_time_ms,
        "as_of_ms": row.as_of_ms,
        "user_seq": row.user_seq,
        "user_epoch": row.user_epoch,
        "window_digest": window_digest(row.window) if predicted else 0,
        "source_first": row.source_first,
        "supersedes": row.supersedes,
        "revision": row.revision,
        "user": row.user,
        "window_len": len(row.window),
        "topic": row.topic,
        "outcome": int(row.outcome),
        "reason": int(row.reason),
        "late": int(row.late),
        "churn_known": int(row.churn is not None),
        "answer": row.answer,
        "churn": (-1.0 if row.churn is None else row.churn) if predicted else None,
    }


def alert_as_engine(alert: Alert) -> dict[str, Any]:
    """Say the oracle's alert in the engine's fields."""
    return dict(vars(alert))


class OracleRun:
    """The same for the oracle."""

    def __init__(self, config: EngineConfig, score: ScoreWindow = score_window) -> None:
        self.oracle = OracleEngine(config, PARTITION, score)
        self.rows: list[Row] = []
        self.alerts: list[Alert] = []

    def feed(self, events: Iterable[Event]) -> "OracleRun":
        """Apply events one by one."""
        for event in events:
            for effect in self.oracle.apply(event):
                if isinstance(effect, Row):
                    self.rows.append(effect)
                elif isinstance(effect, Alert):
                    self.alerts.append(effect)
        return self


def assert_equal_runs(engine: EngineRun, oracle: OracleRun) -> None:
    """Compare rows, head features and alerts, field by field."""
    assert len(engine.rows) == len(oracle.rows)
    predicted = iter(engine.heads)
    for ours, theirs in zip(engine.rows, oracle.rows, strict=True):
        assert_same(ours, row_as_engine(theirs), f"row {theirs.partition_seq}")
        if theirs.outcome == Outcome.PREDICTED:
            assert_same_head(next(predicted), theirs)
    pairs = zip(engine.alerts, oracle.alerts, strict=False)
    for index, (alert, twin) in enumerate(pairs):
        assert_same(alert, alert_as_engine(twin), f"alert {index}")
    assert len(engine.alerts) == len(oracle.alerts), (
        f"{len(engine.alerts)} alerts, the oracle has {len(oracle.alerts)}"
    )


def assert_same(ours: dict[str, Any], theirs: dict[str, Any], what: str) -> None:
    """Compare two records of plain values; churn is a float32 on the engine's side."""
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        if name == "churn" and isinstance(value, float):
            equal = abs(ours[name] - value) <= CHURN_TOLERANCE
        else:
            equal = ours[name] == value
        assert equal, f"{what}, {name}: the engine says {ours[name]}, the oracle {value}"


def assert_same_head(head: dict[str, float], row: Row) -> None:
    """Compare head features; float32 on the engine's side."""
    assert head.keys() == row.head.keys()
    for name, value in row.head.items():
        assert abs(head[name] - value) <= 1e-6 * max(1.0, abs(value)), (
            f"row {row.partition_seq}, {name}: the engine says {head[name]}, the oracle {value}"
        )


def assert_equal_state(engine: EngineRun, oracle: OracleEngine) -> None:
    """Compare every user of the compacted changelog with the oracle's, field by field."""
    held = {key: value for key, value in engine.compacted().items() if key[:1] != b"\x00"}
    assert held.keys() == oracle.users.keys()
    for key, value in held.items():
        user, steps = decode_row(value)
        assert_same(user_of_row(user, steps), user_as_engine(oracle.users[key]), str(key))
    forgotten = {
        key[len(FORGOTTEN_PREFIX) :]: int.from_bytes(value, "little", signed=True)
        for key, value in engine.compacted().items()
        if key.startswith(FORGOTTEN_PREFIX)
    }
    assert forgotten == {oracle.name_of(key): ms for key, ms in oracle.forgotten.items()}
    clock = engine.engine.state.clock[0]
    watermark_ms = oracle.clock.watermark_ms
    assert clock["seq"] == oracle.partition_seq
    assert clock["watermark_ms"] == (NEVER_MS if watermark_ms is None else watermark_ms)
    assert clock["shop_ms"] == oracle.clock.shop_ms
    count = int(clock["witness_count"])
    witnesses = zip(clock["witness_epoch"][:count], clock["witness_ms"][:count], strict=True)
    assert dict(witnesses) == oracle.clock.witnesses
    assert engine.engine.users_count == len(oracle.users)


def user_of_row(user: Records, steps: Records) -> dict[str, Any]:
    """Say a changelog row in plain values, counters as dicts of the sub-buckets held."""
    plain = {name: user[name].tolist() for name in USER.names or ()}
    del plain["ring_head"], plain["ring_len"]
    newest = plain.pop("counter_bucket")
    cells = plain.pop("counters")
    plain["counts"] = {}
    at = 0
    for kind in range(len(EVENT_TYPES)):
        for window, buckets in enumerate(COUNTER_BUCKETS):
            held = range(newest[window] - buckets + 1, newest[window] + 1)
            counts = {index: cells[at + index % buckets] for index in held}
            plain["counts"][kind, window] = {k: count for k, count in counts.items() if count}
            at += buckets
    plain["newest"] = newest
    plain["ring"] = [
        (*row[:6], step["tokens"].tolist(), *row[7:])
        for step, row in zip(steps, steps.tolist(), strict=True)
    ]
    return plain


def user_as_engine(user: User) -> dict[str, Any]:
    """Say the oracle's user in the same plain values."""
    plain = dict(vars(user))
    del plain["key"]
    answer = plain.pop("answer")
    plain["next_event"] = list(answer.next_event)
    plain["purchase"] = answer.purchase
    plain["hazard"] = list(answer.hazard)
    plain["churn"] = -1.0 if user.churn is None else user.churn
    plain["newest"] = [user.time_last_ms // bucket_ms for bucket_ms in COUNTER_BUCKETS_MS]
    plain["ring"] = [(*step[:6], list(step.tokens), *step[7:]) for step in user.ring]
    return plain
