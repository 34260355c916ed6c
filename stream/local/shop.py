"""A simulated shop: the same seed gives the same bytes. Pure: no clock, no I/O; all is synthetic.

Rules of the room: time goes in slices. In each one, the users whose next visit starts in it are
played, all at once; their events, and the faults that are put among them, wait until the slice of
their delivery comes, are put in order of delivery and rendered. A block is one slice's records.
Nothing of a later slice changes an earlier one, so memory is bounded by users and one slice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import xxhash

from stream.core.layout import Records
from stream.local.shop_catalogue import CATALOGUE_SEED, Catalogue, make_catalogue
from stream.local.shop_faults import POISON, POISON_WEIGHTS, Fault, FaultRates, spoil
from stream.local.shop_json import Renderer
from stream.local.shop_people import DAY_MS, HOUR_MS, People, advance, make_people
from stream.local.shop_visits import ROW, play

START_MS: Final = 1_767_571_200_000  # Monday, 5 January 2026, 00:00 UTC
SLICE_MS: Final = 4 * HOUR_MS  # shorter than the least gap between two visits of a user
FUTURE_MS: Final = 15_000 * DAY_MS  # ahead of any wall clock that will read the record
BOTS: Final = 20
USERS_MAX: Final = 9_000_000  # beyond it, bots' names would meet users' names
SEQ_MAX: Final = 2**32  # event ids have eight hexadecimal digits of it


@dataclass(frozen=True, slots=True)
class Block:
    """The records of one slice of simulated time, in order of delivery. n may be 0."""

    rows: Records  # (n,) shop_visits.ROW: what each record is, faults included
    keys: list[bytes | None]
    values: list[bytes]
    shift: npt.NDArray[np.uint8]  # (n,) 1: sent to the partition after the key's own, on purpose
    end_ms: int  # simulated time reached: everything delivered before it is out

    @property
    def topic(self) -> npt.NDArray[np.uint8]:
        """Index into core.layout.TOPICS of each record: (n,), a view."""
        return np.asarray(self.rows["topic"])

    @property
    def event_time_ms(self) -> npt.NDArray[np.int64]:
        """Event time of each record on the true clock: (n,), a view."""
        return np.asarray(self.rows["time_ms"])

    @property
    def due_ms(self) -> npt.NDArray[np.int64]:
        """Time of delivery of each record, rising: (n,), a view."""
        return np.asarray(self.rows["deliver_ms"])

    def head(self, count: int) -> "Block":
        """Give the first `count` records alone."""
        if count >= len(self.rows):
            return self
        end_ms = int(self.rows["deliver_ms"][count])
        return Block(
            self.rows[:count], self.keys[:count], self.values[:count], self.shift[:count], end_ms
        )


class Shop:
    """A shop with users, items, and some days of trade from `start_ms`.

    `seed` decides who comes and what they do, `catalogue_seed` what is sold: shops of different
    seeds sell the same, so a model of one run fits another. `partitions` is that of the topics:
    with one there is no wrong partition to send to. Raises ValueError on sizes that make no shop.
    """

    def __init__(
        self,
        seed: int,
        users: int = 1_000,
        items: int = 2_000,
        days: float = 60.0,
        *,
        start_ms: int = START_MS,
        faults: FaultRates | None = None,
        catalogue_seed: int = CATALOGUE_SEED,
        partitions: int = 4,
    ) -> None:
        if not 1 <= users <= USERS_MAX or days <= 0 or seed < 0:
            raise ValueError(
                f"a shop needs a seed from 0, 1 to {USERS_MAX} users and more than 0 days: "
                f"seed={seed} users={users} days={days}"
            )
        self.seed = seed
        self.users = users
        self.days = days
        self.start_ms = start_ms
        self.end_ms = start_ms + int(days * DAY_MS)
        self.faults = faults or FaultRates()
        self.catalogue: Catalogue = make_catalogue(items, min(40, items), catalogue_seed)
        self.people: People = make_people(
            self.catalogue, users, start_ms, days, self.faults.skewed_users, seed
        )
        name = f"{seed} {users} {items} {days} {start_ms} {catalogue_seed} {self.faults}"
        self.run = xxhash.xxh3_64_hexdigest(name.encode())[:8]
        self.renderer = Renderer(self.catalogue, self.people, BOTS, self.run)
        weights = POISON_WEIGHTS.copy()
        if partitions == 1:
            weights[POISON.index(Fault.WRONG_PARTITION)] = 0
        self._poison = weights / weights.sum()
        self._seq = 0
        self._played = False

    def events(self) -> Iterator[Block]:
        """Play the shop from its first day to its last. Once per Shop: users change as they live.

        Late events alone come after their event time; everything else is in order of event time.
        """
        if self._played:
            raise RuntimeError("this shop has been played: make another with the same seed")
        self._played = True
        waiting = np.zeros(0, ROW)
        slices = -(-(self.end_ms - self.start_ms) // SLICE_MS)
        for index in range(slices):
            end_ms = min(self.start_ms + (index + 1) * SLICE_MS, self.end_ms)
            rng = np.random.default_rng([self.seed, 2, index])
            fresh = self._slice(end_ms, rng)
            waiting = np.concatenate([waiting, fresh])
            out = waiting["deliver_ms"] < end_ms
            yield self._block(waiting[out], end_ms)
            waiting = waiting[~out]

    def _slice(self, end_ms: int, rng: np.random.Generator) -> Records:
        """Play the visits that start before `end_ms`, and put faults among their events."""
        people = self.people
        who = np.flatnonzero(people.next_ms < end_ms)
        visits = play(people, who, self.catalogue, rng)
        advance(people, who, visits.bought, visits.pending, self.catalogue, rng)
        rows = visits.rows
        rows["deliver_ms"] = rows["time_ms"]
        stamped = people.stamped[rows["user"]]
        rows["seen_ms"] = np.where(stamped, rng.integers(20, 250, len(rows)), 0)
        late = rng.random(len(rows)) < self.faults.late
        rows["fault"][late] = Fault.LATE
        delay = np.clip(rng.lognormal(np.log(300), 1.3, len(rows)), 20, 6 * 3600) * 1000
        rows["deliver_ms"] += np.where(late, delay, 0).astype(np.int64)
        rows["sent_ms"] = rows["deliver_ms"]
        rows["seq"] = np.arange(self._seq, self._seq + len(rows))
        self._seq += len(rows)
        added = self._added(rows, rng)
        if self._seq > SEQ_MAX:
            raise RuntimeError(f"a shop gives at most {SEQ_MAX} events")
        return np.concatenate([rows, *added])

    def _added(self, rows: Records, rng: np.random.Generator) -> list[Records]:
        """Make the records that stand beside the good ones: copies, all of them, of good rows."""
        rates = self.faults
        good = rows[rows["fault"] == Fault.NONE]
        twice = good[rng.random(len(good)) < rates.duplicates].copy()
        twice["fault"] = Fault.DUPLICATE
        again = np.where(rng.random(len(twice)) < 0.8, 2_000, 3_600_000)
        twice["deliver_ms"] += (rng.exponential(1.0, len(twice)) * again).astype(np.int64) + 1
        bots = good[rng.random(len(good)) < rates.bots].copy()
        bots["fault"] = Fault.BOT
        bots["user"] = self.users + rng.integers(0, BOTS, len(bots))
        bots["seen_ms"] = 0
        future = good[rng.random(len(good)) < rates.future].copy()
        future["fault"] = Fault.FUTURE
        poison = good[rng.random(len(good)) < rates.poison].copy()
        kinds = np.array(POISON, np.uint8)
        poison["fault"] = rng.choice(kinds, len(poison), p=self._poison)
        for made in (bots, future, poison):
            made["seq"] = np.arange(self._seq, self._seq + len(made))
            self._seq += len(made)
        future["time_ms"] += FUTURE_MS
        return [twice, bots, future, poison]

    def _block(self, rows: Records, end_ms: int) -> Block:
        """Put records in order of delivery and render them."""
        # A duplicate has its first one's number and must never overtake it.
        order = np.lexsort((rows["fault"] == Fault.DUPLICATE, rows["seq"], rows["deliver_ms"]))
        rows = rows[order]
        values = self.renderer.render(rows)
        names = self.renderer.keys
        keys: list[bytes | None] = [names[user] for user in rows["user"].tolist()]
        shift = np.zeros(len(rows), np.uint8)
        for index in np.flatnonzero(rows["fault"] >= Fault.GARBAGE).tolist():
            fault = Fault(rows["fault"][index])
            record = spoil(fault, names[rows["user"][index]], values[index])
            keys[index], values[index], shift[index] = record.key, record.value, record.shift
        return Block(rows, keys, values, shift, end_ms)
