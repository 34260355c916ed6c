"""Find a prediction by its id, and the predictions of the same user before it, without an index.

A prediction is written after its event, so the search begins at the event's record time. Going
back through a user's epoch, blocks of the predictions topic are read from the newest on, until the
epoch's first is there: recent users are found soon, and only then is much read.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from stream.audit.run import Names
from stream.served.log import Log, Record, ServedError
from stream.wire.types import IntakeReceipt, Prediction

CLOCKS_MS: Final = 3_600_000  # clocks of broker and producers may differ by this
BLOCK_RECORDS: Final = 10_000  # read first, going back; then twice as many, and so on
BLOCK_RECORDS_MAX: Final = 320_000

_read_prediction = msgspec.json.Decoder(Prediction).decode
_read_receipt = msgspec.json.Decoder(IntakeReceipt).decode


@dataclass(frozen=True, slots=True)
class Told:
    """A prediction as it stands in its topic."""

    offset: int  # in the predictions topic
    note: Prediction

    @property
    def place(self) -> tuple[str, int]:
        """Topic and partition of its event."""
        return self.note.input.topic, self.note.input.partition


@dataclass(frozen=True, slots=True)
class Past:
    """A prediction and all that were made before it in its user's epoch."""

    told: Told
    before: list[Told]  # in order of partition_seq, `told` excluded
    watermark_ms: int  # highest event time of the predictions read up to `told`


def find_prediction(log: Log, names: Names, prediction_id: str, *, repeats: bool = False) -> Told:
    """Find a prediction. `repeats`: it may stand twice (at_least_once), the last holds.

    Reads one event, and predictions from its record time on. Raises ServedError.
    """
    topic, partition, offset = parse_id(log, names, prediction_id)
    event = event_at(log, topic, partition, offset)
    place = (names.predictions, partition)
    first, end = log.ranges([names.predictions])[place]
    at = log.offsets_at([names.predictions], event.timestamp_ms - CLOCKS_MS)[place]
    at = end if at < 0 else max(first, at)
    head = b'{"prediction_id":' + msgspec.json.encode(prediction_id)
    for range_ in ((at, end), (first, at)):
        found = None
        for record in log.records({place: range_}):
            if (record.value or b"").startswith(head):
                found = record
                if not repeats:
                    break
        if found is not None:
            return _told(found)
    raise ServedError(_why_none(log, names, prediction_id, topic, partition, offset, first))


def find_latest(log: Log, names: Names, partition: int, user: bytes) -> Told:
    """Find a user's newest prediction. Raises ServedError."""
    place = (names.predictions, partition)
    first, end = log.ranges([names.predictions])[place]
    for block in _blocks_back(first, end):
        mine = [record for record in log.records({place: block}) if record.key == user]
        if mine:
            return _told(mine[-1])
    name = user.decode(errors="replace")
    raise ServedError(f"no prediction of user {name!r} in {names.predictions}-{partition}")


def past_of(log: Log, names: Names, told: Told) -> Past:
    """Find what was predicted of the user before, in the same epoch. Raises ServedError.

    Where a prediction stands twice (at_least_once), the last before `told` holds.
    """
    note = told.note
    partition = note.input.partition
    place = (names.predictions, partition)
    first = log.ranges([names.predictions])[place][0]
    by_seq: dict[int, Told] = {}
    watermark_ms = note.input.event_time
    for low, high in _blocks_back(first, told.offset + 1):
        newest = high == told.offset + 1
        for record in log.records({place: (low, high)}):
            mine = record.key == note.user_id.encode()
            if not mine and not newest:
                continue
            one = _told(record)
            if newest and one.note.partition_seq <= note.partition_seq:
                watermark_ms = max(watermark_ms, one.note.input.event_time)
            if mine and one.note.user_epoch == note.user_epoch:
                former = by_seq.get(one.note.user_seq)
                if former is None or former.offset < one.offset:
                    by_seq[one.note.user_seq] = one
        if 1 in by_seq:
            break
    by_seq.pop(note.user_seq, None)
    before = [by_seq[seq] for seq in sorted(by_seq) if seq < note.user_seq]
    found = [one.note.user_seq for one in before]
    if found != list(range(1, note.user_seq)):
        raise ServedError(_why_cut(names, told, found, first))
    return Past(told, before, watermark_ms)


def parse_id(log: Log, names: Names, prediction_id: str) -> tuple[str, int, int]:
    """Take an id apart: topic, partition and offset of the event. Raises ServedError."""
    topic, _, rest = prediction_id.rpartition("-")[0].rpartition("-")
    partition, offset = rest, prediction_id.rpartition("-")[2]
    if not topic or not partition.isdecimal() or not offset.isdecimal():
        raise ServedError(
            f"{prediction_id!r} is no prediction id: TOPIC-PARTITION-OFFSET of the event, such as"
            f" {names.inputs[0]}-2-17"
        )
    if topic not in names.inputs:
        raise ServedError(
            f"{prediction_id!r}: {topic!r} is none of the inputs {', '.join(names.inputs)};"
            " see the setting topic_prefix"
        )
    if (topic, int(partition)) not in log.ranges([topic]):
        raise ServedError(f"{prediction_id!r}: {topic} has no partition {partition}")
    return topic, int(partition), int(offset)


def event_at(log: Log, topic: str, partition: int, offset: int) -> Record:
    """Read one event. Raises ServedError."""
    first, end = log.ranges([topic])[topic, partition]
    name = f"{topic}-{partition}"
    if offset < first:
        raise ServedError(
            f"{name}-{offset} is gone: retention has cut the log, which begins at offset {first}"
        )
    if offset >= end:
        raise ServedError(f"{name}-{offset} is not there: the log ends at offset {end}")
    for record in log.records({(topic, partition): (offset, offset + 1)}):
        return record
    raise ServedError(f"{name}-{offset} holds no event: a transaction's marker, or compacted")


def _blocks_back(first: int, end: int) -> list[tuple[int, int]]:
    blocks = []
    size = BLOCK_RECORDS
    while end > first:
        low = max(first, end - size)
        blocks.append((low, end))
        end, size = low, min(2 * size, BLOCK_RECORDS_MAX)
    return blocks


def _told(record: Record) -> Told:
    try:
        return Told(record.offset, _read_prediction(record.value or b""))
    except msgspec.DecodeError as error:
        raise ServedError(
            f"{record.topic}-{record.partition}-{record.offset}: cannot be read: {error}"
        ) from error


def _why_none(
    log: Log, names: Names, prediction_id: str, topic: str, partition: int, offset: int, first: int
) -> str:
    """Say what became of an event that has no prediction."""
    place = (names.receipts, partition)
    for record in log.records({place: log.ranges([names.receipts])[place]}):
        receipt = _read_receipt(record.value or b"")
        if receipt.topic != topic or not receipt.offset_first <= offset < receipt.offset_next:
            continue
        for entry in receipt.exceptions:
            if entry[0] == offset:
                what = str(entry[1]).replace("_", "-")
                if what == "duplicate":
                    what += f" of {entry[3] if len(entry) > 3 else topic}-{partition}-{entry[2]}"
                return f"{prediction_id} was not predicted: the event is {what}"
        return (
            f"{prediction_id} was predicted, and the prediction is gone: {names.predictions}-"
            f"{partition} begins at offset {first}"
        )
    return f"{prediction_id} has no prediction yet: no commit covers it"


def _why_cut(names: Names, told: Told, found: list[int], first: int) -> str:
    note = told.note
    missing = next(seq for seq in range(1, note.user_seq) if seq not in set(found))
    if first > 0 and found == list(range(note.user_seq - len(found), note.user_seq)):
        return (
            f"{note.prediction_id} is the user's prediction {note.user_seq}, and retention has cut"
            f" {names.predictions}-{note.input.partition}, which begins at offset {first}: the"
            f" oldest of the user that is left is number {note.user_seq - len(found)}, so the"
            " window, counters and number of steps cannot be rebuilt"
        )
    return (
        f"{note.prediction_id} is of the user's event {note.user_seq}, and there is no prediction"
        f" of its event {missing}: coalesced while the worker caught up (catch_up_age_s), or lost,"
        " which `forecart audit` would say"
    )
