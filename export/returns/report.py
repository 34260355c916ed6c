"""The report of the customer-return benchmark: what was found, in blocks and as JSON.

Rules of the room: numbers come in computed; here they are put in words and tables.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final

import numpy as np

from export.evaluation.document import Block, Heading, Items, Paragraph, Picture, Table
from export.evaluation.probabilities import Reliability, log_loss, reliability, roc_auc
from export.returns.five_folds import FOLDS, LSTM, FiveFolds
from export.returns.measured import Interval, Measured
from export.returns.out_of_time import PARETO, Asked, OutOfTime
from export.returns.purchases import Purchases
from export.returns.shift import Shift

CALIBRATION: Final = "calibration.svg"
CURVES: Final = "curves.svg"


@dataclass(frozen=True, slots=True)
class Findings:
    """All that the report says."""

    file: str
    settings: Mapping[str, Any]
    purchases: Purchases
    folds: FiveFolds
    later: OutOfTime
    in_folds: dict[str, Measured]  # beside the LSTM
    apart: dict[str, Measured]  # single seeds and P(alive), beside the LSTM
    rehearsal: dict[str, Measured]  # beside Pareto/NBD
    test: dict[str, Measured]  # beside Pareto/NBD
    shifts: dict[str, Shift]  # of the test

    @property
    def last_line(self) -> str:
        """What the command prints last."""
        folds, test = self.in_folds[LSTM], self.test[self.later.chosen]
        return (
            f"AUROC={folds.auroc.value:.4f} LOGLOSS={folds.log_loss.value:.4f}"
            f" OOT_AUROC={test.auroc.value:.4f} OOT_LOGLOSS={test.log_loss.value:.4f}"
        )


def as_json(found: Findings) -> dict[str, Any]:
    """Give the report's numbers."""
    folds, later = found.folds, found.later
    return {
        "file": found.file,
        "settings": dict(found.settings),
        "customers": len(folds.sample),
        "returned": int(folds.sample.returned.sum()),
        "five_folds": _plain(found.in_folds),
        "by_fold": _by_fold(folds),
        "apart": _plain(found.apart),
        "calibration": {
            name: _bins(reliability(value, folds.sample.returned))
            for name, value in folds.probability.items()
        },
        "buyers": {name: asdict(fitted) for name, fitted in folds.buyers.items()},
        "out_of_time": {
            "chosen": later.chosen,
            "rehearsal": _plain(found.rehearsal),
            "test": _plain(found.test),
            "learned": {name: cuts._asdict() for name, cuts in later.test.learned.items()},
            "shift": {
                name: {key: None if np.isnan(held) else held for key, held in asdict(row).items()}
                for name, row in found.shifts.items()
            },
        },
    }


def blocks(found: Findings) -> list[Block]:
    """Lay the report out."""
    sample = found.folds.sample
    return [
        Heading("Customer return", 1),
        Paragraph(f"**{found.last_line}**", lead=True),
        Paragraph(
            f"{found.file}: {len(found.purchases.names):,} customers,"
            f" {len(found.purchases.day):,} days of purchase. Of the {len(sample):,} who bought up"
            f" to {found.settings['last']}, {int(sample.returned.sum()):,}"
            f" ({_percent(sample.share)}) bought again by {found.settings['end']}."
            " That is what is asked. Intervals: 95 %, customers drawn with replacement."
        ),
        *_fold_blocks(found),
        *_time_blocks(found),
        *_shift_blocks(found),
        *_buyer_blocks(found),
    ]


def _fold_blocks(found: Findings) -> list[Block]:
    by_fold = _by_fold(found.folds)
    spread = {
        name: f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"
        for name, values in ((name, row["auroc"]) for name, row in by_fold.items())
    }
    losses = {name: f"{np.mean(row['log_loss']):.4f}" for name, row in by_fold.items()}
    bins = reliability(found.folds.probability[LSTM], found.folds.sample.returned)
    return [
        Heading("Five folds"),
        Paragraph(
            "Each customer is asked by models that learned from the other four folds. The LSTM is"
            f" the mean logit of {len(found.folds.single)} seeds. Pareto/NBD, MBG/NBD and BG/NBD"
            " see pasts only, never a label. AUROC and log-loss are of all answers together."
        ),
        _table("LSTM", found.in_folds),
        Heading("By fold", 3),
        Table(
            ("model", "AUROC, mean ± deviation of the folds", "log-loss, mean of the folds"),
            tuple((name, spread[name], losses[name]) for name in by_fold),
        ),
        Heading("Single seeds, and P(alive) taken for the answer", 3),
        _table("LSTM", found.apart),
        Heading("Calibration of the LSTM", 3),
        Table(
            ("customers", "probability given", "share that returned"),
            tuple(
                (f"{weight:,.0f}", f"{given:.3f}", f"{came:.3f}")
                for given, came, weight in zip(*bins, strict=True)
            ),
        ),
        Picture(CALIBRATION, "Share that returned against the probability given, in bins"),
        Picture(CURVES, "ROC, and precision against recall"),
    ]


def _time_blocks(found: Findings) -> list[Block]:
    later = found.later
    return [
        Heading("Out of time"),
        Paragraph(
            f"Labels only from up to {found.settings['last']}: what was learned there is asked"
            " about the days after it. Pareto/NBD is fitted on the whole past. The candidate is"
            " chosen by the rehearsal's log-loss, which uses nothing of the test:"
            f" **{later.chosen}**."
        ),
        Items((_learned("rehearsal", later.rehearsal), _learned("test", later.test))),
        Heading("Rehearsal", 3),
        _table(PARETO, found.rehearsal),
        Heading("Test", 3),
        _table(PARETO, found.test),
    ]


def _shift_blocks(found: Findings) -> list[Block]:
    asked = found.later.test
    shares = [
        f"{name} {_percent(cuts.share)} in {cuts.horizon} days"
        for name, cuts in asked.learned.items()
    ]
    return [
        Heading("Shift of the base rate"),
        Paragraph(
            f"Share that returned: learned from {', '.join(shares)}; asked about"
            f" {_percent(asked.sample.share)} in {asked.sample.horizon} days; expected by"
            f" Pareto/NBD {_percent(float(asked.probability[PARETO].mean()))}. Corrected: one"
            " constant added to all logits, so that the mean is what Pareto/NBD expects; no later"
            " label is used, and the AUROC stays. The last column knows the later share and is no"
            " answer."
        ),
        Table(
            ("candidate", "mean given", "log-loss", "corrected", "if the share were known"),
            tuple(
                (
                    name,
                    f"{row.mean:.3f}",
                    f"{row.as_learned:.4f}",
                    f"{row.corrected:.4f}",
                    f"{row.share_known:.4f}",
                )
                for name, row in found.shifts.items()
            ),
        ),
    ]


def _buyer_blocks(found: Findings) -> list[Block]:
    seen = found.folds.sample.histories
    return [
        Heading("Buyer models"),
        Paragraph("Maximum likelihood on all pasts; times in days."),
        Table(
            ("model", "parameters", "log-likelihood"),
            tuple(
                (
                    name,
                    ", ".join(
                        f"{key} {value:.4g}"
                        for key, value in asdict(fitted).items()
                        if not isinstance(value, bool)
                    ),
                    f"{float(fitted.log_likelihood(seen).sum()):,.1f}",
                )
                for name, fitted in found.folds.buyers.items()
            ),
            frozenset({1}),
        ),
    ]


def _table(reference: str, rows: dict[str, Measured]) -> Table:
    heads = ("AUROC", "log-loss", "Brier", "calibration error", "mean given")
    beside = (f"AUROC beside {reference}", f"log-loss below {reference}")
    return Table(
        ("model", *heads, *beside),
        tuple(
            (
                name,
                _interval(row.auroc),
                _interval(row.log_loss),
                f"{row.brier:.4f}",
                f"{row.calibration_error:.4f}",
                f"{row.mean:.3f}",
                "" if name == reference else _interval(row.auroc_gain, "+"),
                "" if name == reference else _interval(row.log_loss_gain, "+"),
            )
            for name, row in rows.items()
        ),
    )


def _learned(name: str, asked: Asked) -> str:
    said = (
        f"{key}: {', '.join(date.fromordinal(day).isoformat() for day in cuts.last_days)},"
        f" the {cuts.horizon} days after"
        for key, cuts in asked.learned.items()
    )
    return f"{name}, learned from {'; '.join(said)}"


def _by_fold(folds: FiveFolds) -> dict[str, dict[str, list[float]]]:
    returned = folds.sample.returned
    parts = [folds.fold == index for index in range(FOLDS)]
    return {
        name: {
            "auroc": [roc_auc(value[part], returned[part]) for part in parts],
            "log_loss": [log_loss(value[part], returned[part]) for part in parts],
        }
        for name, value in folds.probability.items()
    }


def _bins(made: Reliability) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in made._asdict().items()}


def _plain(rows: dict[str, Measured]) -> dict[str, Any]:
    return {name: asdict(row) for name, row in rows.items()}


def _interval(of: Interval, sign: str = "") -> str:
    return f"{of.value:{sign}.4f} ({of.lower:{sign}.4f} to {of.upper:{sign}.4f})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
