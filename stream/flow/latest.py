"""The last predictions and alerts, for somebody who looks: two short lists, filled per batch.

Rules of the room: bounded, whoever looks and however often; a batch costs a look at the clock, and
one every EVERY_MS a few microseconds. Each list is replaced as a whole, so any thread may read it.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from stream.core.layout import NEVER_MS, TOPICS, AlertState, Level, Outcome, Resolve
from stream.core.results import Settled
from stream.flow.flights import Flight

KEPT: Final = 12  # of each
ITEMS: Final = 3  # of a prediction
EVERY_MS: Final = 250  # between two predictions that are kept


class Prediction(NamedTuple):
    """One prediction. Probabilities -1: none."""

    topic: str
    partition: int
    offset: int
    at_ms: int  # wall clock
    as_of_ms: int  # the user's event time
    late: bool
    purchase: float
    churn: float
    next_event: tuple[float, ...]  # by event type
    user: bytes
    items: tuple[bytes, ...]  # ids as JSON, best first


class Alert(NamedTuple):
    """One transition of a user's alert."""

    at_ms: int  # wall clock
    event_ms: int | None  # event time
    partition: int
    state: str
    level: str
    reason: str
    churn: float
    silence_ms: int
    user: bytes


class Latest:
    """Written by the worker's thread."""

    def __init__(self) -> None:
        self.predictions: tuple[Prediction, ...] = ()  # newest first
        self.alerts: tuple[Alert, ...] = ()
        self._taken_ms = 0

    def take(
        self, flight: Flight, settled: Settled, item_json: Sequence[bytes], now_ms: int
    ) -> None:
        """Keep the last prediction of a batch, and its last alerts."""
        if len(settled.alerts):
            self._take_alerts(flight.partition.number, settled, now_ms)
        if abs(now_ms - self._taken_ms) < EVERY_MS:
            return
        predicted = np.flatnonzero(settled.rows["outcome"] == Outcome.PREDICTED)
        if not len(predicted):
            return
        self._taken_ms = now_ms
        row = settled.rows[predicted[-1]]
        scored, scores = int(row["scored"]), settled.scores
        prediction = Prediction(
            topic=TOPICS[row["topic"]],
            partition=flight.partition.number,
            offset=int(row["offset"]),
            at_ms=now_ms,
            as_of_ms=int(row["as_of_ms"]),
            late=bool(row["late"]),
            purchase=float(scores.purchase[scored]),
            churn=float(settled.churn[scored]),
            next_event=tuple(scores.next_event[scored].tolist()),
            user=flight.taken.batch.users[row["user"]],
            items=tuple(item_json[i] for i in scores.items[scored, :ITEMS].tolist() if i > 0),
        )
        self.predictions = (prediction, *self.predictions[: KEPT - 1])

    def _take_alerts(self, partition: int, settled: Settled, now_ms: int) -> None:
        new = [
            Alert(
                at_ms=now_ms,
                event_ms=int(alert["at_ms"]) if alert["at_ms"] > NEVER_MS else None,
                partition=partition,
                state=AlertState(alert["state"]).name.lower(),
                level=Level(alert["level"]).name.lower(),
                reason=Resolve(alert["reason"]).name.lower(),
                churn=float(alert["churn"]),
                silence_ms=int(alert["silence_ms"]),
                user=settled.alert_keys[alert["key"]],
            )
            for alert in settled.alerts[-KEPT:]
        ]
        self.alerts = (*reversed(new), *self.alerts)[:KEPT]
