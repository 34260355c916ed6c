"""What a candidate must hold against the live bundle before it may serve.

Rules of the room: a gate compares values, with a margin that a person may set: within it the
candidate counts as not worse. A question that the newest days do not answer is said to be open, and
does not stop anything, but without next items and without a single answered gate nothing passes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from export.retrain.side_by_side import Pair

OFF: Final = "off"


@dataclass(frozen=True, slots=True)
class Gate:
    """One rule. `margin`: how much worse is still not worse; of a ratio, the largest."""

    name: str  # of the measure, see side_by_side
    about: str
    margin: float
    higher_is_better: bool = False
    ratio: bool = False

    def limit(self, live: float) -> float:
        """Give the worst value that passes."""
        if self.ratio:
            return live * self.margin
        return live - self.margin if self.higher_is_better else live + self.margin


@dataclass(frozen=True, slots=True)
class Verdict:
    """A gate and what came of it. `passed` None: the newest days do not answer it."""

    gate: Gate
    pair: Pair | None
    passed: bool | None


GATES: Final = (
    Gate("p_at_10", "next item among the ten best", 0.005, higher_is_better=True),
    Gate("next_event_log_loss", "next event", 0.01),
    Gate("purchase_auc", "purchase within the horizon, ranking", 0.01, higher_is_better=True),
    Gate("purchase_log_loss", "purchase within the horizon", 0.01),
    Gate("purchase_calibration_error", "purchase, calibration", 0.01),
    Gate("silence_auc", "silence goes on, ranking", 0.01, higher_is_better=True),
    Gate("silence_log_loss", "silence goes on", 0.01),
    Gate("silence_calibration_error", "silence, calibration", 0.02),
    Gate("bundle_bytes", "size of the bundle, times the live one's", 2.0, ratio=True),
    Gate("score_us", "processor time of scoring a row, times the live one's", 1.5, ratio=True),
)
NEEDED: Final = "p_at_10"  # open: nothing is known of what most of the model is for


def chosen(settings: Iterable[str]) -> list[Gate]:
    """Apply NAME=MARGIN and NAME=off to the gates. Raises ValueError."""
    gates = {gate.name: gate for gate in GATES}
    for text in settings:
        name, separator, value = text.partition("=")
        if not separator or name not in {gate.name for gate in GATES}:
            raise ValueError(
                f"gate {text}: write NAME=MARGIN or NAME={OFF}, NAME one of"
                f" {', '.join(gate.name for gate in GATES)}"
            )
        if value == OFF:
            gates.pop(name, None)
            continue
        try:
            margin = float(value)
        except ValueError:
            margin = -1.0
        if not 0 <= margin < float("inf"):
            raise ValueError(f"gate {text}: {value!r} is no margin")
        gates[name] = replace(gates[name], margin=margin)
    return list(gates.values())


def judge(pairs: Mapping[str, Pair], gates: Iterable[Gate]) -> list[Verdict]:
    """Hold the measures against the gates."""
    return [_verdict(gate, pairs.get(gate.name)) for gate in gates]


def passes(verdicts: Iterable[Verdict]) -> bool:
    """Say whether the candidate may serve."""
    held = list(verdicts)
    if any(v.gate.name == NEEDED and v.passed is None for v in held):
        return False
    answered = [v.passed for v in held if v.passed is not None]
    return bool(answered) and all(answered)


def _verdict(gate: Gate, pair: Pair | None) -> Verdict:
    if pair is None:
        return Verdict(gate, None, None)
    limit = gate.limit(pair.live)
    good = pair.candidate >= limit if gate.higher_is_better else pair.candidate <= limit
    return Verdict(gate, pair, good)
