"""The report of a retrain: Markdown for a person, and the same as plain data."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from export.dataset.folder import Dataset
from export.retrain.gates import Verdict, passes
from stream.model.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a retrain came to."""

    live: Bundle
    candidate: Bundle
    dataset: Dataset
    verdicts: list[Verdict]
    parity: float
    train_seconds: float
    epochs: int
    live_may_have_seen: bool  # the live bundle does not say until when its data go
    command: str

    @property
    def passed(self) -> bool:
        """Whether every gate is passed."""
        return passes(self.verdicts)


def as_data(outcome: Outcome) -> dict[str, Any]:
    """Give the report as JSON types."""
    cuts = outcome.dataset.cuts
    return {
        "decision": "promote" if outcome.passed else "keep",
        "live": outcome.live.version,
        "candidate": outcome.candidate.version,
        "compared_from_ms": cuts.test_ms,
        "compared_until_ms": cuts.end_ms,
        "live_may_have_seen_these_days": outcome.live_may_have_seen,
        "parity": outcome.parity,
        "train_seconds": round(outcome.train_seconds, 1),
        "epochs": outcome.epochs,
        "synthetic": outcome.dataset.manifest.synthetic,
        "command": outcome.command,
        "gates": [asdict(verdict) for verdict in outcome.verdicts],
    }


def render(outcome: Outcome) -> str:
    """Lay the report out."""
    lines = [
        "# Retrain report",
        "",
        _decision(outcome),
        "",
        _data(outcome),
        _days(outcome),
        "",
        "## Gates",
        "",
        "| gate | live | candidate | at worst | difference, 95 % | rows | |",
        "|---|---:|---:|---:|---|---:|---|",
        *map(_row, outcome.verdicts),
        "",
        _NOTE,
        "",
        _checks(outcome),
        "",
        "## Beside the baselines",
        "",
        *_tables(outcome.candidate.manifest.metrics.get("tables", {})),
        "## The two bundles",
        "",
        *_bundles(outcome),
    ]
    return "\n".join(lines) + "\n"


_NOTE = (
    "The difference is candidate minus live, its interval from drawing users. An open gate is one"
    " that these days do not answer (an event that never came, or a horizon that is longer than"
    " they are); it stops nothing, except for next items."
)


def _decision(outcome: Outcome) -> str:
    decision = "may be promoted" if outcome.passed else "is kept back"
    return (
        f"**The candidate {decision}.** Live `{outcome.live.version}`, candidate"
        f" `{outcome.candidate.version}`. Command: `{outcome.command}`."
    )


def _days(outcome: Outcome) -> str:
    cuts = outcome.dataset.cuts
    seen = (
        "the live bundle does not say until when its data go, so it may have: that flatters it"
        if outcome.live_may_have_seen
        else "neither has the live bundle"
    )
    return (
        f"Both were run over the same rows, as served, from {_stamp(cuts.test_ms)} to"
        f" {_stamp(cuts.end_ms)}. The candidate has not learned from these days; {seen}."
    )


def _checks(outcome: Outcome) -> str:
    return (
        f"Parity of torch, ONNX and numpy: {outcome.parity:.1e}, tolerance"
        f" {outcome.candidate.manifest.tolerance:.0e}. Training: {outcome.epochs} epochs,"
        f" {outcome.train_seconds:.0f} s."
    )


def _bundles(outcome: Outcome) -> list[str]:
    bundles = (outcome.live, outcome.candidate)
    until = [bundle.manifest.training.until_ms for bundle in bundles]
    rows = (
        ("model", *(bundle.manifest.model for bundle in bundles)),
        ("items known", *(f"{bundle.vocabulary.items_count:,}" for bundle in bundles)),
        ("L", *(str(bundle.refresh_steps) for bundle in bundles)),
        ("data", *(bundle.manifest.training.data for bundle in bundles)),
        ("data until", *(_stamp(ms) if ms else "not stated" for ms in until)),
        ("simulated", *(str(bundle.manifest.training.synthetic) for bundle in bundles)),
    )
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return ["| | live | candidate |", "|---|---|---|", *lines]


def _data(outcome: Outcome) -> str:
    manifest = outcome.dataset.manifest
    made = " It is simulated and says nothing about a real shop." if manifest.synthetic else ""
    counts = manifest.counts
    return (
        f"Learned from {counts['events']:,} events of {counts['users']:,} users"
        f" ({manifest.source['kind']}).{made} What the data are like: dataset/report.md."
    )


def _row(verdict: Verdict) -> str:
    gate, pair = verdict.gate, verdict.pair
    if pair is None:
        return f"| {gate.about} (`{gate.name}`) | | | | | | open |"
    between = "" if pair.low is None else f"{pair.low:+.4f} to {pair.high:+.4f}"
    rows = f"{pair.rows:,}" if pair.rows else ""
    said = "passed" if verdict.passed else "**failed**"
    numbers = (pair.live, pair.candidate, gate.limit(pair.live))
    cells = " | ".join(f"{value:,.0f}" if value >= 1000 else f"{value:.4f}" for value in numbers)
    return f"| {gate.about} (`{gate.name}`) | {cells} | {between} | {rows} | {said} |"


def _tables(tables: dict[str, Any]) -> list[str]:
    lines = []
    for question, answers in tables.items():
        names = list(next(iter(answers.values())))
        lines += [f"| {question} | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
        lines += [
            f"| {answerer} | {' | '.join(f'{values[name]:.4f}' for name in names)} |"
            for answerer, values in answers.items()
        ]
        lines.append("")
    return lines


def _stamp(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
