"""Short ways to put an engine, a partition or a worker at the edge of a limit."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from stream.core.config import EngineConfig
from stream.core.engine import Engine
from stream.core.layout import TOPICS
from stream.core.results import Settled
from stream.flow.buffer import TopicBuffer
from stream.flow.order import Order
from stream.flow.partition import Partition
from stream.wire.decode import Decoder
from tests.flow.fakes import FakeChunk, Record
from tests.oracle.batches import batch_of
from tests.oracle.int_scorer import IntScorer
from tests.oracle.records import Event
from tests.strategies.streams import Move, StreamBuilder
from tests.wire.samples import changed, packed

CONFIG = EngineConfig(window_steps=4, refresh_steps=2, users_max=5, hidden_users_max=3)


class Driven:
    """An engine with a scorer; events are told as moves."""

    def __init__(self, config: EngineConfig = CONFIG, users: int = 64, rows_max: int = 256) -> None:
        self.engine = Engine(config, 0, rows_max)
        self.scorer = IntScorer()
        self.scorer.open(0, config.hidden_users_max)
        self._builder = StreamBuilder(config, [b"user-%d" % number for number in range(users)])

    def meet(self, users: Sequence[int], kind: str = "next") -> list[Settled]:
        """One event of each user, a ms after the other."""
        events = [self._builder.add(Move(kind, user, 1, 0, 0, 1, 0)) for user in users]
        return self.run(events)

    def run(self, events: Sequence[Event]) -> list[Settled]:
        """Apply events."""
        return self.engine.run(batch_of(events), lambda plan: self.scorer.score(0, plan))


def clicks(count: int, size: int = 0, user: str = "ann") -> list[Record]:
    """Make good clicks of one user; of `size` bytes each where that is given."""
    made: list[Record] = []
    for number in range(count):
        value = packed(changed(user_id=user, event_id=f"e-{number:06d}"))
        if size:
            value = value[:-1] + b" " * (size - len(value)) + b"}"
        made.append((user.encode(), value))
    return made


def partition_of_records(
    records: Sequence[Record], dead_letters_per_minute_max: int, catch_up_ms: int = 0
) -> tuple[Partition, ThreadPoolExecutor]:
    """Make a partition whose clicks are these records, all there, and the others caught up."""
    engine = Engine(EngineConfig(hidden_users_max=8), 0, 64)
    buffers = [TopicBuffer(topic, name, 0, 0) for topic, name in enumerate(TOPICS)]
    for buffer in buffers:
        mine = list(records) if buffer.topic == 0 else []
        buffer.append(FakeChunk(buffer.name, 0, 0, mine, len(mine)))
    pool = ThreadPoolExecutor(1)
    order = Order(Decoder(1), pool, 0, 0, 300_000)
    limits = dead_letters_per_minute_max, catch_up_ms
    return Partition(engine, buffers, order, {}, *limits), pool
