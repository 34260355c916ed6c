"""Events of users of whom most are new, for as long as one likes, and the parts that take them.

Rules of the room: all is synthetic. A quarter of the events are of users who were there a moment
ago, so that windows fill and (h, c) are carried; the others are of users never seen before: every
batch pushes as many out at the cap.
"""

import json
import random
from collections.abc import Mapping, Sequence
from typing import Final

from stream.core.config import EngineConfig
from stream.core.layout import TOPICS
from stream.flow.restore import Engines
from tests.flow.fakes import FakeChunk, FakeTransaction, Headers, Record, Rig, make_rig
from tests.oracle.int_scorer import IntScorer

START_MS: Final = 1_760_000_000_000
RETURN_SHARE: Final = 0.25
BAD_SHARE: Final = 0.002
FORGET_SHARE: Final = 0.0005
SHARES: Final = (0.8, 0.1, 0.1)  # of clicks, searches, purchases
EVENT_MS: Final = 20  # between two events: users churn within minutes of shop time


class Churn:
    """Makes records by topic; the same seed gives the same ones."""

    def __init__(self, seed: int = 1, start_ms: int = START_MS, event_ms: float = EVENT_MS) -> None:
        self._rng = random.Random(seed)
        self._now_ms = float(start_ms)
        self._event_ms = event_ms
        self._seen = 0
        self._recent = ["first"] * 500

    def records(self, count: int) -> tuple[list[Record], list[Record], list[Record]]:
        """Make so many. 5 us each."""
        made: tuple[list[Record], list[Record], list[Record]] = ([], [], [])
        for topic in self._rng.choices(range(len(TOPICS)), SHARES, k=count):
            made[topic].append(self._record(topic))
        return made

    def _record(self, topic: int) -> Record:
        rng = self._rng
        self._seen += 1
        self._now_ms += self._event_ms
        user = f"user-{self._seen}"
        if rng.random() < RETURN_SHARE:
            user = rng.choice(self._recent)
        self._recent[self._seen % len(self._recent)] = user
        chance = rng.random()
        if chance < BAD_SHARE:
            return user.encode(), b'{"event_id":"broken'
        event: dict[str, object] = {
            "event_id": f"e-{self._seen}", "event_type": ("click", "search", "purchase")[topic],
            "event_time": int(self._now_ms), "user_id": user, "channel": "web",
        }  # fmt: skip
        item = {"item_id": f"p{rng.randrange(5_000):05d}", "price": rng.randrange(9_000) / 100}
        if chance < BAD_SHARE + FORGET_SHARE:
            event["event_type"] = "user_forget"
        elif topic == 0:
            event |= {**item, "category": f"c{rng.randrange(900)}"}
        elif topic == 1:
            event["query"] = f"red shoes {rng.randrange(90_000)}"
        else:
            event |= {"order_id": f"o-{self._seen}", "items": [item, item]}
        return user.encode(), json.dumps(event).encode()


class SinkTransaction(FakeTransaction):
    """Counts what is committed, and keeps the last value of nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.records = 0

    def produce(
        self,
        topic: str,
        partition: int,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        headers: Headers | None = None,
    ) -> None:
        assert self.begun
        self.records += len(values)

    def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        self.offsets.update(offsets)
        self.commits += 1
        self.begun = False


class ChurningWorker:
    """A real worker over a sink; fed by hand."""

    def __init__(self, users_max: int, churn: Churn | None = None) -> None:
        self.config = EngineConfig(
            users_max=users_max, hidden_users_max=users_max // 4, exclude_recent=True
        )
        self.churn = churn or Churn()
        self._next = [0] * len(TOPICS)
        self.fed = 0
        self.rig: Rig = make_rig(
            IntScorer(),
            Engines(self.config, 1, 2048),
            SinkTransaction(),
            self.config,
            batch_events_max=2048,
            commit_interval_s=0.2,
            commit_events_max=20_000,
            commit_bytes_max=64 << 20,
            topic_bytes_max=8 << 20,
            dead_letters_per_minute_max=10**9,
            hidden_users_max=self.config.hidden_users_max,
        )

    def feed(self, count: int) -> None:
        """Hand so many events over, as a chunk of each topic."""
        for topic, records in enumerate(self.churn.records(count)):
            first = self._next[topic]
            end = first + len(records)
            chunk = FakeChunk(TOPICS[topic], 0, first, records, end, timestamp_ms=2 * START_MS)
            self.rig.worker.on_chunk(chunk)
            self._next[topic] = end
        self.fed += count

    @property
    def waiting(self) -> int:
        """Rows that are not settled yet."""
        return self.rig.worker.rows_waiting()

    @property
    def committed(self) -> int:
        """Rows of which a commit is through."""
        return sum(self.rig.transaction.offsets.values())

    @property
    def dropped(self) -> int:
        """Users who left at the cap."""
        return self.rig.engines._engines[0].dropped["capacity"]
