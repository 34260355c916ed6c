"""The fake twins of the two producers: same methods, same exceptions, over the fake broker.

Records wait in a queue until `send` or a commit's flush takes them to the broker. `point` is told
each step that is done: there a simulated process may end, or others may run.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from stream.flow.stops import (
    CommitAbortedError,
    CommitFencedError,
    CommitLateError,
    DeliveryError,
    WorkerStopError,
)
from stream.shell.group import Membership
from tests.sim.broker import Broker
from tests.sim.group import Place
from tests.sim.refusal import FENCING, UNAVAILABLE, Refusal

RETRY_S = 0.05
Record = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]
Headers = Sequence[Sequence[tuple[str, bytes]] | None]
Delivered = Callable[[int, int], None]


class FakeProducer:
    """The face of stream.shell.transaction.TransactionalProducer."""

    def __init__(
        self,
        broker: Broker,
        transactional_id: str,
        point: Callable[[str], None] = lambda _: None,
        *,
        transaction_timeout_s: float = 10.0,
        commit_deadline_s: float = 8.0,
    ) -> None:
        self._broker = broker
        self._id = transactional_id
        self._point = point
        self._timeout_s = transaction_timeout_s
        self._deadline_s = commit_deadline_s
        self._epoch = -1
        self._open = False
        self._queue: deque[tuple[Place, list[Record], Delivered | None]] = deque()
        self._failed: WorkerStopError | None = None
        self.fails_next = False  # the next records never arrive
        self.keep: Callable[[str, list[Record]], list[Record]] = lambda _, records: records

    def start(self) -> None:
        deadline_s = self._broker.clock.now_s + 60
        self._retry("init", self._init, deadline_s)

    def is_owner(self, transactional_id: str, epoch: int) -> bool:
        """Whether a transaction is this producer's."""
        return (self._id, self._epoch) == (transactional_id, epoch)

    def begin(self) -> None:
        if self._open:
            raise RuntimeError("begin inside a transaction")
        self._open = True

    def produce(
        self,
        topic: str,
        partition: int,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        headers: Headers | None = None,
    ) -> None:
        self._check_open()
        self._queue.append(
            ((topic, partition), self.keep(topic, _rows(keys, values, headers)), None)
        )
        self._point(topic)

    def produce_header(
        self, topic: str, partition: int, key: bytes, value: bytes, delivered: Delivered
    ) -> None:
        self._check_open()
        self._queue.append(((topic, partition), [(key, value, [])], delivered))
        self._point(topic)

    def send(self) -> None:
        """Take the head of the queue to the broker, as librdkafka's thread does now and then."""
        if not self._queue or self._failed is not None:
            return
        place, records, delivered = self._queue[0]
        if self.fails_next:
            self.fails_next = False
            self._failed = CommitAbortedError(f"records for {place} were not delivered")
            return
        try:
            offsets = self._broker.write(self._id, self._epoch, place, records)
        except Refusal as refusal:
            if refusal.code != UNAVAILABLE:
                self._failed = self._named("produce", refusal)
            return
        self._queue.popleft()
        if delivered is not None:
            delivered(place[1], offsets[-1])

    def commit(self, offsets: Mapping[Place, int], membership: Membership) -> None:
        deadline_s = self._broker.clock.now_s + self._deadline_s
        member = membership.checked()
        self._flush(deadline_s)
        self._point("flush")
        if offsets:
            self._retry(
                "send_offsets",
                lambda: self._broker.add_offsets(
                    self._id, self._epoch, offsets, member.generation, member.member_id
                ),
                deadline_s,
            )
        self._point("offsets")
        self._retry(
            "commit", lambda: self._broker.end(self._id, self._epoch, commit=True), deadline_s
        )
        self._open = False
        self._point("end")

    def close(self) -> None:
        self._queue.clear()
        if self._open:
            self._open = False
            with suppress(Refusal):  # it times out, then
                self._broker.end(self._id, self._epoch, commit=False)

    def _init(self) -> None:
        _, self._epoch = self._broker.init(self._id, self._timeout_s)

    def _flush(self, deadline_s: float) -> None:
        while self._queue and self._failed is None:
            self.send()
            if self._queue:
                self._wait("flush", deadline_s)
        if self._failed is not None:
            raise self._failed

    def _wait(self, what: str, deadline_s: float) -> None:
        if self._broker.clock.now_s < self._broker.down_until_s:
            self._broker.clock.advance(RETRY_S)
        if self._broker.clock.now_s >= deadline_s:
            raise CommitLateError(f"{what} of {self._id} not done at its deadline")

    def _retry(self, what: str, call: Callable[[], None], deadline_s: float) -> None:
        while True:
            try:
                call()
            except Refusal as refusal:
                if refusal.code != UNAVAILABLE:
                    raise self._named(what, refusal) from refusal
                self._wait(what, deadline_s)
            else:
                return

    def _check_open(self) -> None:
        if not self._open:
            raise RuntimeError("produce outside a transaction")
        if self._failed is not None:
            raise self._failed

    def _named(self, what: str, refusal: Refusal) -> WorkerStopError:
        message = f"{what} of {self._id}: {refusal}"
        if refusal.code in FENCING:
            return CommitFencedError(message)
        return CommitAbortedError(message)


class FakeDirect:
    """The face of stream.shell.direct.DirectProducer."""

    def __init__(self, broker: Broker, point: Callable[[str], None], deadline_s: float) -> None:
        self._broker = broker
        self._point = point
        self._deadline_s = deadline_s
        self._queue: deque[tuple[Place, list[Record]]] = deque()
        self.fails_next = False
        self._failed = False
        self.keep: Callable[[str, list[Record]], list[Record]] = lambda _, records: records

    def produce(
        self,
        topic: str,
        partition: int,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        headers: Headers | None = None,
    ) -> None:
        self._queue.append(((topic, partition), self.keep(topic, _rows(keys, values, headers))))
        self._point(topic)
        self._check()

    def send(self) -> None:
        """Take the head of the queue to the broker."""
        if not self._queue or self._failed:
            return
        if self.fails_next:
            self._failed = True
            return
        try:
            self._broker.write_plain(*self._queue[0])
        except Refusal:
            return
        self._queue.popleft()

    def confirm(self) -> None:
        deadline_s = self._broker.clock.now_s + self._deadline_s
        while self._queue and not self._failed:
            self.send()
            if self._queue:
                self._broker.clock.advance(RETRY_S)
                if self._broker.clock.now_s >= deadline_s:
                    raise DeliveryError(f"{len(self._queue)} batches not written")
        self._check()
        self._point("confirm")

    def _check(self) -> None:
        if self._failed:
            raise DeliveryError("an output was not delivered")


def _rows(
    keys: Sequence[bytes | None], values: Sequence[bytes | None], headers: Headers | None
) -> list[Record]:
    many = headers if headers is not None else [None] * len(keys)
    return [
        (key, value, list(header or []))
        for key, value, header in zip(keys, values, many, strict=True)
    ]
