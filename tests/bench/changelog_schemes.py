"""The two forms of a changelog that tests/bench/changelog.py compares: what a commit holds.

Rules of the room: per partition a list of records, the header last, as stream/wire/state.py has it.
"""

from collections.abc import Callable

import msgspec
import numpy as np

from stream.core.engine import Engine
from stream.wire import topics
from stream.wire.state import HEADER_KEY, changelog, header_of
from tests.bench.delta_blocks import BlockReader, encode_delta, encode_snapshot
from tests.bench.full_users import FullUsers
from tests.oracle.runs import take_records

OFFSETS = {"clicks": 10**9, "searches": 10**9, "purchases": 10**9}

Records = list[tuple[bytes, bytes | None]]


class Rows:
    """What is built: a record per touched user, compacted by key."""

    name = "rows"
    configs = next(topic for topic in topics.TABLE if topic.name == topics.STATE).configs(1)
    consume = 5_000

    def __init__(self, full: FullUsers, _round_commits: int) -> None:
        self._full = full

    def fill(self, number: int, first: int, last: int) -> Records:
        engine = self._full.engines[number]
        engine.state.dirty[first:last] = engine.state.users["epoch"][first:last] != 0
        return self.commit(number)

    def commit(self, number: int) -> Records:
        return changelog(
            self._full.engines[number], self._full.card.partitions, OFFSETS, {}
        ).records()

    def round_ended(self) -> bool:
        return False

    def reader(self, engine: Engine, _slots_count: int) -> Callable[[Records], None]:
        def apply(records: Records) -> None:
            take_records(engine, records)

        return apply


class Blocks:
    """A delta per commit and partition, a share of a snapshot, no compaction; the prefix goes."""

    name = "blocks"
    # DeleteRecords asks for the policy `delete`. With `compact` beside it, the cleaner's thread
    # removes segments within 15 s, where a plain topic waits for a check every five minutes; the
    # other two settings keep it from ever compacting.
    configs = Rows.configs | {
        "cleanup.policy": "compact,delete",
        "retention.ms": "-1",
        "min.cleanable.dirty.ratio": "1.0",
        "max.compaction.lag.ms": str(2**62),
    }
    consume = 64

    def __init__(self, full: FullUsers, round_commits: int) -> None:
        self._full = full
        self._round_commits = round_commits
        self._commits = [0] * len(full.engines)
        self._sequence = 0
        for new in full.new:  # what another form has written already
            new[:] = 0

    def fill(self, number: int, first: int, last: int) -> Records:
        epochs = self._full.engines[number].state.users["epoch"][first:last]
        slots = np.flatnonzero(epochs) + first
        return self._records(number, encode_snapshot(self._full.engines[number], slots))

    def commit(self, number: int) -> Records:
        engine = self._full.engines[number]
        values = encode_delta(engine, self._full.new[number])
        turn = self._commits[number] % self._round_commits
        first, last = (
            len(engine.state.users) * at // self._round_commits for at in (turn, turn + 1)
        )
        part = engine.state.users["epoch"][first:last]
        values += encode_snapshot(engine, np.flatnonzero(part) + first)
        self._commits[number] += 1
        return self._records(number, values)

    def round_ended(self) -> bool:
        """Say whether the last commit of a round has just been made."""
        return self._commits[0] % self._round_commits == 0

    def reader(self, engine: Engine, slots_count: int) -> Callable[[Records], None]:
        blocks = BlockReader(engine, slots_count)

        def apply(records: Records) -> None:
            for key, value in records:
                if key != HEADER_KEY and value is not None:
                    blocks.apply(value)

        return apply

    def _records(self, number: int, values: list[bytes]) -> Records:
        records: Records = []
        for value in values:
            self._sequence += 1
            records.append((self._sequence.to_bytes(8, "big"), value))
        header = header_of(self._full.engines[number], self._full.card.partitions, OFFSETS, {})
        return [*records, (HEADER_KEY, msgspec.json.encode(header))]


Scheme = Rows | Blocks
