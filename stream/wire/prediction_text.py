"""The loops that write predictions as JSON text, rows after each other into one buffer.

Rules of the room: all is compiled. `size_of` comes first and checks what `write_rows` relies on.
Whose text stands at the places named here: stream/wire/predictions.py.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled, compiled_short
from stream.core.intrinsics import copy_bytes
from stream.core.layout import Bytes, Records
from stream.wire.texts import Spans

SCORE_MAX: Final = 1e12  # beyond it six decimals would not be exact
_TEN: Final = np.uint64(10)
_MILLION: Final = np.uint64(1_000_000)
_ZERO: Final = np.uint64(48)
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
P_EMITTED: Final = 15
P_SEQ: Final = 16
P_USER_SEQ: Final = 17
P_EPOCH: Final = 18
P_ITEMS: Final = 19
P_ITEM: Final = 20
P_RANK: Final = 21
P_SCORE: Final = 22
P_NEXT: Final = 23
P_SEARCH: Final = 24
P_PURCHASE: Final = 25
P_PROBABILITY: Final = 26
P_CHURN: Final = 27
P_KNOWN: Final = 28
P_UNKNOWN: Final = 29
P_TIME: Final = 30
P_LENGTH: Final = 31
P_DIGEST: Final = 32
P_ON_TIME: Final = 33
P_LATE: Final = 34
P_NONE: Final = 35
P_BEFORE: Final = 36
P_END: Final = 37


@compiled_short
def is_plain(names: Bytes) -> bool:
    """Whether none of these characters needs an escape in JSON. 1 ns each."""
    found = False
    for char in names:
        found |= (char < 0x20) | (char == 0x22) | (char == 0x5C)
    return not found


@compiled_short
def _is_score(value: float) -> bool:
    return abs(value) <= SCORE_MAX  # False for what is no number


@compiled_short
def size_of(
    rows: Records,  # (n,) ROW
    next_event: npt.NDArray[np.float32],  # (n, 3)
    purchase: npt.NDArray[np.float32],  # (n,)
    churn: npt.NDArray[np.float32],  # (n,)
    items: npt.NDArray[np.int32],  # (n, K)
    item_scores: npt.NDArray[np.float32],  # (n, K)
    reasons: npt.NDArray[np.uint8],  # (n, K)
    spans: Spans,  # (p + 1,) where each piece begins, and where the last one ends
    name_begins: Spans,
    name_ends: Spans,
    item_spans: Spans,
    reasons_count: int,
) -> int:
    """Bound the rows' text, in bytes; -1: something in them is wrong."""
    fixed = spans[-1] + 12 * _INT_CHARS_MAX + 16 + 5 * _FLOAT_CHARS_MAX  # each piece once, or more
    size = 0
    for i in range(len(rows)):
        row = rows[i]
        if min(row.offset, row.as_of_ms, row.partition_seq, row.user_seq) < 0:
            return -1
        if min(row.user_epoch, row.event_time_ms) < 0:
            return -1
        if not (_is_score(purchase[i]) and _is_score(churn[i])):
            return -1
        for k in range(3):
            if not _is_score(next_event[i, k]):
                return -1
        size += fixed + name_ends[row.user] - name_begins[row.user]
        for k in range(items.shape[1]):
            item = items[i, k]
            if item >= len(item_spans) - 1 or reasons[i, k] >= reasons_count:
                return -1
            if item > 0:
                if not _is_score(item_scores[i, k]):
                    return -1
                size += _ITEM_CHARS_MAX + item_spans[item + 1] - item_spans[item]
    return size


@compiled
def _put(out: Bytes, at: int, data: Bytes, begin: int, end: int) -> int:
    copy_bytes(out, at, data, begin, end - begin)
    return at + end - begin


@compiled
def _put_whole(out: Bytes, at: int, value: int | np.uint64) -> int:
    """Write a whole number, not below 0. Unsigned: dividing needs no look at the sign then."""
    rest = np.uint64(value)
    digits = 1
    bound = _TEN
    while digits < 19 and rest >= bound:
        digits += 1
        bound *= _TEN
    for i in range(at + digits - 1, at - 1, -1):
        tens = rest // _TEN
        out[i] = np.uint8(_ZERO + rest - tens * _TEN)
        rest = tens
    return at + digits


@compiled
def _put_decimal(out: Bytes, at: int, value: float) -> int:
    """Write a number with six decimals, halves away from zero."""
    millionths = np.uint64(abs(value) * 1e6 + 0.5)
    if value < 0 and millionths > 0:
        out[at] = 45
        at += 1
    whole = millionths // _MILLION
    at = _put_whole(out, at, whole)
    out[at] = 46
    rest = millionths - whole * _MILLION
    for i in range(at + 6, at, -1):
        tens = rest // _TEN
        out[i] = np.uint8(_ZERO + rest - tens * _TEN)
        rest = tens
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
    item_scores: npt.NDArray[np.float32],  # (K,)
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
        at = _put_decimal(out, at, np.float64(item_scores[k]))
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
def write_rows(
    out: Bytes,
    ends: Spans,
    pieces: Bytes,
    spans: Spans,
    names: Bytes,
    name_begins: Spans,
    name_ends: Spans,
    item_texts: Bytes,
    item_spans: Spans,
    rows: Records,  # (n,) ROW
    emitted_at_ms: int,
    next_event: npt.NDArray[np.float32],  # (n, 3) click, search, purchase
    purchase: npt.NDArray[np.float32],  # (n,)
    churn: npt.NDArray[np.float32],  # (n,)
    items: npt.NDArray[np.int32],  # (n, K)
    item_scores: npt.NDArray[np.float32],  # (n, K)
    reasons: npt.NDArray[np.uint8],  # (n, K)
) -> None:
    """Write all rows into `out`, which is long enough; row i ends at ends[i]."""
    at = 0
    for i in range(len(rows)):
        row = rows[i]
        topic = row.topic
        at = _put(out, at, pieces, spans[P_HEAD + topic], spans[P_HEAD + topic + 1])
        at = _put_whole(out, at, row.offset)
        at = _put(out, at, pieces, spans[P_USER], spans[P_USER + 1])
        at = _put(out, at, names, name_begins[row.user], name_ends[row.user])
        numbers = (row.as_of_ms, emitted_at_ms, row.partition_seq, row.user_seq, row.user_epoch)
        for j in range(5):
            at = _put(out, at, pieces, spans[P_AS_OF + j], spans[P_AS_OF + j + 1])
            at = _put_whole(out, at, numbers[j])
        at = _put(out, at, pieces, spans[P_ITEMS], spans[P_ITEMS + 1])
        at = _write_items(
            out, at, pieces, spans, item_texts, item_spans, items[i], item_scores[i], reasons[i]
        )
        for j in range(3):
            at = _put(out, at, pieces, spans[P_NEXT + j], spans[P_NEXT + j + 1])
            at = _put_decimal(out, at, np.float64(next_event[i, j]))
        at = _put(out, at, pieces, spans[P_PROBABILITY], spans[P_PROBABILITY + 1])
        at = _put_decimal(out, at, np.float64(purchase[i]))
        at = _put(out, at, pieces, spans[P_CHURN], spans[P_CHURN + 1])
        if churn[i] >= 0:
            at = _put_decimal(out, at, np.float64(churn[i]))
            at = _put(out, at, pieces, spans[P_KNOWN], spans[P_KNOWN + 1])
        else:
            at = _put(out, at, pieces, spans[P_UNKNOWN], spans[P_UNKNOWN + 1])
        at = _put(out, at, pieces, spans[P_INPUT + topic], spans[P_INPUT + topic + 1])
        at = _put_whole(out, at, row.offset)
        at = _put(out, at, pieces, spans[P_TIME], spans[P_TIME + 1])
        at = _put_whole(out, at, row.event_time_ms)
        at = _put(out, at, pieces, spans[P_LENGTH], spans[P_LENGTH + 1])
        at = _put_whole(out, at, row.window_len)
        at = _put(out, at, pieces, spans[P_DIGEST], spans[P_DIGEST + 1])
        at = _put_digest(out, at, row.window_digest)
        lateness = P_LATE if row.late != 0 else P_ON_TIME
        at = _put(out, at, pieces, spans[lateness], spans[lateness + 1])
        at = _put_whole(out, at, row.revision)
        at = _write_before(out, at, pieces, spans, row.supersedes)
        at = _put(out, at, pieces, spans[P_END], spans[P_END + 1])
        ends[i] = at
