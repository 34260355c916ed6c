"""Users erased since the last commit of a partition, each to be told of in its transaction.

Rules of the room: no user's key is kept, only its keyed hash. Used by the worker's thread alone.
"""

from typing import Final, NamedTuple

import numpy as np

from stream.core.engine import Engine
from stream.core.layout import Outcome, Records

_CONTROL: Final = int(Outcome.CONTROL)


class Erased(NamedTuple):
    """One request that was carried out."""

    name: bytes  # keyed hash of the user's key
    topic: int  # of the request
    offset: int
    time_ms: int  # event time up to which events of the user find nothing
    now_ms: int  # wall clock


class Erasures:
    """In the order of the requests."""

    def __init__(self) -> None:
        self._open: list[Erased] = []

    def add(self, engine: Engine, rows: Records, users: list[bytes], now_ms: int) -> None:
        """Note the erasures among settled rows. 1 us each, nothing where there is none."""
        mine = np.flatnonzero(rows["outcome"] == _CONTROL)
        for row in rows[mine] if len(mine) else ():
            name = engine.forgotten.hash(users[row["user"]])
            self._open.append(
                Erased(
                    name, int(row["topic"]), int(row["offset"]), int(row["event_time_ms"]), now_ms
                )
            )

    def take(self) -> list[Erased]:
        """Hand out what came since the last call."""
        taken, self._open = self._open, []
        return taken
