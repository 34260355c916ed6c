"""Target: the event decoder. Every input must be an event, or a dead letter with a reason.

An input is a byte that names topic and key, and the record's value. Both twins must agree: what the
compiled reader took is read again by the plain one, a share of it always.
"""

import re
from collections.abc import Hashable, Sequence
from random import Random
from typing import Any, Final

import numpy as np

from stream.core.layout import (
    ACTIONS,
    EVENT,
    NEVER_MS,
    PURCHASE_STEPS_MAX,
    STEP,
    TOPICS,
    Flag,
    Reason,
)
from stream.wire import event as event_reader
from stream.wire import hashing, money, times
from stream.wire.decode import Decoded, Decoder
from stream.wire.event import MESSAGE_CHARS_MAX, Accepted, Refused, read_event
from stream.wire.hashing import Memories
from stream.wire.limits import PRICE_CENTS_MAX, TIME_MS_MAX, TIME_MS_MIN, Limits
from stream.wire.records import columns_of
from tests.fuzz.arcs import Arc, Tracer, plain_kernels
from tests.fuzz.mutate import change_bytes, change_members, write_otherwise
from tests.fuzz.target import Judged
from tests.fuzz.tokens import KEYS
from tests.wire.samples import FORGET, GOOD, TIME_MS, changed, packed

EVENT_BYTES_MAX: Final = 8_192
TWIN_SHARE: Final = 16  # one in so many accepted rows is read by the plain twin as well
_USER: Final = re.compile(rb'"(user_id|anonymous_id)"\s*:\s*"((?:[^"\\\x00-\x1f])+)"')
_QUOTED: Final = re.compile(r"'[^']*('|$)|\"[^\"]*(\"|$)")
_WORD: Final = re.compile(r"`[^`]{1,40}`,?|[A-Za-z_():,]{2,24}")


class WatchedDecoder(Decoder):
    """Remembers which rows the compiled reader took."""

    fast: np.ndarray

    def _read_plain(self, *call: Any) -> tuple[np.ndarray, np.ndarray]:
        done, steps = super()._read_plain(*call)
        self.fast = done.copy()
        return done, steps


class Events:
    """See stream.wire.decode."""

    name = "events"
    batch_inputs = 4_096
    traced_bytes_max = 1_024

    def __init__(self, partitions: int = 1) -> None:
        self._decoder = WatchedDecoder(partitions, EVENT_BYTES_MAX)
        self._limits = Limits(partitions, EVENT_BYTES_MAX)
        self._memories = Memories()
        self._slow = Tracer(event_reader.__file__, hashing.__file__, money.__file__, times.__file__)
        self._kernels = plain_kernels()
        self._fast = Tracer(*(module.__file__ for module in self._kernels))

    def seeds(self) -> list[bytes]:
        """Good events of all topics and ways of writing."""
        odd = [
            changed(
                0, event_time="2025-10-09T08:53:20.5Z", sent_at=TIME_MS, received_at=TIME_MS + 9
            ),
            changed(0, user_id=None, anonymous_id="x", product_id="p", action="cart", price="3.50"),
            changed(0, is_bot=False, more={"deep": [1, {"a": None}], "text": "ü\n"}),
            changed(1, query="Zoë's rote Schuhe 42, 42"),
            changed(2, items=[{"item_id": f"i{n}", "quantity": n + 1} for n in range(66)]),
        ]
        topics = (0, 0, 0, 1, 2)
        made = [(topic, event) for topic, event in zip(topics, odd, strict=True)]
        made += [(topic, event) for topic, event in enumerate(GOOD)]
        made += [(topic, FORGET) for topic in range(len(TOPICS))]
        return [bytes([topic]) + packed(event) for topic, event in made]

    def change(self, rng: Random, value: bytes, other: bytes) -> bytes:
        """Change the event; now and then its topic or key."""
        how = rng.choice((change_members, change_bytes, write_otherwise))
        head = rng.randrange(256) if rng.random() < 0.05 else value[0] % 3
        return bytes([head]) + how(rng, value[1:], other[1:])

    def judge(self, inputs: Sequence[bytes]) -> Judged:
        """Decode by topic, in one call each."""
        judged = Judged([None] * len(inputs), 0, 0)
        for topic in range(len(TOPICS)):
            rows = [index for index, value in enumerate(inputs) if _topic_of(value) == topic]
            if rows:
                self._judge_topic(topic, rows, [inputs[row] for row in rows], judged)
        return judged

    def arcs(self, value: bytes) -> set[Arc]:
        """Trace the plain reader, and the compiled one's source."""
        key, body, topic = key_of(value), value[1:], _topic_of(value)
        found = self._slow.of(lambda: read_event(topic, 0, key, body, self._limits, self._memories))
        return found | self._fast.of(lambda: self._read_kernels(topic, key, body))

    def _judge_topic(
        self, topic: int, rows: list[int], inputs: list[bytes], judged: Judged
    ) -> None:
        keys, values = [key_of(value) for value in inputs], [value[1:] for value in inputs]
        count = len(rows)
        columns = columns_of(range(count), [TIME_MS] * count, keys, values)
        try:
            decoded = self._decoder.decode(topic, 0, 0, count, columns)
        except Exception as error:  # noqa: BLE001 that it raises is what is looked for
            judged.failures += self._who_raises(topic, rows, keys, values, error)
            return
        reasons = decoded.events["reason"]
        dead = int(np.count_nonzero(reasons))
        judged.refused += dead
        judged.accepted += count - dead
        failures = [*wrong_rows(topic, decoded, keys), *self._wrong_twins(decoded, keys, values)]
        judged.failures += [(rows[row], why) for row, why in failures]
        fast, flags, steps = (
            self._decoder.fast, decoded.events["flags"], decoded.events["steps_count"]
        )  # fmt: skip
        for row, at in enumerate(rows):
            judged.features[at] = (
                _shape(decoded.messages[row])
                if reasons[row]
                else (topic, bool(fast[row]), int(flags[row]), min(int(steps[row]), 3))
            )

    def _who_raises(
        self,
        topic: int,
        rows: list[int],
        keys: list[bytes | None],
        values: list[bytes],
        error: Exception,
    ) -> list[tuple[int, str]]:
        found = []
        for at, key, value in zip(rows, keys, values, strict=True):
            try:
                self._decoder.decode(topic, 0, 0, 1, columns_of([0], [TIME_MS], [key], [value]))
            except Exception as alone:  # noqa: BLE001
                found.append((at, f"decode raised {type(alone).__name__}: {alone}"))
        return found or [(rows[0], f"decode of a batch raised {type(error).__name__}: {error}")]

    def _wrong_twins(
        self, decoded: Decoded, keys: list[bytes | None], values: list[bytes]
    ) -> list[tuple[int, str]]:
        """Read a share of the rows that the compiled reader took with the plain one."""
        found = []
        for row in np.flatnonzero(self._decoder.fast)[::TWIN_SHARE].tolist():
            try:
                plain = read_event(
                    decoded.topic, 0, keys[row], values[row], self._limits, self._memories
                )
            except Refused as refused:
                found.append((row, f"taken fast, but refused by the plain reader: {refused}"))
                continue
            fast = accepted_of(decoded, row)
            if fast != plain:
                found.append((row, f"read fast as {fast}, plainly as {plain}"))
        return found

    def _read_kernels(self, topic: int, key: bytes | None, value: bytes) -> None:
        kernels = self._kernels[-1]
        columns = columns_of([0], [TIME_MS], [key], [value])
        rules = kernels.Rules(topic, 0, 1, EVENT_BYTES_MAX, self._limits.skew_ms_max)
        events = np.zeros(1, EVENT).view(np.recarray)
        steps = np.zeros(PURCHASE_STEPS_MAX, STEP).view(np.recarray)
        data = columns.data.astype(np.int64)  # numpy's uint8 would wrap where numba's does not
        with np.errstate(all="ignore"):
            done, scratch = np.zeros(1, np.uint8), kernels.new_scratch()
            kernels.read_plain(rules, data, columns.places, events, steps, done, scratch)


def key_of(value: bytes) -> bytes | None:
    """Give the record's key: that of its user, or by the first byte one of the odd ones."""
    if value[0] >= 3:
        return KEYS[value[0] % len(KEYS)]
    names = dict(_USER.findall(value))
    if b"user_id" in names:
        return names[b"user_id"]
    return b"anon:" + names[b"anonymous_id"] if b"anonymous_id" in names else b"ann"


def _topic_of(value: bytes) -> int:
    return value[0] % len(TOPICS)


def _shape(message: str) -> Hashable:
    """Leave out what differs from input to input."""
    words = _QUOTED.sub(" ", message).split()
    return " ".join(word for word in words if _WORD.fullmatch(word))


def accepted_of(decoded: Decoded, row: int) -> Accepted:
    """Take one event of a chunk back out of the arrays."""
    event = decoded.events[row]
    first = int(event["step_first"])
    steps = [
        (
            int(step["item"]), int(step["price_cents"]), int(step["category"]),
            tuple(step["tokens"].tolist()), int(step["quantity"]), int(step["action"]),
        )
        for step in decoded.steps[first : first + int(event["steps_count"])]
    ]  # fmt: skip
    names = ("event_id", "time_ms", "flags", "channel", "device", "region")
    return Accepted(*(int(event[name]) for name in names), steps)


def wrong_rows(topic: int, decoded: Decoded, keys: Sequence[bytes | None]) -> list[tuple[int, str]]:
    """Check what every row of a decoded chunk must be; by columns, 0.2 us a row."""
    events, steps = decoded.events, decoded.steps
    count = len(keys)
    if len(events) != count or events["offset"].tolist() != list(range(count)):
        return [(0, f"{len(events)} rows for {count} records, or in another order")]
    dead = events["reason"] != Reason.NONE
    control = (events["flags"] & Flag.CONTROL_FORGET) != 0
    owner = np.repeat(np.arange(count), events["steps_count"])
    if len(owner) != len(steps):
        return [(0, f"{len(steps)} steps for events of {len(owner)}")]
    good_times = (events["time_ms"] >= TIME_MS_MIN) & (events["time_ms"] <= TIME_MS_MAX)
    rules = {
        "an unknown reason": events["reason"] > max(Reason),
        "a dead letter with a time, steps or a user": dead
        & ((events["time_ms"] != NEVER_MS) | (events["steps_count"] != 0) | (events["user"] != -1)),
        "an event out of time": ~dead & ~good_times,
        "an event without steps": ~dead & ~control & (events["steps_count"] == 0),
        "a control event with steps": control & (events["steps_count"] != 0),
        "too many steps": events["steps_count"] > (PURCHASE_STEPS_MAX if topic == 2 else 1),
        "an event without user": ~dead & (events["user"] < 0),
        "another topic": events["topic"] != topic,
    }
    wrong = [(row, why) for why, mask in rules.items() for row in np.flatnonzero(mask).tolist()]
    odd_steps = (
        (steps["event_type"] != topic)
        | (steps["action"] >= len(ACTIONS))
        | (steps["price_cents"] < -1)
        | (steps["price_cents"] > PRICE_CENTS_MAX)
        | (steps["quantity"] < 1)
        | (steps["event_id"] != events["event_id"][owner])
        | (steps["time_ms"] != events["time_ms"][owner])
    )
    wrong += [(row, "an impossible step") for row in owner[odd_steps].tolist()]
    if set(decoded.messages) != set(np.flatnonzero(dead).tolist()):
        wrong.append((0, "messages are not those of the dead letters"))
    wrong += [
        (row, f"a message of {len(text)} characters")
        for row, text in decoded.messages.items()
        if not 0 < len(text) <= MESSAGE_CHARS_MAX or (not text.isprintable() and not _utf8(text))
    ]
    for row in np.flatnonzero(~dead).tolist():
        if decoded.users[events["user"][row]] != keys[row]:
            wrong.append((row, "another user"))
    return wrong


def _utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
