"""A model that runs beside the one that serves: kept warm, compared with it, perhaps promoted.

Rules of the room: `follow` and `warm` are called on the worker's thread and only plan; what they
plan runs on the scorer's thread, in that order and after the batch it belongs to. A candidate that
raises is given up with the reason: it never harms the model that serves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from stream.core.engine import Engine
from stream.core.plan import JointScorer, Plan, Scores
from stream.flow.comparison import compare, item_map
from stream.flow.effects import Effects
from stream.flow.limits import FlowLimits
from stream.flow.observe import Observer
from stream.flow.runtime import Runtime, awaited
from stream.flow.warming import Flags, Warming

if TYPE_CHECKING:
    from concurrent.futures import Future

STEP_S_START: Final = 3e-6  # of the first warming, until it has been measured
STEPS_MIN: Final = 64  # of a warming, however small the budget


@dataclass(frozen=True, slots=True)
class Serving:
    """A bundle, opened: who scores a batch, and who tells of it."""

    version: str
    provider: str
    refresh_steps: int  # L
    item_json: Sequence[bytes]  # item index -> id as JSON
    scorer: JointScorer
    effects: Effects


class Candidate:
    """One bundle beside the serving one. Its pools are opened with it."""

    def __init__(
        self,
        serving: Serving,
        now: Serving,
        limits: FlowLimits,
        runtime: Runtime,
        observer: Observer,
        *,
        promote: bool,
    ) -> None:
        self.serving = serving
        self.promote = promote  # False: shadow
        self.failure = ""
        self.complete = False  # nothing was cold when last looked at
        self.began = runtime.monotonic()
        self.warming = Warming(carries=serving.refresh_steps == now.refresh_steps)
        self._items = item_map(serving.item_json, now.item_json)
        self._limits = limits
        self._runtime = runtime
        self._observer = observer
        self._step_s = STEP_S_START
        self._shares = 0.0  # of a batch to be compared, summed up
        self._warm_task: Future[None] | None = None
        self._last: Future[None] | None = None

    def open(self, number: int) -> None:
        """Make the pool of one engine, cold."""
        rows = self._limits.hidden_users_max
        self.warming.open(number, rows)
        self._submit(lambda: self.serving.scorer.open(number, rows))

    def close(self, number: int) -> None:
        """Drop the pool of one engine."""
        self.warming.close(number)
        self._submit(lambda: self.serving.scorer.close(number))

    def follow(
        self, number: int, plan: Plan, scores: "Future[list[Scores]]", seconds: Callable[[], float]
    ) -> None:
        """Run a batch's steps too and, for the settled share of batches, all of it to compare.

        A batch that is as large as can be is not compared: more is waiting. `scores`: its alone.
        `seconds` tells, once they are there, how long the serving model took.
        """
        able = self.warming.note(number, plan)
        if not self.warming.carries:
            return
        task = partial(self._carry, number, plan)
        rows = len(plan.row_step)
        if not self.promote and rows and rows < self._limits.batch_events_max:
            self._shares += self._limits.model_shadow_share
            if self._shares >= 1:
                self._shares -= 1
                task = partial(self._compare, number, plan, able, scores, seconds)
        self._submit(task)

    def warm(self, engines: Sequence[Engine]) -> None:
        """Rebuild cold states for the time of the budget; the engines take turns, first come."""
        if self._warm_task is not None and not self._warm_task.done():
            return
        steps_max = max(STEPS_MIN, int(self._limits.model_warm_ms / 1000 / self._step_s))
        for engine in engines:
            plan = self.warming.take(engine, self.serving.refresh_steps, steps_max)
            if plan is not None:
                self.complete = False
                self._warm_task = self._submit(partial(self._rebuild, engine.partition, plan))
                return
        self.complete = True

    def due(self) -> bool:
        """Whether it is to serve from the next batch on."""
        return self.promote and (
            self.complete
            or self.warming.share >= self._limits.model_warm_share
            or self._runtime.monotonic() - self.began > self._limits.model_warm_s_max
        )

    def wait(self) -> None:
        """Wait until all that was planned has run: a batch's steps and one budget at most.

        Raises StuckError where it does not end: the scorer's thread is the serving model's too.
        """
        if self._last is not None:
            awaited(self._last, self._limits.batch_deadline_s, "what the next model has to run")

    # -- on the scorer's thread

    def _submit(self, task: Callable[[], None]) -> "Future[None]":
        self._last = self._runtime.scoring.submit(self._run, task)
        return self._last

    def _run(self, task: Callable[[], None]) -> None:
        if self.failure:
            return
        try:
            task()
        except Exception as error:  # noqa: BLE001 whatever it is, the serving model goes on
            self.failure = f"{type(error).__name__}: {error}"

    def _carry(self, number: int, plan: Plan) -> None:
        self.serving.scorer.score(number, plan.of_rows(slice(0)))

    def _rebuild(self, number: int, plan: Plan) -> None:
        began = self._runtime.monotonic()
        self.serving.scorer.score(number, plan)
        step_s = (self._runtime.monotonic() - began) / len(plan.steps)
        self._step_s += (step_s - self._step_s) / 2

    def _compare(
        self,
        number: int,
        plan: Plan,
        able: Flags,
        scores: "Future[list[Scores]]",
        seconds: Callable[[], float],
    ) -> None:
        began = self._runtime.monotonic()
        mine = self.serving.scorer.score(number, plan)
        took = self._runtime.monotonic() - began
        compared = compare(scores.result()[0], mine, self._items)
        rows = able[plan.segment[plan.row_step]]
        self._observer.shadow(
            compared.agreement[rows], compared.purchase[rows], compared.next_event[rows],
            seconds(), took,
        )  # fmt: skip
