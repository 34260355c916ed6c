"""The demand LSTM, whole: nothing leaks, three implementations agree, bad bundles are refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

pytest.importorskip("torch", reason="training needs the export extra")

import torch

from export.__main__ import group
from export.demand.forecaster import GRAPH, Forecaster, load_forecaster
from export.demand.question import CALENDARS
from export.demand.report import verdict
from export.demand.scores import Score
from export.demand.series import SeriesSet, Split
from export.demand.training import Recipe, Trained, train
from export.demand.windows import Inputs
from export.demand.write_forecaster import INTERVAL, check_parity, write_forecaster
from stream.model.manifest import MANIFEST, BundleError, Training

pytestmark = pytest.mark.model
RECIPE = Recipe(look_back=8, horizon=3, season=7, hidden=6, epochs_max=3, seed=3)
SPLIT = Split(fit=38, train=48, total=60)
NOTES = Training(synthetic=True, data="a test", command="", seed=3, users=0, events=0, rows=0)


def made_series(seed: int = 1) -> SeriesSet:
    rng = np.random.default_rng(seed)
    wave = 3 + 2 * np.sin(np.arange(60) * 2 * np.pi / 7)
    counts = rng.poisson(wave * np.array([[0.2], [1], [30]])).astype(np.float64)
    return SeriesSet(["rare", "usual", "much"], counts, 20_000, CALENDARS["day"], "units", "item")


def quiet(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train(made_series(), SPLIT, RECIPE, quiet)


@pytest.fixture(scope="module")
def bundle(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forecaster")
    write_forecaster(folder, trained, made_series(), SPLIT, RECIPE, NOTES)
    return folder


def test_the_last_fifth_changes_nothing_that_is_learned(
    trained: Trained, bundle: Path, tmp_path: Path
) -> None:
    """Scales, weights, intervals, golden rows: the same bytes. A change before it shows."""
    changed = made_series()
    changed.counts[:, SPLIT.train :] = 10_000
    again = train(changed, SPLIT, RECIPE, quiet)
    assert np.array_equal(again.scale, trained.scale)
    for one, other in zip(trained.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, other)
    write_forecaster(tmp_path, again, changed, SPLIT, RECIPE, NOTES)
    for name in (GRAPH, MANIFEST):
        assert (tmp_path / name).read_bytes() == (bundle / name).read_bytes()
    changed.counts[:, SPLIT.train - 1] = 10_000
    moved = train(changed, SPLIT, RECIPE, quiet)
    assert not np.array_equal(moved.scale, trained.scale)
    assert not torch.equal(next(moved.network.parameters()), next(trained.network.parameters()))


def test_intervals_come_of_validation(trained: Trained, bundle: Path) -> None:
    assert trained.errors.shape == (3, SPLIT.train - SPLIT.fit)
    assert trained.sums.shape == (3, SPLIT.train - SPLIT.fit - RECIPE.horizon + 1)
    manifest = load_forecaster(bundle).manifest
    low, high = manifest.error_step
    inside = ((trained.errors >= low) & (trained.errors <= high)).mean()
    assert inside == pytest.approx(INTERVAL, abs=0.05)
    made = load_forecaster(bundle).interval(np.array([0.0, 50]), np.ones(2, "f4"), horizon=False)
    assert (made.lower <= made.upper).all()
    assert made.lower.min() >= 0


def random_inputs(rows: int) -> Inputs:
    rng = np.random.default_rng(4)
    level = rng.lognormal(2, 2, (rows, 1))
    return Inputs(
        (level * rng.random((rows, 8))).astype(np.float32),
        (level[:, 0] * rng.uniform(0.1, 2, rows)).astype(np.float32),
        rng.integers(0, 7, rows).astype(np.int32),
    )


def test_torch_onnx_and_numpy_agree(trained: Trained, bundle: Path) -> None:
    forecaster = load_forecaster(bundle)
    inputs = random_inputs(2000)
    assert check_parity(trained, forecaster, inputs) < 2e-5
    alone = np.concatenate([forecaster.step(inputs.rows(np.array([row]))) for row in range(20)])
    assert np.allclose(forecaster.step(inputs)[:20], alone, rtol=1e-5), "batches do not matter"
    spoiled = train(made_series(2), SPLIT, RECIPE, quiet)
    with pytest.raises(BundleError, match="torch, ONNX and numpy differ"):
        check_parity(spoiled, forecaster, inputs)


def test_paths_go_on_with_their_own_forecasts(bundle: Path) -> None:
    forecaster = load_forecaster(bundle)
    series = made_series()
    paths = forecaster.paths(series, 48, 61)
    assert paths.shape == (3, 13, 3)
    longer = made_series()
    longer.counts[:, 55] = paths[:, 55 - 48, 0]
    assert forecaster.paths(longer, 56, 57)[:, 0, :2] == pytest.approx(paths[:, 7, 1:], rel=1e-5)
    unknown = SeriesSet(["new"], series.counts[:1], 20_000, CALENDARS["day"], "units", "item")
    with pytest.raises(BundleError, match="does not know the item 'new'"):
        forecaster.paths(unknown, 48, 49)


@pytest.mark.parametrize(
    ("name", "change", "objection"),
    [
        (GRAPH, lambda data: data[:-1] + b"?", "another digest"),
        (MANIFEST, lambda data: data.replace(b'"format": 1', b'"format": 2'), "format 2"),
        (MANIFEST, lambda data: data.replace(b'"season"', b'"saison"'), "saison|season"),
        (MANIFEST, lambda data: data.replace(b'"look_back": 8', b'"look_back": 9'), "look-back"),
        (
            MANIFEST,
            lambda data: data.replace(b'"expected": [', b'"expected": [7,'),
            "unequal length",
        ),
        (
            MANIFEST,
            lambda data: data.replace(b'"tolerance": 0.0001', b'"tolerance": 0'),
            "differ by",
        ),
        (MANIFEST, lambda data: b"", "manifest.json"),
    ],
)
def test_a_bundle_that_does_not_fit_is_refused(
    bundle: Path, tmp_path: Path, name: str, change: object, objection: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(bundle, folder)
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(change(data))  # type: ignore[operator]
    assert (folder / name).read_bytes() != data
    with pytest.raises(BundleError, match=objection):
        load_forecaster(folder)


def test_a_graph_of_another_form_is_refused(bundle: Path) -> None:
    forecaster = load_forecaster(bundle)
    with pytest.raises(BundleError, match="ONNX Runtime refuses it"):
        Forecaster(forecaster.manifest, b"no graph")
    with pytest.raises(BundleError, match="No such file"):
        load_forecaster(bundle / "absent")


@pytest.mark.parametrize(
    ("more", "ends", "said"),
    [(2.0, (1.0, 3.0), "beats all"), (-2.0, (-3.0, -1.0), "does not pay"), (0.5, (-1, 2), "apart")],
)
def test_the_verdict_follows_the_interval(
    more: float, ends: tuple[float, float], said: str
) -> None:
    ours = Score(25, 5, (4, 6), 1, 0, (0, 0))
    other = Score((5 + more) ** 2, 5 + more, (4, 6), 1, more, ends)
    worse = Score(400, 20, (4, 60), 1, 15, (9, 20))
    made = verdict({"LSTM": ours, "Croston": other, "naive": worse}, "units")
    assert said in made
    assert "Croston" in made
    assert "naive" not in made


def run(*arguments: object) -> Result:
    return CliRunner().invoke(group, ["forecast", *map(str, arguments)])


def test_the_command_writes_report_bundle_and_forecasts(tmp_path: Path) -> None:
    out = tmp_path / "made"
    small = ["--shop", "--shop-days", 45, "--shop-users", 40, "--shop-items", 20, "--epochs", 1]
    shape = ["--by", "category", "--measure", "views", "--look-back", 10, "--series-max", 5]
    result = run("--out", out, *small, *shape)
    assert result.exit_code == 0, result.output
    report = json.loads((out / "report.json").read_text())
    assert report["synthetic"]
    assert report["series"] == 5
    assert set(report["one_period"]) == {
        "LSTM", "naive", "seasonal naive", "exponential smoothing", "Holt-Winters", "Croston",
        "TSB",
    }  # fmt: skip
    assert report["points"] == 5 * (43 - int(0.8 * 43))
    page = (out / "report.md").read_text()
    assert report["verdict"] in page
    assert report["verdict"] in result.output
    assert "**Synthetic data" in page
    for picture in ("forecasts.svg", "errors.svg", "curve.svg"):
        assert picture in page
        assert (out / picture).read_text().endswith("</svg>\n")
    lines = [json.loads(line) for line in (out / "forecasts.jsonl").read_text().splitlines()]
    assert len(lines) == 2 * 5
    assert {line["horizon"] for line in lines} == {"P1D", "P7D"}
    for line in lines:
        assert line.keys() == {
            "item_id", "window_start", "horizon", "expected_units", "lower", "upper", "method",
        }  # fmt: skip
        assert 0 <= line["lower"] <= line["upper"]
    assert load_forecaster(out).manifest.scale.keys() == {line["item_id"] for line in lines}
    again = run("--out", out, *small, *shape)
    assert again.exit_code == 1
    assert "is not empty" in again.output


def test_what_is_asked_wrongly_ends_in_a_line(tmp_path: Path) -> None:
    purchases = tmp_path / "purchases.txt"
    purchases.write_text("customer date units money\n1 19970101 2 9.50\n2 19970201 1 4\n")
    rubbish = tmp_path / "rubbish.csv"
    rubbish.write_text("a,b\n1,2\n")
    short = ["--purchases", purchases, "--by", "total"]
    cases = [
        (short, 1, "no units by total"),
        ([*short, "--shop"], 2, "give one of"),
        (["--file", tmp_path / "absent.csv"], 2, "does not exist"),
        (["--file", rubbish], 1, "not a file that is known"),
        (["--purchases", rubbish], 1, "columns"),
        (["--shop", "--shop-days", 9, "--shop-users", 9], 1, "too few for a look-back of 28"),
        (["--shop", "--shop-days", 9, "--shop-users", 9, "--only", "p9x"], 1, "no 'p9x' in the"),
        (["--shop", "--period", "year"], 2, "--period"),
    ]
    for arguments, status, said in cases:
        result = run("--out", tmp_path / "made", *arguments)
        assert (result.exit_code, said in result.output) == (status, True), result.output
        assert "Traceback" not in result.output
    assert not (tmp_path / "made").exists()
