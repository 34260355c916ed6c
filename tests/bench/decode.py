"""Cost of decoding, by topic and time format: `python -m tests.bench.decode`."""

import json
import random
import time

from stream.wire.decode import Decoder
from stream.wire.murmur2 import partition_of
from stream.wire.records import columns_of

EVENTS = 8192
ROUNDS = 9
START_MS = 1_760_000_000_000


def records(topic: int, iso: bool, seed: int = 1) -> tuple[list[bytes], list[bytes]]:
    """Make keys and values of one partition: users and items drawn with a heavy head."""
    rng = random.Random(seed)
    users = [f"user-{n}" for n in range(50_000)]
    users = [user for user in users if partition_of(user.encode(), 4) == 0]
    keys, values = [], []
    for n in range(EVENTS):
        user = users[int(len(users) * rng.random() ** 3)]
        ms = START_MS + n * 10
        event = {
            "event_id": f"{rng.getrandbits(64):016x}",
            "event_type": ("product_viewed", "search", "purchase")[topic],
            "event_time": f"2025-10-09T08:53:{n % 60:02}.{n % 1000:03}Z" if iso else ms,
            "user_id": user,
            "channel": rng.choice(("web", "app")),
            "device": rng.choice(("phone", "desktop")),
        }
        item = f"item-{int(20_000 * rng.random() ** 3)}"
        if topic == 0:
            event |= {"item_id": item, "category": f"c{rng.randrange(300)}", "price": 12.99}
        elif topic == 1:
            event |= {"query": f"red shoes {rng.randrange(900)}"}
        else:
            line = {"item_id": item, "quantity": 1, "price": 12.99}
            event |= {"order_id": f"o{n}", "items": [line, line]}
        keys.append(user.encode())
        values.append(json.dumps(event, separators=(",", ":")).encode())
    return keys, values


def measure(topic: int, iso: bool, bad: float = 0.0) -> tuple[float, float]:
    """Return the best and the median us of processor time per event."""
    keys, values = records(topic, iso)
    rng = random.Random(2)
    values = [b"{" if rng.random() < bad else value for value in values]
    columns = columns_of(range(EVENTS), [START_MS] * EVENTS, keys, values)
    decoder = Decoder(4)
    taken = []
    for _ in range(ROUNDS):
        begin = time.thread_time()
        decoder.decode(topic, 0, 0, EVENTS, columns)
        taken.append((time.thread_time() - begin) / EVENTS * 1e6)
    taken.sort()
    return taken[0], taken[ROUNDS // 2]


def main() -> None:
    """Print a line per kind of batch."""
    cases = (
        ("clicks, epoch ms", 0, False, 0.0),
        ("clicks, ISO 8601", 0, True, 0.0),
        ("clicks, 1 % garbage", 0, False, 0.01),
        ("searches, epoch ms", 1, False, 0.0),
        ("purchases of 2 items, epoch ms", 2, False, 0.0),
    )
    for name, topic, iso, bad in cases:
        best, median = measure(topic, iso, bad)
        size = sum(map(len, records(topic, iso)[1])) // EVENTS
        print(f"{name:32} {size:4} bytes  best {best:5.2f}  median {median:5.2f} us/event")


if __name__ == "__main__":
    main()
