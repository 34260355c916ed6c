"""A fake broker: logs, transactions and a group, as Kafka's protocol has them.

A commit is answered as soon as it is decided; its markers reach each topic partition and the
group's offsets one by one, by `deliver`. Everything is on disk at once: a restart loses nothing but
time. Refuses with Refusal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.sim.clock import SimClock
from tests.sim.group import Group, Place
from tests.sim.partition_log import PartitionLog
from tests.sim.refusal import FENCED, UNAVAILABLE, Refusal

GROUP: Place = ("__consumer_offsets", 0)


@dataclass(slots=True)
class Transactions:
    """What the coordinator knows of one transactional id."""

    id: str
    producer: int
    timeout_s: float
    epoch: int = 0
    began_s: float | None = None  # None: no transaction is open
    places: dict[Place, None] = field(default_factory=dict)  # of the open one, in order
    markers: list[Place] = field(default_factory=list)  # still to be delivered, of the last one
    commit: bool = False  # what the markers say


class Broker:
    """One broker with all topics."""

    def __init__(self, clock: SimClock, topics: Mapping[str, int], group_partitions: int) -> None:
        self.clock = clock
        self.logs: dict[Place, PartitionLog] = {
            (topic, number): PartitionLog()
            for topic, count in topics.items()
            for number in range(count)
        }
        self.group = Group(group_partitions)
        self.down_until_s = 0.0
        self.on_decided: Callable[[Transactions, dict[Place, int]], None] = lambda *_: None
        self.holds_markers: Callable[[], bool] = lambda: False
        self._transactions: dict[str, Transactions] = {}
        self._offsets: dict[str, dict[Place, int]] = {}  # of open transactions

    def check_up(self) -> None:
        """Refuse while it restarts."""
        if self.clock.now_s < self.down_until_s:
            raise Refusal(UNAVAILABLE, "it restarts")

    # -- transactions

    def init(self, transactional_id: str, timeout_s: float) -> tuple[int, int]:
        """Take an id over: what it left open is aborted, its former owner fenced."""
        self.check_up()
        known = self._transactions.get(transactional_id)
        if known is None:
            known = Transactions(transactional_id, len(self._transactions), timeout_s)
            self._transactions[transactional_id] = known
        known.epoch += 1
        if known.began_s is not None:
            self._decide(known, commit=False)
        self.finish(known)
        return known.producer, known.epoch

    def write(
        self,
        transactional_id: str,
        epoch: int,
        place: Place,
        records: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]],
    ) -> list[int]:
        """Append records to one partition, in the id's transaction; gives their offsets."""
        known = self._owner(transactional_id, epoch)
        self._open(known)
        known.places[place] = None
        log = self.logs[place]
        now_ms = self.clock.now_ms()
        return [log.append(known.producer, now_ms, *record) for record in records]

    def write_plain(
        self,
        place: Place,
        records: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]],
        timestamps_ms: list[int] | None = None,
    ) -> None:
        """Append records outside of a transaction."""
        self.check_up()
        now_ms = self.clock.now_ms()
        for index, record in enumerate(records):
            at_ms = now_ms if timestamps_ms is None else timestamps_ms[index]
            self.logs[place].append(-1, at_ms, *record)

    def add_offsets(
        self,
        transactional_id: str,
        epoch: int,
        offsets: Mapping[Place, int],
        generation: int,
        member_id: str,
    ) -> None:
        """Put the group's offsets into the transaction."""
        known = self._owner(transactional_id, epoch)
        self._open(known)
        self.group.add_pending(transactional_id, offsets, generation, member_id)
        known.places[GROUP] = None
        self._offsets.setdefault(transactional_id, {}).update(offsets)

    def end(self, transactional_id: str, epoch: int, *, commit: bool) -> None:
        """Decide the open transaction. From here on it will be as decided, markers or not."""
        known = self._owner(transactional_id, epoch)
        if known.began_s is not None:
            self._decide(known, commit=commit)

    def expire(self) -> None:
        """Abort what has been open for too long; who opened it is fenced."""
        for known in self._transactions.values():
            if known.began_s is not None and self.clock.now_s - known.began_s > known.timeout_s:
                known.epoch += 1
                self._decide(known, commit=False)

    def pending(self) -> list[tuple[Transactions, Place]]:
        """List the markers that are still to be delivered."""
        return [(known, at) for known in self._transactions.values() for at in known.markers]

    def deliver(self, known: Transactions, place: Place) -> None:
        """Let one marker arrive."""
        known.markers.remove(place)
        if place == GROUP:
            self.group.mark(known.id, commit=known.commit)
        else:
            self.logs[place].mark(known.producer, commit=known.commit)

    def finish(self, known: Transactions) -> None:
        """Let all markers of an id arrive: its next transaction waits for that."""
        for place in list(known.markers):
            self.deliver(known, place)

    def _decide(self, known: Transactions, *, commit: bool) -> None:
        known.began_s = None
        known.commit = commit
        known.markers = list(known.places)
        known.places = {}
        offsets = self._offsets.pop(known.id, {})
        if commit:
            self.on_decided(known, offsets)
        if not self.holds_markers():
            self.finish(known)

    def _open(self, known: Transactions) -> None:
        if known.began_s is None:
            self.finish(known)
            known.began_s = self.clock.now_s

    def _owner(self, transactional_id: str, epoch: int) -> Transactions:
        self.check_up()
        known = self._transactions[transactional_id]
        if known.epoch != epoch:
            raise Refusal(FENCED, f"epoch {epoch} of {transactional_id}, it is {known.epoch}")
        return known
