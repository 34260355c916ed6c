"""What the demo counts: committed records in, one View out."""

import json
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest

from stream.local import tally as tally_module
from stream.local.tally import LATENCY_MS_MAX, Latencies, Stamps, Tally, percentile
from stream.wire.types import ChurnAlert, InputReference, ItemScore, NextEvent, Prediction

NOW_S = 1_800_000_000.0


@dataclass
class Seen:
    topic: str
    partition: int = 0
    offset: int = 0
    timestamp_ms: int = int(NOW_S * 1000)
    value: bytes | None = b"{}"
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def prediction(offset: int, *, partition: int = 0, user: str = "u1") -> Prediction:
    return Prediction(
        prediction_id=f"p-clicks-{partition}-{offset}",
        user_id=user,
        as_of=1_700_000_000_000 + offset,
        emitted_at=0,
        model_version="v1",
        partition_seq=offset + 1,
        user_seq=1,
        user_epoch=1,
        items=[ItemScore("p00001", 1, 0.5, "sequence")],
        next_event=NextEvent(0.7, 0.2, 0.1),
        purchase_probability=0.1,
        purchase_horizon="P7D",
        churn_probability=0.2,
        churn_horizon="P7D",
        churn_status="scored",
        input=InputReference("p-clicks", partition, offset, 0, 1, "0" * 16),
        late=False,
        revision=0,
        supersedes=None,
        provider="cpu",
    )


def alert(user: str, state: str) -> ChurnAlert:
    return ChurnAlert(
        alert_id="a", episode_id="e", user_id=user, user_epoch=1, state=state,
        previous_state="normal", level="at_risk", churn_probability=0.8, horizon="P7D",
        starts_at=0, fired_at=0, ends_at=None, reason=None, trigger="clock", silence_seconds=1.0,
        model_version="v1", sequence_no=1,
    )  # fmt: skip


def predicted(*args, **kwargs) -> Seen:
    return Seen("p-predictions", value=msgspec.json.encode(prediction(*args, **kwargs)))


def receipt(first: int, end: int, exceptions: list[list[object]]) -> Seen:
    fields = {"topic": "p-clicks", "partition": 0, "offset_first": first, "offset_next": end}
    body = fields | {"predicted": end - first - len(exceptions), "exceptions": exceptions}
    body["exception_seqs"] = [0] * len(exceptions)
    return Seen("p-intake-receipts", value=json.dumps(body).encode())


@pytest.fixture
def tally() -> Tally:
    return Tally("p-")


def test_counts_by_what_came(tally):
    for offset in range(4):
        tally.add(Seen("p-clicks", offset=offset), NOW_S)
    tally.add(Seen("p-searches"), NOW_S)
    tally.add(predicted(0), NOW_S)
    tally.add(predicted(1), NOW_S)
    for reason in (b"undecodable", b"too_late", b"undecodable"):
        tally.add(Seen("p-dead-letters", headers=[("reason", reason)]), NOW_S)
    tally.add(receipt(0, 3, [[2, "duplicate", 1]]), NOW_S)
    view = tally.view(NOW_S + 1)
    assert (view.events, view.predictions, view.dead_letters, view.duplicates) == (5, 2, 3, 1)
    assert view.reasons == {"undecodable": 2, "too_late": 1}
    assert view.lag == 2
    assert tally.committed == 3
    assert view.shop_time_ms == 1_700_000_000_001
    assert (view.provider, view.model_version) == ("cpu", "v1")
    assert [seen.input.offset for seen in view.last_predictions] == [1, 0]


def test_latency_is_from_record_time_to_in_hand(tally):
    tally.add(Seen("p-clicks", offset=0, timestamp_ms=int(NOW_S * 1000) - 25), NOW_S)
    tally.add(predicted(0), NOW_S)
    view = tally.view(NOW_S + 1)
    assert (view.p50_ms, view.total_p99_ms) == (25, 25)


def test_prediction_read_before_its_event_has_a_latency_too(tally):
    tally.add(predicted(0), NOW_S)
    tally.add(Seen("p-clicks", offset=0, timestamp_ms=int(NOW_S * 1000) - 25), NOW_S + 3)
    assert tally.view(NOW_S + 4).total_p50_ms == 25


def test_now_forgets_what_the_whole_run_keeps(tally):
    tally.add(Seen("p-clicks", timestamp_ms=int(NOW_S * 1000) - 25), NOW_S)
    tally.add(predicted(0), NOW_S)
    view = tally.view(NOW_S + tally_module.RECENT_S + 1)
    assert (view.p50_ms, view.events_per_second) == (0, 0)
    assert (view.total_p50_ms, view.events) == (25, 1)


def test_rates_leave_the_running_second_out(tally):
    for second in range(4):
        for offset in range(10):
            tally.add(Seen("p-clicks", offset=second * 10 + offset), NOW_S + second)
    assert tally.view(NOW_S + 3.5).events_per_second == 10


def test_alerts_open_and_close(tally):
    for user, state in (("a", "firing"), ("b", "firing"), ("a", "resolved")):
        value = msgspec.json.encode(alert(user, state))
        tally.add(Seen("p-churn-alerts", value=value), NOW_S)
    tally.add(Seen("p-churn-alerts", value=None), NOW_S)  # a tombstone of the compacted topic
    view = tally.view(NOW_S)
    assert (view.alerts, view.open_alerts) == (4, 1)
    assert [seen.user_id for seen in view.last_alerts] == ["a", "b", "a"]


def test_stamps_fill_gaps_and_know_their_window(monkeypatch):
    monkeypatch.setattr(tally_module, "STAMPS_MAX", 10)
    stamps = Stamps()
    for offset in (0, 1, 3):
        stamps.add(offset, 100 + offset)
    assert [stamps.get(offset) for offset in range(-1, 5)] == [0, 100, 101, 0, 103, 0]
    for offset in range(4, 40):
        stamps.add(offset, 100 + offset)
    assert stamps.get(39) == 139
    assert stamps.get(30) == 130
    assert stamps.get(3) == 0


@pytest.mark.parametrize(
    ("latency_ms", "counted"), [(-1, 0), (0, 0), (LATENCY_MS_MAX, LATENCY_MS_MAX),
                                (LATENCY_MS_MAX + 1, LATENCY_MS_MAX)]
)  # fmt: skip
def test_latencies_are_held_within_bounds(latency_ms, counted):
    latencies = Latencies()
    latencies.add(latency_ms)
    assert np.flatnonzero(latencies.counts).tolist() == [counted]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99, 1.0])
def test_percentile_is_numpys(share):
    values = np.random.default_rng(3).integers(0, 200, 501)
    counts = np.bincount(values, minlength=LATENCY_MS_MAX + 1)
    assert percentile(counts, share) == np.quantile(values, share, method="inverted_cdf")
    assert percentile(np.zeros(5, np.int64), share) == 0
