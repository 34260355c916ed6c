"""Exit codes: one per cause, never changed (docs and supervisors name them)."""

from stream.flow import stops
from stream.shell import group


def test_codes_are_what_they_were() -> None:
    causes = [
        cause
        for cause in stops.WorkerStopError.__subclasses__()
        if cause.__module__ in {stops.__name__, group.__name__}
    ]
    codes = {cause.__name__: (cause.exit_code, cause.restart) for cause in causes}
    assert (
        codes
        | {
            "StartRefusedError": (10, False),
            "RetentionLostError": (11, False),
            "PartitionsDifferError": (12, False),
            "RestoreError": (13, False),
            "HoleError": (14, True),
            "HandOverError": (15, True),
            "CommitFencedError": (16, True),
            "CommitAbortedError": (17, True),
            "CommitLateError": (18, True),
            "DeliveryError": (19, True),
            "StuckError": (20, True),
            "ConsumerFailedError": (21, True),
            "GroupMetadataError": (22, False),
            "AccessRefusedError": (25, False),
        }
        == codes
    )
    every = stops.WorkerStopError.__subclasses__()
    assert len({cause.exit_code for cause in every}) == len(every)
