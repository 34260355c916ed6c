"""The fake twin of stream.shell.reader.Reader: what can be read of the fake broker, committed."""

from collections.abc import Iterator, Mapping, Sequence

from stream.shell.reader import Record
from tests.sim.broker import Broker
from tests.sim.group import Place

Ranges = Mapping[Place, tuple[int, int]]


class FakeReader:
    """stream.audit.run.Log and stream.served.log.Log."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def ranges(self, topics: Sequence[str], *, stable: bool = True) -> dict[Place, tuple[int, int]]:
        return {
            place: (log.first, log.stable_end if stable else log.end)
            for place, log in self._broker.logs.items()
            if place[0] in topics
        }

    def offsets_at(self, topics: Sequence[str], timestamp_ms: int) -> dict[Place, int]:
        return {
            place: next((e.offset for e in log.entries if e.timestamp_ms >= timestamp_ms), -1)
            for place, log in self._broker.logs.items()
            if place[0] in topics
        }

    def records(self, ranges: Ranges) -> Iterator[Record]:
        for place, (first, end) in ranges.items():
            entries, _ = self._broker.logs[place].read(first, 1 << 60)
            for entry in entries:
                if entry.offset < end:
                    yield Record(
                        *place, entry.offset, entry.timestamp_ms, entry.key, entry.value,
                        entry.headers,
                    )  # fmt: skip
