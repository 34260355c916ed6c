"""Predictions as JSON text, written by one compiled loop into one buffer.

Rules of the room: `PredictionEncoder` is built once per bundle and called per batch. What it writes
equals, parsed, the typed `stream.wire.types.Prediction` (tests/wire/test_predictions.py). Numbers
that are not whole have six decimals.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.core.layout import TOPICS, Records
from stream.core.plan import Scores
from stream.wire.types import ITEM_REASONS

Bytes = npt.NDArray[np.uint8]
Spans = npt.NDArray[np.int64]  # (p + 1,) where each piece begins in its buffer; the end of the last

SCORE_MAX: Final = 1e12  # beyond it six decimals would not be exact
_INT_CHARS_MAX: Final = 20
_FLOAT_CHARS_MAX: Final = 22
_ITEM_CHARS_MAX: Final = 64 + _INT_CHARS_MAX + _FLOAT_CHARS_MAX  # without the id

# Places of the pieces in the buffer of constant text. Per topic: P_HEAD + topic, P_INPUT + topic,
# P_SOURCE + topic; per item reason: P_REASON + reason.
P_HEAD: Final = 0
P_INPUT: Final = 3
P_SOURCE: Final = 6
P_REASON: Final = 9
P_USER: Final = 13
P_AS_OF: Final = 14
P_SEQ: Final = 15
P_USER_SEQ: Final = 16
P_EPOCH: Final = 17
P_ITEMS: Final = 18
P_ITEM: Final = 19
P_RANK: Final = 20
P_SCORE: Final = 21
P_NEXT: Final = 22
P_SEARCH: Final = 23
P_PURCHASE: Final = 24
P_PROBABILITY: Final = 25
P_CHURN: Final = 26
P_KNOWN: Final = 27
P_UNKNOWN: Final = 28
P_TIME: Final = 29
P_LENGTH: Final = 30
P_DIGEST: Final = 31
P_ON_TIME: Final = 32
P_LATE: Final = 33
P_NONE: Final = 34
P_BEFORE: Final = 35
P_END: Final = 36


class PredictionEncoder:
    """Rows and scores to messages. Times are epoch ms; the digest is 16 hexadecimal digits."""

    def __init__(
        self,
        topic_names: Sequence[str],
        vocabulary: Sequence[bytes],
        model_version: str,
        provider: str,
        horizons: tuple[str, str],
    ) -> None:
        """Take the input topics' names, item ids as JSON texts (0: no item), both horizons.

        Horizons are ISO 8601 durations: of the purchase probability, of the churn probability.
        """
        if len(topic_names) != len(TOPICS):
            raise ValueError(f"{len(topic_names)} topic names for {TOPICS}")
        self._topics = [_inner(name) for name in topic_names]
        self._items, self._item_spans = _laid_out(vocabulary)
        self._model = _inner(model_version)
        self._provider = _inner(provider)
        self._horizons = (_inner(horizons[0]), _inner(horizons[1]))

    def encode(
        self,
        partition: int,
        rows: Records,
        users: list[bytes],
        scores: Scores,
        churn: npt.NDArray[np.float32],
        emitted_at_ms: int,
        reasons: npt.NDArray[np.uint8] | None = None,
    ) -> list[bytes]:
        """Encode predicted rows: `rows["scored"]` indexes scores, churn and reasons.

        `churn` -1: insufficient history. An item index below 1 is no item, its score is not read.
        `reasons` (B, K) indexes ITEM_REASONS; None: popular_fallback where `scores.popular` says
        so, else sequence. Raises ValueError on scores that are not finite and on items beyond the
        vocabulary. 1.6 us of processor time without items, 3.3 us with ten:
        `python -m tests.bench.encode`, 2-core EPYC.
        """
        if not len(rows):
            return []
        at = rows["scored"]
        items = np.ascontiguousarray(scores.items[at], np.int32)  # (n, K)
        floats = np.column_stack((
            scores.next_event[at], scores.purchase[at], churn[at], scores.item_scores[at]
        )).astype(np.float64)  # (n, 5 + K)  # fmt: skip
        floats[:, 5:][items < 1] = 0
        why = _reasons(scores, at) if reasons is None else reasons[at]
        self._check(floats, items, why)
        numbers = np.column_stack([rows[name].astype(np.int64) for name in _NUMBERS])  # (n, 9)
        if (numbers[:, :-1] < 0).any():  # all but supersedes
            raise ValueError(
                f"rows with numbers below 0: {rows[(numbers[:, :-1] < 0).any(axis=1)][:1]}"
            )
        pieces, spans = _laid_out(self._pieces(partition, emitted_at_ms))
        names, name_spans = _laid_out(_user_texts(users))
        user = rows["user"].astype(np.int64)
        sizes = np.full(len(rows), _row_chars(spans, items.shape[1]), np.int64)
        sizes += np.diff(name_spans)[user]
        if items.size:
            sizes += np.diff(self._item_spans)[np.maximum(items, 0)].sum(axis=1)
        out = np.empty(int(sizes.sum()), np.uint8)
        ends = np.empty(len(rows), np.int64)
        _write_rows(
            out, ends, pieces, spans, names, name_spans, self._items, self._item_spans,
            numbers, user, np.ascontiguousarray(rows["window_digest"]), rows["late"] != 0,
            floats, items, np.ascontiguousarray(why),
        )  # fmt: skip
        text = out[: ends[-1]].tobytes()
        stops = ends.tolist()
        return [text[a:b] for a, b in zip([0, *stops[:-1]], stops, strict=True)]

    def _check(
        self, floats: npt.NDArray[np.float64], items: npt.NDArray[np.int32],
        reasons: npt.NDArray[np.uint8],
    ) -> None:  # fmt: skip
        if not (np.abs(floats) <= SCORE_MAX).all():
            row, column = np.argwhere(~(np.abs(floats) <= SCORE_MAX))[0]
            raise ValueError(f"score {floats[row, column]} in row {row}, column {column}")
        if items.size and int(items.max()) >= len(self._item_spans) - 1:
            raise ValueError(f"item {items.max()} of {len(self._item_spans) - 1}")
        if reasons.size and int(reasons.max()) >= len(ITEM_REASONS):
            raise ValueError(f"item reason {reasons.max()} of {len(ITEM_REASONS)}")

    def _pieces(self, partition: int, emitted_at_ms: int) -> list[bytes]:
        """Constant text in the order of the P_ places."""
        number = b"%d" % partition
        sources = [name + b"-" + number + b"-" for name in self._topics]
        return [
            *(b'{"prediction_id":"' + source for source in sources),
            *(
                b'"input":{"topic":"' + name + b'","partition":' + number + b',"offset":'
                for name in self._topics
            ),
            *(b'"' + source for source in sources),
            *(b',"reason":"' + reason.encode() + b'"}' for reason in ITEM_REASONS),
            b'","user_id":"',
            b'","as_of":',
            b',"emitted_at":%d,"model_version":"%b","partition_seq":'
            % (emitted_at_ms, self._model),
            b',"user_seq":',
            b',"user_epoch":',
            b',"items":[',
            b'{"item_id":',
            b',"rank":',
            b',"score":',
            b'],"next_event":{"click":',
            b',"search":',
            b',"purchase":',
            b'},"purchase_probability":',
            b',"purchase_horizon":"' + self._horizons[0] + b'","churn_probability":',
            b',"churn_horizon":"' + self._horizons[1] + b'","churn_status":"scored",',
            b'null,"churn_horizon":"'
            + self._horizons[1]
            + b'","churn_status":"insufficient_history",',
            b',"event_time":',
            b',"window_length":',
            b',"window_digest":"',
            b'"},"late":false,"revision":',
            b'"},"late":true,"revision":',
            b',"supersedes":null',
            b',"supersedes":',
            b',"provider":"' + self._provider + b'"}',
        ]


_NUMBERS: Final = (
    "offset", "topic", "as_of_ms", "partition_seq", "user_seq", "user_epoch", "event_time_ms",
    "window_len", "revision", "supersedes",
)  # fmt: skip


def _reasons(scores: Scores, at: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    why = np.zeros((len(at), scores.items.shape[1]), np.uint8)  # ITEM_REASONS[0]: sequence
    if scores.popular is not None:
        why[scores.popular[at]] = ITEM_REASONS.index("popular_fallback")
    return why


def _inner(text: str) -> bytes:
    """Text as it stands between the quotes of a JSON string."""
    return msgspec.json.encode(text)[1:-1]


def _user_texts(users: list[bytes]) -> list[bytes]:
    """Escape keys that need it; a look at the whole batch costs 0.02 us a key."""
    data = np.frombuffer(b"".join(users), np.uint8)
    if ((data < 0x20) | (data == 0x22) | (data == 0x5C)).any():
        return [_inner(user.decode()) for user in users]
    return users


def _laid_out(pieces: Sequence[bytes]) -> tuple[Bytes, Spans]:
    spans = np.zeros(len(pieces) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, pieces), np.int64, len(pieces)), out=spans[1:])
    return np.frombuffer(b"".join(pieces), np.uint8), spans


def _row_chars(spans: Spans, items_count: int) -> int:
    """Bound of a row's text without its user and item ids."""
    text = int(spans[-1])  # each piece once, or its like: more than a row holds
    return text + 11 * _INT_CHARS_MAX + 16 + 5 * _FLOAT_CHARS_MAX + items_count * _ITEM_CHARS_MAX


@compiled
def _put(out: Bytes, at: int, data: Bytes, begin: int, end: int) -> int:
    for i in range(begin, end):
        out[at] = data[i]
        at += 1
    return at


@compiled
def _put_whole(out: Bytes, at: int, value: int) -> int:
    """Write a whole number, not below 0."""
    digits = 1
    bound = 10
    while digits < 19 and value >= bound:
        digits += 1
        bound *= 10
    for i in range(at + digits - 1, at - 1, -1):
        out[i] = 48 + value % 10
        value //= 10
    return at + digits


@compiled
def _put_decimal(out: Bytes, at: int, value: float) -> int:
    """Write a number with six decimals, halves away from zero."""
    millionths = int(abs(value) * 1e6 + 0.5)
    if value < 0 and millionths > 0:
        out[at] = 45
        at += 1
    at = _put_whole(out, at, millionths // 1_000_000)
    out[at] = 46
    rest = millionths % 1_000_000
    for i in range(at + 6, at, -1):
        out[i] = 48 + rest % 10
        rest //= 10
    return at + 7


@compiled
def _put_digest(out: Bytes, at: int, digest: int) -> int:
    for i in range(16):
        nibble = np.int64((digest >> np.uint64(60 - 4 * i)) & np.uint64(15))
        out[at + i] = 48 + nibble if nibble < 10 else 87 + nibble
    return at + 16


@compiled
def _write_items(
    out: Bytes,
    at: int,
    pieces: Bytes,
    spans: Spans,
    item_texts: Bytes,
    item_spans: Spans,
    items: npt.NDArray[np.int32],  # (K,)
    item_scores: npt.NDArray[np.float64],  # (K,)
    reasons: npt.NDArray[np.uint8],  # (K,)
) -> int:
    rank = 0
    for k in range(len(items)):
        item = items[k]
        if item < 1:
            continue
        if rank > 0:
            out[at] = 44
            at += 1
        rank += 1
        at = _put(out, at, pieces, spans[P_ITEM], spans[P_ITEM + 1])
        at = _put(out, at, item_texts, item_spans[item], item_spans[item + 1])
        at = _put(out, at, pieces, spans[P_RANK], spans[P_RANK + 1])
        at = _put_whole(out, at, rank)
        at = _put(out, at, pieces, spans[P_SCORE], spans[P_SCORE + 1])
        at = _put_decimal(out, at, item_scores[k])
        why = P_REASON + reasons[k]
        at = _put(out, at, pieces, spans[why], spans[why + 1])
    return at


@compiled
def _write_before(out: Bytes, at: int, pieces: Bytes, spans: Spans, source: int) -> int:
    """Write the prediction that a late one supersedes, named by its source; -1: none."""
    if source < 0:
        return _put(out, at, pieces, spans[P_NONE], spans[P_NONE + 1])
    place = P_SOURCE + (source & 3)
    at = _put(out, at, pieces, spans[P_BEFORE], spans[P_BEFORE + 1])
    at = _put(out, at, pieces, spans[place], spans[place + 1])
    at = _put_whole(out, at, source >> 2)
    out[at] = 34
    return at + 1


@compiled
def _write_rows(
    out: Bytes,
    ends: Spans,
    pieces: Bytes,
    spans: Spans,
    names: Bytes,
    name_spans: Spans,
    item_texts: Bytes,
    item_spans: Spans,
    numbers: npt.NDArray[np.int64],  # (n, 10) as _NUMBERS
    user: npt.NDArray[np.int64],  # (n,) index into names
    digests: npt.NDArray[np.uint64],  # (n,)
    late: npt.NDArray[np.bool_],  # (n,)
    floats: npt.NDArray[np.float64],  # (n, 5 + K) click, search, purchase, purchase soon, churn
    items: npt.NDArray[np.int32],  # (n, K)
    reasons: npt.NDArray[np.uint8],  # (n, K)
) -> None:
    at = 0
    for i in range(len(numbers)):
        topic = numbers[i, 1]
        at = _put(out, at, pieces, spans[P_HEAD + topic], spans[P_HEAD + topic + 1])
        at = _put_whole(out, at, numbers[i, 0])
        at = _put(out, at, pieces, spans[P_USER], spans[P_USER + 1])
        at = _put(out, at, names, name_spans[user[i]], name_spans[user[i] + 1])
        for j in range(4):  # as_of, partition_seq, user_seq, user_epoch
            at = _put(out, at, pieces, spans[P_AS_OF + j], spans[P_AS_OF + j + 1])
            at = _put_whole(out, at, numbers[i, 2 + j])
        at = _put(out, at, pieces, spans[P_ITEMS], spans[P_ITEMS + 1])
        at = _write_items(
            out, at, pieces, spans, item_texts, item_spans, items[i], floats[i, 5:], reasons[i]
        )
        for j in range(4):  # next event: click, search, purchase; purchase within the horizon
            at = _put(out, at, pieces, spans[P_NEXT + j], spans[P_NEXT + j + 1])
            at = _put_decimal(out, at, floats[i, j])
        at = _put(out, at, pieces, spans[P_CHURN], spans[P_CHURN + 1])
        if floats[i, 4] >= 0:
            at = _put_decimal(out, at, floats[i, 4])
            at = _put(out, at, pieces, spans[P_KNOWN], spans[P_KNOWN + 1])
        else:
            at = _put(out, at, pieces, spans[P_UNKNOWN], spans[P_UNKNOWN + 1])
        at = _put(out, at, pieces, spans[P_INPUT + topic], spans[P_INPUT + topic + 1])
        at = _put_whole(out, at, numbers[i, 0])
        for j in range(2):  # event_time, window_length
            at = _put(out, at, pieces, spans[P_TIME + j], spans[P_TIME + j + 1])
            at = _put_whole(out, at, numbers[i, 6 + j])
        at = _put(out, at, pieces, spans[P_DIGEST], spans[P_DIGEST + 1])
        at = _put_digest(out, at, digests[i])
        lateness = P_LATE if late[i] else P_ON_TIME
        at = _put(out, at, pieces, spans[lateness], spans[lateness + 1])
        at = _put_whole(out, at, numbers[i, 8])
        at = _write_before(out, at, pieces, spans, numbers[i, 9])
        at = _put(out, at, pieces, spans[P_END], spans[P_END + 1])
        ends[i] = at
