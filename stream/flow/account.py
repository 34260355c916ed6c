"""The transaction that is being filled, and the commit that is under way.

What a commit holds (DESIGN decision 4), for one prefix of rows: their outputs, the state of the
users they touched, a header per partition, receipts, and the input offsets. In five steps:

    1. encode   state rows, header and receipts of each partition that moved, between two batches
    2. publish  outputs of the rows, in the order of the batches
    3. produce  state rows, receipts and headers
    4. confirm  (at_least_once) outputs outside the transaction are written
    5. commit   offsets and the end of the transaction, on a thread of its own

While 4 and 5 run, further rows are applied and scored, but nothing of them is sent: it is held.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.flow.ports import Direct, Transaction
from stream.flow.runtime import Runtime
from stream.wire.state import HEADER_KEY, Header
from stream.wire.texts import Texts

if TYPE_CHECKING:
    from concurrent.futures import Future

Headers = Sequence[Sequence[tuple[str, bytes]] | None]


class Output(NamedTuple):
    """Records for one partition of one topic, in order."""

    topic: str
    partition: int
    keys: Texts
    values: Texts
    headers: Headers | None = None


@dataclass(slots=True)
class Closing:
    """The end of a transaction: what step 3 produces and step 5 commits."""

    state: list[Output]
    receipts: list[Output]
    headers: dict[int, tuple[Header, bytes]]  # by partition
    offsets: Mapping[tuple[str, int], int]
    receipt_ms: npt.NDArray[np.int64]  # (r,) wall clock at which each row's chunk came
    event_ms: npt.NDArray[np.int64]  # (r,) event time of each row


class Account:
    """Sends outputs, one transaction after the other. Used by the worker's thread."""

    def __init__(
        self,
        transaction: Transaction,
        direct: Direct | None,
        state_topic: str,
        runtime: Runtime,
    ) -> None:
        self._transaction = transaction
        self._direct = direct
        self._state_topic = state_topic
        self._held: list[Output] = []  # of rows that belong to the next transaction
        self._open = False
        self._runtime = runtime
        self._running: tuple[Closing, Future[float]] | None = None
        self.bytes_count = 0  # produced or held for the transaction that is being filled

    @property
    def committing(self) -> bool:
        """Whether a commit is under way."""
        return self._running is not None

    def publish(self, output: Output) -> None:
        """Send records of settled rows, or hold them while a commit is under way."""
        if not len(output.values):
            return
        if self._direct is not None:
            self._direct.produce(*output)
            return
        self.bytes_count += output.values.bytes_count
        if self._running is not None:
            self._held.append(output)
            return
        self._produce(output)

    def close(self, closing: Closing) -> None:
        """Begin the commit: steps 3 to 5."""
        if self._running is not None:
            raise RuntimeError("a commit while another is under way")
        for output in (*closing.state, *closing.receipts):
            self._produce(output)
        if not self._open:
            self._transaction.begin()
            self._open = True
        for partition, (_, value) in closing.headers.items():
            self._transaction.produce_header(self._state_topic, partition, HEADER_KEY, value)
        self.bytes_count = 0
        self._running = closing, self._runtime.committing.submit(self._commit, closing)

    def finished(self, wait: bool) -> tuple[Closing, float] | None:
        """Return the commit that has ended and its seconds. Raises what it raised."""
        if self._running is None or not (wait or self._running[1].done()):
            return None
        closing, future = self._running
        seconds = future.result()
        self._running = None
        self._open = False
        outputs, self._held = self._held, []
        for output in outputs:
            self._produce(output)
        return closing, seconds

    def _produce(self, output: Output) -> None:
        if not len(output.values):
            return
        if not self._open:
            self._transaction.begin()
            self._open = True
        self._transaction.produce(*output)

    def _commit(self, closing: Closing) -> float:
        began = self._runtime.monotonic()
        if self._direct is not None:
            self._direct.confirm()
        self._transaction.commit(closing.offsets)
        return self._runtime.monotonic() - began
