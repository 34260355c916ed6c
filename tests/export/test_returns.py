"""The customer-return benchmark without training: reading, samples, folds, what is kept, errors."""

import gzip
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from export.__main__ import group
from export.baselines.mbg_nbd import fit_bg_nbd
from export.baselines.pareto_nbd import fit_pareto_nbd
from export.evaluation.probabilities import log_loss, roc_auc
from export.returns.five_folds import FOLDS, folds_of
from export.returns.kept import Kept
from export.returns.out_of_time import cuts_within
from export.returns.purchases import Purchases, read_purchases
from export.returns.samples import elapsed, recency_frequency_money, sample_at
from export.returns.shift import shifted_to

HEADER = " customer_id  date number_of_cds  dollar_value\n"
LINES = HEADER + " b 19970103 1 10.00\n a 19970101 2 5.5\n a 19970101 1 4.5\n\n a 19970105 1 7\n"
DAY = date(1997, 1, 1).toordinal()
CDNOW = Path(__file__).parents[3] / "shared" / "data" / "cdnow" / "CDNOW_master.txt.gz"


@pytest.fixture
def purchases(tmp_path: Path) -> Purchases:
    path = tmp_path / "small.txt"
    path.write_text(LINES)
    return read_purchases(path)


def test_purchases_of_a_day_are_one(purchases) -> None:
    assert purchases.names == ("a", "b")
    assert purchases.customer.tolist() == [0, 0, 1]
    assert (purchases.day - DAY).tolist() == [0, 4, 2]
    assert purchases.money.tolist() == [10, 7, 10]
    assert purchases.units.tolist() == [3, 1, 1]


def test_gzip_and_plain_read_the_same(tmp_path, purchases) -> None:
    path = tmp_path / "small.gz"
    path.write_bytes(gzip.compress(LINES.encode()))
    assert read_purchases(path).money.tolist() == purchases.money.tolist()


BAD = [
    (b"", "no purchases"),
    (HEADER.encode(), "no purchases"),
    (gzip.compress(LINES.encode())[:-12], "damaged or cut-off gzip"),
    (b"\x1f\x8bnot gzip", "damaged or cut-off gzip"),
    (b"\xff\xfe\x00", "not a text file"),
    (b"a 19970101 1 2\n", "line 1: a purchase where the header line should be"),
    (b"user,item\n", "line 1: 1 columns; expected a header"),
    ((HEADER + "a 19970101 1\n").encode(), "line 2: 3 columns"),
    ((HEADER + "a 19970101 1 2 3\n").encode(), "line 2: 5 columns"),
    ((HEADER + "a 1997-01-01 1 2\n").encode(), "line 2: date '1997-01-01'"),
    ((HEADER + "a 19970230 1 2\n").encode(), "line 2: no such date: 19970230"),
    ((HEADER + "a 19970101 x 2\n").encode(), "line 2: could not convert"),
    ((HEADER + "a 19970101 1 nan\n").encode(), "line 2: units 1, money nan: not from 0 up"),
    ((HEADER + "a 19970101 1 -2\n").encode(), "not from 0 up"),
]


@pytest.mark.parametrize(("data", "said"), BAD)
def test_what_is_wrong_with_a_file_is_said_in_one_line(tmp_path, data, said) -> None:
    path = tmp_path / "bad"
    path.write_bytes(data)
    done = CliRunner().invoke(
        group, ["benchmark", "return", "--data", str(path), "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 1
    assert said in done.output
    assert done.output.startswith("Error: ")
    assert done.output.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "the last purchase is of 1997-01-05: --end 1998-06-30 was not seen"),
        (["--end", "1997-12-01"], "must follow each other"),
        (["--inner-cut", "1996-12-31"], "must follow each other: first purchase 1997-01-01"),
    ],
)
def test_periods_that_do_not_fit_are_refused(tmp_path, options, said) -> None:
    path = tmp_path / "small.txt"
    path.write_text(LINES)
    out = tmp_path / "out"
    done = CliRunner().invoke(
        group, ["benchmark", "return", "--data", str(path), "--out", str(out), *options]
    )
    assert done.exit_code == 1
    assert said in done.output


def test_a_sample_knows_the_last_day_and_nothing_after_it(purchases) -> None:
    sample = sample_at(purchases, DAY + 2, 2)
    assert sample.customer.tolist() == [0, 1]
    assert sample.count.tolist() == [1, 1]
    assert sample.histories.age.tolist() == [3, 1]
    assert sample.returned.tolist() == [True, False]
    assert recency_frequency_money(sample)[:, 0].tolist() == [3, 1]
    assert recency_frequency_money(sample)[:, 2] == pytest.approx(np.log1p([10, 10]))
    assert elapsed(sample)[:, 0].tolist() == [3, 1]
    with pytest.raises(ValueError, match="of 2 customers of 1997-01-03, 0 buy in the 1 days"):
        sample_at(purchases, DAY + 2, 1)
    with pytest.raises(ValueError, match="no purchase up to 1996-12-31"):
        sample_at(purchases, DAY - 1, 9)


@pytest.mark.skipif(not CDNOW.exists(), reason="shared/data/cdnow is not on this machine")
def test_buyer_models_do_on_cdnow_what_is_known_of_them() -> None:
    sample = sample_at(read_purchases(CDNOW), date(1997, 12, 31).toordinal(), 181)
    assert (len(sample), int(sample.returned.sum())) == (23_570, 5_374)
    known = ((fit_pareto_nbd, 0.7998, 0.4208), (fit_bg_nbd, 0.7882, 0.4244))
    for fit, auroc, loss in known:
        returns = 1 - fit(sample.histories).p_silent(sample.histories, 181)
        assert roc_auc(returns, sample.returned) == pytest.approx(auroc, abs=0.0005)
        assert log_loss(returns, sample.returned) == pytest.approx(loss, abs=0.0005)


def test_folds_share_both_answers_out() -> None:
    returned = np.arange(103) % 4 == 0
    fold = folds_of(returned, 1)
    for answer in (True, False):
        counts = np.bincount(fold[returned == answer], minlength=FOLDS)
        assert counts.max() - counts.min() <= 1
    assert (fold != folds_of(returned, 2)).any()
    assert (fold == folds_of(returned, 1)).all()


def test_labels_of_the_cuts_end_with_the_past() -> None:
    assert cuts_within(0, 184, 365) == [94, 64, 34, 4]
    assert cuts_within(0, 90, 270) == [0]
    assert all(day + 90 <= 184 for day in cuts_within(0, 184, 365))


def test_a_correction_of_the_share_keeps_the_order() -> None:
    given = np.array([0.9, 0.5, 0.2, 0.7])
    made = shifted_to(given, 0.3)
    assert made.mean() == pytest.approx(0.3)
    assert np.argsort(made).tolist() == np.argsort(given).tolist()
    assert shifted_to(given, float(given.mean())) == pytest.approx(given)


def test_answers_are_kept_for_the_same_settings_only(tmp_path) -> None:
    made: list[int] = []

    def make() -> np.ndarray:
        made.append(1)
        return np.array([0.25, 0.5])

    for _ in range(2):
        assert Kept(tmp_path / "run", {"seed": 1}).answer("one", make).tolist() == [0.25, 0.5]
    assert len(made) == 1
    with pytest.raises(ValueError, match="holds a run of other data or options"):
        Kept(tmp_path / "run", {"seed": 2})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious.txt").write_text("")
    with pytest.raises(ValueError, match="is not empty"):
        Kept(tmp_path / "full", {})
    (tmp_path / "run" / "answers" / "one.f8").write_bytes(b"123")
    with pytest.raises(ValueError, match=r"one\.f8 is damaged"):
        Kept(tmp_path / "run", {"seed": 1}).answer("one", make)
