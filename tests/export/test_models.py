"""Every model of the registry keeps the contract, on a small shop; what each one is, beside it."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

pytest.importorskip("sklearn", reason="the models on tables need the export extra")
pytest.importorskip("torch", reason="networks need the export extra")

from export.baselines import items as item_lists
from export.baselines.gaps import survival
from export.dataset.event_log import EventLog
from export.dataset.past import Past, past_of, split_pasts
from export.dataset.record import Recorded, record
from export.dataset.session_graphs import BOTH, ENTERED, ITSELF, LEFT, session_graphs
from export.dataset.split import cut_places, cuts_by_share, split_of_events
from export.dataset.splits import make_splits
from export.dataset.training_set import TrainingSet
from export.models.contract import (
    HAZARD,
    NEXT_ACTION,
    NEXT_ITEM,
    PURCHASE,
    QUESTIONS,
    Part,
    answers,
    known,
)
from export.models.registry import MODELS, make
from export.models.stacked import TimeStacked
from stream.core.config import DAY_MS, EngineConfig
from stream.core.layout import SESSION_GAP_MS
from stream.model.vocabulary import read_vocabulary
from tests.export.conftest import CONFIG
from tests.export.small import vocabulary_bytes

pytestmark = pytest.mark.model
EDGES = EngineConfig().hazard_edges_ms
DOCS = Path(__file__).parents[2] / "docs" / "models.md"
# Options that make a model quick enough for a test, by the option's name.
QUICK = {
    "rows_max": 600, "trees": 3, "components": 20, "stretches": 3,
    "epochs": 1, "hidden": 8, "width": 8, "epoch_rows_max": 300,
}  # fmt: skip


@pytest.fixture(scope="module")
def parts(log: EventLog) -> tuple[Part, Part, Part]:
    """Train, validation and test by time: 60, 20 and 20 % of the events."""
    vocabulary = read_vocabulary(vocabulary_bytes(200))
    cuts = cuts_by_share(log, 0.2, 0.2)
    places = cut_places(log, cuts, CONFIG.watermark_jump_ms_max)
    recorded = record(log, CONFIG, cuts=places)
    of_event = split_of_events(log, places)
    splits = make_splits(recorded, of_event, cuts, vocabulary, CONFIG, 2 * DAY_MS)
    pasts = split_pasts([split.recorded for split in splits.each()])
    train, validation, test = (
        Part(split.data, vocabulary, np.arange(len(split.data.user)), EDGES, past)
        for split, past in zip(splits.each(), pasts, strict=True)
    )
    return train, validation, test


def quick(name: str) -> dict[str, int]:
    fields = type(make(name)).__dataclass_fields__
    return {option: value for option, value in QUICK.items() if option in fields}


def quiet(_: str) -> None:
    pass


@pytest.mark.parametrize("name", MODELS)
def test_a_model_keeps_the_contract(name: str, parts: tuple[Part, Part, Part]) -> None:
    train, validation, test = parts
    test = test.at(test.rows[:200])
    entry = MODELS[name]
    model = make(name, **quick(name))
    assert model.questions == set(entry.questions)
    with pytest.raises(ValueError, match="not"):
        model.predict(entry.questions[0], test)
    model.fit(train, validation, 1, quiet)
    given_ = {question: model.predict(question, test) for question in entry.questions}
    shapes = {
        NEXT_ITEM: (200, 200),
        NEXT_ACTION: (200, 3),
        PURCHASE: (200,),
        HAZARD: (200, len(EDGES)),
    }
    for question, made in given_.items():
        assert made.shape == shapes[question]
        assert np.isfinite(made).all()
        if question != NEXT_ITEM:
            assert made.min() >= 0
            assert made.max() <= 1
    if NEXT_ACTION in given_:
        assert given_[NEXT_ACTION].sum(axis=1) == pytest.approx(1)
    assert model.size_bytes() > 0
    for question in QUESTIONS.keys() - set(entry.questions):
        with pytest.raises(ValueError, match="not answered"):
            model.predict(question, test)
    again = make(name, **quick(name))
    again.fit(train, validation, 1, quiet)
    question = entry.questions[-1]
    assert np.array_equal(again.predict(question, test), given_[question]), "not reproducible"
    block = test.at(test.rows[:7])
    assert model.predict(question, block) == pytest.approx(given_[question][:7], abs=1e-5)


def test_rows_after_the_training_rows_change_nothing(parts: tuple[Part, Part, Part]) -> None:
    """A model that looks beyond its rows would notice that the answers of others have changed."""
    train, validation, test = parts
    none = validation.at(validation.rows[:0])
    half = train.at(train.rows[train.data.sequence % 2 == 0])
    others = np.setdiff1d(train.rows, half.rows)
    for name in ("decision-tree", "markov"):
        before, after = make(name, **quick(name)), make(name, **quick(name))
        before.fit(half, none, 1, quiet)
        kept = train.data.labels.next_type[others].copy()
        train.data.labels.next_type[others] = 2
        after.fit(half, none, 1, quiet)
        train.data.labels.next_type[others] = kept
        assert np.array_equal(before.predict(NEXT_ACTION, test), after.predict(NEXT_ACTION, test))


def test_augmentation_reaches_the_training(parts: tuple[Part, Part, Part]) -> None:
    """Off it is no augmentation, bit for bit; each option alone makes another model."""
    train, validation, test = parts
    test = test.at(test.rows[:50])
    said = {}
    for name in ("lstm", "lstm-crop", "lstm-step-dropout", "lstm-exchange"):
        model = make(name, **quick(name))
        model.fit(train, validation, 1, quiet)
        said[name] = model.predict(PURCHASE, test).tobytes()
    off = make("lstm", crop=0.0, step_dropout=0.0, exchange=0.0, **quick("lstm"))
    off.fit(train, validation, 1, quiet)
    assert off.predict(PURCHASE, test).tobytes() == said["lstm"]
    assert len(set(said.values())) == 4


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(ValueError, match="no model is called lstn; there are popularity"):
        make("lstn")
    with pytest.raises(ValueError, match="decision-tree has no option trees"):
        make("decision-tree", trees=3)
    for name, entry in MODELS.items():
        assert set(entry.options) | set(entry.space) <= set(type(make(name)).__dataclass_fields__)


def test_the_models_page_has_every_model() -> None:
    text = DOCS.read_text()
    assert [name for name in MODELS if f"`{name}`" not in text] == []


def test_the_chain_beats_popularity_and_trees_beat_the_base_rate(
    parts: tuple[Part, Part, Part],
) -> None:
    train, validation, test = parts
    asked = known(NEXT_ITEM, test)
    hits = {}
    for name in ("popularity", "markov"):
        model = make(name)
        model.fit(train, validation, 1, quiet)
        scores = model.predict(NEXT_ITEM, asked)
        own = scores[np.arange(len(scores)), answers(NEXT_ITEM, asked) - 1]
        hits[name] = ((scores > own[:, None]).sum(axis=1) < 10).mean()
    assert hits["markov"] > 1.3 * hits["popularity"]
    asked = known(NEXT_ACTION, test)
    target = answers(NEXT_ACTION, asked)
    loss = {}
    for name in ("base-rate", "gradient-boosting"):
        model = make(name, **({"trees": 20} if name == "gradient-boosting" else {}))
        model.fit(train, validation, 1, quiet)
        p = model.predict(NEXT_ACTION, asked)
        loss[name] = -np.log(np.clip(p[np.arange(len(p)), target], 1e-7, 1)).mean()
    assert loss["gradient-boosting"] < 0.95 * loss["base-rate"]


@given(
    hazard=st.lists(st.floats(0, 1 - 1e-6), min_size=len(EDGES), max_size=len(EDGES)),
    days=st.lists(st.floats(0, 60), min_size=2, max_size=6),
)
def test_horizons_of_a_hazard_agree(hazard: list[float], days: list[float]) -> None:
    """P(active within a longer horizon) is never below that of a shorter one."""
    silent = [survival(np.array([hazard]), EDGES, day * DAY_MS)[0] for day in sorted(days)]
    assert all(0 <= one <= 1 for one in silent)
    assert all(later <= sooner + 1e-12 for sooner, later in pairwise(silent))


class Watcher:
    """A member that answers by chance and keeps what it was shown."""

    def __init__(self) -> None:
        self.newest = -1.0
        self.asked: list[tuple[float, float]] = []

    def fit(self, columns: np.ndarray, target: np.ndarray) -> None:
        del target
        self.newest = columns.max()

    def predict_proba(self, columns: np.ndarray) -> np.ndarray:
        self.asked.append((self.newest, columns.min()))
        p = np.linspace(0.2, 0.8, len(columns))
        return np.stack([1 - p, p], axis=1)


def test_the_stack_never_asks_about_rows_before_what_its_members_learned() -> None:
    member = Watcher()
    target = np.tile([0, 1], 50)
    TimeStacked([member], 4).fit(np.arange(100.0)[:, None], target)
    assert member.asked == [(24, 25), (49, 50), (74, 75)]
    assert member.newest == 99, "at last it learns from all rows"


def test_transitions_are_sparse_and_count_pairs() -> None:
    last, target = np.array([1, 1, 2, 0, 3]), np.array([2, 2, 1, 1, 0])
    counts = item_lists.transitions(last, target, 40_001)
    assert isinstance(counts, sparse.csr_array)
    assert counts.nnz == 2
    assert counts[1, 2] == 2
    assert item_lists.markov(last, target, 4, 3).tolist()[1] == [2, 1, 3]


def test_the_past_counts_visits_and_gaps() -> None:
    hour = 3_600_000
    user = np.array([0, 1, 0, 0, 0, 1])
    as_of = np.array([0, 5, SESSION_GAP_MS, SESSION_GAP_MS + 2 * hour, 10 * hour, 5 + hour])
    past = past_of(user, as_of)
    assert past.visits.tolist() == [1, 1, 1, 2, 3, 2]
    assert past.span_ms.tolist() == [0, 0, SESSION_GAP_MS, as_of[3], 10 * hour, hour]
    gaps = np.log([2 * hour, 7.5 * hour])
    assert past.gap_log[3:] == pytest.approx([gaps[0], gaps.mean(), np.log(hour)])
    assert np.isnan(past.gap_log[:3]).all()
    assert past.shrunk_gap_log(1.0, 2.0)[0] == 1.0
    assert isinstance(past.at(np.array([1])), Past)


def test_pasts_of_splits_go_on(recorded: Recorded) -> None:
    whole = past_of(recorded.user, recorded.rows["as_of_ms"].astype(np.int64))
    first, second = split_pasts([recorded, recorded])
    assert np.array_equal(first.visits, whole.visits)
    assert (second.visits >= first.visits).all()


def test_a_window_becomes_the_graph_of_the_paper(parts: tuple[Part, Part, Part]) -> None:
    """Items 1 2 3 2 4, the example of SR-GNN's figure 2: after 2 half of the times 3, half 4."""
    data = with_items(parts[0].data, [1, 2, 3, 2, 4])
    graphs = session_graphs(data, np.array([0]))
    number = dict(zip([4, 2, 3, 2, 1], graphs.node[0], strict=True))
    one, two, three, four = (number[item] for item in (1, 2, 3, 4))
    assert graphs.outgoing.shape == (1, 4, 4)
    assert graphs.outgoing[0, one, two] == 1
    assert graphs.outgoing[0, two, [three, four]].tolist() == [0.5, 0.5]
    assert graphs.outgoing[0, three, two] == 1
    assert graphs.outgoing[0, four].sum() == 0
    assert graphs.incoming[0, two, [one, three]].tolist() == [0.5, 0.5]
    assert graphs.joined[0, two, three] == BOTH
    assert graphs.joined[0, one, two] == LEFT
    assert graphs.joined[0, two, one] == ENTERED
    assert (np.diagonal(graphs.joined[0]) == ITSELF).all()
    assert graphs.shares[0, two].tolist() == [0, 0.5, 0, 0.5, 0]


def with_items(data: TrainingSet, items: list[int]) -> TrainingSet:
    """One sequence of these items, one row at its end."""
    count = len(items)
    inputs = data.inputs._replace(item_id=np.array(items, np.int32))
    table = np.arange(count)[None]
    ends = {"sequence": np.array([0]), "position": np.array([count - 1])}
    return replace(data, inputs=inputs, table=table, lengths=np.array([count]), **ends)


@pytest.mark.parametrize("name", ["graph-gated", "graph-attention"])
def test_what_stands_beside_a_graph_in_a_batch_does_not_matter(
    name: str, parts: tuple[Part, Part, Part]
) -> None:
    train, validation, test = parts
    model = make(name, **quick(name))
    model.fit(train, validation, 1, quiet)
    rows = test.rows[np.argsort(test.data.position[test.rows])[[0, 1, -1]]]
    together = model.predict(NEXT_ITEM, test.at(rows))
    for place, row in enumerate(rows):
        alone = model.predict(NEXT_ITEM, test.at(np.array([row])))
        assert alone[0] == pytest.approx(together[place], abs=1e-4)
