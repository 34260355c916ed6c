"""What one topic partition has sent and the engine has not yet applied.

Chunks come in on the event loop's thread and wait undecoded; as many together as make a batch are
decoded on a thread of its own, one batch ahead of the worker's. Offsets go on without a hole, or
the worker stops. Rows below the position are skipped: they come again after a seek, and are in the
state already.
"""

import threading
import time
from collections import deque
from concurrent.futures import Executor, Future

from stream.flow.ports import Chunk
from stream.flow.stops import HoleError
from stream.wire.decode import Decoded, Decoder
from stream.wire.records import joined


class TopicBuffer:
    """Chunks of one topic partition, and the decoded ones at its front.

    `offset_next` is where the next chunk must begin; `front` and `taken` say which decoded rows
    stand at the head. `append` may run beside everything else, the rest is the worker's thread.
    """

    def __init__(self, topic: int, name: str, partition: int, offset_next: int) -> None:
        self.topic = topic
        self.name = name
        self.partition = partition
        self.offset_next = offset_next
        self.bytes_count = 0  # of chunks not yet decoded, as they take up memory
        self.rows_count = 0  # rows fetched and not taken, about
        self.caught_up = False
        self.front: Decoded | None = None
        self.front_received_ms = 0  # wall clock at which the oldest chunk of the front came
        self.taken = 0
        self.decode_s = 0.0  # spent decoding, ever
        self._decoded_next = offset_next  # offsets below it are decoded, or known to hold no row
        self._chunks: deque[Chunk] = deque()
        self._ahead: Future[tuple[Decoded, int]] | None = None  # what comes after the front
        self._lock = threading.Lock()

    def append(self, chunk: Chunk) -> None:
        """Take a chunk. Raises HoleError where offsets are missing before it."""
        if chunk.offset_first > self.offset_next:
            raise HoleError(
                f"hole: chunk from {chunk.offset_first} after {self.offset_next}"
                f" on {self.name}[{self.partition}]"
            )
        with self._lock:
            self.caught_up = chunk.caught_up
            if chunk.offset_next <= self.offset_next:
                return
            self.offset_next = chunk.offset_next
            self._chunks.append(chunk)
            self.bytes_count += chunk.plain_bytes_count
            self.rows_count += chunk.records_count_max

    @property
    def rows_front(self) -> int:
        """Decoded rows that stand at the head."""
        return 0 if self.front is None else len(self.front.events) - self.taken

    @property
    def more_waiting(self) -> bool:
        """Whether chunks wait behind the front."""
        return self.decoded_next() is None

    def decoded_next(self) -> int | None:
        """Return the position behind the front; None while chunks wait there."""
        with self._lock:
            waiting = self._ahead is not None or self._chunks
            return None if waiting else self._decoded_next

    @property
    def oldest_ms(self) -> int:
        """Record timestamp of the row at the head, about; 0: none is here. Any thread."""
        front, taken = self.front, self.taken
        if front is not None and taken < len(front.events):
            return max(0, int(front.events["timestamp_ms"][taken]))
        with self._lock:
            return max(0, self._chunks[0].timestamp_ms_max) if self._chunks else 0

    def fill(self, decoder: Decoder, pool: Executor, rows_max: int, at_once_rows_max: int) -> None:
        """Bring decoded rows to the front, about `rows_max`, if it is empty and there are any.

        What comes after them is decoded meanwhile, by the pool's one thread. Few rows are decoded
        here when their turn comes: a hop to a thread costs more, and they grow in number till then.
        """
        while self.rows_front == 0:
            if self._ahead is not None:
                self.front, self.front_received_ms = self._ahead.result()
            elif chunks := self._pop(rows_max):
                self.front, self.front_received_ms = self._decode(decoder, chunks)
            else:
                return
            self.taken = 0
            self._ahead = None
            many = self.rows_count - self.rows_front > at_once_rows_max
            if many and (chunks := self._pop(rows_max)):
                self._ahead = pool.submit(self._decode, decoder, chunks)

    def take(self, rows: int) -> None:
        """Move the head on."""
        self.taken += rows
        self._count_off(rows)

    def after(self, offset: int) -> int:
        """Return the position after the row at `offset`, which was the last one taken.

        Offsets without a row behind the front's last one are passed over with it.
        """
        front = self.front
        if front is not None and self.rows_front == 0 and offset >= front.offset_first:
            return front.offset_next
        return offset + 1

    def idle_next(self) -> int | None:
        """Return the position when nothing is left to apply; None while there is something."""
        return None if self.rows_front else self.decoded_next()

    def _count_off(self, rows: int) -> None:
        with self._lock:  # else a chunk that comes meanwhile would not be counted
            self.rows_count = max(0, self.rows_count - rows)

    def _pop(self, rows_max: int) -> list[Chunk]:
        chunks: list[Chunk] = []
        rows = 0
        with self._lock:
            while self._chunks and (
                not chunks or rows + self._chunks[0].records_count_max <= rows_max
            ):
                chunk = self._chunks.popleft()
                self.bytes_count -= chunk.plain_bytes_count
                rows += chunk.records_count_max
                chunks.append(chunk)
        return chunks

    def _decode(self, decoder: Decoder, chunks: list[Chunk]) -> tuple[Decoded, int]:
        """Decode chunks; also gives the wall clock at which the oldest came."""
        began = time.monotonic()
        first = at = self._decoded_next
        parts = []
        for chunk in chunks:
            parts.append(chunk.records().since(at))
            at = max(at, chunk.offset_next)
        records = joined(parts)
        estimate = sum(chunk.records_count_max for chunk in chunks)
        self._count_off(estimate - len(records.offsets))
        self._decoded_next = at
        decoded = decoder.decode(self.topic, self.partition, first, at, records)
        self.decode_s += time.monotonic() - began
        return decoded, min(chunk.received_ms for chunk in chunks)
