"""Where the stop errors used to stand: see stream/flow/stops.py."""

from stream.flow.stops import (
    CommitAbortedError,
    CommitFencedError,
    CommitLateError,
    ConsumerFailedError,
    DeliveryError,
    HandOverError,
    HoleError,
    PartitionsDifferError,
    RestoreError,
    RetentionLostError,
    StartRefusedError,
    StuckError,
    WorkerStopError,
)

__all__ = [
    "CommitAbortedError",
    "CommitFencedError",
    "CommitLateError",
    "ConsumerFailedError",
    "DeliveryError",
    "HandOverError",
    "HoleError",
    "PartitionsDifferError",
    "RestoreError",
    "RetentionLostError",
    "StartRefusedError",
    "StuckError",
    "WorkerStopError",
]
