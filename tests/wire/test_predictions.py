"""Predictions as text equal what msgspec makes of the typed message."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.plan import Scores
from stream.core.results import ROW
from stream.wire.predictions import SCORE_MAX, PredictionEncoder
from stream.wire.types import ITEM_REASONS, InputReference, ItemScore, NextEvent, Prediction

TOPICS = ("a.clicks", "a.searches", 'a."purchases"')
IDS = ("", "i-1", 'quo"te\\', "größe", "靴", "\x01")
VOCABULARY = [b"null", *(msgspec.json.encode(name) for name in IDS[1:])]
USERS = ("ann", "anon:x", "zoë", 'quo"te', "back\\slash", "tab\t", "\x7f", "靴", "x" * 512)
HORIZONS = ("P7D", "P14D")

whole = st.one_of(st.integers(0, 2**62), st.sampled_from([0, 9, 10, 99, 100, 2**63 - 1, 10**18]))
chance = st.one_of(
    st.floats(0, 1, width=32), st.sampled_from([0.0, 1.0, 0.5, 5e-7, 4.9e-7, 0.9999996, 0.9999994])
)
score = st.one_of(chance, st.floats(-1e6, 1e6, width=32), st.sampled_from([-4e-7, -5e-7, 1e12]))
rows_of = st.fixed_dictionaries({
    "offset": st.integers(0, 2**60), "topic": st.integers(0, 2), "as_of_ms": whole,
    "partition_seq": whole, "user_seq": whole, "user_epoch": whole, "event_time_ms": whole,
    "window_len": st.integers(1, 255), "revision": st.integers(0, 2**32 - 1),
    "supersedes": st.one_of(
        st.just(-1), st.builds(lambda o, t: o * 4 + t, st.integers(0, 2**60), st.integers(0, 2))
    ),
    "window_digest": st.integers(0, 2**64 - 1), "late": st.integers(0, 1),
    "user": st.integers(0, len(USERS) - 1),
})  # fmt: skip


def rounded(value):
    """Six decimals, halves away from zero, in float64 as the text is made."""
    millionths = int(abs(float(value)) * 1e6 + 0.5)
    return (-millionths if value < 0 else millionths) / 1e6


def typed(row, users, scores, churn, why, emitted_at_ms, partition):
    """Build the message of one row from the types: the plain twin."""
    at = row["scored"]
    topic, source = TOPICS[row["topic"]], int(row["supersedes"])
    listed = [
        (IDS[item], value, ITEM_REASONS[reason])
        for item, value, reason in zip(
            scores.items[at], scores.item_scores[at], why[at], strict=True
        )
        if item > 0
    ]
    scored = churn[at] >= 0
    return Prediction(
        prediction_id=f"{topic}-{partition}-{row['offset']}",
        user_id=users[row["user"]].decode(),
        as_of=int(row["as_of_ms"]),
        emitted_at=emitted_at_ms,
        model_version="demo \u00e9",
        partition_seq=int(row["partition_seq"]),
        user_seq=int(row["user_seq"]),
        user_epoch=int(row["user_epoch"]),
        items=[
            ItemScore(name, rank, rounded(value), reason)
            for rank, (name, value, reason) in enumerate(listed, 1)
        ],
        next_event=NextEvent(*(rounded(value) for value in scores.next_event[at])),
        purchase_probability=rounded(scores.purchase[at]),
        purchase_horizon=HORIZONS[0],
        churn_probability=rounded(churn[at]) if scored else None,
        churn_horizon=HORIZONS[1],
        churn_status="scored" if scored else "insufficient_history",
        input=InputReference(
            topic=topic,
            partition=partition,
            offset=int(row["offset"]),
            event_time=int(row["event_time_ms"]),
            window_length=int(row["window_len"]),
            window_digest=f"{int(row['window_digest']):016x}",
        ),
        late=bool(row["late"]),
        revision=int(row["revision"]),
        supersedes=f"{TOPICS[source & 3]}-{partition}-{source >> 2}" if source >= 0 else None,
        provider="cpu",
    )


def encoder():
    return PredictionEncoder(TOPICS, VOCABULARY, "demo \u00e9", "cpu", HORIZONS)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_equals_the_typed_message(data):
    count, width = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 3))
    rows = np.zeros(count, ROW)
    for place, fields in enumerate(data.draw(st.lists(rows_of, min_size=count, max_size=count))):
        for name, value in fields.items():
            rows[name][place] = value
    rows["scored"] = data.draw(st.permutations(range(count)))

    def grid(strategy, columns, dtype):
        cells = st.lists(strategy, min_size=count * columns, max_size=count * columns)
        return np.array(data.draw(cells), dtype).reshape(count, columns)

    scores = Scores(
        next_event=grid(chance, 3, np.float32),
        purchase=grid(chance, 1, np.float32)[:, 0],
        hazard=np.zeros((count, 8), np.float32),
        items=grid(st.integers(-1, len(IDS) - 1), width, np.int32),
        item_scores=grid(score, width, np.float32),
    )
    scores.item_scores[scores.items < 1] = -np.inf
    churn = grid(st.one_of(st.just(-1.0), chance), 1, np.float32)[:, 0]
    why = grid(st.integers(0, 3), width, np.uint8)
    users = [user.encode() for user in USERS]
    got = encoder().encode(3, rows, users, scores, churn, 123, why)
    assert len(got) == count
    for row, value in zip(rows, got, strict=True):
        wanted = typed(row, users, scores, churn, why, 123, 3)
        assert msgspec.json.decode(value, type=Prediction) == wanted
        assert list(msgspec.json.decode(value)) == list(Prediction.__struct_fields__)


def small(count=2, width=1):
    rows = np.zeros(count, ROW)
    rows["scored"], rows["supersedes"], rows["window_len"] = np.arange(count), -1, 1
    scores = Scores(
        np.full((count, 3), 1 / 3, np.float32),
        np.zeros(count, np.float32),
        np.zeros((count, 8), np.float32),
        np.ones((count, width), np.int32),
        np.ones((count, width), np.float32),
    )
    return rows, [b"ann"], scores, np.full(count, -1, np.float32)


def test_nothing_to_encode():
    rows, users, scores, churn = small()
    assert len(encoder().encode(0, rows[:0], users, scores, churn, 1)) == 0


def test_reasons_come_from_the_scores():
    rows, users, scores, churn = small()
    scores = scores._replace(popular=np.array([False, True]))
    got = [
        msgspec.json.decode(value) for value in encoder().encode(0, rows, users, scores, churn, 1)
    ]
    assert [note["items"][0]["reason"] for note in got] == ["sequence", "popular_fallback"]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 2 * SCORE_MAX])
@pytest.mark.parametrize("field", ["next_event", "purchase", "item_scores", "churn"])
def test_scores_that_are_no_numbers_stop(field, wrong):
    rows, users, scores, churn = small()
    target = churn if field == "churn" else getattr(scores, field)
    target[1] = wrong
    with pytest.raises(ValueError, match=r"score .* in row 1"):
        encoder().encode(0, rows, users, scores, churn, 1)


@pytest.mark.parametrize(("item", "known"), [(4, True), (5, True), (6, False)])
def test_items_beyond_the_vocabulary_stop(item, known):
    rows, users, scores, churn = small()
    scores.items[1] = item
    if known:
        assert len(encoder().encode(0, rows, users, scores, churn, 1)) == 2
    else:
        with pytest.raises(ValueError, match="item 6 of 6"):
            encoder().encode(0, rows, users, scores, churn, 1)


def test_reasons_and_topics_that_are_none_stop():
    rows, users, scores, churn = small()
    why = np.full((2, 1), len(ITEM_REASONS), np.uint8)
    with pytest.raises(ValueError, match="item reason 4 of 4"):
        encoder().encode(0, rows, users, scores, churn, 1, why)
    with pytest.raises(ValueError, match="2 topic names"):
        PredictionEncoder(TOPICS[:2], VOCABULARY, "demo", "cpu", HORIZONS)


def test_numbers_below_zero_stop():
    rows, users, scores, churn = small()
    rows["user_seq"][1] = -1
    with pytest.raises(ValueError, match="below 0"):
        encoder().encode(0, rows, users, scores, churn, 1)


def test_the_longest_row_fits_its_bound():
    """The buffer is made by a bound: every number and id at its longest, many rows."""
    rows, _, scores, churn = small(50, 100)
    for name in ("as_of_ms", "partition_seq", "user_seq", "user_epoch", "event_time_ms"):
        rows[name] = 2**63 - 1
    rows["offset"], rows["supersedes"] = 2**60, 2**62 + 2
    rows["topic"], rows["revision"], rows["window_len"] = 2, 2**32 - 1, 255
    scores.items[:], scores.item_scores[:], churn[:] = 5, -1e12, 1
    got = encoder().encode(2**31 - 1, rows, [b'"' * 512], scores, churn, 2**63 - 1)
    assert all(len(msgspec.json.decode(value)["items"]) == 100 for value in got)
