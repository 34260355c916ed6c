"""Where the input goes on after a restore: header and group must say the same. Pure.

Rules of the room: the header of the restored state decides; the group's committed offset, written
in the same transaction, must agree topic by topic. Neither of them: the topic starts at its
beginning. So a commit has to name every input topic of a partition, moved or not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from faust.types import TP

from stream.flow.stops import RetentionLostError, StartRefusedError


@dataclass(frozen=True, slots=True)
class InputOffsets:
    """What the broker says of the inputs, by topic partition."""

    committed: Mapping[TP, int]  # by the group; without those that have none
    first: Mapping[TP, int]  # start of the log
    end: Mapping[TP, int]  # its end, open transactions included


class Disagreement(Exception):  # noqa: N818 not an error yet: it may pass
    """Header and group differ; `found` has, per topic partition, header and group."""

    def __init__(self, found: Mapping[TP, tuple[int | None, int | None]]) -> None:
        self.found = dict(found)
        super().__init__(f"state and group disagree: {self._listed()}")

    def _listed(self) -> str:
        return "; ".join(
            f"{topic}[{partition}]: state header {_said(header)}, group {_said(group)}"
            for (topic, partition), (header, group) in sorted(self.found.items())
        )

    def refusal(self, group: str) -> StartRefusedError:
        """Turn it into the reason not to start."""
        return StartRefusedError(
            f"state and consumer group {group!r} disagree about the next input offset: "
            f"{self._listed()}. Input may be missing from the state or be counted twice, so the"
            " worker does not start. Was the group reset, or the state topic deleted? Restore the"
            " one that changed, or begin anew with another `group` and `topic_prefix`"
        )


def choose_starts(
    inputs: Iterable[TP],
    headers: Mapping[int, Mapping[str, int] | None],
    offsets: InputOffsets,
) -> dict[TP, int]:
    """Give the next offset of each input.

    Raises Disagreement, RetentionLostError (it is no longer in the log), StartRefusedError (it is
    beyond the log's end).
    """
    starts: dict[TP, int] = {}
    differ: dict[TP, tuple[int | None, int | None]] = {}
    for tp in inputs:
        header = (headers.get(tp.partition) or {}).get(tp.topic)
        group = offsets.committed.get(tp)
        if header != group:
            differ[tp] = (header, group)
        else:
            starts[tp] = offsets.first[tp] if header is None else header
    if differ:
        raise Disagreement(differ)
    lost = {tp: at for tp, at in starts.items() if at < offsets.first[tp]}
    if lost:
        raise RetentionLostError(
            "the next input was deleted by retention before it was read: "
            + "; ".join(
                f"{tp.topic}[{tp.partition}] goes on at {at}, the log starts at {offsets.first[tp]}"
                for tp, at in sorted(lost.items())
            )
        )
    beyond = {tp: at for tp, at in starts.items() if at > offsets.end[tp]}
    if beyond:
        raise StartRefusedError(
            "the next input is beyond the log's end; was the topic deleted and made again? "
            + "; ".join(
                f"{tp.topic}[{tp.partition}] goes on at {at}, the log ends at {offsets.end[tp]}"
                for tp, at in sorted(beyond.items())
            )
        )
    return starts


def _said(offset: int | None) -> str:
    return "none" if offset is None else str(offset)
