"""A deterministic scorer in integers, written twice: over a list of steps, and over plans.

h = (h * A + f(step, gap)) mod P, exactly, so that a state carried from step to step and one rebuilt
from the window are equal to the bit. All answers are k / 1024, exact in float32. The hazards come
in profiles that make alerts fire on events and by the clock, resolve, fall back and churn.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stream.core.plan import Plan, Scores
from tests.oracle.records import Answer, Step

P = 2**31 - 1  # products of two residues stay below 2**62
A = 1_103_515_245
ITEMS_COUNT = 1_000
# One weight per input, in the order of `step_inputs`.
WEIGHTS = tuple(pow(48_271, 3 * k + 5, P) for k in range(14))
CONTEXT_WEIGHTS = tuple(pow(16_807, 5 * k + 7, P) for k in range(3))

# Hazard in 1/1024 per bin of silence.
PROFILES = (
    (701, 653, 601, 551, 503, 457, 409, 359),  # loyal: at risk late or never
    (907, 709, 401, 103, 41, 19, 11, 7),  # fading: the clock makes it fire
    (9, 8, 7, 6, 5, 4, 3, 2),  # gone: fires at once, high risk
    (11, 12, 13, 601, 907, 911, 919, 929),  # late riser: p falls with silence
    (61, 67, 59, 53, 47, 43, 41, 37),  # lukewarm
    (307, 211, 103, 53, 23, 13, 7, 3),  # cooling
)


def step_inputs(step: Step, gap_ms: int) -> tuple[int, ...]:
    """List everything a step is, as integers from 0."""
    return (
        step.event_id,
        step.item,
        step.time_ms,
        step.source,
        step.price_cents + 1,
        step.category,
        *step.tokens,
        step.quantity,
        step.event_type,
        step.action,
        gap_ms + 1,
    )


def score_window(
    steps: Sequence[tuple[Step, int]], context: tuple[int, int, int], recent: frozenset[int]
) -> Answer:
    """Score a row from nothing but its steps, context and recent items."""
    h = 0
    for step, gap_ms in steps:
        inputs = step_inputs(step, gap_ms)
        f = sum(w * (x % P) for w, x in zip(WEIGHTS, inputs, strict=True)) % P
        h = (h * A + f) % P
    g = (h + sum(w * (x % P) for w, x in zip(CONTEXT_WEIGHTS, context, strict=True))) % P
    click = 1 + g % 511
    search = 1 + g // 511 % 511
    profile = PROFILES[g % len(PROFILES)]
    hazard = tuple((k + g // (97 + b) % 3) / 1024 for b, k in enumerate(profile))
    return Answer(
        next_event=(click / 1024, search / 1024, (1024 - click - search) / 1024),
        purchase=g // 7 % 1025 / 1024,
        hazard=hazard,
        items=((g + sum(recent)) % ITEMS_COUNT, g % ITEMS_COUNT),
        item_scores=((512 + g % 512) / 1024, g % 512 / 1024),
    )


class IntScorer:
    """The same over plans, with one pool of states per engine: a stream.core.plan.Scorer."""

    def __init__(self, *, checks: bool = True) -> None:
        self.pools: dict[int, npt.NDArray[np.int64]] = {}
        self._checks = checks  # of the plan, which take as long as the scoring
        self.steps_run = 0
        self.plans_run = 0

    def open(self, partition: int, hidden_rows: int) -> None:
        if partition in self.pools:
            raise RuntimeError(f"pool {partition} is open")
        self.pools[partition] = np.zeros(hidden_rows, np.int64)

    def close(self, partition: int) -> None:
        del self.pools[partition]

    def score(self, partition: int, plan: Plan) -> Scores:
        if self._checks:
            check_plan(plan)
        pool = self.pools[partition]
        h = np.where(plan.pool_in >= 0, pool[plan.pool_in], 0)  # (S,) all read before any write
        f = _plan_inputs(plan)  # (N,)
        after = np.zeros(len(f), np.int64)  # state after each step
        for wave in range(int(plan.wave.max(initial=-1)) + 1):
            steps = np.flatnonzero(plan.wave == wave)
            segments = plan.segment[steps]
            h[segments] = (h[segments] * A + f[steps]) % P
            after[steps] = h[segments]
        kept = plan.pool_out >= 0
        pool[plan.pool_out[kept]] = h[kept]
        self.steps_run += len(f)
        self.plans_run += 1
        return _plan_answers(after[plan.row_step], plan)


class FixedScorer:
    """Always the same answer: for alerts whose hazards are written by hand."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def open(self, partition: int, hidden_rows: int) -> None:
        """Nothing is kept."""

    def close(self, partition: int) -> None:
        """Nothing is kept."""

    def score(self, partition: int, plan: Plan) -> Scores:
        check_plan(plan)
        rows = len(plan.row_step)
        answer = self.answer
        return Scores(
            next_event=np.tile(np.array(answer.next_event, np.float32), (rows, 1)),
            purchase=np.full(rows, answer.purchase, np.float32),
            hazard=np.tile(np.array(answer.hazard, np.float32), (rows, 1)),
            items=np.tile(np.array(answer.items, np.int32), (rows, 1)),
            item_scores=np.tile(np.array(answer.item_scores, np.float32), (rows, 1)),
        )


def check_plan(plan: Plan) -> None:
    """Raise AssertionError where a plan breaks the rules that stream.core.plan states."""
    steps, segments, rows = len(plan.steps), len(plan.pool_in), len(plan.row_step)
    assert plan.gap_ms.shape == plan.segment.shape == plan.wave.shape == (steps,)
    assert plan.pool_out.shape == (segments,)
    assert len(plan.head) == len(plan.context) == len(plan.recent) == rows
    for name, dtype in (
        ("gap_ms", np.int64),
        ("segment", np.int32),
        ("wave", np.int32),
        ("pool_in", np.int32),
        ("pool_out", np.int32),
        ("row_step", np.int32),
        ("head", np.float32),
        ("context", np.uint32),
        ("recent", np.uint64),
    ):
        assert getattr(plan, name).dtype == dtype, name
    places = sorted(zip(plan.segment.tolist(), plan.wave.tolist(), strict=True))
    lengths: dict[int, int] = {}
    for segment, wave in places:
        assert wave == lengths.get(segment, 0), f"segment {segment} misses a wave before {wave}"
        lengths[segment] = wave + 1
    assert sorted(lengths) == list(range(segments)), "a segment without steps"
    written = plan.pool_out[plan.pool_out >= 0].tolist()
    assert len(written) == len(set(written)), "a pool row written twice"
    starts = plan.gap_ms[plan.wave == 0]
    froms = plan.pool_in[plan.segment[plan.wave == 0]]
    assert ((starts < 0) <= (froms < 0)).all(), "a carried segment whose first step has no gap"
    assert (starts[froms < 0] == -1).all(), "a segment from zero state has a step before it"
    assert (plan.gap_ms[plan.wave > 0] >= 0).all(), "a gap inside a segment is missing or negative"


def _plan_inputs(plan: Plan) -> npt.NDArray[np.int64]:
    steps = plan.steps
    tokens = steps["tokens"].astype(np.int64)  # (N, 4)
    columns = (
        (steps["event_id"] % np.uint64(P)).astype(np.int64),
        (steps["item"] % np.uint64(P)).astype(np.int64),
        steps["time_ms"] % P,
        steps["source"] % P,
        steps["price_cents"].astype(np.int64) + 1,
        steps["category"].astype(np.int64),
        *tokens.T,
        steps["quantity"].astype(np.int64),
        steps["event_type"].astype(np.int64),
        steps["action"].astype(np.int64),
        plan.gap_ms + 1,
    )
    f = np.zeros(len(steps), np.int64)
    for weight, column in zip(WEIGHTS, columns, strict=True):
        f = (f + weight * (column % P)) % P
    return f


def _plan_answers(h: npt.NDArray[np.int64], plan: Plan) -> Scores:
    g = h.copy()  # (B,)
    for k, weight in enumerate(CONTEXT_WEIGHTS):
        g = (g + weight * (plan.context[:, k].astype(np.int64) % P)) % P
    click = 1 + g % 511
    search = 1 + g // 511 % 511
    next_event = np.stack([click, search, 1024 - click - search], axis=1)  # (B, 3)
    bins = len(PROFILES[0])
    profile = np.array(PROFILES, np.int64)[g % len(PROFILES)]  # (B, 8)
    hazard = profile + g[:, None] // (97 + np.arange(bins, dtype=np.int64)) % 3
    recent = [sum({item for item in row if item}) for row in plan.recent.tolist()]
    first = [(a + b) % ITEMS_COUNT for a, b in zip(g.tolist(), recent, strict=True)]
    return Scores(
        next_event=_of_1024(next_event),
        purchase=_of_1024(g // 7 % 1025),
        hazard=_of_1024(hazard),
        items=np.stack([np.array(first, np.int64), g % ITEMS_COUNT], axis=1).astype(np.int32),
        item_scores=_of_1024(np.stack([512 + g % 512, g % 512], axis=1)),
    )


def _of_1024(k: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    return (k / 1024).astype(np.float32)
