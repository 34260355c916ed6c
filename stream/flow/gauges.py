"""What the metrics hear of settled rows, and of state and decoding, as differences."""

import time
from collections.abc import Sequence
from typing import Final, get_args

import numpy as np

from stream.core.engine import Engine
from stream.core.layout import Records
from stream.core.results import Settled
from stream.flow.buffer import TopicBuffer
from stream.flow.flights import Flight
from stream.flow.observe import Eviction, Observer

STATE_EVERY_S: Final = 5.0  # counting alerts looks at every user


class Gauges:
    """Remembers what was told. Used by the worker's thread."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._told_at: dict[int, float] = {}
        self._dropped: dict[tuple[int, str], int] = {}
        self._decoded_s: dict[tuple[str, int], float] = {}
        self._holds: dict[tuple[int, int], int] = {}

    def tell(self, engine: Engine) -> None:
        """Tell an engine's size and drops, now and then."""
        now = time.monotonic()
        number = engine.partition
        if now - self._told_at.get(number, -STATE_EVERY_S) < STATE_EVERY_S:
            return
        self._told_at[number] = now
        at_risk, high_risk = engine.open_alerts()
        self._observer.state(number, engine.users_count, engine.bytes_count, at_risk, high_risk)
        for reason in get_args(Eviction):
            count = engine.dropped[reason]
            before = self._dropped.get((number, reason), 0)
            self._dropped[number, reason] = count
            if count > before:
                self._observer.evicted(reason, count - before)

    def tell_settled(
        self, sent: Sequence[tuple[Flight, Settled]], item_json: Sequence[bytes], now_ms: int
    ) -> None:
        """Tell of batches whose outputs were sent, one at least: few rows cost as much as many."""
        settled = [its for _, its in sent]
        self._observer.batch(_joined([its.rows for its in settled]), now_ms)
        self._observer.scores(
            _joined([its.scores.purchase for its in settled]),
            _joined([its.churn for its in settled]),
        )
        for flight, its in sent:
            self._observer.alerts(its.alerts)
            self._observer.published(flight, its, item_json, now_ms)

    def tell_decoding(self, buffers: Sequence[TopicBuffer]) -> None:
        """Tell the seconds that decoding took since the last call."""
        seconds = 0.0
        for buffer in buffers:
            place = (buffer.name, buffer.partition)
            before = self._decoded_s.get(place, 0.0)
            self._decoded_s[place] = buffer.decode_s
            seconds += max(0.0, buffer.decode_s - before)
        self._observer.stage("decode", seconds)

    def tell_holds(self, number: int, holds_over: Sequence[int]) -> None:
        """Tell how often, by topic, a partition's rows went on without one known to be behind."""
        for topic, count in enumerate(holds_over):
            before = self._holds.get((number, topic), 0)
            self._holds[number, topic] = count
            if count != before:  # less: the partition was taken over anew, and counts from 0
                times = count - (before if count > before else 0)
                self._observer.held_over(topic, number, times)


def _joined(parts: list[Records]) -> Records:
    """Join arrays; one alone, of thousands of rows, is not copied: 0.2 ms."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
