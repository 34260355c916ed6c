"""Datasets: nothing crosses a cut, nothing is learned of the future, nobody forgotten is in."""

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from export.dataset.build import Origin, Wishes, build_dataset
from export.dataset.event_log import EventLog, step_index
from export.dataset.file_log import FileSource, file_log
from export.dataset.folder import LOG, MANIFEST, Dataset, DatasetError, load_dataset, salted
from export.dataset.merge_log import newest_ms, without_keys
from export.dataset.names import Names
from export.dataset.shop_log import shop_log
from export.dataset.split import Cuts, cut_places, cuts_by_share, split_of_events
from export.dataset.splits import Splits
from stream.core.config import DAY_MS, EngineConfig
from stream.core.layout import Flag
from stream.local.shop import START_MS, Shop
from stream.wire.hashing import id_hash

ORIGIN = Origin({"kind": "simulated shop"}, "a test", synthetic=True, seed=5)
CUTS = Cuts(START_MS + 12 * DAY_MS, START_MS + 16 * DAY_MS, START_MS + 20 * DAY_MS)
WISHES = Wishes(
    validation_ms=CUTS.validation_ms, test_ms=CUTS.test_ms, purchase_horizon_ms=2 * DAY_MS
)
L = 4


class Made(NamedTuple):
    """A log with its texts."""

    log: EventLog
    names: Names


def quiet(_text: str) -> None:
    pass


@pytest.fixture(scope="module")
def made() -> Made:
    names = Names()
    return Made(shop_log(Shop(5, 60, items=200, days=20), names), names)


@pytest.fixture(scope="module")
def dataset(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("dataset") / "shop"
    return build_dataset(folder, made.log, made.names, ORIGIN, WISHES, quiet)


@pytest.fixture(scope="module")
def splits(dataset: Dataset) -> Splits:
    return dataset.splits(L)


def arrays(thing: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Every array of a dataclass or named tuple, and of those in it."""
    names = getattr(thing, "_fields", None) or [field.name for field in fields(thing)]
    for name in names:
        value = getattr(thing, name)
        if isinstance(value, np.ndarray):
            yield name, value
        elif hasattr(value, "_fields") or hasattr(value, "__dataclass_fields__"):
            yield from ((f"{name}.{inner}", array) for inner, array in arrays(value))


def test_a_split_holds_its_own_time_only(splits: Splits) -> None:
    for split in splits.each():
        since_ms, end_ms = CUTS.span_ms(split.name)
        as_of = split.recorded.rows["as_of_ms"]
        assert as_of.min() >= since_ms
        assert as_of.max() < end_ms
        assert len(as_of) > 100


def test_a_window_never_crosses_a_split_or_a_user(splits: Splits) -> None:
    for split in splits.each():
        recorded, data = split.recorded, split.data
        since_ms, end_ms = CUTS.span_ms(split.name)
        assert recorded.steps["time_ms"].min() >= since_ms
        assert recorded.steps["time_ms"].max() < end_ms
        assert np.array_equal(recorded.gap_ms < 0, recorded.position == 0)
        assert np.array_equal(np.bincount(recorded.sequence), data.lengths)
        assert data.lengths.max() <= 2 * L
        owners = np.stack([recorded.row_sequence, recorded.user])
        assert len(np.unique(owners, axis=1).T) == len(np.unique(recorded.row_sequence))
        newest = recorded.steps["time_ms"][data.table[data.sequence, data.position]]
        assert np.array_equal(newest, recorded.rows["as_of_ms"]), "a row reads up to its own step"


def test_rows_are_those_that_serving_would_score(made: Made, splits: Splits) -> None:
    """All events but the late ones that reach back over a cut."""
    scored = sum(len(split.data.user) for split in splits.each())
    good = int((made.log.events["reason"] == 0).sum())
    assert 0.95 * good < scored < good


def test_a_row_that_comes_late_over_a_cut_is_of_no_split(
    made: Made, dataset: Dataset, splits: Splits, tmp_path: Path
) -> None:
    """Applied in validation, but nothing of its window lies there; train was over without it."""
    log = made.log
    places = cut_places(log, CUTS, EngineConfig().watermark_jump_ms_max)
    after = log.events[places[0] + 1 :]
    others = (after["reason"] == 0) & (after["user"] != log.events["user"][places[0]])
    late = places[0] + 1 + int(np.flatnonzero(others)[0])  # another user's first one since the cut
    events, steps = log.events.copy(), log.steps.copy()
    events["time_ms"][late] = steps["time_ms"][step_index(events[late : late + 1])] = (
        CUTS.validation_ms - 1
    )
    moved = replace(log, events=events, steps=steps)
    other = build_dataset(tmp_path / "late", moved, made.names, ORIGIN, WISHES, quiet).splits(L)
    assert len(other.train.data.user) == len(splits.train.data.user)
    assert len(other.validation.data.user) == len(splits.validation.data.user) - 1


def test_a_label_beyond_a_cut_is_unknown(splits: Splits) -> None:
    for split in splits.each():
        labels, rows = split.data.labels, split.recorded.rows
        _, end_ms = CUTS.span_ms(split.name)
        left_ms = end_ms - rows["as_of_ms"]
        assert np.array_equal(labels.seen_ms, left_ms)
        near = left_ms < 2 * DAY_MS
        assert near.any()
        assert (labels.purchase[near] == -1).all()
        assert (labels.purchase[~near] >= 0).all()
        last = np.zeros(len(rows), bool)
        for user in np.unique(split.data.user):
            mine = np.flatnonzero(split.data.user == user)
            last[mine[rows["as_of_ms"][mine] == rows["as_of_ms"][mine].max()]] = True
        assert (labels.next_type[last] == -1).all()
        assert (labels.next_item[last] == 0).all()
        assert (split.data.next_item[last] == 0).all()
        unseen = left_ms[:, None] < np.array(EngineConfig().hazard_edges_ms)
        assert (labels.hazard[unseen] == -1).all(), "a bin that is not seen whole says nothing"
        assert (labels.hazard[:, :2] == 1).any()


def test_the_future_changes_no_byte_of_what_is_learned(
    made: Made, dataset: Dataset, splits: Splits, tmp_path: Path
) -> None:
    """Poison everything after the train cut: items, categories, prices, times, users, contexts."""
    log, names = made
    places = cut_places(log, CUTS, EngineConfig().watermark_jump_ms_max)
    after = split_of_events(log, places) > 0
    assert 0.2 < after.mean() < 0.6
    events, steps = log.events.copy(), log.steps.copy()
    rng = np.random.default_rng(1)
    at = step_index(events[after])
    steps["item"][at] = id_hash("poison")
    names.items[id_hash("poison")] = "poison"
    steps["category"][at] = rng.permutation(steps["category"][at])
    steps["price_cents"][at] = 99_999_999
    known = after & (events["user"] >= 0)
    events["user"][known] = rng.permutation(events["user"][known])
    events["region"][after] = rng.permutation(events["region"][after])
    events["event_type"][after] = 2
    moved = np.flatnonzero(after)[1:]  # the first stays: it marks the cut
    kept = moved[events["time_ms"][moved] > CUTS.validation_ms]
    events["time_ms"][kept] = np.sort(events["time_ms"][kept] // 2 + CUTS.end_ms // 2)
    poisoned = replace(log, events=events, steps=steps)
    other = build_dataset(tmp_path / "poisoned", poisoned, names, ORIGIN, WISHES, quiet)
    assert other.counts == dataset.counts
    learned = dict(arrays(splits.train))
    assert len(learned) > 30
    again = other.splits(L)
    for name, array in arrays(again.train):
        assert array.tobytes() == learned[name].tobytes() or name.startswith(
            ("recorded.outcome", "recorded.reason")
        ), name
    assert again.vocabulary.digest == splits.vocabulary.digest
    assert not np.array_equal(again.test.data.item, splits.test.data.item)


def test_users_who_asked_to_be_forgotten_stay_out(made: Made, tmp_path: Path) -> None:
    log, names = made
    active = np.bincount(log.events["user"][log.events["user"] >= 0])
    named, asking = np.argsort(-active)[:2].tolist()
    events = log.events.copy()
    control = np.flatnonzero(events["user"] == asking)[3]
    events["flags"][control] |= Flag.CONTROL_FORGET
    events["steps_count"][control] = 0
    left = without_keys(replace(log, events=events), [log.users[named], b"nobody"])
    assert len(left.events) == len(log.events) - active[named] - active[asking]
    assert {log.users[named], log.users[asking]} & set(left.users) == set()
    salt = b"salt"
    made_of = build_dataset(
        tmp_path / "less", left, names, ORIGIN, replace(WISHES, salt=salt), quiet
    )
    absent = salted([log.users[named], log.users[asking]], salt)
    assert not set(absent) & set(made_of.log.users)
    text = b"".join(path.read_bytes() for path in made_of.folder.iterdir())
    for user in (named, asking):
        assert log.users[user] not in text
    mine = log.events[(log.events["user"] == named) & (log.events["steps_count"] > 0)]
    gone = set(log.steps["event_id"][step_index(mine)].tolist())
    assert not gone & set(made_of.log.steps["event_id"].tolist())


def test_keys_are_kept_as_salted_hashes_only(made: Made, dataset: Dataset) -> None:
    stored = b"".join(path.read_bytes() for path in dataset.folder.iterdir())
    assert not any(user in stored for user in made.log.users if len(user) > 3)
    assert all(len(user) == 16 for user in dataset.log.users)
    assert salted([b"u1"], b"a") != salted([b"u1"], b"b")


def test_a_folder_comes_back_and_a_changed_one_does_not(dataset: Dataset, tmp_path: Path) -> None:
    again = load_dataset(dataset.folder)
    assert np.array_equal(again.log.events, dataset.log.events)
    assert again.cuts == CUTS
    assert again.manifest.counts["users"] == len(again.log.users)
    with pytest.raises(DatasetError, match="is there already"):
        build_dataset(dataset.folder, dataset.log, Names(), ORIGIN, WISHES, quiet)
    for path in dataset.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / LOG).write_bytes(b"other")
    with pytest.raises(DatasetError, match="not what the manifest says"):
        load_dataset(tmp_path)
    (tmp_path / MANIFEST).write_bytes(b"{}")
    with pytest.raises(DatasetError, match="missing required field"):
        load_dataset(tmp_path)
    with pytest.raises(DatasetError, match="no such file"):
        load_dataset(tmp_path / "nowhere")


def test_the_same_log_gives_the_same_log_file(made: Made, dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "again.partial").mkdir()  # somebody else's
    other = build_dataset(tmp_path / "again", made.log, made.names, ORIGIN, WISHES, quiet)
    assert other.manifest.files == dataset.manifest.files
    assert {path.name for path in tmp_path.iterdir()} == {"again", "again.partial"}


@pytest.mark.parametrize(("first", "second", "third"), [(5, 5, 9), (5, 4, 9), (5, 9, 9), (0, 5, 9)])
def test_cuts_must_rise(first: int, second: int, third: int) -> None:
    with pytest.raises(ValueError, match="each must be after the one before"):
        Cuts(first, second, third)


def test_a_wrong_clock_moves_neither_cut_nor_end(made: Made) -> None:
    log = made.log
    events = log.events.copy()
    at = np.flatnonzero(events["reason"] == 0)[10]
    far_ms = CUTS.end_ms + 40 * DAY_MS
    events["time_ms"][at] = events["timestamp_ms"][at] = far_ms
    wrong = replace(log, events=events)
    jump = EngineConfig().watermark_jump_ms_max
    assert cut_places(wrong, CUTS, jump) == cut_places(log, CUTS, jump)
    assert newest_ms(events) == newest_ms(log.events)
    by_share = cuts_by_share(wrong, 0.1, 0.1)
    assert abs(by_share.test_ms - cuts_by_share(log, 0.1, 0.1).test_ms) < DAY_MS


TAOBAO = "user_id,item_id,category_id,behavior,ts\n"


def test_a_file_becomes_a_log(tmp_path: Path) -> None:
    path = tmp_path / "taobao.csv"
    rows = [
        "7,i1,c1,pv,1511539217", "8,i2,c1,buy,1511539300", "7,i3,c2,cart,1511539222", "x",
        "7,i1,c1,pv,1511539400",
    ]  # fmt: skip
    path.write_text(TAOBAO + "\n".join(rows) + "\n")
    names = Names()
    log, source = file_log(FileSource([path]), names)
    assert log.users == [b"7", b"8"]
    assert np.array_equal(np.diff(log.events["time_ms"]) >= 0, [True] * 3)
    assert log.steps["item"][step_index(log.events)].tolist() == [
        id_hash(item) for item in ("i1", "i3", "i2", "i1")
    ]
    assert source["files"][0]["rows_broken"] == 1
    assert set(names.items.values()) == {"i1", "i2", "i3"}
    assert log.end_ms == 1511539400000
