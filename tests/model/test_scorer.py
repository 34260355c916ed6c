"""The scorer against the numpy reference of the same weights, and against itself cut otherwise."""

from itertools import pairwise

import msgspec
import numpy as np
import pytest

from stream.core.features import HEAD_COUNT
from stream.core.plan import Scores
from stream.model.bundle import Bundle, table_rows
from stream.model.graphs import OrtGraphs
from stream.model.scorer import OnnxScorer
from stream.model.step_features import encode_steps
from stream.model.vocabulary import read_vocabulary
from tests.model.plans import Segment, history, plan_of

POOL = 64


@pytest.fixture
def scorer(bundle: Bundle, graphs: OrtGraphs) -> OnnxScorer:
    made = OnnxScorer(bundle, graphs, items_top=10)
    made.open(0, POOL)
    return made


def close(one: Scores, other: Scores, tolerance: float) -> None:
    for name in ("next_event", "purchase", "hazard", "item_scores"):
        difference = np.abs(getattr(one, name) - getattr(other, name))
        assert difference.max(initial=0) <= tolerance, name
    assert np.array_equal(one.items, other.items)


def test_a_row_that_is_not_listed_has_no_items_and_all_else(
    bundle: Bundle, scorer: OnnxScorer
) -> None:
    segments = [Segment(*history(bundle, 1 + seed % 7, seed)) for seed in range(150)]
    plan = plan_of(segments)
    listed = np.arange(len(segments)) % 3 == 0
    every, some = scorer.score(0, plan), scorer.score(0, plan._replace(listed=listed))
    for name in ("next_event", "purchase", "hazard"):
        assert np.array_equal(getattr(some, name), getattr(every, name))
    assert np.array_equal(some.items[listed], every.items[listed])
    assert some.item_scores[listed] == pytest.approx(every.item_scores[listed], abs=1e-5)
    assert (some.items[~listed] == 0).all()
    assert np.isneginf(some.item_scores[~listed]).all()


def test_a_plan_without_rows_carries_the_states_on(bundle: Bundle, scorer: OnnxScorer) -> None:
    """What a candidate is given, while another model scores."""
    segments = [Segment(*history(bundle, 3, seed), pool_out=seed) for seed in range(5)]
    plan = plan_of(segments)
    scores = scorer.score(0, plan.of_rows(slice(0)))
    assert [len(column) for column in scores[:5]] == [0] * 5
    after = scorer._pools[0].state.copy()
    scorer.score(0, plan)
    assert after == pytest.approx(scorer._pools[0].state, abs=1e-6)


def test_scores_are_those_of_the_reference(bundle: Bundle, scorer: OnnxScorer) -> None:
    from export.bundles import reference  # noqa: PLC0415 - needs the extra
    from export.bundles.weights import random_weights  # noqa: PLC0415

    vocabulary = read_vocabulary(msgspec.json.encode(bundle.vocabulary.texts))
    weights = random_weights(table_rows(vocabulary), 300, 3, hidden=20)
    segments = [Segment(*history(bundle, 1 + seed % 7, seed)) for seed in range(30)]
    plan = plan_of(segments)
    scores = scorer.score(0, plan)
    for row, segment in enumerate(segments):
        state = np.zeros((1, weights.state_width))
        for place in range(len(segment.steps)):
            order = np.array([place], np.int32)
            inputs = encode_steps(bundle.tables, segment.steps, segment.gap_ms, order)
            state = reference.step(weights, *inputs, state)
        top = state[:, -40:-20]
        expected = reference.heads(weights, top, plan.head[row : row + 1], np.zeros((1, 3), int))
        assert scores.next_event[row] == pytest.approx(expected[0][0], abs=1e-5)
        assert scores.purchase[row] == pytest.approx(expected[1][0], abs=1e-5)
        assert scores.hazard[row] == pytest.approx(expected[2][0], abs=1e-5)
        logits = reference.items(weights, top)[0]
        assert scores.item_scores[row] == pytest.approx(np.sort(logits)[:-11:-1], abs=1e-4)
        assert logits[scores.items[row] - 1] == pytest.approx(scores.item_scores[row], abs=1e-4)
    assert scores.next_event.sum(axis=1) == pytest.approx(np.ones(len(segments)), abs=1e-6)


@pytest.mark.parametrize("cuts", [(8,), (1, 2, 3, 4, 5, 6, 7, 8), (3, 8), (1, 7, 8)])
def test_carried_equals_rebuilt(bundle: Bundle, scorer: OnnxScorer, cuts: tuple[int, ...]) -> None:
    """One go from zero state, or a few steps at a time on the kept (h, c): the same scores."""
    steps, gap_ms = history(bundle, 8, 5)
    whole = scorer.score(0, plan_of([Segment(steps, gap_ms)]))
    for number, (first, last) in enumerate(pairwise((0, *cuts))):
        part = Segment(steps[first:last], gap_ms[first:last], 7 if number else -1, 7)
        scores = scorer.score(0, plan_of([part]))
    close(whole, scores, bundle.manifest.tolerance)


def test_order_matters(bundle: Bundle, scorer: OnnxScorer) -> None:
    """The same steps at the same times in another order: other scores, the head being equal."""
    steps, gap_ms = history(bundle, 8, 5)
    mixed = steps[::-1].copy()
    mixed["time_ms"] = steps["time_ms"]
    one = scorer.score(0, plan_of([Segment(steps, gap_ms)]))
    other = scorer.score(0, plan_of([Segment(mixed, gap_ms)]))
    assert abs(one.next_event - other.next_event).max() > 2e-4  # ten thousand times the noise
    assert abs(one.hazard - other.hazard).max() > 2e-4
    assert not np.array_equal(one.items, other.items)


def test_pool_rows_are_read_before_any_is_written(bundle: Bundle, scorer: OnnxScorer) -> None:
    """Two users change places in the pool: each must start from its own former state."""
    parts = [history(bundle, 4, seed) for seed in (1, 2)]
    start = [Segment(steps[:2], gap[:2], -1, row) for row, (steps, gap) in enumerate(parts)]
    scorer.score(0, plan_of(start))
    swapped = [Segment(steps[2:], gap[2:], row, 1 - row) for row, (steps, gap) in enumerate(parts)]
    scores = scorer.score(0, plan_of(swapped))
    whole = scorer.score(0, plan_of([Segment(steps, gap) for steps, gap in parts]))
    close(whole, scores, bundle.manifest.tolerance)
    pool = scorer._pools[0].state
    kept = [pool[0].copy(), pool[1].copy()]
    scorer.score(0, plan_of([Segment(*part, -1, 1 - row) for row, part in enumerate(parts)]))
    assert np.abs(kept[0] - pool[0]).max() < 1e-5
    assert np.abs(kept[1] - pool[1]).max() < 1e-5


def test_a_segment_may_be_scored_after_any_of_its_steps(bundle: Bundle, scorer: OnnxScorer) -> None:
    steps, gap_ms = history(bundle, 6, 9)
    once = scorer.score(0, plan_of([Segment(steps, gap_ms, scored=(0, 2, 5))]))
    for row, length in enumerate((1, 3, 6)):
        plan = plan_of([Segment(steps[:length], gap_ms[:length])])
        head = plan_of([Segment(steps, gap_ms, scored=(0, 2, 5))]).head[row : row + 1]
        alone = scorer.score(0, plan._replace(head=head))
        assert once.purchase[row] == pytest.approx(alone.purchase[0], abs=1e-5)


def test_neighbours_in_a_batch_do_not_matter(bundle: Bundle, scorer: OnnxScorer) -> None:
    mine = Segment(*history(bundle, 5, 1))
    alone = scorer.score(0, plan_of([mine]))
    others = [Segment(*history(bundle, 1 + seed % 9, seed)) for seed in range(2, 1500)]
    plan = plan_of([*others, mine])
    plan.head[-1] = plan_of([mine]).head[0]
    among = scorer.score(0, plan)
    assert among.purchase[-1] == pytest.approx(alone.purchase[0], abs=1e-5)
    assert among.hazard[-1] == pytest.approx(alone.hazard[0], abs=1e-5)
    assert among.items[-1].tolist() == alone.items[0].tolist()


def test_head_and_context_count_at_scoring(bundle: Bundle, scorer: OnnxScorer) -> None:
    plan = plan_of([Segment(*history(bundle, 5, 1))])
    before = scorer.score(0, plan).purchase[0]
    for name in ("head", "context"):
        other = plan._replace(**{name: getattr(plan, name) + 9})
        assert abs(scorer.score(0, other).purchase[0] - before) > 1e-6


def test_recent_items_are_left_out(bundle: Bundle, scorer: OnnxScorer) -> None:
    segment = Segment(*history(bundle, 5, 1))
    every = scorer.score(0, plan_of([segment])).items[0]
    keys = {v: k for k, v in zip(*map(np.ndarray.tolist, bundle.vocabulary.item_map), strict=True)}
    recent = np.array([[keys[every[0]], keys[every[4]], 0, 424_242]], np.uint64)
    left = scorer.score(0, plan_of([segment], recent=recent)).items[0]
    assert left[:8].tolist() == [item for item in every.tolist() if item not in every[[0, 4]]]


def test_users_of_whom_nothing_is_known_get_the_popular_list(
    bundle: Bundle, scorer: OnnxScorer
) -> None:
    steps, gap_ms = history(bundle, 3, 1)
    steps["item"], steps["category"], steps["tokens"] = 2**60 + 9, 0, 0
    known = steps.copy()
    known["item"][0] = bundle.vocabulary.item_map.keys[bundle.vocabulary.item_map.keys > 0][0]
    searched = steps.copy()
    searched["tokens"][2, 3] = 5
    plan = plan_of([Segment(part, gap_ms) for part in (steps, known, searched)])
    scores = scorer.score(0, plan)
    assert scores.popular is not None
    assert scores.popular.tolist() == [True, False, False]
    assert scores.items[0].tolist() == bundle.vocabulary.popular[:10].tolist()
    assert np.all(np.diff(scores.item_scores[0]) < 0)
    # What is known is carried with the state.
    for part, popular in ((known, False), (steps, True)):
        scorer.score(0, plan_of([Segment(part[:2], gap_ms[:2], -1, 3)]))
        carried = scorer.score(0, plan_of([Segment(steps[2:], gap_ms[2:], 3, 3)]))
        assert carried.popular is not None
        assert carried.popular.tolist() == [popular]


def test_no_list_is_made_when_none_is_wanted(bundle: Bundle, graphs: OrtGraphs) -> None:
    scorer = OnnxScorer(bundle, graphs, items_top=0)
    scorer.open(3, 1)
    scores = scorer.score(3, plan_of([Segment(*history(bundle, 2, 1))]))
    assert scores.items.shape == scores.item_scores.shape == (1, 0)


def test_an_empty_plan_has_no_scores(scorer: OnnxScorer) -> None:
    scores = scorer.score(0, plan_of([]))
    assert scores.items.shape == (0, 10)
    assert scores.hazard.shape == (0, 8)
    assert scorer.bundle.manifest.shapes.head == HEAD_COUNT


def test_pools_are_one_per_partition(bundle: Bundle, scorer: OnnxScorer) -> None:
    steps, gap_ms = history(bundle, 4, 1)
    scorer.open(1, POOL)
    scorer.score(0, plan_of([Segment(steps[:2], gap_ms[:2], -1, 0)]))
    rest = plan_of([Segment(steps[2:], gap_ms[2:], 0, 0)])
    other = scorer.score(1, rest)
    mine = scorer.score(0, rest)
    assert abs(mine.purchase - other.purchase).max() > 1e-6
    scorer.close(1)
    with pytest.raises(KeyError):
        scorer.score(1, rest)


def test_plans_of_several_pools_in_one_call_are_those_of_one_after_the_other(
    bundle: Bundle, graphs: OrtGraphs
) -> None:
    """Rows, kept states and what is known of users: two calls, the second carries on."""
    alone, together = (OnnxScorer(bundle, graphs, items_top=10) for _ in range(2))
    for number in (4, 1, 7):
        alone.open(number, POOL)
        together.open(number, POOL)
    for begin, end, pool_in in ((0, 5, -1), (5, 9, 0)):
        parts = []
        for number, count in ((4, 3), (1, 0), (7, 9)):  # partition 1 has no row
            segments = []
            for place in range(count):
                steps, gap_ms = history(bundle, 9, 100 * number + place)
                pool = place if pool_in == 0 else -1
                scored = (-1,) if place % 2 else (0, -1)
                segments.append(Segment(steps[begin:end], gap_ms[begin:end], pool, place, scored))
            parts.append((number, plan_of(segments, head_seed=number)))
        for (number, plan), scores in zip(parts, together.score_together(parts), strict=True):
            close(scores, alone.score(number, plan), 1e-5)
            assert len(scores.purchase) == len(plan.row_step)
            mine, other = together._pools[number], alone._pools[number]
            assert mine.state == pytest.approx(other.state, abs=1e-5)
            assert np.array_equal(mine.known, other.known)
