"""Users with full rings in real engines, and events that move them on without the engine's rules.

Rules of the room: all is synthetic. Values vary where real ones vary (ids, hashes, times, scores),
so that they compress as real ones do; the arrays are those of stream/core/layout.py.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.core.config import DAY_MS, HOUR_MS, EngineConfig
from stream.core.engine import Engine
from stream.core.layout import COUNTER_CELLS, NEVER_MS, STEP, TOKENS_MAX, Records
from stream.core.state import CLOCK
from tests.bench.card import Card
from tests.bench.load import murmur2, zipf

FILL_USERS: Final = 8_192  # filled at once
SCORES: Final = 13  # next event 3, purchase 1, hazard 8, churn 1
START_MS: Final = 1_767_225_600_000
HIDDEN_USERS_MAX: Final = EngineConfig().hidden_users_max
DRAWS_PER_USER: Final = 10
DRAWS_MAX: Final = 8_000_000
DRAWS_PART: Final = 500_000


@compiled
def _push(
    users: Records, ring: Records, dirty: Records, new: Records,
    slots: Records, steps: Records, scores: Records, seq: int,
) -> None:  # fmt: skip
    """Append each step to its user, as the engine does with an event in time."""
    window = ring.shape[1]
    for index in range(len(slots)):
        slot = slots[index]
        user = users[slot]
        step = steps[index]
        ring[slot, (np.int64(user.ring_head) + user.ring_len) % window] = step
        if user.ring_len < window:
            user.ring_len += 1
        else:
            user.ring_head = (np.int64(user.ring_head) + 1) % window
        user.steps_count += 1
        user.user_seq += 1
        user.seq_last = seq + index
        user.time_last_ms = step.time_ms
        user.shop_last_ms = step.time_ms
        user.type_time_ms[step.event_type] = step.time_ms
        user.source_last = step.source
        user.counters[19 * step.event_type + step.time_ms // 600_000 % 6] += 1
        for kind in range(3):
            user.next_event[kind] = scores[index, kind]
        user.purchase = scores[index, 3]
        for bin_ in range(8):
            user.hazard[bin_] = scores[index, 4 + bin_]
        user.churn = scores[index, 12]
        user.next_check_ms = step.time_ms + HOUR_MS + np.int64(scores[index, 12] * 7 * DAY_MS)
        dirty[slot] = 1
        new[slot] = min(np.int64(new[slot]) + 1, 255)


@compiled
def _keep(slots: Records, hidden_row: Records, pool_owner: Records, clock: Records) -> None:
    """Give those who have no row of the pool the next one, as the engine does."""
    for slot in slots:
        if hidden_row[slot] >= 0:
            continue
        row = clock[0].pool_next
        clock[0].pool_next = (row + 1) % len(pool_owner)
        owner = pool_owner[row]
        if owner >= 0:
            hidden_row[owner] = -1
        pool_owner[row] = slot
        hidden_row[slot] = row


class FullUsers:
    """`users` users with full rings over the card's partitions, in one engine each."""

    def __init__(
        self, card: Card, users: int, *, hidden_users_max: int = HIDDEN_USERS_MAX,
        exclude_recent: bool = True,
    ) -> None:  # fmt: skip
        self.card = card
        self.users_count = users
        self._rng = np.random.default_rng([card.seed, users])
        self._items = self._rng.integers(1, 2**63, card.items, np.uint64)
        self._categories = self._rng.integers(1, 2**32, 1_000, np.uint32)
        texts = np.array([f"u{number:07d}".encode() for number in range(users)])
        names = texts.view(np.uint8).reshape(users, 8)
        self._partition = murmur2(names) % card.partitions
        self._rank = self._rng.permutation(users)
        self._slot = np.empty(users, np.int32)
        self._seq = users + 1
        self._time_ms = START_MS
        self.engines = [
            new_engine(
                card,
                users,
                number,
                hidden_users_max=hidden_users_max,
                exclude_recent=exclude_recent,
            )
            for number in range(card.partitions)
        ]
        self.new: list[npt.NDArray[np.uint8]] = []
        for number, engine in enumerate(self.engines):
            mine = np.flatnonzero(self._partition == number)
            for first in range(0, len(mine), FILL_USERS):
                part = mine[first : first + FILL_USERS]
                self._slot[part] = self._fill(engine, texts[part].tolist(), part)
            engine.finish_restore(self.clock())
            self.new.append(np.zeros(len(engine.state.users), np.uint8))

    def clock(self) -> Records:
        """Return the clocks of a partition whose last event is the last one made."""
        clock = np.zeros(1, CLOCK)
        clock["seq"] = self._seq
        clock["watermark_ms"] = clock["shop_ms"] = self._time_ms
        clock["bucket"] = self._time_ms // self.engines[0].config.bucket_ms
        return clock[0]  # type: ignore[no-any-return]

    def touch(self, events: int, span_ms: int) -> None:
        """Make `events` events and let them change the engines' arrays."""
        user = self._rank[zipf(self._rng, self.users_count, self.card.users_exponent, events)]
        time_ms = self._time_ms + np.arange(events) * span_ms // events
        steps = self._steps(time_ms)
        self._time_ms += span_ms
        scores = self._rng.random((events, SCORES), np.float32)
        partition = self._partition[user]
        for number, engine in enumerate(self.engines):
            rows = np.flatnonzero(partition == number)
            state = engine.state
            slots = self._slot[user[rows]]
            _push(
                state.users, state.ring, state.dirty, self.new[number],
                slots, steps[rows], scores[rows], self._seq,
            )  # fmt: skip
            self._seq += len(rows)
            state.clock["seq"] = self._seq

    def carry_on(self, ranks: npt.NDArray[np.int64]) -> None:
        """Let (h, c) be kept of those in whose hands a long run would have left the pools.

        ranks: (U,) user by rank. The pools' contents are not touched: to a cost they are the same.
        """
        self._keep_all(ranks[::-1])
        left = min(DRAWS_PER_USER * self.users_count, DRAWS_MAX)
        while left > 0:
            count = min(left, DRAWS_PART)
            drawn = zipf(self._rng, self.users_count, self.card.users_exponent, count)
            self._keep_all(ranks[drawn])
            left -= count

    def _keep_all(self, users: npt.NDArray[np.int64]) -> None:
        partition = self._partition[users]
        for number, engine in enumerate(self.engines):
            state = engine.state
            slots = self._slot[users[partition == number]]
            _keep(slots, state.hidden_row, state.pool_owner, state.clock)

    def _steps(self, time_ms: npt.NDArray[np.int64]) -> Records:
        card, rng, count = self.card, self._rng, len(time_ms)
        steps = np.zeros(count, STEP)
        share = np.cumsum(card.shares)
        kind = np.searchsorted(share / share[-1], rng.random(count), side="right")
        item = zipf(rng, card.items, card.items_exponent, count)
        search = kind == 1
        steps["event_id"] = rng.integers(0, 2**63, count, np.uint64)
        steps["item"] = np.where(search, 0, self._items[item])
        steps["time_ms"] = time_ms
        steps["source"] = (time_ms - START_MS + 10**9) * 4 + kind
        steps["price_cents"] = np.where(search, -1, item * 37 % 20_000 + 95)
        steps["category"] = np.where(search, 0, self._categories[item % 1_000])
        tokens = rng.integers(1, 2**16, (count, TOKENS_MAX), np.uint16)
        tokens[~search] = 0
        tokens[:, 2:] = 0
        steps["tokens"] = tokens
        steps["quantity"] = 1
        steps["event_type"] = kind
        steps["action"] = np.array([1, 4, 5])[kind]
        return steps

    def _fill(
        self, engine: Engine, keys: list[bytes], numbers: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int32]:
        """Give users a full ring; returns their slots."""
        rng, count, window = self._rng, len(keys), engine.config.window_steps
        slots = engine.restore_slots(keys)
        gap_ms = rng.integers(1_000, 600_000, (count, window))
        time_ms = (
            START_MS - rng.integers(0, DAY_MS, (count, 1)) - gap_ms[:, ::-1].cumsum(1)[:, ::-1]
        )
        engine.state.ring[slots] = self._steps(time_ms.ravel()).reshape(count, window)
        users = engine.state.users
        users["epoch"][slots] = numbers + 1
        users["steps_count"][slots] = rng.integers(window, 200, count)
        users["user_seq"][slots] = users["steps_count"][slots]
        users["seq_last"][slots] = numbers + 1
        users["time_last_ms"][slots] = users["shop_last_ms"][slots] = time_ms[:, -1]
        users["type_time_ms"][slots] = np.stack(
            [time_ms[:, -1], time_ms[:, -8], np.full(count, NEVER_MS)], 1
        )
        users["source_last"][slots] = engine.state.ring["source"][slots, -1]
        users["counter_bucket"][slots] = time_ms[:, -1:] // np.array([600_000, 14_400_000, DAY_MS])
        users["counters"][slots] = rng.poisson(0.5, (count, COUNTER_CELLS))
        users["channel"][slots] = self._categories[numbers % 3]
        scores = rng.random((count, SCORES), np.float32)
        users["next_event"][slots] = scores[:, :3]
        users["purchase"][slots] = scores[:, 3]
        users["hazard"][slots] = scores[:, 4:12]
        users["churn"][slots] = scores[:, 12]
        users["next_check_ms"][slots] = START_MS + rng.integers(HOUR_MS, 7 * DAY_MS, count)
        users["ring_len"][slots] = window
        return slots


def new_engine(
    card: Card, users: int, partition: int, *, hidden_users_max: int = HIDDEN_USERS_MAX,
    exclude_recent: bool = True,
) -> Engine:  # fmt: skip
    """Make an empty engine that may take all of the users."""
    config = EngineConfig(
        window_steps=card.window_steps,
        refresh_steps=card.refresh_steps,
        users_max=users,
        hidden_users_max=hidden_users_max,
        exclude_recent=exclude_recent,
    )
    return Engine(config, partition)
