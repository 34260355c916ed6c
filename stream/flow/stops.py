"""Why a worker stops by itself: one exception per cause, each with an exit code of its own.

Rules of the room: a code, once given, keeps its meaning (docs, supervisors and runbooks name it);
`restart` says whether the same worker, started again, can be expected to get further.
"""

from typing import ClassVar


class WorkerStopError(RuntimeError):
    """A cause to stop the worker. The message is for the operator and holds the values."""

    exit_code: ClassVar[int] = 70
    restart: ClassVar[bool] = True


class StartRefusedError(WorkerStopError):
    """State and group disagree about where the input goes on."""

    exit_code = 10
    restart = False


class RetentionLostError(WorkerStopError):
    """The input that comes next is no longer in the topic."""

    exit_code = 11
    restart = False


class PartitionsDifferError(WorkerStopError):
    """Topics that must have the same number of partitions do not, or one is missing."""

    exit_code = 12
    restart = False


class RestoreError(WorkerStopError):
    """The changelog could not be applied."""

    exit_code = 13
    restart = False


class HoleError(WorkerStopError):
    """Offsets are missing between two chunks."""

    exit_code = 14


class HandOverError(WorkerStopError):
    """The flow did not hand its partitions over in time, or failed to."""

    exit_code = 15


class CommitFencedError(WorkerStopError):
    """Another producer or group member took this worker's place."""

    exit_code = 16


class CommitAbortedError(WorkerStopError):
    """The transaction cannot be committed any more; the state in memory is ahead of the log."""

    exit_code = 17


class CommitLateError(WorkerStopError):
    """The transaction was not through at its deadline."""

    exit_code = 18


class DeliveryError(WorkerStopError):
    """An output record outside the transaction did not reach the broker."""

    exit_code = 19


class StuckError(WorkerStopError):
    """Something that must move has stood still for too long."""

    exit_code = 20


class ConsumerFailedError(WorkerStopError):
    """The consumer failed in a way that has no name of its own."""

    exit_code = 21


class GroupMetadataError(WorkerStopError):
    """The Kafka library lays its group metadata out otherwise than this code knows."""

    exit_code = 22
    restart = False


class AccessRefusedError(WorkerStopError):
    """Kafka does not let this worker in, or not do what it must."""

    exit_code = 25
    restart = False


class EngineError(WorkerStopError):
    """The engine or the model raised on a batch: a fault of ours, never of an event."""

    exit_code = 23


class QuarantineError(WorkerStopError):
    """More rows made the engine raise than an hour may have: the rows are not the cause."""

    exit_code = 24
    restart = False


def exit_codes() -> list[int]:
    """All exit codes of failures, in order."""
    return sorted({kind.exit_code for kind in _kinds()})


def codes_without_restart() -> set[int]:
    """Exit codes that a new start cannot cure."""
    return {kind.exit_code for kind in _kinds() if not kind.restart}


def _kinds() -> list[type[WorkerStopError]]:
    kinds = [WorkerStopError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return kinds
