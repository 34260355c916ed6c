"""Files as a log: the readers of `forecart replay`, the decoder of the worker, one partition.

Rules of the room: what a replay of the file would put into the topics is what is learned from, so a
file and its replay give the same rows. Several files are merged by event time; rows of equal time
keep the order of the files. A broken row is left out and counted.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from export.dataset.event_log import EventLog
from export.dataset.merge_log import ADD_RECORDS_MAX, LogMerger
from export.dataset.names import Names
from stream.core.layout import TOPICS
from stream.local.files import Replay
from stream.wire.decode import Decoder

RUN_ID: Final = "dataset"  # of the event ids, which come of file digest and line


@dataclass(frozen=True, slots=True)
class FileSource:
    """Files, and which column is what: see stream.local.files_map."""

    paths: Sequence[Path]
    maps: Sequence[str] = ()
    constants: Sequence[str] = ()
    types: Sequence[str] = ()


def file_log(
    source: FileSource, names: Names, forgotten: Sequence[bytes] = ()
) -> tuple[EventLog, dict[str, Any]]:
    """Read files; also gives what the manifest says of them. Raises FileError.

    About 27 us a row of Taobao. A record's own time is its event's, as in a replay at the original
    speed.
    """
    replays = [
        Replay(path, RUN_ID, source.maps, source.constants, source.types) for path in source.paths
    ]
    surveys = [replay.survey() for replay in replays]
    merger = LogMerger(Decoder(1), names=names)
    streams = [
        _records(replay.batches(survey)) for replay, survey in zip(replays, surveys, strict=True)
    ]
    offsets = [0] * len(TOPICS)
    held: list[list[tuple[int, bytes | None, bytes]]] = [[] for _ in TOPICS]

    def hand_over(topic: int) -> None:
        rows = held[topic]
        first = offsets[topic]
        offsets[topic] += len(rows)
        merger.add(
            topic,
            0,
            list(range(first, offsets[topic])),
            [time_ms for time_ms, _, _ in rows],
            [key for _, key, _ in rows],
            [value for _, _, value in rows],
        )
        held[topic] = []

    for time_ms, topic, key, value in heapq.merge(*streams, key=lambda record: record[0]):
        held[topic].append((time_ms, key, value))
        if len(held[topic]) == ADD_RECORDS_MAX:
            hand_over(topic)
    for topic in range(len(TOPICS)):
        hand_over(topic)
    described = {
        "kind": "files",
        "files": [
            {
                "name": replay.file.path.name,
                "sha256": replay.digest,
                "map": replay.map.name,
                "rows_good": survey.good,
                "rows_broken": survey.broken,
                "broken_first": [f"line {row.line}: {row.why}" for row in survey.first_broken],
            }
            for replay, survey in zip(replays, surveys, strict=True)
        ],
    }
    return merger.merged(forgotten=forgotten), described


def _records(batches: Iterator[Any]) -> Iterator[tuple[int, int, bytes | None, bytes]]:
    for batch in batches:
        yield from zip(
            batch.due_ms.tolist(), batch.topic.tolist(), batch.keys, batch.values, strict=True
        )
