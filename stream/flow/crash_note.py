"""What outlives a worker that failed on a batch: which rows, how often, why."""

from dataclasses import dataclass
from typing import Final

from stream.core.layout import TOPICS

NOWHERE: Final = -1  # a topic without a row in the batch


@dataclass(frozen=True, slots=True)
class CrashNote:
    """What is known of a partition's failures. Offsets are by topic code; NOWHERE: no row of it."""

    offset_first: tuple[int, ...] = (NOWHERE,) * len(TOPICS)
    offset_next: tuple[int, ...] = (NOWHERE,) * len(TOPICS)  # after its last row
    failures: int = 0  # on these rows
    error: str = ""  # what was raised last
    quarantined_at_s: tuple[float, ...] = ()  # wall clock, of the rows set aside in the last hour

    def said(self) -> str:
        """Name the rows for a person."""
        return ", ".join(
            f"{name} {first} to {after - 1}"
            for name, first, after in zip(TOPICS, self.offset_first, self.offset_next, strict=True)
            if first != NOWHERE
        )
