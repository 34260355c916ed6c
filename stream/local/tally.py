"""What the demo has seen on its topics: counts, the latest of everything, lag, latencies.

Rules of the room: pure, fed record by record (3 us each) by one thread and copied as a View by
another, under one lock. All counts are of committed records. Latency is *produce to readable*: the
wall clock at which our read-committed consumer had a prediction in hand, minus the record timestamp
of the event that caused it, which its producer set. Both clocks are this machine's.
"""

import threading
from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from stream.wire.topics import ALERTS, DEAD_LETTERS, INPUTS, PREDICTIONS, RECEIPTS
from stream.wire.types import ChurnAlert, IntakeReceipt, Prediction

SHOWN_PREDICTIONS: Final = 8
SHOWN_ALERTS: Final = 6
RECENT_S: Final = 10  # what a rate and a latency "now" are taken over
LATENCY_MS_MAX: Final = 60_000  # longer ones count as this
STAMPS_MAX: Final = 2_000_000  # event timestamps kept per partition; older: no latency
EARLY_MAX: Final = 100_000  # beyond it, a prediction read before its event has no latency
TOPICS: Final = (*INPUTS, PREDICTIONS, ALERTS, DEAD_LETTERS, RECEIPTS)


class Record(Protocol):
    """A committed record, as stream.shell.reader gives it."""

    @property
    def topic(self) -> str:
        """Name on the broker."""

    @property
    def partition(self) -> int:
        """Number."""

    @property
    def offset(self) -> int:
        """Place in the partition."""

    @property
    def timestamp_ms(self) -> int:
        """Record timestamp."""

    @property
    def value(self) -> bytes | None:
        """None for a tombstone."""

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        """In order."""


@dataclass(frozen=True, slots=True)
class View:
    """What is shown at one moment."""

    events: int = 0
    predictions: int = 0
    alerts: int = 0  # transitions published
    dead_letters: int = 0
    duplicates: int = 0
    lag: int = 0  # events published and not yet committed
    events_per_second: float = 0.0  # over the last RECENT_S
    predictions_per_second: float = 0.0
    p50_ms: int = 0  # over the last RECENT_S
    p99_ms: int = 0
    total_p50_ms: int = 0  # of the whole run
    total_p99_ms: int = 0
    shop_time_ms: int = 0  # newest as_of; 0: none yet
    reasons: dict[str, int] = field(default_factory=dict)  # dead letters
    open_alerts: int = 0
    last_predictions: tuple[Prediction, ...] = ()  # newest first
    last_alerts: tuple[ChurnAlert, ...] = ()
    provider: str = ""
    model_version: str = ""


class Stamps:
    """Record timestamps of one input partition, by offset: the newest STAMPS_MAX, or half more."""

    def __init__(self) -> None:
        self._times_ms = array("q")
        self._offset_first = 0

    def add(self, offset: int, timestamp_ms: int) -> None:
        """Keep the timestamp of an offset that is higher than all before."""
        missing = offset - self._offset_first - len(self._times_ms)
        if missing > 0:
            self._times_ms.extend([0] * missing)
        self._times_ms.append(timestamp_ms)
        if len(self._times_ms) > STAMPS_MAX * 3 // 2:
            drop = len(self._times_ms) - STAMPS_MAX
            del self._times_ms[:drop]
            self._offset_first += drop

    def get(self, offset: int) -> int:
        """Give the timestamp of an offset; 0 when it is not known."""
        index = offset - self._offset_first
        return self._times_ms[index] if 0 <= index < len(self._times_ms) else 0


class Latencies:
    """Counts per millisecond: percentiles are exact to 1 ms, up to LATENCY_MS_MAX."""

    def __init__(self) -> None:
        self.counts: npt.NDArray[np.int64] = np.zeros(LATENCY_MS_MAX + 1, np.int64)

    def add(self, latency_ms: int) -> None:
        """Count one."""
        self.counts[min(max(latency_ms, 0), LATENCY_MS_MAX)] += 1


def percentile(counts: npt.NDArray[np.int64], share: float) -> int:
    """Give the lowest latency that at least `share` of all do not exceed; 0 without any."""
    total = int(counts.sum())
    if total == 0:
        return 0
    return int(np.searchsorted(np.cumsum(counts), max(1, int(np.ceil(share * total)))))


class Tally:
    """Takes records, gives views."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._lock = threading.Lock()
        self._prediction = msgspec.json.Decoder(Prediction)
        self._alert = msgspec.json.Decoder(ChurnAlert)
        self._receipt = msgspec.json.Decoder(IntakeReceipt)
        self._stamps: dict[tuple[str, int], Stamps] = {}
        # Predictions that were read before their event: topic, partition, offset -> when, in ms.
        self._early: dict[tuple[str, int, int], int] = {}
        self._latest: deque[Prediction] = deque(maxlen=SHOWN_PREDICTIONS)
        self._alerts: deque[ChurnAlert] = deque(maxlen=SHOWN_ALERTS)
        self._firing: set[str] = set()  # users whose alert is open
        self._reasons: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()  # by topic
        self._duplicates = 0
        self._committed = 0
        self._shop_time_ms = 0
        self._total = Latencies()
        # A slot per second of the last RECENT_S: second, events, predictions, latencies.
        self._slots: deque[_Slot] = deque(maxlen=RECENT_S + 1)

    def add(self, record: Record, now_s: float) -> None:
        """Take a record that was readable at `now_s` (wall clock). Raises msgspec.DecodeError."""
        name = record.topic.removeprefix(self._prefix)
        with self._lock:
            self._counts[name] += 1
            slot = self._slot(int(now_s))
            if name in INPUTS:
                slot.events += 1
                place = (name, record.partition)
                if place not in self._stamps:
                    self._stamps[place] = Stamps()
                self._stamps[place].add(record.offset, record.timestamp_ms)
                early_ms = self._early.pop((*place, record.offset), 0) if self._early else 0
                if early_ms:
                    self._add_latency(early_ms - record.timestamp_ms, slot)
            elif name == PREDICTIONS:
                self._add_prediction(self._prediction.decode(record.value or b""), now_s, slot)
            elif name == ALERTS:
                if record.value is not None:
                    self._add_alert(self._alert.decode(record.value))
            elif name == DEAD_LETTERS:
                reason = dict(record.headers).get("reason", b"unknown")
                self._reasons[reason.decode()] += 1
            elif name == RECEIPTS:
                self._add_receipt(self._receipt.decode(record.value or b""))

    def _add_prediction(self, prediction: Prediction, now_s: float, slot: "_Slot") -> None:
        slot.predictions += 1
        self._latest.appendleft(prediction)
        self._shop_time_ms = max(self._shop_time_ms, prediction.as_of)
        cause = prediction.input
        place = (cause.topic.removeprefix(self._prefix), cause.partition)
        stamps = self._stamps.get(place)
        sent_ms = stamps.get(cause.offset) if stamps else 0
        if sent_ms:
            self._add_latency(int(now_s * 1000) - sent_ms, slot)
        elif len(self._early) < EARLY_MAX:
            self._early[*place, cause.offset] = int(now_s * 1000)

    def _add_latency(self, latency_ms: int, slot: "_Slot") -> None:
        self._total.add(latency_ms)
        slot.latencies.add(latency_ms)

    def _add_alert(self, alert: ChurnAlert) -> None:
        self._alerts.appendleft(alert)
        if alert.state == "firing":
            self._firing.add(alert.user_id)
        else:
            self._firing.discard(alert.user_id)

    def _add_receipt(self, receipt: IntakeReceipt) -> None:
        self._committed += receipt.offset_next - receipt.offset_first
        self._duplicates += sum(1 for listed in receipt.exceptions if listed[1] == "duplicate")

    def _slot(self, second: int) -> "_Slot":
        if not self._slots or self._slots[-1].second < second:
            self._slots.append(_Slot(second))
        return self._slots[-1]

    @property
    def events(self) -> int:
        """Count of input records seen."""
        with self._lock:
            return sum(self._counts[name] for name in INPUTS)

    @property
    def committed(self) -> int:
        """Count of input records whose receipt has been seen."""
        with self._lock:
            return self._committed

    def view(self, now_s: float) -> View:
        """Copy what is to be shown. Rates are over whole seconds, the running one left out."""
        with self._lock:
            second = int(now_s)
            recent = [s for s in self._slots if second - RECENT_S <= s.second < second]
            span = max(1, second - recent[0].second) if recent else 1
            counts = sum((s.latencies.counts for s in recent), Latencies().counts)
            events = sum(self._counts[name] for name in INPUTS)
            newest = self._latest[0] if self._latest else None
            return View(
                events=events,
                predictions=self._counts[PREDICTIONS],
                alerts=self._counts[ALERTS],
                dead_letters=self._counts[DEAD_LETTERS],
                duplicates=self._duplicates,
                lag=max(0, events - self._committed),
                events_per_second=sum(s.events for s in recent) / span,
                predictions_per_second=sum(s.predictions for s in recent) / span,
                p50_ms=percentile(counts, 0.5),
                p99_ms=percentile(counts, 0.99),
                total_p50_ms=percentile(self._total.counts, 0.5),
                total_p99_ms=percentile(self._total.counts, 0.99),
                shop_time_ms=self._shop_time_ms,
                reasons=dict(self._reasons.most_common()),
                open_alerts=len(self._firing),
                last_predictions=tuple(self._latest),
                last_alerts=tuple(self._alerts),
                provider=newest.provider if newest else "",
                model_version=newest.model_version if newest else "",
            )


class _Slot:
    """One second of what came."""

    def __init__(self, second: int) -> None:
        self.second = second
        self.events = 0
        self.predictions = 0
        self.latencies = Latencies()
