"""What the flow tells the outside about itself: the protocol that the metrics fill.

Rules of the room: called once per chunk, batch or commit, never per event; arrays are only read,
and only during the call; every method returns at once, is safe from any thread and never raises on
numbers. Labels come from the closed sets below. `topic` is a topic's code in layout.TOPICS.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from stream.core.layout import Records

if TYPE_CHECKING:
    from stream.core.results import Settled
    from stream.flow.flights import Flight

Stage = Literal["decode", "order", "state", "queue", "inference", "encode", "produce", "commit"]
CommitOutcome = Literal["committed", "aborted", "fenced", "deadline"]
WorkerState = Literal["starting", "rebalancing", "restoring", "running", "draining", "stopping"]
Eviction = Literal["capacity", "ttl", "forgotten"]
InferenceFailure = Literal["cuda", "other"]
ReloadOutcome = Literal["swapped", "refused"]
Purpose = Literal["promotion", "shadow"]
ProduceError = Literal["retriable", "fatal", "too_large", "timeout"]

STAGES: Final[tuple[str, ...]] = get_args(Stage)
COMMIT_OUTCOMES: Final[tuple[str, ...]] = get_args(CommitOutcome)
WORKER_STATES: Final[tuple[str, ...]] = get_args(WorkerState)
EVICTIONS: Final[tuple[str, ...]] = get_args(Eviction)
INFERENCE_FAILURES: Final[tuple[str, ...]] = get_args(InferenceFailure)
RELOAD_OUTCOMES: Final[tuple[str, ...]] = get_args(ReloadOutcome)
PURPOSES: Final[tuple[str, ...]] = get_args(Purpose)
PRODUCE_ERRORS: Final[tuple[str, ...]] = get_args(ProduceError)


class Observer(Protocol):
    """Takes notice. The flow behaves the same whoever listens."""

    def chunk(self, topic: int, partition: int, rows: int, bytes_count: int) -> None:
        """Count a fetched chunk of an input topic."""

    def held_over(self, topic: int, partition: int, times: int) -> None:
        """Count times that a partition's rows went on without a topic known to be behind."""

    def stage(self, stage: Stage, seconds: float) -> None:
        """Take the time that one batch (for `commit`: one commit) spent in a stage."""

    def batch(self, rows: Records, now_ms: int) -> None:
        """Count settled rows ((r,) ROW) by topic, outcome and reason, and note their event time."""

    def scores(self, purchase: npt.NDArray[np.float32], churn: npt.NDArray[np.float32]) -> None:
        """Take the probabilities of a batch's predictions, (B,) each; churn -1 is left out."""

    def inference(self, rows: int, steps: int, padded_steps: int) -> None:
        """Count one call of the scorer: rows scored, steps run, steps added to fill its bucket."""

    def alerts(self, alerts: Records) -> None:
        """Count published transitions ((k,) ALERT) by state and level."""

    def published(
        self, flight: "Flight", settled: "Settled", item_json: Sequence[bytes], now_ms: int
    ) -> None:
        """Show a batch's predictions and alerts to who may look; nothing of it is kept for long."""

    def commit(
        self,
        outcome: CommitOutcome,
        seconds: float,
        receipt_ms: npt.NDArray[np.int64],
        event_ms: npt.NDArray[np.int64],
        now_ms: int,
    ) -> None:
        """Count a transaction and, of each row in it, the latencies until `now_ms`, its end.

        receipt_ms: (r,) wall clock at which the row's chunk was received. event_ms: (r,) event
        time, NEVER_MS is left out. Both are ignored unless `outcome` is committed.
        """

    def in_flight(self, rows: int) -> None:
        """Set how many rows are fetched and not yet committed."""

    def lag(self, topic: int, partition: int, records: int, seconds: float) -> None:
        """Set how far commits are behind the last stable offset, in records and in age."""

    def partitions(self, partitions: tuple[int, ...]) -> None:
        """Set the assigned partition numbers; what was said of any other is forgotten."""

    def rebalance(self, seconds: float) -> None:
        """Count a rebalance that took so long, from revoke to running."""

    def paused(self, seconds: float) -> None:
        """Add time for which a partition was held back by a full buffer or a dead-letter limit."""

    def state(
        self, partition: int, users: int, bytes_count: int, at_risk: int, high_risk: int
    ) -> None:
        """Set the size of one engine's state and its open alerts by level."""

    def evicted(self, reason: Eviction, users: int) -> None:
        """Count users whose state was dropped."""

    def restoring(self, partition: int, records_remaining: int) -> None:
        """Set how many changelog records a partition still has to read."""

    def restored(self, partition: int, records: int, seconds: float) -> None:
        """Count a finished restore."""

    def produce_error(self, topic: str, reason: ProduceError) -> None:
        """Count a record that an output topic (name without prefix) did not take."""

    def inference_failure(self, reason: InferenceFailure) -> None:
        """Count a call of the scorer that failed."""

    def provider_fallback(self) -> None:
        """Count a switch to the CPU session and mark the worker as degraded."""

    def model(self, version: str, sha256: str, provider: str, precision: str) -> None:
        """Set the model that scores from now on."""

    def model_reload(self, outcome: ReloadOutcome) -> None:
        """Count an attempt to swap the model."""

    def model_behind(self, behind: bool) -> None:
        """Set whether the control record names another model than the one that scores."""

    def candidate(self, model: tuple[str, Purpose] | None, warm_share: float) -> None:
        """Set the version beside the one that scores and what for, and how warm it is; None: none.

        warm_share: of the users of the batches last looked at.
        """

    def promotion(self, seconds: float) -> None:
        """Take the time for which batches waited for a change of the model."""

    def shadow(
        self,
        agreement: npt.NDArray[np.float64],
        purchase: npt.NDArray[np.float64],
        next_event: npt.NDArray[np.float64],
        active_s: float,
        shadow_s: float,
    ) -> None:
        """Take a batch scored by both models: stream.flow.comparison, by row; seconds of each."""

    def worker(self, state: WorkerState) -> None:
        """Set what the worker is doing."""

    def loop_lag(self, seconds: float) -> None:
        """Set by how much the event loop woke later than asked."""
