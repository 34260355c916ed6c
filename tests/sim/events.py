"""Events as their senders write them: the moves of tests/strategies, as JSON in topics."""

import random
from typing import NamedTuple

from stream.core.config import EngineConfig
from stream.core.layout import Flag
from stream.wire.murmur2 import partition_of
from tests.oracle.records import Event, Step
from tests.strategies.streams import KINDS, seeded_moves, stream_of

NAMES = ("click", "search", "purchase")
STEPS_MAX = 5  # of a purchase; one in fifty has all that may be
# Of the runs that have a kind; 0.75 of the others. Who is forgotten ends two batches.
SHARES = {"next": 1.0, "forget": 0.25, "forget_late": 0.25}


class Sent(NamedTuple):
    """A record that is to be written to an input topic."""

    topic: int
    key: bytes | None
    value: bytes
    timestamp_ms: int


def users_of(partition: int, partitions: int, count: int) -> list[bytes]:
    """Name users whose events belong to a partition."""
    users: list[bytes] = []
    number = 0
    while len(users) < count:
        user = b"u%d" % number
        number += 1
        if partition_of(user, partitions) == partition:
            users.append(user)
    return users


def draw_events(
    seed: int, config: EngineConfig, partition: int, partitions: int, count: int
) -> list[Sent]:
    """Draw what is written to a partition number, in the order in which it is written."""
    chance = random.Random(seed)
    kinds = [kind for kind in KINDS if chance.random() < SHARES.get(kind, 0.75)]
    moves = [
        move._replace(steps=min(move.steps, STEPS_MAX) if chance.random() < 0.98 else move.steps)
        for move in seeded_moves(seed, count, kinds)
    ]
    users = users_of(partition, partitions, config.users_max + 2)
    return [_sent(event) for event in stream_of(config, moves, users)]


def _sent(event: Event) -> Sent:
    if event.reason:
        return Sent(event.topic, event.user, _bad(event), event.timestamp_ms)
    fields = [
        f'"event_id":"e{event.event_id}"',
        f'"event_time":{event.time_ms}',
        f'"user_id":"{(event.user or b"").decode()}"',
    ]
    context = (("channel", event.channel), ("device", event.device), ("region", event.region))
    fields += [f'"{name}":"{name}-{value}"' for name, value in context if value]
    if event.flags & Flag.CONTROL_FORGET:
        fields.append('"event_type":"user_forget"')
    else:
        fields.append(f'"event_type":"{NAMES[event.event_type]}"')
        fields += _payload(event)
    return Sent(
        event.topic, event.user, ("{" + ",".join(fields) + "}").encode(), event.timestamp_ms
    )


def _payload(event: Event) -> list[str]:
    first = event.steps[0]
    if event.event_type == 0:
        return [_item(first, quantity=False)]
    if event.event_type == 1:
        words = " ".join(f"w{token}" for token in first.tokens if token)
        return [f'"query":"{words or "w"}"']
    items = ",".join("{" + _item(step, quantity=True) + "}" for step in event.steps)
    return ['"order_id":"o"', f'"items":[{items}]']


def _item(step: Step, *, quantity: bool) -> str:
    fields = [f'"item_id":"i{step.item}"']
    if step.category:
        fields.append(f'"category":"c{step.category}"')
    if step.price_cents >= 0:
        fields.append(f'"price":{step.price_cents / 100}')
    if quantity:
        fields.append(f'"quantity":{step.quantity}')
    return ",".join(fields)


def _bad(event: Event) -> bytes:
    """Write something that the decoder refuses, or, by chance of its key, accepts after all."""
    envelope = b'"event_id":"b%d","event_time":%d' % (event.offset, event.timestamp_ms)
    match event.reason % 5:
        case 0:
            return b'{"event_id": "cut of'
        case 1:
            return b"{}"
        case 2:
            return b'{%s,"event_type":"dance","user_id":"u0"}' % envelope
        case 3:
            return b'{%s,"event_type":"%s","user_id":"someone else","query":"q","item_id":"i"}' % (
                envelope, NAMES[event.topic].encode(),
            )  # fmt: skip
        case _:
            return b'{%s,"event_type":"click","item_id":"i","is_bot":true,"user_id":"%s"}' % (
                envelope, event.user or b"",
            )  # fmt: skip
