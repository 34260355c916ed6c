"""The load: JSON events of one size, made by whole columns, dealt to topic partitions.

Rules of the room: the same card, count and end time give the same bytes; all is synthetic. Items
are named as export/bench_bundle.py names them. Everything is built before the clock runs: templates
have fields of fixed width, so an event is a row of a byte matrix, 2 us each, against some 10 for a
dict and a JSON encoder.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from confluent_kafka import Producer

from stream.connection import IDEMPOTENT
from stream.core.layout import TOPICS, Bytes
from tests.bench.card import Card

Message = dict[str, Any]  # what confluent's produce_batch takes
Block = dict[tuple[int, int], list[Message]]  # by (topic code, partition), in offset order

BLOCK_EVENTS: Final = 50_000
QUEUE_KBYTES: Final = 1 << 18
QUEUE_MESSAGES: Final = 2_000_000
FLUSH_S: Final = 60.0

_ID, _TIME, _USER, _ITEM, _CATEGORY, _PRICE, _OTHER = (chr(code) for code in range(1, 8))
WIDTHS: Final = {_ID: 16, _TIME: 13, _USER: 7, _ITEM: 5, _CATEGORY: 3, _PRICE: 2, _OTHER: 7}
_HEAD = (
    f'{{"event_id":"{_ID * 16}","event_type":"%s",'
    f'"event_time":{_TIME * 13},"user_id":"u{_USER * 7}"'
)
_CLICK = f',"item_id":"p{_ITEM * 5}","category":"c{_CATEGORY * 3}","price":1{_PRICE * 2}.95'
_CLICK += ',"channel":"web"'
_SEARCH = f',"query":"q{_CATEGORY * 3} w{_ITEM * 5}","results_count":1{_PRICE * 2},"channel":"web"'
_ORDER = (
    f',"order_id":"o{_OTHER * 7}","items":[{{"item_id":"p{_ITEM * 5}","quantity":1,'
    f'"price":1{_PRICE * 2}.95}}]'
)
BODIES: Final = (("click", _CLICK), ("search", _SEARCH), ("purchase", _ORDER))


def murmur2(keys: Bytes) -> npt.NDArray[np.int64]:
    """Hash (n, 8) bytes as Java's and aiokafka's default partitioner does, sign bit cleared."""
    m = np.uint32(0x5BD1E995)
    h = np.full(len(keys), np.uint32(0x9747B28C) ^ np.uint32(keys.shape[1]), np.uint32)
    for k in np.ascontiguousarray(keys).view("<u4").T:
        k = k * m  # noqa: PLW2901 modulo 2^32
        k ^= k >> np.uint32(24)  # noqa: PLW2901
        h = (h * m) ^ (k * m)
    h ^= h >> np.uint32(13)
    h *= m
    h ^= h >> np.uint32(15)
    return (h & np.uint32(0x7FFFFFFF)).astype(np.int64)


def zipf(rng: np.random.Generator, size: int, exponent: float, count: int) -> npt.NDArray[np.int64]:
    """Draw `count` ranks below `size` with P(rank) ~ 1 / (rank + 1) ** exponent."""
    edges = np.cumsum(1.0 / np.arange(1, size + 1) ** exponent)
    return np.searchsorted(edges, rng.random(count) * edges[-1], side="right")


class Load:
    """`events` events that end at `end_ms`, in blocks."""

    def __init__(self, card: Card, events: int, end_ms: int) -> None:
        self.card = card
        self.events = events
        self.end_ms = end_ms
        users = np.concatenate(
            [np.full((card.users, 1), ord("u"), np.uint8), _digits(np.arange(card.users), 7)],
            axis=1,
        )  # (U, 8) uint8: u0000042
        self._keys = [bytes(row) for row in users]
        self._partition = murmur2(users) % card.partitions
        # Which user has which rank is drawn, so that partitions get their share of the heavy ones.
        self.ranks = np.random.default_rng([card.seed, 0]).permutation(card.users)

    def blocks(self) -> Iterator[Block]:
        """Make the load, BLOCK_EVENTS at a time."""
        for first in range(0, self.events, BLOCK_EVENTS):
            yield self._block(first, min(BLOCK_EVENTS, self.events - first))

    def _block(self, first: int, count: int) -> Block:
        card = self.card
        rng = np.random.default_rng([card.seed, 1, first])
        share = np.cumsum(card.shares)
        topic = np.searchsorted(share / share[-1], rng.random(count), side="right")
        user = self.ranks[zipf(rng, card.users, card.users_exponent, count)]
        item = zipf(rng, card.items, card.items_exponent, count)
        order = np.arange(first, first + count)
        time_ms = self.end_ms - card.span_ms + order * card.span_ms // max(1, self.events)
        late = rng.random(count) < card.late_share
        time_ms -= late * rng.integers(1, card.late_ms_max, count)
        repeat = rng.random(count) < card.duplicates_share
        block: Block = {}
        for code in range(len(TOPICS)):
            rows = _without_repeats(np.flatnonzero(topic == code), repeat, rng)
            if not len(rows):
                continue
            fields = {
                _ID: _hexes(order[rows], card.seed),
                _TIME: _digits(time_ms[rows], 13),
                _USER: _digits(user[rows], 7),
                _ITEM: _digits(item[rows], 5),
                _CATEGORY: _digits(item[rows] % 1_000, 3),
                _PRICE: _digits(item[rows] % 100, 2),
                _OTHER: _digits(order[rows] % 10_000_000, 7),
            }
            self._deal(block, code, user[rows], _fill(code, fields, card.event_bytes))
        return block

    def _deal(self, block: Block, code: int, users: npt.NDArray[np.int64], rows: Bytes) -> None:
        raw = rows.tobytes()
        size = self.card.event_bytes
        partition = self._partition[users]
        for number in range(self.card.partitions):
            mine = np.flatnonzero(partition == number).tolist()
            block[code, number] = [
                {"key": self._keys[user], "value": raw[row * size : (row + 1) * size]}
                for row, user in zip(mine, users[mine].tolist(), strict=True)
            ]


def _without_repeats(
    rows: npt.NDArray[np.int64], repeat: npt.NDArray[np.bool_], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Put an earlier row of the topic, at most 200 before, in the place of each that repeats."""
    place = np.arange(len(rows))
    back = rng.integers(1, 201, len(rows))
    source = np.where(repeat[rows] & (place >= back), place - back, place)
    while (source[source] != source).any():  # a repeat of a repeat
        source = source[source]
    return rows[source]


def _template(code: int, size: int) -> Bytes:
    name, body = BODIES[code]
    text = _HEAD % name + body + ',"source":"'
    text += "b" * (size - len(text) - 2) + '"}'
    template = np.frombuffer(text.encode(), np.uint8)
    if len(template) != size:
        raise AssertionError(f"template of {name}: {len(template)} bytes")
    return template


def _fill(code: int, fields: dict[str, Bytes], size: int) -> Bytes:
    template = _template(code, size)
    rows = np.broadcast_to(template, (len(fields[_ID]), size)).copy()
    for mark, digits in fields.items():
        columns = np.flatnonzero(template == ord(mark))
        for copy in range(0, len(columns), WIDTHS[mark]):
            rows[:, columns[copy : copy + WIDTHS[mark]]] = digits
    return rows


def _digits(values: npt.NDArray[np.int64], width: int) -> Bytes:
    """Write (n,) numbers as (n, width) ASCII digits, leading zeros kept."""
    powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    return (values[:, None] // powers % 10 + ord("0")).astype(np.uint8)


def _hexes(values: npt.NDArray[np.int64], seed: int) -> Bytes:
    """Write (n,) numbers as (n, 16) hexadecimal digits that look random, still distinct."""
    x = values.astype(np.uint64) + np.uint64((seed << 40) + 1)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    shifts = np.arange(60, -4, -4).astype(np.uint64)
    letters = np.frombuffer(b"0123456789abcdef", np.uint8)
    return letters[(x[:, None] >> shifts) & np.uint64(15)]


class Sender:
    """Publishes blocks as fast as the broker takes them. Not part of what is measured."""

    def __init__(self, bootstrap: str, prefix: str, compression: str = "none") -> None:
        self._topics = [prefix + name for name in TOPICS]
        self._failed = 0
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                **IDEMPOTENT,
                "linger.ms": 20,
                "compression.type": compression,
                "batch.size": 1 << 18,
                "queue.buffering.max.messages": QUEUE_MESSAGES,
                "queue.buffering.max.kbytes": QUEUE_KBYTES * 4,
                "delivery.report.only.error": True,
                "on_delivery": self._report,
            }
        )

    def send(self, block: Block) -> int:
        """Queue a block; waits while the queue is full. Returns the count of events."""
        count = 0
        for (code, partition), messages in block.items():
            rest = messages
            while rest:
                done = self._producer.produce_batch(self._topics[code], rest, partition=partition)
                count += done
                rest = rest[done:]
                if rest:
                    self._producer.poll(0.05)
        self._producer.poll(0)
        return count

    def flush(self) -> None:
        """Wait until all is written. Raises RuntimeError if something was not."""
        left = self._producer.flush(FLUSH_S)
        if left or self._failed:
            raise RuntimeError(f"load: {left} events unsent, {self._failed} refused")

    def _report(self, error: object, _message: object) -> None:
        self._failed += error is not None
