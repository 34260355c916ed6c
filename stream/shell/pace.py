"""How soon the next fetch is sent: at once after much, after a rest when little had come.

Each response costs a hop through two event loops and a chunk a partition, whether it holds two rows
or two thousand. So a response that brought little and left nothing behind is kept, drained, for
`fetch_wait_ms`: aiokafka sends no fetch to a broker of which a response lies there, and what comes
meanwhile is one response. What comes to an idle worker is answered at once (docs/adr/0019).

Rules of the room: everything runs on the consumer thread's loop.
"""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, Final

from faust.types import TP

from stream.shell.chunk import FetchedChunk

LITTLE_BYTES: Final = 64 << 10
HANG_MS: Final = 50  # how long the broker holds a fetch of which it has nothing


class Pace:
    """The drained responses of one consumer that hold up its next fetch."""

    def __init__(self, wait_ms: int) -> None:
        self._wait_s = wait_ms / 1000
        self._resting: dict[TP, Any] = {}

    def rests(self, tp: TP, result: Any) -> bool:
        """Whether a response is drained, and only kept."""
        return self._resting.get(tp) is result

    def drained(
        self, fetcher: Any, results: Mapping[TP, Any], chunks: Collection[FetchedChunk]
    ) -> None:
        """Let aiokafka fetch on behind these results, whose chunks were all that came with them."""
        little = sum(chunk.bytes_count for chunk in chunks) < LITTLE_BYTES
        if not results or not little or not all(chunk.caught_up for chunk in chunks):
            self._forget(fetcher, results)
            return
        for tp, result in results.items():
            self._resting[tp] = result
            result._backoff += self._wait_s  # it is forgotten before aiokafka loses patience
        asyncio.get_running_loop().call_later(self._wait_s, self._end, fetcher, results)

    def _end(self, fetcher: Any, results: Mapping[TP, Any]) -> None:
        for tp, result in results.items():
            if self.rests(tp, result):
                del self._resting[tp]
        self._forget(fetcher, results)

    def _forget(self, fetcher: Any, results: Mapping[TP, Any]) -> None:
        for tp, result in results.items():
            if fetcher._records.get(tp) is result:
                del fetcher._records[tp]
        if results:
            fetcher._notify(fetcher._wait_consume_future)
