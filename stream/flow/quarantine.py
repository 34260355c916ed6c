"""A row on which the engine failed before: found on a copy, set aside, told of.

    first failure      the batch's offsets are noted, the worker ends and is started again
    the rows return    each runs alone on a copy of the engine; one that raises there becomes a
                       dead letter (handler_error), and the partition goes on without it
    too many an hour   the worker stays down: then it is not the rows

Rules of the room: the engine itself is never at risk, so a copy of it takes its memory once more
while the rows are tried (about a millisecond a row). Notes are per partition and outlive the
process; they are dropped when a commit has passed their rows.
"""

import copy
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from stream.core.engine import Engine
from stream.core.layout import NEVER_MS, TOPICS, Reason
from stream.core.results import Batch
from stream.flow.crash_note import NOWHERE, CrashNote
from stream.flow.models import Models
from stream.flow.partition import Partition, Taken
from stream.flow.ports import CrashNotes
from stream.flow.stops import QuarantineError, WorkerStopError
from stream.wire.state import changelog

log = logging.getLogger(__name__)

HOUR_S: Final = 3600.0


class Quarantine:
    """Used by the worker's thread alone."""

    def __init__(
        self,
        notes: CrashNotes,
        rows_per_hour_max: int,
        clock: Callable[[], float],  # wall clock, seconds
    ) -> None:
        self._notes = notes
        self._rows_max = rows_per_hour_max
        self._clock = clock
        self._known: dict[int, CrashNote] = {}

    def open(self, number: int) -> None:
        """Look up what is known of a partition. Raises QuarantineError."""
        note = self._notes.read(number)
        if note is None:
            return
        self._known[number] = note
        self._refuse_too_many(number, note)
        if note.failures:
            log.warning(
                "partition %d failed %d times on %s (%s): its rows are tried one by one",
                number, note.failures, note.said(), note.error,
            )  # fmt: skip

    def close(self, number: int) -> None:
        """Forget a partition that is handed over; what is noted stays."""
        self._known.pop(number, None)

    @property
    def noted(self) -> bool:
        """Whether rows that failed are still to be passed: what is with them must not fail too."""
        return any(note.failures for note in self._known.values())

    def failed(self, partition: Partition, taken: Taken, error: BaseException) -> None:
        """Note that a batch made the engine raise."""
        events = taken.batch.events[taken.first :]
        first, after = [], []
        for topic in range(len(TOPICS)):
            offsets = events["offset"][events["topic"] == topic]
            first.append(int(offsets.min()) if len(offsets) else NOWHERE)
            after.append(int(offsets.max()) + 1 if len(offsets) else NOWHERE)
        before = self._known.get(partition.number, CrashNote())
        note = CrashNote(
            tuple(first), tuple(after), before.failures + 1, _brief(error), before.quarantined_at_s
        )
        self._keep(partition.number, note)

    def passed(self, partition: Partition) -> None:
        """Drop a note whose rows are committed."""
        note = self._known.get(partition.number)
        if note is None or not note.failures:
            return
        committed = zip(partition.committed_next, note.offset_next, strict=True)
        if all(at >= after for at, after in committed):
            self._keep(partition.number, CrashNote(quarantined_at_s=note.quarantined_at_s))

    def examine(
        self, partition: Partition, taken: Taken, models: Models, alive: Callable[[], None]
    ) -> None:
        """Make dead letters of the rows that raise, in a batch on which the engine failed before.

        Of one that `suspects` no batch is in flight; `alive` is called before each row. Raises
        QuarantineError when more is set aside than an hour may have.
        """
        if not self.suspects(partition, taken):
            return
        while (guilty := _first_guilty(partition, taken, models, alive)) is not None:
            self._set_aside(partition, taken, *guilty)

    def suspects(self, partition: Partition, taken: Taken) -> bool:
        """Whether a batch holds a row of the range that failed."""
        note = self._known.get(partition.number)
        if note is None or not note.failures:
            return False
        events = taken.batch.events[taken.first :]
        first, after = np.array(note.offset_first), np.array(note.offset_next)
        inside = events["offset"] >= first[events["topic"]]
        return bool((inside & (events["offset"] < after[events["topic"]])).any())

    def _set_aside(self, partition: Partition, taken: Taken, row: int, error: Exception) -> None:
        event = taken.batch.events[row]
        topic, offset = int(event["topic"]), int(event["offset"])
        event["reason"], event["time_ms"] = int(Reason.HANDLER_ERROR), NEVER_MS
        taken.origin.explain(row, f"the engine failed on this record twice: {_brief(error)}")
        before = self._known[partition.number]
        note = replace(before, quarantined_at_s=(*self._recent(before), self._clock()))
        self._keep(partition.number, note)
        log.error(
            "set aside %s[%d] offset %d as a dead letter: the engine raises on it: %s",
            TOPICS[topic], partition.number, offset, _brief(error), exc_info=error,
        )  # fmt: skip
        self._refuse_too_many(partition.number, note)

    def _keep(self, number: int, note: CrashNote) -> None:
        self._known[number] = note
        self._notes.write(number, note)

    def _recent(self, note: CrashNote) -> list[float]:
        """Give the times of the rows set aside within the hour."""
        return [at for at in note.quarantined_at_s if at > self._clock() - HOUR_S]

    def _refuse_too_many(self, number: int, note: CrashNote) -> None:
        rows = len(self._recent(note))
        if rows > self._rows_max:
            raise QuarantineError(
                f"partition {number}: {rows} rows made the engine raise within an hour, more"
                f" than quarantine_max={self._rows_max}: not the rows, the engine or the model is"
                f" at fault. Last: {note.error}"
            )


def _first_guilty(
    partition: Partition, taken: Taken, models: Models, alive: Callable[[], None]
) -> tuple[int, Exception] | None:
    """Run a batch row by row on a copy; return the first row that raises, and what."""
    engine = copy.deepcopy(partition.engine)
    for row in range(taken.first, len(taken.batch.events)):
        alive()
        try:
            _run_row(partition, engine, taken, row, models)
        except WorkerStopError:  # the scorer's thread hangs: no row's fault
            raise
        except Exception as error:  # noqa: BLE001 whatever it is, it is what is looked for
            return row, error
    return None


def _run_row(partition: Partition, engine: Engine, taken: Taken, row: int, models: Models) -> None:
    """Do all that is done with a row, up to the bytes of its outputs and its state."""
    batch = Batch(taken.batch.events[: row + 1], taken.batch.steps, taken.batch.users)
    first = row
    while first <= row:
        engine.drop_hidden()  # so that the plan starts from no pool
        applied = engine.apply(batch, first)
        settled = engine.settle(applied, models.try_score(applied.plan))
        part = Taken(batch, taken.origin, first)
        models.serving.effects.of_rows(partition, part, settled, 0)
        first = applied.rows_next
    changelog(engine, 1, {}, {})


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:500]
