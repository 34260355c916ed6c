"""A deterministic scorer in integers, written twice: over a list of steps, and over plans.

h = (h * A + f(step, gap)) mod P, exactly, so that a state carried from step to step and one rebuilt
from the window are equal to the bit. All answers are k / 1024, exact in float32. The hazards come
in profiles that make alerts fire on events and by the clock, resolve, fall back and churn.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.core.layout import TOKENS_MAX, Records
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

    padded_steps = 0

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

    def score_together(self, parts: Sequence[tuple[int, Plan]]) -> list[Scores]:
        return [self.score(partition, plan) for partition, plan in parts]

    def score(self, partition: int, plan: Plan) -> Scores:
        if self._checks:
            check_plan(plan)
        if len(plan.listed) != len(plan.row_step):
            raise ValueError(f"{len(plan.listed)} rows are listed or not, of {len(plan.row_step)}")
        pool = self.pools[partition]
        h = np.where(plan.pool_in >= 0, pool[plan.pool_in], 0)  # (S,) all read before any write
        after = np.empty(len(plan.steps), np.int64)  # state after each step
        run_steps(plan.steps, plan.gap_ms, plan.segment, np.argsort(plan.wave), h, after)
        kept = plan.pool_out >= 0
        pool[plan.pool_out[kept]] = h[kept]
        self.steps_run += len(after)
        self.plans_run += 1
        rows = len(plan.row_step)
        scores = Scores(
            next_event=np.empty((rows, 3), np.float32),
            purchase=np.empty(rows, np.float32),
            hazard=np.empty((rows, len(PROFILES[0])), np.float32),
            items=np.empty((rows, 2), np.int32),
            item_scores=np.empty((rows, 2), np.float32),
        )
        answer_rows(after[plan.row_step], plan.context, plan.recent, *scores[:5])
        return scores


@compiled
def run_steps(
    steps: Records,  # (N,) STEP
    gap_ms: npt.NDArray[np.int64],  # (N,)
    segment: npt.NDArray[np.int32],  # (N,)
    order: npt.NDArray[np.int64],  # (N,) by wave
    h: npt.NDArray[np.int64],  # (S,) changed
    after: npt.NDArray[np.int64],  # (N,) written
) -> None:
    """Carry the state of every segment over its steps."""
    for at in order:
        step = steps[at]
        f = WEIGHTS[0] * np.int64(step.event_id % np.uint64(P)) % P
        f += WEIGHTS[1] * np.int64(step.item % np.uint64(P)) % P
        f += WEIGHTS[2] * (np.int64(step.time_ms) % P) % P
        f += WEIGHTS[3] * (np.int64(step.source) % P) % P
        f += WEIGHTS[4] * ((np.int64(step.price_cents) + 1) % P) % P
        f += WEIGHTS[5] * (np.int64(step.category) % P) % P
        for token in range(TOKENS_MAX):
            f += WEIGHTS[6 + token] * np.int64(step.tokens[token]) % P
        f += WEIGHTS[10] * np.int64(step.quantity) % P
        f += WEIGHTS[11] * np.int64(step.event_type) % P
        f += WEIGHTS[12] * np.int64(step.action) % P
        f += WEIGHTS[13] * ((gap_ms[at] + 1) % P) % P
        owner = segment[at]
        h[owner] = (h[owner] * A + f % P) % P
        after[at] = h[owner]


@compiled
def answer_rows(
    h: npt.NDArray[np.int64],  # (B,)
    context: npt.NDArray[np.uint32],  # (B, 3)
    recent: npt.NDArray[np.uint64],  # (B, W)
    next_event: npt.NDArray[np.float32],  # the rest: as Scores has them, written
    purchase: npt.NDArray[np.float32],
    hazard: npt.NDArray[np.float32],
    items: npt.NDArray[np.int32],
    item_scores: npt.NDArray[np.float32],
) -> None:
    """Answer for every row from its state, its context and its recent items."""
    for row in range(len(h)):
        g = h[row]
        for k in range(3):
            g = (g + CONTEXT_WEIGHTS[k] * (np.int64(context[row, k]) % P)) % P
        click = 1 + g % 511
        search = 1 + g // 511 % 511
        next_event[row, 0] = click / 1024
        next_event[row, 1] = search / 1024
        next_event[row, 2] = (1024 - click - search) / 1024
        purchase[row] = g // 7 % 1025 / 1024
        profile = PROFILES[g % len(PROFILES)]
        for b in range(len(profile)):
            hazard[row, b] = (profile[b] + g // (97 + b) % 3) / 1024
        items[row, 0] = (g % ITEMS_COUNT + sum_distinct(recent[row])) % ITEMS_COUNT
        items[row, 1] = g % ITEMS_COUNT
        item_scores[row, 0] = (512 + g % 512) / 1024
        item_scores[row, 1] = g % 512 / 1024


@compiled
def sum_distinct(items: npt.NDArray[np.uint64]) -> int:
    """Sum distinct items, modulo ITEMS_COUNT."""
    total = 0
    for k in range(len(items)):
        seen = False
        for earlier in range(k):
            seen = seen or items[earlier] == items[k]
        if not seen:
            total += np.int64(items[k] % np.uint64(ITEMS_COUNT))
    return total


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
