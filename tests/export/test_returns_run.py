"""The customer-return benchmark trained and whole, on a small file of synthetic purchases."""

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("torch")

from export.__main__ import group
from export.evaluation.probabilities import roc_auc
from export.returns.purchases import Purchases, read_purchases
from export.returns.samples import elapsed, sample_at
from export.returns.sequence_model import Recipe, Rows, step_columns, train

pytestmark = pytest.mark.model

BEGIN = date(2020, 1, 1)
CUT = BEGIN.toordinal() + 199
OPTIONS = ["--inner-cut", "2020-04-09", "--cut", "2020-07-18", "--end", "2020-10-26"]


def written(path: Path, customers: int = 400) -> Path:
    """Write customers of two kinds: some come back each fortnight or so, some hardly ever."""
    rng = np.random.default_rng(4)
    lines = ["customer date units money"]
    for number in range(customers):
        time, gap = rng.integers(0, 60), rng.choice([14, 300])
        while time < 300:
            day = BEGIN + timedelta(days=int(time))
            lines.append(f"c{number} {day:%Y%m%d} 1 {rng.integers(5, 50)}.00")
            time += 1 + rng.exponential(gap)
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return written(tmp_path_factory.mktemp("returns") / "purchases.txt")


@pytest.fixture(scope="module")
def purchases(file) -> Purchases:
    return read_purchases(file)


def answered(purchases: Purchases, learned: np.ndarray, asked: np.ndarray) -> np.ndarray:
    sample = sample_at(purchases, CUT, 100)
    rows = Rows(sample.first, sample.count, elapsed(sample), np.zeros(len(sample)))
    made = train(
        step_columns(purchases),
        rows.at(learned),
        sample.returned[learned],
        1,
        Recipe(updates=120, batch_rows=64),
    )
    return made.logits(rows.at(asked))


def test_the_lstm_tells_two_kinds_of_customers_apart(purchases) -> None:
    sample = sample_at(purchases, CUT, 100)
    every = np.arange(len(sample))
    learned, asked = every[::2], every[1::2]
    logits = answered(purchases, learned, asked)
    assert roc_auc(logits, sample.returned[asked]) > 0.85
    again = answered(purchases, learned, asked[:7])
    assert again == pytest.approx(logits[:7], abs=1e-6)  # one seed, whatever is asked beside it


def test_nothing_after_the_cut_reaches_an_answer(purchases) -> None:
    """Half of what comes after the cut is taken away: a label may change, an input may not."""
    later = purchases.day > CUT
    kept = ~later | (np.cumsum(later) % 2 == 0)
    fewer = Purchases(
        purchases.customer[kept],
        purchases.day[kept],
        purchases.units[kept],
        purchases.money[kept],
        purchases.names,
    )
    one, other = sample_at(purchases, CUT, 100), sample_at(fewer, CUT, 100)
    assert elapsed(one).tolist() == elapsed(other).tolist()
    steps, steps_other = step_columns(purchases), step_columns(fewer)
    for first, first_other, count in zip(one.first, other.first, one.count, strict=True):
        same = steps[first : first + count] == steps_other[first_other : first_other + count]
        assert same.all()


def test_the_command_writes_a_report_and_goes_on_where_it_was_cut_short(file, tmp_path) -> None:
    out = tmp_path / "out"
    arguments = ["benchmark", "return", "--data", str(file), "--out", str(out), *OPTIONS]
    arguments += ["--seeds", "1", "--updates", "20"]
    done = CliRunner().invoke(group, arguments)
    assert done.exit_code == 0, done.output
    last = done.output.strip().splitlines()[-1]
    values = dict(pair.split("=") for pair in last.split())
    assert list(values) == ["AUROC", "LOGLOSS", "OOT_AUROC", "OOT_LOGLOSS"]
    assert float(values["AUROC"]) > 0.7
    found = json.loads((out / "report.json").read_text())
    assert f"{found['five_folds']['LSTM']['auroc']['value']:.4f}" == values["AUROC"]
    assert set(found["five_folds"]) >= {"LSTM", "logistic regression", "Pareto/NBD", "MBG/NBD"}
    for name in ("report.md", "report.html", "calibration.svg", "curves.svg"):
        assert (out / name).stat().st_size > 1000

    report = (out / "report.md").read_text()
    answers = sorted((out / "answers").iterdir())
    answers[0].unlink()  # as if it had ended before
    ages = {path: path.stat().st_mtime_ns for path in answers[1:]}
    again = CliRunner().invoke(group, arguments)
    assert again.output.strip().splitlines()[-1] == last
    assert (out / "report.md").read_text() == report
    assert {path: path.stat().st_mtime_ns for path in answers[1:]} == ages

    other = CliRunner().invoke(group, [*arguments, "--seed", "9"])
    assert other.exit_code == 1
    assert "holds a run of other data or options" in other.output
