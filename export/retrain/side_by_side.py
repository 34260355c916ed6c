"""Two bundles on the same rows, as served: each measure of both, and how sure the difference is.

Rules of the room: a row is asked of both or of neither, whatever items they know: an item that a
bundle does not know is a miss for it. Late rows are not asked. Intervals draw users, not rows.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from export.dataset.folder import Dataset
from export.evaluation import intervals, probabilities
from export.evaluation.classes import row_log_loss
from export.evaluation.evaluate import TOP, Run
from export.evaluation.on_dataset import served_runs
from export.evaluation.silence import silent_rows, stays_silent
from stream.core.config import DAY_MS
from stream.core.plan import Plan, Scores
from stream.model.bundle import Bundle
from stream.model.providers import open_graphs
from stream.model.scorer import OnnxScorer

DRAWS: Final = 200
SEED: Final = 1  # of the draws
USERS_MIN: Final = 20  # of either answer: below it a question of yes or no says nothing
SILENCE_MS: Final = DAY_MS

Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Prepared = Callable[[Doubles, Flags], intervals.Measure]  # probabilities, labels -> measure


@dataclass(frozen=True, slots=True)
class Pair:
    """One measure of both bundles. Low and high: 95 % of candidate minus live; None: not drawn."""

    live: float
    candidate: float
    low: float | None = None
    high: float | None = None
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Served:
    """A bundle's run over the newest days."""

    bundle: Bundle
    run: Run
    score_us: float  # processor time of scoring, a row


class TimedScorer:
    """stream.core.plan.Scorer that adds up the processor time of scoring."""

    def __init__(self, inner: OnnxScorer) -> None:
        self._inner = inner
        self.rows = 0
        self.seconds = 0.0

    @property
    def padded_steps(self) -> int:
        """Pass on."""
        return self._inner.padded_steps

    def open(self, partition: int, hidden_rows: int) -> None:
        """Pass on."""
        self._inner.open(partition, hidden_rows)

    def close(self, partition: int) -> None:
        """Pass on."""
        self._inner.close(partition)

    def score(self, partition: int, plan: Plan) -> Scores:
        """Pass on, timed."""
        began = time.process_time()
        scores = self._inner.score(partition, plan)
        self.seconds += time.process_time() - began
        self.rows += len(plan.row_step)
        return scores


def serve(bundle: Bundle, dataset: Dataset) -> Served:
    """Run a bundle over a dataset as a worker would; its answers on the test split."""
    scorer = TimedScorer(OnnxScorer(bundle, open_graphs(bundle, "cpu"), TOP))
    (run,) = served_runs(bundle, dataset, ("test",), exclude_recent=False, scorer=scorer)
    return Served(bundle, run, scorer.seconds / max(scorer.rows, 1) * 1e6)


def side_by_side(live: Served, candidate: Served) -> dict[str, Pair]:
    """Compare. A question that the days do not answer is left out."""
    pairs: dict[str, Pair] = {}
    pairs |= _next_item(live.run, candidate.run)
    pairs |= _next_event(live.run, candidate.run)
    if live.bundle.manifest.purchase_horizon_ms == candidate.bundle.manifest.purchase_horizon_ms:
        pairs |= _purchase(live.run, candidate.run)
    pairs |= _silence(live, candidate)
    pairs["bundle_bytes"] = Pair(_bytes_of(live.bundle), _bytes_of(candidate.bundle))
    pairs["score_us"] = Pair(live.score_us, candidate.score_us)
    return pairs


def _bytes_of(bundle: Bundle) -> float:
    return float(sum(file.size_bytes for file in bundle.manifest.files.values()))


def _next_item(live: Run, candidate: Run) -> dict[str, Pair]:
    rows = np.flatnonzero((live.labels.next_item != 0) & _in_time(live))
    if not len(rows):
        return {}

    def hits(run: Run) -> Doubles:
        target = run.next_item[rows, None]
        found = (run.recorded.scores.items[rows] == target) & (target > 0)
        return np.asarray(found.any(axis=1), np.float64)

    return {"p_at_10": _of_means(hits(live), hits(candidate), live.recorded.user[rows])}


def _next_event(live: Run, candidate: Run) -> dict[str, Pair]:
    rows = np.flatnonzero((live.labels.next_type >= 0) & _in_time(live))
    if not len(rows):
        return {}
    target = live.labels.next_type[rows]

    def losses(run: Run) -> Doubles:
        return row_log_loss(run.recorded.scores.next_event[rows], target)

    return {
        "next_event_log_loss": _of_means(losses(live), losses(candidate), live.recorded.user[rows])
    }


def _purchase(live: Run, candidate: Run) -> dict[str, Pair]:
    rows = np.flatnonzero((live.labels.purchase >= 0) & _in_time(live))
    label = live.labels.purchase[rows] == 1
    user = live.recorded.user[rows]
    answers = [run.recorded.scores.purchase[rows].astype(np.float64) for run in (live, candidate)]
    return _yes_or_no("purchase", answers, label, user)


def _silence(live: Served, candidate: Served) -> dict[str, Pair]:
    horizon_ms = live.bundle.manifest.churn_horizon_ms
    rows, stayed = silent_rows(live.run.labels, SILENCE_MS, horizon_ms)
    kept = _in_time(live.run)[rows]
    rows, stayed = rows[kept], stayed[kept]
    answers = []
    for one in (live, candidate):
        hazard = one.run.recorded.scores.hazard[rows].astype(np.float64)
        answers.append(stays_silent(hazard, one.bundle.hazard_edges_ms, SILENCE_MS, horizon_ms))
    return _yes_or_no("silence", answers, stayed, live.run.recorded.user[rows])


def _yes_or_no(
    name: str, answers: list[Doubles], label: Flags, user: npt.NDArray[np.int64]
) -> dict[str, Pair]:
    """AUC, log-loss and calibration error; nothing where too few users gave either answer."""
    if min(len(np.unique(user[label])), len(np.unique(user[~label]))) < USERS_MIN:
        return {}
    measures: dict[str, Prepared] = {
        "auc": probabilities.weighted_roc_auc,
        "log_loss": lambda p, yes: intervals.mean_of(probabilities.row_log_loss(p, yes)),
        "calibration_error": probabilities.weighted_calibration_error,
    }
    draws = intervals.draw_users(user, SEED, DRAWS)
    found = {}
    for measure, prepare in measures.items():
        live, candidate = (prepare(answer, label) for answer in answers)
        found[f"{name}_{measure}"] = _drawn(live, candidate, draws, len(label))
    return found


def _of_means(live: Doubles, candidate: Doubles, user: npt.NDArray[np.int64]) -> Pair:
    draws = intervals.draw_users(user, SEED, DRAWS)
    return _drawn(intervals.mean_of(live), intervals.mean_of(candidate), draws, len(user))


def _drawn(
    live: intervals.Measure, candidate: intervals.Measure, draws: intervals.Draws, rows: int
) -> Pair:
    every = np.ones(rows)
    apart = intervals.replicas(candidate, draws) - intervals.replicas(live, draws)
    return Pair(live(every), candidate(every), *intervals.interval(apart), rows)


def _in_time(run: Run) -> Flags:
    return np.asarray(run.recorded.rows["late"] == 0)
