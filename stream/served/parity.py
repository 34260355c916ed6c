"""Every prediction of a partition again: digests, ids and scores recomputed and compared.

The rows are applied by a new engine in the order in which the worker applied them, and scored by
the bundle. Digests, ids and outcomes must be equal; scores may differ by the bundle's tolerance,
and by the half of a millionth that six decimals leave out. Scores of another model's predictions
take a pass of their own, with its bundle. Of a log that retention has cut, users who were known
before the cut are left out, since what they did is gone.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from stream.audit.checks import Problems
from stream.audit.run import Names
from stream.core.config import EngineConfig
from stream.core.engine import Engine
from stream.core.layout import Outcome, Reason, Records
from stream.core.plan import Scores
from stream.core.results import Batch, Settled
from stream.model.bundle import Bundle
from stream.model.graphs import Graphs
from stream.model.scorer import OnnxScorer
from stream.served.leave_out import DECIMALS_ERROR
from stream.served.log import Log
from stream.served.order import Order, read_order
from stream.served.rows import ServedBatch, read_predictions, served_batches
from stream.wire.decode import Decoder
from stream.wire.types import Prediction

_PREDICTED: Final = int(Outcome.PREDICTED)
_COALESCED: Final = int(Outcome.COALESCED)
_REFUSED: Final = (int(Outcome.DUPLICATE), int(Outcome.DEAD_LETTERED), int(Outcome.FORGOTTEN))
_read_prediction = msgspec.json.Decoder(Prediction).decode

Doubles = npt.NDArray[np.float64]


@dataclass(slots=True)
class Parity:
    """What was compared in one pass, of all partitions together."""

    model: str
    tolerance: float
    rows: int = 0
    predictions: int = 0
    digests_equal: int = 0
    scores: int = 0  # predictions whose scores were compared
    scores_equal: int = 0  # ... and lie within the tolerance
    difference_max: float = 0.0
    late: int = 0
    begun_before: int = 0  # predictions of users known before the log begins
    other_models: Counter[str] = field(default_factory=Counter)
    problems: Problems = field(default_factory=Problems)

    def summary(self) -> str:
        """Put everything in one line."""
        return (
            f"model={self.model} rows={self.rows} predictions={self.predictions} late={self.late}"
            f" digests_equal={self.digests_equal} scores={self.scores}"
            f" scores_equal={self.scores_equal} difference_max={self.difference_max:.2e}"
            f" tolerance={self.tolerance:.0e} other_models={self.other_models.total()}"
            f" begun_before={self.begun_before} problems={self.problems.count}"
        )


class Recomputation:
    """One pass over a deployment with one bundle, a partition after the other.

    others: predictions of other models count too, all but their scores.
    """

    def __init__(
        self,
        log: Log,
        names: Names,
        bundle: Bundle,
        graphs: Graphs,
        config: EngineConfig,
        decoder: Decoder,
        items_top: int,
        *,
        others: bool = True,
    ) -> None:
        """Take the deployment's engine settings, decoder and number of items in a prediction."""
        self.parity = Parity(bundle.version, bundle.manifest.tolerance)
        self._others = others
        self._log = log
        self._names = names
        self._bundle = bundle
        self._scorer = OnnxScorer(bundle, graphs, items_top)
        self._config = config
        self._decoder = decoder

    def compare(self, partition: int) -> None:
        """Recompute a partition. Raises ServedError where its rows cannot be had."""
        order = read_order(self._log, self._names, partition)
        engine = _engine(self._config, order)
        self._scorer.open(partition, self._config.hidden_users_max)
        batches = served_batches(self._log, self._names, order, self._decoder)
        for served in batches:
            batch = _without_refused(served) if order.cut else served.batch
            parts = engine.run(batch, lambda plan: self._scorer.score(partition, plan))
            notes = [
                _read_prediction(record.value or b"")
                for record in read_predictions(self._log, self._names, partition, served.rows)
            ]
            self._compare(order, served, _joined(parts), notes)
        self._scorer.close(partition)

    def _compare(
        self, order: Order, served: ServedBatch, again: Settled, notes: list[Prediction]
    ) -> None:
        parity = self.parity
        rows, told = again.rows, served.rows
        parity.rows += len(rows)
        at = np.flatnonzero(told["outcome"] == _PREDICTED)
        if self._others and not order.cut:
            # What was coalesced was applied as if it was predicted, and is recomputed so.
            wanted = np.where(told["outcome"] == _COALESCED, _PREDICTED, told["outcome"])
            for row in np.flatnonzero(rows["outcome"] != wanted).tolist():
                found, said = _outcome(rows[row]), _outcome(told[row])
                self._say(order, told[row], f"outcome {said} was told, {found} is recomputed")
        for row, note in zip(at.tolist(), notes, strict=True):
            if not self._others and note.model_version != parity.model:
                continue
            parity.predictions += 1
            parity.late += note.late
            if note.user_epoch < order.seq_first:
                parity.begun_before += 1
            elif rows["outcome"][row] == _PREDICTED:
                self._compare_one(order, told[row], rows[row], note, again)

    def _compare_one(
        self, order: Order, told: Records, row: Records, note: Prediction, again: Settled
    ) -> None:
        parity = self.parity
        digest = f"{row['window_digest']:016x}"
        parity.digests_equal += digest == note.input.window_digest
        for name, found, said in (
            ("window_digest", digest, note.input.window_digest),
            ("partition_seq", int(row["partition_seq"]), note.partition_seq),
            ("user_seq", int(row["user_seq"]), note.user_seq),
            ("user_epoch", int(row["user_epoch"]), note.user_epoch),
            ("revision", int(row["revision"]), note.revision),
            ("as_of", int(row["as_of_ms"]), note.as_of),
        ):
            if found != said:
                self._say(order, told, f"{name} {said} was told, {found} is recomputed")
        if note.model_version != parity.model:
            parity.other_models[note.model_version] += 1
            return
        parity.scores += 1
        differences = self._differences(int(row["scored"]), note, again)
        name = max(differences, key=lambda name: differences[name])
        worst = differences[name]
        parity.difference_max = max(parity.difference_max, worst)
        if worst <= parity.tolerance + DECIMALS_ERROR:
            parity.scores_equal += 1
        else:
            self._say(order, told, f"{name} differs by {worst:.6f}")

    def _differences(self, at: int, note: Prediction, again: Settled) -> dict[str, float]:
        scores = again.scores
        found = {
            "next_event click": (scores.next_event[at, 0], note.next_event.click),
            "next_event search": (scores.next_event[at, 1], note.next_event.search),
            "next_event purchase": (scores.next_event[at, 2], note.next_event.purchase),
            "purchase_probability": (scores.purchase[at], note.purchase_probability),
        }
        churn = float(again.churn[at])
        if (churn < 0) != (note.churn_probability is None):
            found["churn_status"] = (churn, np.inf)
        elif note.churn_probability is not None:
            found["churn_probability"] = (churn, note.churn_probability)
        differences = {name: abs(float(a) - float(b)) for name, (a, b) in found.items()}
        return differences | self._item_differences(scores.items[at], scores.item_scores[at], note)

    def _item_differences(
        self, items: npt.NDArray[np.int32], scores: npt.NDArray[np.float32], note: Prediction
    ) -> dict[str, float]:
        """Compare by item: of one that is listed only here or there, with the end of the list."""
        ids = self._bundle.vocabulary.item_ids
        mine = {ids[item]: float(score) for item, score in zip(items, scores, strict=True) if item}
        said = {item.item_id: item.score for item in note.items}
        if len(mine) != len(said):
            return {"items": float(abs(len(mine) - len(said)))}
        ends = min(mine.values(), default=0.0), min(said.values(), default=0.0)
        return {
            f"score of item {item}": abs(mine.get(item, ends[0]) - said.get(item, ends[1]))
            for item in mine.keys() | said.keys()
        }

    def _say(self, order: Order, told: Records, what: str) -> None:
        place = f"{self._names.inputs[told['topic']]}-{order.partition}-{told['offset']}"
        self.parity.problems.add(f"{place}: {what}")


def _engine(config: EngineConfig, order: Order) -> Engine:
    """Make an engine whose next row has the first partition_seq of the log."""
    engine = Engine(config, order.partition)
    clock = engine.state.clock[0].copy()
    clock["seq"] = order.seq_first - 1
    engine.finish_restore(clock)
    return engine


def _without_refused(served: ServedBatch) -> Batch:
    """Refuse what was refused: of a cut log, the events that were the reason are gone."""
    events = served.batch.events.copy()
    events["reason"][np.isin(served.rows["outcome"], _REFUSED)] = int(Reason.HANDLER_ERROR)
    return Batch(events, served.batch.steps, served.batch.users)


def _joined(parts: list[Settled]) -> Settled:
    """Put the parts of a batch together; `scored` indexes the whole."""
    first = 0
    rows = []
    for part in parts:
        some = part.rows.copy()
        some["scored"] += np.where(some["scored"] >= 0, first, 0)
        first += len(part.churn)
        rows.append(some)
    scores = Scores(
        *(
            np.concatenate([getattr(part.scores, name) for part in parts])
            for name in ("next_event", "purchase", "hazard", "items", "item_scores")
        )
    )
    churn = np.concatenate([part.churn for part in parts])
    return Settled(np.concatenate(rows), churn, scores, parts[0].alerts[:0], [])


def _outcome(row: Records) -> str:
    return Outcome(int(row["outcome"])).name.lower()
