"""What must have come out: the recorded order of a partition, played without any fault.

Once through the real engine in one piece, for every seed; for a share of them through the oracle
too, a row at a time.
"""

import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from stream.audit.run import Names
from stream.core.config import EngineConfig
from stream.core.engine import Engine
from stream.core.layout import NEVER_MS, TOPICS, Outcome, Reason, Records
from stream.core.plan import Scores
from stream.core.results import ROW, Batch, Settled
from stream.served.order import Order, read_order
from stream.wire.decode import Decoded, Decoder
from stream.wire.outputs import encode_alerts
from stream.wire.predictions import PredictionEncoder
from stream.wire.state import HEADER_KEY, changelog, clock_of, decode_header
from stream.wire.topics import ALERTS, DEAD_LETTERS, PREDICTIONS, RECEIPTS, STATE
from tests.oracle.batches import events_of
from tests.oracle.int_scorer import IntScorer
from tests.oracle.records import Event
from tests.oracle.runs import (
    EngineRun,
    OracleRun,
    assert_equal_runs,
    assert_equal_state,
    take_records,
)
from tests.sim.broker import Broker
from tests.sim.process import ITEM_JSON, columns
from tests.sim.reader import FakeReader
from tests.sim.tenure import Tenure, merge_problems

NAMES = Names(TOPICS, RECEIPTS, PREDICTIONS, DEAD_LETTERS)
# What depends on when and by which model a thing was said, not on what is said.
_VARIES = re.compile(rb'"emitted_at":\d+|"model_version":"m-\d"')


class Reference:
    """One partition number: its rows in the recorded order, and what they must give."""

    def __init__(
        self, broker: Broker, reader: FakeReader, config: EngineConfig, number: int, partitions: int
    ) -> None:
        self._broker = broker
        self._config = config
        self._number = number
        self._partitions = partitions
        self._order: Order = read_order(reader, NAMES, number)
        self._topics: list[list[Event]] = []  # as they are merged, in offset order
        self._batch = self._rows_of(self._order)
        self._state = dict(_pairs(broker, STATE, number))

    def problems(self, *, repeats: bool) -> list[str]:
        """Compare what the run left with the real engine's own run over the same order."""
        engine = Engine(self._config, self._number, max(1, len(self._batch.events)))
        scorer = IntScorer()
        scorer.open(self._number, self._config.hidden_users_max)
        parts = engine.run(self._batch, lambda plan: scorer.score(self._number, plan))
        rows = np.concatenate([part.rows for part in parts]) if parts else np.zeros(0, ROW)
        found = self._compare_outcomes(rows)
        found += self._compare_state(engine)
        found += self._compare(PREDICTIONS, self._predictions(parts), repeats=repeats)
        found += self._compare(ALERTS, self._alerts(parts), repeats=repeats)
        return found

    def merge_problems(self, tenures: Mapping[int, Tenure]) -> list[str]:
        """Say where the recorded order is no legal merge of what the worker had."""
        rows = self._order.rows
        names = list(zip(rows["topic"].tolist(), rows["offset"].tolist(), strict=True))
        found = merge_problems(names, self._topics, tenures)
        return [f"partition {self._number}: {problem}" for problem in found]

    def oracle_problems(self) -> list[str]:
        """Compare the run's state, and the engine's rows, with the oracle's."""
        events = events_of(self._batch)
        oracle = OracleRun(self._config).feed(events)
        state = {key: value for key, value in self._state.items() if value is not None}
        engine = Engine(self._config, self._number)
        try:
            header = take_records(engine, self._state.items())
            assert_equal_runs(EngineRun(self._config).feed(events), oracle)
            if header is not None:
                engine.finish_restore(clock_of(header))
                left: Any = SimpleNamespace(engine=engine, compacted=lambda: state)
                assert_equal_state(left, oracle.oracle)
        except (AssertionError, ValueError) as error:  # not equal; not even a state
            return [f"partition {self._number}, oracle: {error}"]
        return []

    def _rows_of(self, order: Order) -> Batch:
        """Decode the inputs and lay their rows out in the recorded order."""
        decoder = Decoder(self._partitions)
        decoded = [self._decode(decoder, topic) for topic in range(len(TOPICS))]
        self._topics = [self._merged_as(part) for part in decoded]
        places = np.empty(len(order.rows), np.int64)
        first = steps_first = 0
        names: dict[bytes, int] = {}
        for topic, part in enumerate(decoded):
            mine = order.rows["topic"] == topic
            offsets = order.rows["offset"][mine]
            places[mine] = first + np.searchsorted(part.events["offset"], offsets)
            numbers = [names.setdefault(user, len(names)) for user in part.users]
            part.events["user"] = np.array([*numbers, -1], np.int32)[part.events["user"]]
            part.events["step_first"] += steps_first
            first += len(part.events)
            steps_first += len(part.steps)
        events = np.concatenate([part.events for part in decoded])[places]
        for row in self._set_aside(order):
            events[row]["reason"], events[row]["time_ms"] = Reason.HANDLER_ERROR, NEVER_MS
        return Batch(events, np.concatenate([part.steps for part in decoded]), list(names))

    def _decode(self, decoder: Decoder, topic: int) -> Decoded:
        log = self._broker.logs[TOPICS[topic], self._number]
        entries, end = log.read(0, 1 << 60)
        return decoder.decode(topic, self._number, 0, end, columns(entries))

    def _merged_as(self, part: Decoded) -> list[Event]:
        """Lay out what the merge looks at; a row from the future counts as one without a time."""
        events = part.events
        ahead = events["time_ms"] - events["timestamp_ms"] > self._config.future_ms_max
        times = np.where(ahead, NEVER_MS, events["time_ms"]).tolist()
        return [
            Event(None, part.topic, offset, time_ms, 0)
            for offset, time_ms in zip(events["offset"].tolist(), times, strict=True)
        ]

    def _set_aside(self, order: Order) -> list[int]:
        """Find the rows that the quarantine made dead letters of."""
        log = self._broker.logs[DEAD_LETTERS, self._number]
        aside = set()
        for entry in log.read(0, 1 << 60)[0]:
            headers = dict(entry.headers)
            if headers["reason"] == b"handler_error":
                aside.add((headers["topic"].decode(), int(headers["offset"])))
        dead = np.flatnonzero(order.rows["outcome"] == Outcome.DEAD_LETTERED)
        return [
            int(row)
            for row in dead
            if (TOPICS[order.rows["topic"][row]], int(order.rows["offset"][row])) in aside
        ]

    def _compare_outcomes(self, rows: Records) -> list[str]:
        """Compare outcomes; what was coalesced must have a later prediction of the same user."""
        told = self._order.rows["outcome"]
        coalesced = told == Outcome.COALESCED
        if not np.array_equal(rows["outcome"], np.where(coalesced, Outcome.PREDICTED, told)):
            return [f"partition {self._number}: outcomes differ from the reference"]
        last: dict[tuple[int, int], int] = {}
        users = zip(rows["user"].tolist(), rows["user_epoch"].tolist(), strict=True)
        for at, (whose, outcome) in enumerate(zip(users, told.tolist(), strict=True)):
            if outcome in {Outcome.PREDICTED, Outcome.COALESCED}:
                last[whose] = at
        lost = np.flatnonzero(coalesced[list(last.values())])
        return [f"partition {self._number}: a user's last row was coalesced"] if len(lost) else []

    def _compare_state(self, engine: Engine) -> list[str]:
        state = dict(self._state)
        ours = state.pop(HEADER_KEY, None)
        if ours is None:
            return [] if not len(self._batch.events) else ["no header"]
        header = decode_header(ours)
        records = dict(
            changelog(engine, self._partitions, header.offset_next, header.outcomes).records()
        )
        theirs = records.pop(HEADER_KEY)
        found = []
        if theirs != ours:
            found.append(f"partition {self._number}: header {ours!r}, the reference's {theirs!r}")
        counts = np.bincount(self._order.rows["outcome"], minlength=len(Outcome)).tolist()
        told = [header.outcomes.get(outcome.name.lower(), 0) for outcome in Outcome]
        if counts != told:
            found.append(f"partition {self._number}: header counts {told}, receipts {counts}")
        state = {key: value for key, value in state.items() if value is not None}
        wanted = {key: value for key, value in records.items() if value is not None}
        return found + [
            f"partition {self._number}: state of {key!r} differs"
            for key in sorted(state.keys() | wanted.keys())
            if state.get(key) != wanted.get(key)
        ]

    def _predictions(self, parts: list[Settled]) -> list[bytes]:
        if not parts:
            return []
        encoder = PredictionEncoder(list(TOPICS), ITEM_JSON, "m-1", "cpu", ("P7D", "P7D"))
        rows = np.concatenate([part.rows for part in parts])
        rows["scored"] += np.repeat(
            np.cumsum([0, *(len(part.churn) for part in parts[:-1])]),
            [len(part.rows) for part in parts],
        )
        columns = zip(*(part.scores[:5] for part in parts), strict=True)
        scores = Scores(*(np.concatenate(column) for column in columns))
        churn = np.concatenate([part.churn for part in parts])
        predicted = rows[self._order.rows["outcome"] == Outcome.PREDICTED]
        return encoder.encode(self._number, predicted, self._batch.users, scores, churn, 0)

    def _alerts(self, parts: list[Settled]) -> list[bytes]:
        return [
            message.value
            for part in parts
            for message in encode_alerts(part.alerts, part.alert_keys, "m-1", "P7D")
        ]

    def _compare(self, topic: str, wanted: list[bytes], *, repeats: bool) -> list[str]:
        found = _comparable(
            [value or b"" for _, value in _pairs(self._broker, topic, self._number)]
        )
        wanted = _comparable(wanted)
        if repeats:  # a try that did not commit has been published too
            missing = len(set(wanted) - set(found))
            return [f"{topic}[{self._number}]: {missing} are missing"] if missing else []
        if found == wanted:
            return []
        at = next((k for k, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), -1)
        words = f"{len(found)} records, the reference has {len(wanted)}; they differ at {at}"
        return [f"{topic}[{self._number}]: {words}"]


def _comparable(values: list[bytes]) -> list[bytes]:
    """Take out what varies, in one go: a JSON text of one line holds no line's end."""
    return _VARIES.sub(b"", b"\n".join(values)).split(b"\n") if values else []


def _pairs(broker: Broker, topic: str, number: int) -> list[tuple[bytes, bytes | None]]:
    entries, _ = broker.logs[topic, number].read(0, 1 << 60)
    return [(entry.key or b"", entry.value) for entry in entries]
