"""Which rows of the (h, c) pools a candidate model has, and which it is to make next.

Rules of the room: arrays only, no clock, no thread. The numbers of the pool rows are the engine's
and the same for every model; here is one bit a row: the candidate's pool holds the state that its
owner has after the last row applied. What is noted is what the candidate will have run once the
tasks given to it so far are done: they are done in order (stream/flow/models.py).
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from stream.core.engine import Engine
from stream.core.plan import Plan

LOOK_ROWS: Final = 4_096  # of the queue at a time
SAMPLE_SEGMENTS: Final = 256  # carried segments that make a judgement

Flags = npt.NDArray[np.bool_]


class _Pool:
    __slots__ = ("queue", "warm")

    def __init__(self, rows: int) -> None:
        self.warm: Flags = np.zeros(rows, np.bool_)
        self.queue = np.zeros(0, np.int32)  # rows still to be looked at, most recent first


class Warming:
    """The candidate's side of every open pool.

    carries: the candidate has the L of the model that serves, so the plans made for that one carry
    its states on too. With another L they do not: what a batch touches is cold until it is rebuilt.
    """

    def __init__(self, carries: bool) -> None:
        self.carries = carries
        self._pools: dict[int, _Pool] = {}
        self._seen = 0  # carried segments since the last judgement
        self._seen_warm = 0
        self.share = 0.0  # of the users of the last batches judged, those that were warm

    def open(self, number: int, rows: int) -> None:
        """Begin with a cold pool."""
        self._pools[number] = _Pool(rows)

    def close(self, number: int) -> None:
        """Forget a pool."""
        del self._pools[number]

    def rows(self, number: int) -> Flags:
        """Give the bits of a pool, (P,), not a copy."""
        return self._pools[number].warm

    def note(self, number: int, plan: Plan) -> Flags:
        """Take notice of a batch's plan; returns (S,): the segments that the candidate can run.

        A segment from zero state can be run if `carries`; one that is carried on, if its row is
        warm as well.
        """
        warm = self._pools[number].warm
        carried = plan.pool_in >= 0
        had = warm[plan.pool_in] & carried
        self._seen += int(carried.sum())
        self._seen_warm += int(had.sum())
        if self._seen >= SAMPLE_SEGMENTS:
            self.share = self._seen_warm / self._seen
            self._seen = self._seen_warm = 0
        able: Flags = (had | ~carried) & self.carries
        kept = plan.pool_out >= 0
        warm[plan.pool_out[kept]] = able[kept]
        return able

    def cold(self, engine: Engine) -> int:
        """Count users with a row of the pool that the candidate has not."""
        owned = engine.state.pool_owner >= 0
        return int((owned & ~self._pools[engine.partition].warm).sum())

    def take(self, engine: Engine, refresh_steps: int, steps_max: int) -> Plan | None:
        """Plan the next cold rows, most recently active users first; None: all are warm.

        The order is that of the moment when the queue was made: it is made anew when it has come
        to its end and rows are still cold. At most about `steps_max` steps.
        """
        pool = self._pools[engine.partition]
        while True:
            if not len(pool.queue):
                pool.queue = engine.pool_rows(~pool.warm)
                if not len(pool.queue):
                    return None
            look = pool.queue[:LOOK_ROWS]
            owner = engine.state.pool_owner[look]
            wanted = np.flatnonzero((owner >= 0) & ~pool.warm[look])
            if len(wanted):
                break
            pool.queue = pool.queue[len(look) :]
        steps = engine.state.users["steps_count"][owner[wanted]]
        cost = np.cumsum(np.minimum(steps, 2 * refresh_steps))
        taken = wanted[: max(1, int(np.searchsorted(cost, steps_max, side="right")))]
        pool.queue = pool.queue[len(look) if len(taken) == len(wanted) else int(taken[-1]) + 1 :]
        rows = look[taken]
        pool.warm[rows] = True
        return engine.plan_rebuilds(rows, refresh_steps)
