"""A user's window and head features at one prediction, rebuilt from the user's own events.

The engine itself does it: it is given the events of the user's epoch alone, in order of
partition_seq. Others act on a user only through the clocks, which enter neither window nor head
features, only the silence that the churn probability is asked for.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from stream.audit.run import Names
from stream.core.churn import log_survival, stay_logs
from stream.core.config import EngineConfig
from stream.core.engine import Engine
from stream.core.layout import EVENT_TYPES, HAZARD_BINS, TOPICS, Outcome, Record, Records, source_of
from stream.core.plan import Plan, Scores
from stream.core.results import Batch
from stream.served.find import Past, Told
from stream.served.log import Log, ServedError
from stream.served.order import SERVED
from stream.served.rows import decoded_batch, read_rows
from stream.wire.decode import Decoder

_PREDICTED: Final = int(Outcome.PREDICTED)


@dataclass(frozen=True, slots=True)
class Window:
    """What a prediction was made of.

    plan: one row to score, one segment of its m steps from zero state.
    batch: the user's events of the epoch so far, in order; the last one is the prediction's.
    values: the records' values by STEP.source.
    """

    told: Told
    config: EngineConfig
    plan: Plan
    batch: Batch
    values: dict[int, bytes]
    silence_ms: int  # shop time since the user's newest event, as of the prediction


def rebuild(log: Log, names: Names, past: Past, config: EngineConfig, decoder: Decoder) -> Window:
    """Rebuild the window of a prediction. Raises ServedError where it is not the one that was told.

    config and decoder must be those of the deployment, config's L that of the model.
    """
    note = past.told.note
    partition = note.input.partition
    rows = _rows_of(names, [*past.before, past.told])
    records = read_rows(log, names, partition, rows)
    batch = decoded_batch(decoder, partition, rows, records)
    alone = replace(config, users_max=1, hidden_users_max=1)
    plan, row = last_plan(batch, alone)
    if row is None or f"{row['window_digest']:016x}" != note.input.window_digest:
        found = "another outcome" if row is None else f"{row['window_digest']:016x}"
        raise ServedError(
            f"{note.prediction_id}: window_digest {note.input.window_digest} was told, and"
            f" {found} is rebuilt: the topics hold other events than were applied, or"
            f" window_steps={config.window_steps} is not the worker's"
        )
    values = {
        source_of(topic, record.offset): record.value or b""
        for topic in range(len(TOPICS))
        for record in records[topic]
    }
    silence_ms = max(0, past.watermark_ms - note.as_of)
    return Window(past.told, alone, plan, batch, values, silence_ms)


def last_plan(batch: Batch, config: EngineConfig) -> tuple[Plan, Record | None]:
    """Apply one user's events; the last one's plan from zero state, and its ROW.

    None instead of the row: an event was not predicted.
    """
    engine = Engine(config, 0, rows_max=max(1, len(batch.events)))
    last = len(batch.events) - 1
    done = [np.zeros(0, np.uint8)]
    for events in (batch.events[:last], batch.events[last:]):
        part = Batch(events, batch.steps, batch.users)
        engine.drop_hidden()  # so that the last one's steps are planned from zero state
        first = 0
        while first < len(events):
            applied = engine.apply(part, first)
            engine.settle(applied, _no_scores(len(applied.scored)))
            done.append(applied.rows["outcome"])
            first = applied.rows_next
    whole = bool((np.concatenate(done) == _PREDICTED).all())
    return applied.plan, applied.rows[-1] if whole else None


def churn_at(
    hazard: npt.NDArray[np.float32], edges_ms: tuple[int, ...], silence_ms: int, horizon_ms: int
) -> npt.NDArray[np.float64]:
    """Churn probability S(s + H) / S(s) of each row of hazards.  # (B, 8) -> (B,)."""
    edges = np.array(edges_ms, np.int64)
    logs = np.empty(hazard.shape, np.float64)
    for row, out in zip(hazard, logs, strict=True):
        stay_logs(row, out)
    return np.array([
        np.exp(log_survival(row, edges, silence_ms + horizon_ms)
               - log_survival(row, edges, silence_ms))
        for row in logs
    ])  # fmt: skip


def _rows_of(names: Names, told: list[Told]) -> Records:
    rows = np.zeros(len(told), SERVED)
    rows["topic"] = [names.inputs.index(one.note.input.topic) for one in told]
    rows["offset"] = [one.note.input.offset for one in told]
    rows["prediction"] = [one.offset for one in told]
    rows["outcome"] = _PREDICTED
    return rows


def _no_scores(count: int) -> Scores:
    """Scores that mean nothing: neither window nor head features depend on them."""
    return Scores(
        np.full((count, len(EVENT_TYPES)), 1 / len(EVENT_TYPES), np.float32),
        np.full(count, 0.5, np.float32),
        np.full((count, HAZARD_BINS), 0.5, np.float32),
        np.zeros((count, 0), np.int32),
        np.zeros((count, 0), np.float32),
    )
