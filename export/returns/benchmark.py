"""The customer-return benchmark from file to report.

Rules of the room: everything is a function of the file, the periods, the seed and the recipe;
answers are kept one by one (kept.py), so that a run which was cut short goes on.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np

from export.evaluation import document, plots
from export.evaluation.board import Board
from export.evaluation.probabilities import pr_curve, reliability, roc_curve
from export.returns.five_folds import LOGISTIC, LSTM, FiveFolds, five_folds
from export.returns.kept import Kept
from export.returns.measured import measured
from export.returns.out_of_time import PARETO, OutOfTime, out_of_time
from export.returns.purchases import Purchases, read_purchases
from export.returns.report import CALIBRATION, CURVES, Findings, as_json, blocks
from export.returns.samples import sample_at
from export.returns.sequence_model import Recipe
from export.returns.shift import shifts

END_SLACK_DAYS: Final = 7  # a log may end with days on which nobody bought
SHOWN: Final = (LSTM, LOGISTIC, PARETO)  # in pictures


@dataclass(frozen=True, slots=True)
class Periods:
    """Days, each the last of its stretch."""

    inner: date  # of the past that the out-of-time models learn from
    last: date  # of the past
    end: date  # of what is asked

    def check(self, purchases: Purchases) -> None:
        """Raise ValueError where the file does not hold these days."""
        first, newest = (
            date.fromordinal(int(day)) for day in (purchases.day.min(), purchases.day.max())
        )
        if not first <= self.inner < self.last < self.end:
            raise ValueError(
                f"these must follow each other: first purchase {first}, --inner-cut {self.inner},"
                f" --cut {self.last}, --end {self.end}"
            )
        if (self.end - newest).days > END_SLACK_DAYS:
            raise ValueError(f"the last purchase is of {newest}: --end {self.end} was not seen")
        half = (self.end - self.last).days // 2
        if half < 2 or (self.last - self.inner).days < half:
            raise ValueError(
                f"from --cut {self.last} to --end {self.end} must be 4 days or more, from"
                f" --inner-cut {self.inner} to --cut half of that or more"
            )


def run(data: Path, out: Path, periods: Periods, seeds: range, recipe: Recipe) -> Findings:
    """Read, ask all models, write `out`. Raises ValueError on data or a folder that do not fit."""
    purchases = read_purchases(data)
    periods.check(purchases)
    settings = {
        "data": hashlib.sha256(data.read_bytes()).hexdigest(),
        "inner": str(periods.inner),
        "last": str(periods.last),
        "end": str(periods.end),
        "seeds": list(seeds),
        "recipe": asdict(recipe),
    }
    days = (periods.inner.toordinal(), periods.last.toordinal(), periods.end.toordinal())
    sample = sample_at(purchases, days[1], days[2] - days[1])
    kept = Kept(out, settings)
    with Board(3) as board:
        folds = five_folds(sample, seeds, recipe, kept, lambda text: board.said("five folds", text))
        board.ended("five folds", "done")
        later = out_of_time(
            purchases, days, seeds, recipe, kept, lambda text: board.said("out of time", text)
        )
        board.ended("out of time", "done")
        board.said("report", "intervals")
        found = _findings(data.name, settings, purchases, folds, later, seeds)
        _pictures(out, folds, later)
        document.write(out, blocks(found))
        text = json.dumps(as_json(found), indent=1, allow_nan=False)
        (out / "report.json").write_text(text + "\n", "utf-8")
        board.ended("report", str(out / "report.md"))
    return found


def _findings(
    file: str,
    settings: Mapping[str, object],
    purchases: Purchases,
    folds: FiveFolds,
    later: OutOfTime,
    seeds: range,
) -> Findings:
    returned, seed = folds.sample.returned, seeds[0]
    single = {f"seed {at}": value for at, value in zip(seeds, folds.single, strict=True)}
    alive = {f"P(alive) of {name}": value for name, value in folds.alive.items()}
    apart = {LSTM: folds.probability[LSTM], **single, **alive}
    return Findings(
        file,
        settings,
        purchases,
        folds,
        later,
        measured(folds.probability, returned, LSTM, seed),
        measured(apart, returned, LSTM, seed),
        measured(later.rehearsal.probability, later.rehearsal.sample.returned, PARETO, seed),
        measured(later.test.probability, returned, PARETO, seed),
        shifts(later.test),
    )


def _pictures(out: Path, folds: FiveFolds, later: OutOfTime) -> None:
    returned = folds.sample.returned
    answers = {name: folds.probability[name] for name in SHOWN}
    answers["out of time"] = np.asarray(later.test.probability[later.chosen])
    plots.calibration(
        out / CALIBRATION, {name: reliability(p, returned) for name, p in answers.items()}
    )
    plots.curves(
        out / CURVES,
        {name: roc_curve(p, returned) for name, p in answers.items()},
        {name: pr_curve(p, returned) for name, p in answers.items()},
        folds.sample.share,
    )
