"""One round: data since the live bundle, a candidate, the comparison, the report."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from export.bundles.dataset_bundle import Order, dataset_bundle
from export.dataset.build import Origin, Wishes, build_dataset
from export.dataset.event_log import EventLog
from export.dataset.merge_log import without_before
from export.dataset.names import Names
from export.dataset.split import cuts_by_share, good_events
from export.models.contract import Say
from export.retrain.gates import GATES, Gate, judge
from export.retrain.page import Outcome, as_data, render
from export.retrain.side_by_side import serve, side_by_side
from export.training.train import Tick
from stream.core.config import DAY_MS, EngineConfig
from stream.model.bundle import Bundle

DATASET = "dataset"
CANDIDATE = "candidate"
REPORT = "report.md"
REPORT_DATA = "report.json"


@dataclass(frozen=True, slots=True)
class Round:
    """How to go about it."""

    order: Order
    wishes: Wishes  # shares: validation for stopping and calibration, test for the comparison
    history_days: float = 28.0  # learned from before the end of the live bundle's data
    events_min: int = 1000  # events since then that are worth a round
    gates: list[Gate] = field(default_factory=lambda: list(GATES))


def retrain(
    folder: Path,
    live: Bundle,
    log: EventLog,
    names: Names,
    origin: Origin,
    this: Round,
    say: Say,
    tick: Tick | None = None,
) -> Outcome:
    """Run one round into a folder that is not there yet. Raises ValueError."""
    if live.hazard_edges_ms != EngineConfig().hazard_edges_ms:
        raise ValueError(
            f"{live.version} cuts silence at {live.hazard_edges_ms} ms, this code at"
            f" {EngineConfig().hazard_edges_ms}: train a bundle and start the workers anew with it"
        )
    until_ms = live.manifest.training.until_ms
    log = since_live(log, until_ms, this)
    cuts = cuts_by_share(log, this.wishes.validation_share, this.wishes.test_share)
    wishes = replace(
        this.wishes,
        test_ms=max(cuts.test_ms, until_ms),
        purchase_horizon_ms=live.manifest.purchase_horizon_ms,
    )
    dataset = build_dataset(folder / DATASET, log, names, origin, wishes, say)
    made, _ = dataset_bundle(folder / CANDIDATE, dataset, this.order, say, tick)
    say("live and candidate over the newest days, as served")
    pairs = side_by_side(serve(live, dataset), serve(made.bundle, dataset))
    outcome = Outcome(
        live=live,
        candidate=made.bundle,
        dataset=dataset,
        verdicts=judge(pairs, this.gates),
        parity=made.parity,
        train_seconds=made.trained.seconds,
        epochs=len(made.trained.epochs),
        live_may_have_seen=until_ms == 0,
        command=origin.command,
    )
    text = msgspec.json.format(msgspec.json.encode(as_data(outcome)), indent=1)
    (folder / REPORT_DATA).write_bytes(text + b"\n")
    (folder / REPORT).write_text(render(outcome))
    return outcome


def since_live(log: EventLog, until_ms: int, this: Round) -> EventLog:
    """Keep the events since the live bundle's data ended, and some history. Raises ValueError."""
    fresh = int((good_events(log.events) & (log.events["time_ms"] > until_ms)).sum())
    if fresh < this.events_min:
        raise ValueError(
            f"{fresh} events since the live bundle's data ended; a round needs {this.events_min}"
        )
    return without_before(log, until_ms - int(this.history_days * DAY_MS))
