"""How soon the next fetch is sent: at once after much, after a rest when little had come.

Each response costs a hop through two event loops and a chunk a partition, whether it holds two rows
or two thousand. So a response that brought little and left nothing behind is kept, drained, for
`fetch_wait_ms`: aiokafka sends no fetch to a broker of which a response lies there, and what comes
meanwhile is one response. Not so the first one after a pause: what comes to an idle worker is
answered at once, and what it belongs with in other topics as well (docs/adr/0019).

Rules of the room: everything runs on the consumer thread's loop; `rests` and `rests_until_ms` only
read, on any thread.
"""

import asyncio
import time
from collections.abc import Collection, Mapping
from typing import Any, Final

from faust.types import TP

from stream.shell.chunk import FetchedChunk

LITTLE_BYTES: Final = 64 << 10
PATIENCE_S: Final = 0.1
UNKNOWN: Final = -1  # aiokafka's leader of a partition that has none
HANG_MS: Final = 50  # how long the broker holds a fetch of which it has nothing


class Pace:
    """The drained responses of one consumer that hold up its next fetch."""

    def __init__(self, wait_ms: int) -> None:
        self._wait_s = wait_ms / 1000
        self._resting: dict[TP, Any] = {}
        self._until_ms: dict[int, int] = {}  # by broker: wall clock before which it is not asked
        self._went_on_at = 0.0  # monotonic: when the next fetch could be sent

    def rests(self, tp: TP, result: Any) -> bool:
        """Whether a response is drained, and only kept."""
        return self._resting.get(tp) is result

    def rests_until_ms(self, fetcher: Any, tp: TP) -> int:
        """Give the wall clock before which a partition's broker is not asked; 0: any time now."""
        try:
            return self._until_ms.get(_leader(fetcher, tp), 0)
        except KeyError:  # the topic vanished between two looks of aiokafka's
            return 0

    def drained(
        self, fetcher: Any, results: Mapping[TP, Any], chunks: Collection[FetchedChunk]
    ) -> None:
        """Let aiokafka fetch on behind these results, whose chunks were all that came with them."""
        now = time.monotonic()
        brokers = {_leader(fetcher, tp) for tp in results} - {UNKNOWN}
        busy = now - self._went_on_at < self._wait_s
        little = sum(chunk.bytes_count for chunk in chunks) < LITTLE_BYTES
        if not (results and busy and little and all(chunk.caught_up for chunk in chunks)):
            for broker in brokers:
                self._until_ms.pop(broker, None)
            self._forget(fetcher, results)
            return
        until_ms = int((time.time() + self._wait_s) * 1000)
        asked = fetcher._in_flight  # for what lies beside a response that is held
        self._until_ms.update(dict.fromkeys(brokers - asked, until_ms))
        for tp, result in results.items():
            self._resting[tp] = result
            # aiokafka counts from when it came; it is forgotten before that loses patience.
            result._backoff = now - result._created + self._wait_s + PATIENCE_S
        asyncio.get_running_loop().call_later(self._wait_s, self._end, fetcher, results, brokers)

    def _end(self, fetcher: Any, results: Mapping[TP, Any], brokers: Collection[int]) -> None:
        for broker in brokers:
            self._until_ms.pop(broker, None)  # for good: the wall clock may be set back
        for tp, result in results.items():
            if self.rests(tp, result):
                del self._resting[tp]
        self._forget(fetcher, results)

    def _forget(self, fetcher: Any, results: Mapping[TP, Any]) -> None:
        for tp, result in results.items():
            if fetcher._records.get(tp) is result:
                del fetcher._records[tp]
        if results:
            self._went_on_at = time.monotonic()
            fetcher._notify(fetcher._wait_consume_future)


def _leader(fetcher: Any, tp: TP) -> int:
    """Give the number of the broker that is asked for a partition."""
    leader = fetcher._client.cluster.leader_for_partition(tp)
    return UNKNOWN if leader is None else int(leader)
