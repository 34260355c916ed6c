"""The parts of a worker in one thread, without Kafka: chunks from memory to encoded outputs.

Rules of the room: the flow's own classes do the work, in the worker's order, but nothing overlaps:
processor time is added up by stage, so that other work on the machine disturbs it little. What
needs a broker is left out: fetching, reading record batches, producing, ending a transaction.
"""

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from stream.core.engine import Engine
from stream.core.layout import TOPICS
from stream.flow.buffer import TopicBuffer
from stream.flow.candidate import Serving
from stream.flow.order import Order
from stream.flow.partition import Partition, Taken
from stream.flow.warm_up import Made
from stream.wire.decode import Decoded, Decoder
from stream.wire.records import RecordColumns

STAGES: Final = ("decode", "order", "apply", "score", "settle", "encode", "commit")
FUTURE_MS_MAX: Final = 300_000
UNLIMITED: Final = 1 << 40


class Measured(NamedTuple):
    """What some events took."""

    events: int
    steps: int  # of the model, rebuilt ones with them
    state_rows: int  # users written to the changelog
    state_bytes: int  # keys and values of these
    wall_s: float
    batches_ms: list[float]  # wall time of each batch, from its bytes to its outputs
    stages_us: dict[str, float]  # processor time an event

    @property
    def us_per_event(self) -> float:
        """Processor time of an event."""
        return sum(self.stages_us.values())


class Pipeline:
    """Engines, one per partition number, behind one model. Opens the model's pools."""

    def __init__(
        self, engines: Sequence[Engine], serving: Serving, rows_max: int, commit_events: int
    ) -> None:
        self.serving = serving
        self._rows_max = rows_max
        self._commit_events = commit_events
        self._clock = _StageClock()
        decoder = _TimedDecoder(len(engines), self._clock)
        self._partitions = [_partition_of(engine, decoder) for engine in engines]
        self._turn = 0
        self._open = 0  # events since the last commit
        self._state_rows = self._state_bytes = 0
        for engine in engines:
            serving.scorer.open(engine.partition, engine.config.hidden_users_max)

    def feed(self, topic: int, partition: int, columns: RecordColumns) -> None:
        """Put a chunk behind what a topic partition holds; there is always more to come."""
        offsets = columns.offsets
        chunk = Made(
            TOPICS[topic], columns, int(offsets[-1]) + 1, len(offsets), partition=partition,
            offset_first=int(offsets[0]), caught_up=False,
        )  # fmt: skip
        self._partitions[partition].buffers[topic].append(chunk)

    def run(self, events: int) -> Measured:
        """Take batches until there are so many events, then commit.

        Raises RuntimeError where the load ends before.
        """
        steps = done = self._state_rows = self._state_bytes = 0
        batches_ms = []
        began = at = time.perf_counter()
        self._clock.start()
        while done < events:
            rows, steps_run = self._batch()
            done += rows
            steps += steps_run
            now = time.perf_counter()
            batches_ms.append((now - at) * 1e3)
            if self._open >= self._commit_events:
                self._commit()
                now = time.perf_counter()
            at = now
        if self._open:
            self._commit()
        wall_s = time.perf_counter() - began
        stages = {name: seconds / done * 1e6 for name, seconds in self._clock.spent.items()}
        state = self._state_rows, self._state_bytes
        return Measured(done, steps, *state, wall_s, batches_ms, stages)

    def outcomes(self) -> Counter[str]:
        """Count what became of all events so far."""
        return sum((partition.outcomes for partition in self._partitions), Counter())

    def close(self) -> None:
        """Drop the model's pools."""
        for partition in self._partitions:
            self.serving.scorer.close(partition.number)

    def _batch(self) -> tuple[int, int]:
        """Take one batch through; returns its rows and the model's steps."""
        partition, taken = self._take()
        number, note = partition.number, self._clock.note
        note("order")
        applied = partition.apply(taken, 0)
        note("apply")
        scores = self.serving.scorer.score(number, applied.plan)
        note("score")
        settled = partition.engine.settle(applied, scores)
        partition.note_settled(taken, settled, 0)
        note("settle")
        self.serving.effects.of_rows(partition, taken, settled, 0)
        note("encode")
        self._open += len(settled.rows)
        return len(settled.rows), len(applied.plan.steps)

    def _take(self) -> tuple[Partition, Taken]:
        """Take a batch from the next partition that has one."""
        for _ in self._partitions:
            partition = self._partitions[self._turn]
            self._turn = (self._turn + 1) % len(self._partitions)
            taken = partition.take(self._rows_max, 0)
            if taken is not None:
                return partition, taken
        raise RuntimeError("the load is at its end")

    def _commit(self) -> None:
        """Encode state rows, headers and receipts."""
        closing = self.serving.effects.closing(self._partitions, [])
        self._open = 0
        self._clock.note("commit")
        for output in closing.state:
            self._state_rows += len(output.keys)
            self._state_bytes += output.keys.bytes_count + output.values.bytes_count
        self._clock.skip()


class _StageClock:
    """Adds processor time to the stage that has just ended."""

    def __init__(self) -> None:
        self.spent = dict.fromkeys(STAGES, 0.0)
        self._at = 0.0

    def start(self) -> None:
        self.spent = dict.fromkeys(STAGES, 0.0)
        self.skip()

    def skip(self) -> None:
        """Leave out what was done since the last note."""
        self._at = time.process_time()

    def note(self, stage: str) -> None:
        now = time.process_time()
        self.spent[stage] += now - self._at
        self._at = now


class _TimedDecoder(Decoder):
    """Order calls it in the midst of taking a batch."""

    def __init__(self, partitions_count: int, clock: _StageClock) -> None:
        super().__init__(partitions_count)
        self._clock = clock

    def decode(
        self,
        topic: int,
        partition: int,
        offset_first: int,
        offset_next: int,
        records: RecordColumns,
    ) -> Decoded:
        self._clock.note("order")
        decoded = super().decode(topic, partition, offset_first, offset_next, records)
        self._clock.note("decode")
        return decoded


def _partition_of(engine: Engine, decoder: Decoder) -> Partition:
    """Make a partition that waits for nothing and decodes on the caller's thread."""
    buffers = [TopicBuffer(topic, name, engine.partition, 0) for topic, name in enumerate(TOPICS)]
    unused = ThreadPoolExecutor(1)  # starts no thread before it is given work
    order = Order(decoder, unused, 0, 0, FUTURE_MS_MAX, at_once_rows_max=UNLIMITED)
    return Partition(engine, buffers, order, {}, dead_letters_per_minute_max=UNLIMITED)
