"""The model that serves, and the change to another one between two batches (docs/adr/0011).

    offer ─▶ candidate: follows each batch, warmed in a budget ─▶ promote ─▶ serving
    control's thread    └────────── plans: worker's, runs: scorer's ──────────┘

Rules of the room: one model scores, settles and tells of a batch from its start to its end, since a
promotion needs that no batch is being scored and all outputs of the last one are sent. There is one
candidate at a time. Nothing is scored beside something else: tasks run in the order in which they
were asked for, and a small batch runs on the worker's thread only while there is no candidate.
"""

import logging
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from stream.core.engine import Engine
from stream.core.plan import Plan, Scores
from stream.core.results import Applied
from stream.flow.candidate import Candidate, Serving
from stream.flow.limits import FlowLimits
from stream.flow.observe import Observer, Purpose
from stream.flow.runtime import Runtime, at_once, awaited

if TYPE_CHECKING:
    from concurrent.futures import Future

log = logging.getLogger(__name__)
TRIAL: Final = -1  # the pool of a trial: no partition's


class Models:
    """Used by the worker's thread, but for `offer`, `withdraw` and what is only read."""

    def __init__(
        self, serving: Serving, observer: Observer, limits: FlowLimits, runtime: Runtime
    ) -> None:
        self.serving = serving
        self.refused: dict[str, str] = {}  # version -> why it was given up while it was a candidate
        self._observer = observer
        self._limits = limits
        self._runtime = runtime
        self._open: list[int] = []
        self._candidate: Candidate | None = None
        self._lock = threading.Lock()
        self._wanted: tuple[Serving, bool] | None = None
        self._changed = False
        self._score_s = 0.0  # of the batch scored last; the scorer's thread
        self._turn = 0

    # -- from other threads

    def offer(self, serving: Serving, *, promote: bool) -> None:
        """Make a bundle the candidate, instead of any other; `promote` False: shadow."""
        with self._lock:
            self._wanted, self._changed = (serving, promote), True

    def withdraw(self) -> None:
        """Have no candidate."""
        with self._lock:
            self._wanted, self._changed = None, True

    # -- the worker's thread

    @property
    def no_candidate(self) -> bool:
        """Whether one model alone is scored with: then batches may be scored together."""
        return self._candidate is None

    @property
    def warming(self) -> bool:
        """Whether a candidate has something to do while no rows come."""
        return self._candidate is not None and not self._candidate.complete

    def open(self, engine: Engine) -> None:
        """Take an engine over, fresh from a restore."""
        number = engine.partition
        if engine.config.refresh_steps != self.serving.refresh_steps:
            engine.change_model(self.serving.refresh_steps, engine.state.pool_owner < 0)
        self.serving.scorer.open(number, self._limits.hidden_users_max)
        self._open.append(number)
        if self._candidate is not None:
            self._candidate.open(number)

    def close(self, number: int) -> None:
        """Drop the pool of an engine."""
        self.serving.scorer.close(number)
        self._open.remove(number)
        if self._candidate is not None:
            self._candidate.close(number)

    def score(
        self, batches: Sequence[tuple[int, Applied]], *, alone: bool
    ) -> "Future[list[Scores]]":
        """Have one batch scored, or several where there is `no_candidate`, by partition number.

        Few rows are scored here and now, since a hop to a thread costs more. alone: no other batch
        is being scored.
        """
        rows = sum(len(applied.rows) for _, applied in batches)
        if alone and rows <= self._limits.at_once_rows_max and self._candidate is None:
            return at_once(self._score, self.serving, batches)
        scores = self._runtime.scoring.submit(self._score, self.serving, batches)
        if self._candidate is not None:
            ((number, applied),) = batches
            self._candidate.follow(number, applied.plan, scores, lambda: self._score_s)
        return scores

    def try_score(self, plan: Plan) -> Scores:
        """Score a plan that starts from no pool; keep nothing.

        Raises what scoring raises, and StuckError where it does not end.
        """

        def score() -> Scores:
            scorer = self.serving.scorer
            scorer.open(TRIAL, 1)
            try:
                return scorer.score(TRIAL, plan._replace(pool_out=np.full_like(plan.pool_out, -1)))
            finally:
                scorer.close(TRIAL)

        scores = self._runtime.scoring.submit(score)
        return awaited(scores, self._limits.batch_deadline_s, "scoring a row alone")

    def warm(self, engines: Sequence[Engine]) -> None:
        """Give the candidate its budget; the engines take turns at being first."""
        candidate = self._candidate
        if candidate is None:
            return
        self._turn += 1
        first = self._turn % max(1, len(engines))
        candidate.warm([*engines[first:], *engines[:first]])
        self._tell_candidate(candidate)

    def due(self) -> bool:
        """Whether the candidate is to serve from the next batch on."""
        if self._changed:
            self._take_offer()
        candidate = self._candidate
        if candidate is None:
            return False
        if candidate.failure:
            self._give_up(candidate)
            return False
        return candidate.due()

    def promote(self, engines: Sequence[Engine]) -> None:
        """Let the candidate serve. Nothing is being scored, and nothing is left to be told."""
        candidate = self._candidate
        if candidate is None:
            return
        began = self._runtime.monotonic()
        candidate.wait()
        if candidate.failure:
            self._give_up(candidate)
            return
        cold = users = 0
        for engine in engines:
            warm = candidate.warming.rows(engine.partition)
            cold += candidate.warming.cold(engine)
            users += int((engine.state.pool_owner >= 0).sum())
            engine.change_model(candidate.serving.refresh_steps, warm)
        former, self.serving, self._candidate = self.serving, candidate.serving, None
        for number in self._open:
            self._runtime.scoring.submit(former.scorer.close, number)
        seconds = self._runtime.monotonic() - began
        self._observer.model_reload("swapped")
        self._observer.promotion(seconds)
        self._observer.candidate(None, 0.0)
        self.tell()
        log.info(
            "model %s serves instead of %s: %d of %d users warm after %.1f s; changed in %.1f ms",
            self.serving.version, former.version, users - cold, users,
            began - candidate.began, seconds * 1000,
        )  # fmt: skip

    def tell(self) -> None:
        """Say which model serves."""
        version = self.serving.version
        self._observer.model(version, version.rpartition("-")[2], self.serving.provider, "float32")

    def _take_offer(self) -> None:
        with self._lock:
            wanted, self._changed = self._wanted, False
        candidate = self._candidate
        if wanted is not None and candidate is not None and candidate.serving is wanted[0]:
            candidate.promote, candidate.began = wanted[1], self._runtime.monotonic()
            return
        if candidate is not None:
            self._drop(candidate)
        if wanted is not None:
            self._begin(*wanted)

    def _begin(self, serving: Serving, promote: bool) -> None:
        candidate = Candidate(
            serving, self.serving, self._limits, self._runtime, self._observer, promote=promote
        )
        for number in self._open:
            candidate.open(number)
        self._candidate = candidate
        log.info("model %s is warmed to %s", serving.version, "serve" if promote else "shadow")

    def _give_up(self, candidate: Candidate) -> None:
        self.refused[candidate.serving.version] = candidate.failure
        self._observer.model_reload("refused")
        log.error("model %s is refused: %s", candidate.serving.version, candidate.failure)
        self._drop(candidate)

    def _drop(self, candidate: Candidate) -> None:
        """Forget a candidate; its pools go with it."""
        candidate.failure = candidate.failure or "withdrawn"  # what is still planned is not run
        self._candidate = None
        self._observer.candidate(None, 0.0)
        log.info("model %s is no candidate any more", candidate.serving.version)

    def _tell_candidate(self, candidate: Candidate) -> None:
        purpose: Purpose = "promotion" if candidate.promote else "shadow"
        share = 1.0 if candidate.complete else candidate.warming.share
        self._observer.candidate((candidate.serving.version, purpose), share)

    def _score(self, serving: Serving, batches: Sequence[tuple[int, Applied]]) -> list[Scores]:
        began = self._runtime.monotonic()
        plans = [(number, applied.plan) for number, applied in batches]
        try:
            scores = serving.scorer.score_together(plans)
        except Exception:
            self._observer.inference_failure("other")
            raise
        self._score_s = self._runtime.monotonic() - began
        self._observer.stage("inference", self._score_s)
        rows = sum(len(plan.row_step) for _, plan in plans)
        steps = sum(len(plan.steps) for _, plan in plans)
        self._observer.inference(rows, steps, serving.scorer.padded_steps)
        return scores
