"""A toy flow on the real transport: counts per user, one output per record, one transaction each.

It is an Intake and a StateStore at once, small enough to be right by reading, and used by every
broker test of this room. Run as a program it is a worker that can be killed.
"""

import asyncio
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from stream.flow.ports import Chunk
from stream.flow.stops import HoleError, WorkerStopError
from stream.settings import Settings
from stream.shell.faust_app import ChunkApp, make_faust_app
from stream.shell.producer import ProducerConfig
from stream.shell.transaction import TransactionalProducer
from tests.kafka_tools import produce, read_all

HEADER_KEY = b"\0header"
INPUTS = ("clicks", "searches", "purchases")
USERS = 37
DEADLINE_S = 45.0


class ToyStore:
    """Counts per user and the header of each partition, with what was called."""

    def __init__(self) -> None:
        self.counts: dict[int, dict[bytes, int]] = defaultdict(dict)
        self.header: dict[int, dict[str, int]] = {}
        self.restored_rows = 0
        self.dropped: list[int] = []

    def restore(
        self, partition: int, keys: Sequence[bytes | None], values: Sequence[bytes | None]
    ) -> None:
        for key, value in zip(keys, values, strict=True):
            assert key is not None
            if key == HEADER_KEY:
                assert value is not None
                self.header[partition] = json.loads(value)
            elif value is None:
                self.counts[partition].pop(key, None)
            else:
                self.counts[partition][key] = int(value)
        self.restored_rows += len(keys)

    def drop(self, partition: int) -> None:
        self.counts.pop(partition, None)
        self.header.pop(partition, None)
        self.dropped.append(partition)

    def positions(self, partition: int) -> Mapping[str, int] | None:
        return self.header.get(partition)


class ToyFlow:
    """Applies chunks as they come, commits on a timer and before it hands over."""

    def __init__(self, names: Mapping[str, str], store: ToyStore, commit_s: float = 0.1) -> None:
        self.names = names
        self.store = store
        self.commit_s = commit_s
        self.app: ChunkApp
        self.producer: TransactionalProducer
        self.next: dict[int, dict[str, int]] = {}
        self.touched: dict[int, set[bytes]] = defaultdict(set)
        self.outputs: dict[int, list[bytes]] = defaultdict(list)
        self.moved: set[int] = set()
        self.chunks: list[tuple[str, int, int, int, int]] = []
        self.assignments: list[dict[int, dict[str, int]]] = []
        self.revocations: list[frozenset[int]] = []
        self.commits = 0
        self._lock = asyncio.Lock()
        self._timer: asyncio.Task[None] | None = None

    async def on_assigned(self, starts: Mapping[int, Mapping[str, int]]) -> None:
        self.next = {partition: dict(topics) for partition, topics in starts.items()}
        self.assignments.append(self.next)
        self._timer = self._timer or asyncio.create_task(self._commit_on_timer())

    async def on_revoked(self, partitions: frozenset[int]) -> None:
        self.revocations.append(partitions)
        await self.commit()
        self.next = {}

    def on_chunk(self, chunk: Chunk) -> None:
        at = self.next[chunk.partition][chunk.topic]
        where = (chunk.topic, chunk.partition, chunk.offset_first, chunk.offset_next)
        self.chunks.append((*where, chunk.end_offset))
        if chunk.offset_first > at:
            raise HoleError(f"{chunk} after {at}")
        counts = self.store.counts[chunk.partition]
        columns = chunk.records()
        for offset, key in zip(columns.offsets.tolist(), columns.keys(), strict=True):
            if offset < at:
                continue
            assert key is not None
            counts[key] = counts.get(key, 0) + 1
            self.touched[chunk.partition].add(key)
            row = [chunk.topic, chunk.partition, offset, key.decode(), counts[key]]
            self.outputs[chunk.partition].append(json.dumps(row).encode())
        self.next[chunk.partition][chunk.topic] = max(at, chunk.offset_next)
        self.moved.add(chunk.partition)

    async def _commit_on_timer(self) -> None:
        while True:
            await asyncio.sleep(self.commit_s)
            await self.commit()

    async def commit(self) -> None:
        async with self._lock:
            if not self.moved or self.app.failure is not None:
                return
            loop = asyncio.get_running_loop()
            try:
                work = self._snapshot()
                await loop.run_in_executor(None, self._commit, *work)
                self.commits += 1
            except WorkerStopError as error:
                self.app.fail(error)
                raise

    def _snapshot(self) -> tuple[Any, ...]:
        rows = {
            partition: {key: self.store.counts[partition].get(key) for key in keys}
            for partition, keys in self.touched.items()
        }
        headers = {partition: dict(self.next[partition]) for partition in self.moved}
        outputs = dict(self.outputs)
        self.touched.clear()
        self.outputs.clear()
        self.moved.clear()
        return rows, headers, outputs, self.app.membership()

    def _commit(self, rows: Any, headers: Any, outputs: Any, member: Any) -> None:
        producer = self.producer
        producer.begin()
        for partition, values in outputs.items():
            producer.produce(self.names["out"], partition, [None] * len(values), values)
        for partition, counts in rows.items():
            values = [None if count is None else str(count).encode() for count in counts.values()]
            producer.produce(self.names["user-state"], partition, list(counts), values)
        for partition, header in headers.items():
            producer.produce_header(
                self.names["user-state"], partition, HEADER_KEY, json.dumps(header).encode(),
                self.app.table.advance,
            )  # fmt: skip
        offsets = {(t, p): at for p, header in headers.items() for t, at in header.items()}
        producer.commit(offsets, member)
        self.store.header.update(headers)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class ToyWorker:
    """One worker: app, flow, store and producer."""

    def __init__(
        self, kafka: str, names: Mapping[str, str], instance: int, group: str, **settings: Any
    ) -> None:
        faust_conf = settings.pop("faust_conf", {})
        commit_s = settings.pop("commit_s", 0.1)
        self.settings = Settings(
            group=group,
            **{"session_timeout_s": 12.0, "rebalance_timeout_s": 30.0, **settings},
        )
        self.store = ToyStore()
        self.flow = ToyFlow(names, self.store, commit_s)
        self.app = make_faust_app(
            self.settings,
            bootstrap=kafka,
            instance=instance,
            inputs=[names[name] for name in INPUTS],
            state_topic=names["user-state"],
            store=self.store,
            intake=self.flow,
            **{"broker_heartbeat_interval": 0.3, **faust_conf},
        )
        self.flow.app = self.app
        config = ProducerConfig(kafka, transaction_timeout_s=self.settings.transaction_timeout_s)
        self.flow.producer = TransactionalProducer(config, f"{group}-{instance}")

    async def start(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self.flow.producer.start)
        self.app.finalize()
        await asyncio.wait_for(self.app.start(), DEADLINE_S)

    async def stop(self) -> None:
        await asyncio.wait_for(self.app.stop(), DEADLINE_S)
        self.flow.stop()
        await asyncio.get_running_loop().run_in_executor(None, self.flow.producer.close)

    @property
    def partitions(self) -> set[int]:
        return set(self.flow.next)


@asynccontextmanager
async def running(*workers: ToyWorker) -> AsyncIterator[None]:
    """Run workers, and stop them whatever happens: one left behind would hang the event loop."""
    try:
        for worker in workers:
            await worker.start()
        yield
    finally:
        for worker in workers:
            await worker.stop()


async def wait_for(condition: Any, what: str, limit_s: float = DEADLINE_S) -> None:
    """Wait until a condition holds; fails with what was waited for."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit_s
    while not condition():
        if loop.time() > deadline:
            raise AssertionError(f"waited {limit_s} s for {what}")
        await asyncio.sleep(0.02)


def feed(kafka: str, names: Mapping[str, str], count: int, first: int = 0) -> None:
    """Write `count` records to each input, a user always to the same partition."""
    for topic in INPUTS:
        rows = [(b"user-%d" % (n % USERS), b"%d" % n) for n in range(first, first + count)]
        produce(kafka, names[topic], rows)


def applied_count(workers: Sequence[ToyWorker]) -> int:
    """Count the records in the states of the workers' own partitions."""
    return sum(sum(w.store.counts[p].values()) for w in workers for p in w.partitions)


def check_exactly_once(kafka: str, names: Mapping[str, str], total: int) -> None:
    """Each input record has one output, each user's counter runs 1..k, state is the last one."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            _check_once(kafka, names, total)
        except AssertionError:
            # A commit is answered before its markers are written everywhere.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def _check_once(kafka: str, names: Mapping[str, str], total: int) -> None:
    seen: set[tuple[str, int, int]] = set()
    counters: dict[str, list[int]] = defaultdict(list)
    for message in read_all(kafka, names["out"]):
        topic, partition, offset, user, count = json.loads(message.value())
        assert message.partition() == partition
        assert (topic, partition, offset) not in seen
        seen.add((topic, partition, offset))
        counters[user].append(count)
    assert len(seen) == total
    assert all(counts == list(range(1, len(counts) + 1)) for counts in counters.values())
    state = {m.key(): m.value() for m in read_all(kafka, names["user-state"])}
    assert {user: len(counts) for user, counts in counters.items()} == {
        key.decode(): int(value) for key, value in state.items() if key.startswith(b"user")
    }


async def _main(kafka: str, group: str, instance: int, names: Mapping[str, str]) -> None:
    worker = ToyWorker(kafka, names, instance, group)
    worker.app.on_fail(lambda error: os._exit(error.exit_code))
    await worker.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])))
