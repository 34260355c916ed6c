"""The next-item benchmark on invented sessions: cut, trained, taken up again, asked as served."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the export extra")

import torch
from click.testing import CliRunner

from export.__main__ import group
from export.bundles import reference
from export.bundles.next_item_bundle import sizes_of, texts_of, write_next_item_bundle
from export.bundles.weights import OUTPUTS
from export.dataset.sessions import Sequences, Sessions
from export.evaluation.next_item import figures
from export.evaluation.served_lists import list_ranks, served_lists
from export.training.averaging import EVERY_BATCHES
from export.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from export.training.next_item import NextItemRecipe, NextItemTrainer, cut, ranks
from stream.core.window import scored_steps
from stream.model.bundle import load_bundle
from stream.model.manifest import Training
from stream.model.vocabulary import hash_64

pytestmark = pytest.mark.model
ITEMS = 30
RECIPE = NextItemRecipe(width=8, epochs=2, negatives=40, held_out=0.1, refresh_steps=3)
TRAINING = Training(synthetic=True, data="a test", command="", seed=1, users=0, events=0, rows=0)


def rings(count: int, seed: int) -> list[list[int]]:
    """Walk around rings of ten items, most often to the next one. Invented."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        ring, place = rng.integers(ITEMS // 10), rng.integers(10)
        steps = np.cumsum(rng.choice([1, 1, 1, 2], rng.integers(2, 16)))
        made.append((1 + 10 * ring + (place + steps) % 10).tolist())
    return made


def sequences(lists: list[list[int]]) -> Sequences:
    first = np.cumsum([0, *(len(one) for one in lists)])
    return Sequences(np.concatenate([np.array(one, np.int32) for one in lists]), first)


@pytest.fixture(scope="module")
def sessions() -> Sessions:
    return Sessions(sequences(rings(300, 1)), [f"i{number}" for number in range(1, ITEMS + 1)], "")


def trainer(sessions: Sessions) -> NextItemTrainer:
    return NextItemTrainer(RECIPE, sizes_of(texts_of(sessions), RECIPE.width), sessions.sequences)


@pytest.mark.parametrize("refresh_steps", [1, 3, 16])
def test_sessions_are_cut_as_windows_are(refresh_steps: int) -> None:
    made = sequences([list(range(1, length + 1)) for length in (2, 6, 7, 8, 9, 33, 34, 70)])
    pieces = cut(made, refresh_steps)
    found = set()
    for start, length, scored in zip(pieces.start, pieces.length, pieces.scored, strict=True):
        for step in range(scored, length - 1):
            found.add((int(start), int(start) + step))  # from zero state at, scored after
    expected = set()
    for first, end in pairwise(made.first.tolist()):
        for n in range(1, end - first):
            last = first + n - 1
            expected.add((last + 1 - scored_steps(n, refresh_steps), last))
    assert found == expected


def test_a_run_taken_up_again_ends_the_same(sessions: Sessions, tmp_path: Path) -> None:
    straight = trainer(sessions)
    straight.run_epoch(lambda _: None)
    save_checkpoint(tmp_path / "kept.pt", {"seed": 1}, straight.state())
    loss = straight.run_epoch(lambda _: None)
    again = trainer(sessions)
    torch.rand(3)  # chance has gone elsewhere meanwhile
    state = load_checkpoint(tmp_path / "kept.pt", {"seed": 1})
    assert state is not None
    again.restore(state)
    assert again.run_epoch(lambda _: None) == loss
    pairs = (straight.network, again.network), (straight.averaged(), again.averaged())
    for first, second in pairs:
        for one, other in zip(first.parameters(), second.parameters(), strict=True):
            assert torch.equal(one, other)


def test_what_counts_is_the_mean_of_the_weights(sessions: Sessions) -> None:
    made = trainer(sessions)
    total = RECIPE.epochs * made.epoch_batches
    first = int((1 - RECIPE.mean_share) * total)
    seen = []

    def keep(_: int) -> None:
        seen.append(made.network.item.weight.detach().clone())

    for _ in range(RECIPE.epochs):
        made.run_epoch(keep)
    taken = [at for at in range(first, total + 1) if at % EVERY_BATCHES == 0]
    assert len(seen) == total
    assert len(taken) > 1
    mean = torch.stack([seen[at - 1] for at in taken]).mean(dim=0)
    assert torch.allclose(made.averaged().item.weight, mean, atol=1e-6)
    assert torch.equal(made.network.item.weight, seen[-1]), "what learns goes on from where it was"


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kept.pt"
    assert load_checkpoint(path, {}) is None
    save_checkpoint(path, {"seed": 1, "width": 8}, {})
    with pytest.raises(CheckpointError, match="another run: seed=1 then, 2 now"):
        load_checkpoint(path, {"seed": 2, "width": 8})
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_checkpoint(path, {"seed": 1, "width": 8})


def test_the_held_out_sessions_are_not_learned_from(sessions: Sessions) -> None:
    """Change them, and all ends the same; change the last one before them, and it does not."""
    held = int(0.1 * len(sessions.sequences))

    def loss_without(session: int) -> float:
        items = sessions.sequences.items.copy()
        last = slice(*sessions.sequences.first[[session, session + 1]].tolist())
        items[last] = 1 + items[last] % ITEMS
        changed = Sessions(Sequences(items, sessions.sequences.first), sessions.item_ids, "")
        return trainer(changed).run_epoch(lambda _: None)

    loss = trainer(sessions).run_epoch(lambda _: None)
    first = len(sessions.sequences) - held
    assert [loss_without(at) == loss for at in (-1 + len(sessions.sequences), first)] == [True] * 2
    assert loss_without(first - 1) != loss


@pytest.mark.parametrize("refresh_steps", [3, 2])
def test_served_lists_are_the_best_items_of_the_window(
    sessions: Sessions, tmp_path: Path, refresh_steps: int
) -> None:
    """Against the last m items of each prefix, run from zero state by the numpy reference."""
    made = trainer(sessions)
    made.run_epoch(lambda _: None)
    texts = texts_of(sessions)
    write_next_item_bundle(tmp_path, made.network, texts, 3, TRAINING, {})
    bundle = load_bundle(tmp_path)
    weights = made.network.weights(np.zeros(OUTPUTS), np.zeros(OUTPUTS))
    lists = rings(60, 2)
    lists[5][-1] = 0  # unknown, not the only one
    lists[6] = [0, 0, 0]
    asked = sequences(lists)
    names = [f"i{item}" if item else "never seen" for item in asked.items.tolist()]
    hashes = np.array([hash_64(name) for name in names], np.uint64)
    done: list[int] = []
    found = served_lists(bundle, asked, hashes, refresh_steps, 5, 7, done.append)
    assert sum(done) == len(asked.items)
    for prefix, best in zip(lists, found.tolist(), strict=True):
        if not any(prefix):
            assert best == texts.popular[:5], "nothing known: the popular list"
            continue
        state = np.zeros((1, weights.state_width))
        for item in prefix[-scored_steps(len(prefix), refresh_steps) :]:
            enters = weights.item[item] if item else np.zeros(RECIPE.width)
            state = reference.CELLS["lstm"](weights.cells[0], enters[None], state)
            state = np.concatenate(state, axis=1)
        scores = reference.items(weights, state[:, : RECIPE.width])[0]
        assert scores[np.array(best) - 1] == pytest.approx(np.sort(scores)[::-1][:5], abs=1e-4)


def test_figures_count_what_is_listed() -> None:
    lists = np.array([[3, 1, 2], [1, 2, 3], [2, 3, 1], [1, 2, 3]])
    rank = list_ranks(lists, np.array([3, 2, 4, 0]))
    assert rank.tolist() == [1, 2, 0, 0]
    found = figures(rank)
    assert (found.rows, found.precision, found.reciprocal) == (4, 50, 37.5)
    assert figures(np.array([20, 21])).precision == 50
    assert figures(np.zeros(0, np.int64)).described()["p_at_20"] is None


def test_ranks_while_training_are_those_of_the_items(sessions: Sessions) -> None:
    made = trainer(sessions)
    rank = ranks(made.network, made.held_out, RECIPE.refresh_steps)
    assert len(rank) == len(made.held_out.items) - len(made.held_out)
    assert rank.min() >= 1
    assert rank.max() <= ITEMS


def write_files(folder: Path) -> list[str]:
    train = "".join(" ".join(f"i{item}" for item in one) + "\n" for one in rings(400, 1))
    test = "".join(
        f"{' '.join(f'i{item}' for item in one[:-1])}\ti{one[-1]}\n" for one in rings(80, 2)
    )
    (folder / "train.txt").write_text(train)
    (folder / "test.tsv").write_text(test)
    return [
        "benchmark", "next-item", "--train", str(folder / "train.txt"),
        "--test", str(folder / "test.tsv"), "--out", str(folder / "run"), "--width", "12",
        "--epochs", "3",
    ]  # fmt: skip


def test_the_command_ends_in_its_figures(tmp_path: Path) -> None:
    args = write_files(tmp_path)
    first = CliRunner().invoke(group, args)
    assert first.exit_code == 0, first.output
    line = first.stdout.splitlines()[-1]
    assert re.fullmatch(r"P@20=\d+\.\d\d MRR@20=\d+\.\d\d seconds=\d+", line)
    run = tmp_path / "run"
    assert (run / "report.md").read_text().startswith("# Next item")
    assert (run / "report.json").exists()
    manifest = load_bundle(run / "bundle").manifest
    assert manifest.model == "lstm 1x12"
    assert "not trained" in manifest.calibration["hazard"]
    again = CliRunner().invoke(group, args)
    assert "going on after epoch 3 of 3" in again.output
    assert again.stdout.splitlines()[-1].split()[:2] == line.split()[:2]
    other = CliRunner().invoke(group, [*args[:-1], "4"])
    assert other.exit_code == 1
    assert "epochs=3 then, 4 now" in other.output


def test_options_are_chosen_without_the_test(tmp_path: Path) -> None:
    args = write_files(tmp_path)
    del args[4:6]  # --test FILE
    (tmp_path / "test.tsv").unlink()
    neither = CliRunner().invoke(group, args)
    assert neither.exit_code == 2
    assert "give one of --test and --held-out" in neither.output
    made = CliRunner().invoke(group, [*args, "--held-out", "0.1"])
    assert made.exit_code == 0, made.output
    assert re.fullmatch(
        r"P@20=\d+\.\d\d MRR@20=\d+\.\d\d seconds=\d+", made.stdout.splitlines()[-1]
    )
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["checkpoint.pt"]
    few = CliRunner().invoke(
        group, [*args[:-4], "--out", str(tmp_path / "x"), "--held-out", "1e-4"]
    )
    assert few.exit_code == 1
    assert "too few sessions" in few.output


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("train.txt", b"a\n", "line 1: 'a' is no session"),
        ("train.txt", b"a b\n\xff b\n", "line 2: byte 1 is not UTF-8"),
        ("test.tsv", b"a b\n", "is not `prefix TAB target`"),
        ("run/other", b"x", "is not empty"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, name: str, text: bytes, said: str) -> None:
    args = write_files(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / name).write_bytes(text)
    result = CliRunner().invoke(group, args)
    assert result.exit_code in {1, 2}
    assert said in result.output
    assert len(result.output.splitlines()) == 1
