"""Back-pressure: topics of which too many bytes wait are not fetched until there is room again."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from stream.flow.observe import Observer
from stream.flow.ports import Fetching

if TYPE_CHECKING:
    from stream.flow.buffer import TopicBuffer


class Pressure:
    """Holds topic partitions back. `check` is the event loop's, the rest the worker's thread's."""

    def __init__(
        self,
        fetching: Fetching,
        topic_bytes_max: int,
        observer: Observer,
        monotonic: Callable[[], float],
    ) -> None:
        self._fetching = fetching
        self._bytes_max = topic_bytes_max
        self._observer = observer
        self._monotonic = monotonic
        self._since: dict[tuple[str, int], float] = {}  # held back, since when

    def check(self, buffer: "TopicBuffer") -> None:
        """Hold a topic partition back that has too many bytes waiting."""
        place = (buffer.name, buffer.partition)
        if buffer.bytes_count > self._bytes_max and place not in self._since:
            self._since[place] = self._monotonic()
            self._fetching.hold(*place)

    def ease(self, buffer: "TopicBuffer") -> None:
        """Fetch a topic partition again that has little left."""
        place = (buffer.name, buffer.partition)
        if place in self._since and buffer.bytes_count < self._bytes_max // 2:
            self._observer.paused(self._monotonic() - self._since.pop(place))
            self._fetching.release(*place)

    def end(self) -> None:
        """Fetch everything again: it is somebody else's."""
        for place in self._since:
            self._fetching.release(*place)
        self._since.clear()
