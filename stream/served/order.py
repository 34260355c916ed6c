"""The order in which a partition's worker applied its rows, from predictions and receipts.

A predicted row's `partition_seq` stands in its prediction, any other row's in the receipt that
names it. Together they run without a gap, which is checked. Under at_least_once a prediction may
stand several times; the last one is of the try that was committed. One of a try that was not may
also speak of a row that a receipt names: merged otherwise, it was a duplicate in the end, say.
"""

import time
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from stream.audit.books import Int64s, Table
from stream.audit.run import Names
from stream.core.layout import Outcome, Records
from stream.served.log import Log, ServedError
from stream.wire.types import IntakeReceipt

SETTLE_S: Final = 10.0  # a commit is answered before its markers are everywhere
_SETTLE_POLL_S: Final = 0.1
_PREDICTED: Final = int(Outcome.PREDICTED)
_OUTCOMES: Final = {outcome.name.lower(): int(outcome) for outcome in Outcome}

# One row as served; the place in the array gives its partition_seq.
SERVED: Final = np.dtype(
    [
        ("offset", "<i8"),  # of the input record
        ("prediction", "<i8"),  # offset of its prediction in the predictions topic; -1: none
        ("topic", "u1"),  # index into stream.core.layout.TOPICS
        ("outcome", "u1"),  # stream.core.layout.Outcome
    ]
)


@dataclass(frozen=True, slots=True)
class Order:
    """The rows of one partition number that a commit covers, in the order of their application."""

    partition: int
    seq_first: int  # partition_seq of the first row; 1 unless retention has cut the logs
    rows: Records  # (n,) SERVED

    @property
    def cut(self) -> bool:
        """Whether rows before these are gone from the logs."""
        return self.seq_first > 1


class _Input(msgspec.Struct):
    topic: str
    offset: int


class _Prediction(msgspec.Struct):
    partition_seq: int
    input: _Input


_read_prediction = msgspec.json.Decoder(_Prediction).decode
_read_receipt = msgspec.json.Decoder(IntakeReceipt).decode


def read_order(log: Log, names: Names, partition: int) -> Order:
    """Read the receipts and predictions of a partition. Raises ServedError.

    Takes about 3 us and, while it is put together, 64 bytes a row. Rows applied after the last
    commit are left out.
    """
    starts = [log.ranges([name])[name, partition][0] for name in names.inputs]
    exempt, ends, told_from = _read_receipts(log, names, partition)
    predicted = Table(4)  # partition_seq, topic, offset, offset of the prediction
    place = (names.predictions, partition)
    first = at = log.ranges([names.predictions])[place][0]
    deadline_s = time.monotonic() + SETTLE_S
    while True:
        end = log.ranges([names.predictions])[place][1]
        _read_predictions(log, names, partition, (at, end), predicted)
        at = end
        rows = _sorted_rows(predicted.rows(), exempt.rows(), ends)
        gone = _gone(*rows, starts, told_from, predictions_cut=first > 0)
        order = _laid_out(partition, *rows, gone)
        if isinstance(order, Order):
            return order
        under_way = end < log.ranges([names.predictions], stable=False)[place][1]
        if not under_way or time.monotonic() > deadline_s:
            raise ServedError(order)
        time.sleep(_SETTLE_POLL_S)


def _read_receipts(log: Log, names: Names, partition: int) -> tuple[Table, list[int], list[int]]:
    """Read exceptions: (partition_seq, topic, offset, outcome).

    Also, by topic, the offset at which receipts end, and that at which they begin, if earlier ones
    are gone (else 0).
    """
    exempt = Table(4)
    place = (names.receipts, partition)
    range_ = log.ranges([names.receipts])[place]
    firsts: dict[int, int] = {}
    ends = [0] * len(names.inputs)
    for record in log.records({place: range_}):
        where = f"{names.receipts}-{partition}-{record.offset}"
        try:
            receipt = _read_receipt(record.value or b"")
        except msgspec.DecodeError as error:
            raise ServedError(f"{where}: receipt cannot be read: {error}") from error
        if receipt.topic not in names.inputs or receipt.partition != partition:
            raise ServedError(
                f"{where}: receipt of {receipt.topic}[{receipt.partition}], which is not"
                f" partition {partition} of {', '.join(names.inputs)}"
            )
        topic = names.inputs.index(receipt.topic)
        firsts.setdefault(topic, receipt.offset_first)
        ends[topic] = max(ends[topic], receipt.offset_next)
        for entry, seq in zip(receipt.exceptions, receipt.exception_seqs, strict=True):
            exempt.add(seq, topic, int(entry[0]), _OUTCOMES[str(entry[1])])
    cut = range_[0] > 0
    return exempt, ends, [firsts.get(topic, 0) * cut for topic in range(len(names.inputs))]


def _read_predictions(
    log: Log, names: Names, partition: int, range_: tuple[int, int], predicted: Table
) -> None:
    codes = {name: code for code, name in enumerate(names.inputs)}
    for record in log.records({(names.predictions, partition): range_}):
        try:
            note = _read_prediction(record.value or b"")
            predicted.add(note.partition_seq, codes[note.input.topic], note.input.offset,
                          record.offset)  # fmt: skip
        except (msgspec.DecodeError, KeyError) as error:
            raise ServedError(
                f"{names.predictions}-{partition}-{record.offset}: cannot be read: {error}"
            ) from error


def _sorted_rows(predicted: Int64s, exempt: Int64s, ends: list[int]) -> tuple[Int64s, Records]:
    """Put rows in order: partition_seq (n,) and SERVED (n,)."""
    named = np.isin(_sources(predicted), _sources(exempt))
    covered = predicted[:, 2] < np.array(ends)[predicted[:, 1]]
    last = _last_of_repeats(predicted[covered & ~named])
    rows = np.zeros(len(last) + len(exempt), SERVED)
    rows["topic"] = np.concatenate([last[:, 1], exempt[:, 1]])
    rows["offset"] = np.concatenate([last[:, 2], exempt[:, 2]])
    rows["prediction"] = np.concatenate([last[:, 3], np.full(len(exempt), -1)])
    rows["outcome"] = np.concatenate([np.full(len(last), _PREDICTED), exempt[:, 3]])
    seqs = np.concatenate([last[:, 0], exempt[:, 0]])
    by_seq = np.argsort(seqs, kind="stable")
    return seqs[by_seq], rows[by_seq]


def _sources(rows: Int64s) -> Int64s:
    """Make one number of topic and offset.  # (n,) int64."""
    sources: Int64s = rows[:, 2] * 4 + rows[:, 1]
    return sources


def _gone(
    seqs: Int64s, rows: Records, starts: list[int], told_from: list[int], *, predictions_cut: bool
) -> int:
    """Return the partition_seq up to which retention has taken rows, or what is told of them."""
    predicted = seqs[rows["outcome"] == _PREDICTED]
    gone = int(predicted[0]) - 1 if predictions_cut and len(predicted) else 0
    gone = max(gone, int(seqs[rows["offset"] < np.array(starts)[rows["topic"]]].max(initial=0)))
    for topic, offset in enumerate(told_from):
        # Exceptions before `offset` are not told: they came before the topic's next row.
        after = seqs[(rows["topic"] == topic) & (rows["offset"] >= offset)]
        if offset > 0 and len(after):
            gone = max(gone, int(after[0]) - 1)
    return gone


def _laid_out(partition: int, seqs: Int64s, rows: Records, gone: int) -> Order | str:
    """Check that rows run without a gap; text: why they do not."""
    seqs, rows = seqs[seqs > gone], rows[seqs > gone]
    wrong = np.flatnonzero(seqs != gone + 1 + np.arange(len(seqs)))
    if len(wrong):
        row = rows[wrong[0]]
        return (
            f"partition {partition}: partition_seq {gone + 1 + wrong[0]} is wanted, the next row"
            f" that predictions and receipts name is {seqs[wrong[0]]} (topic {row['topic']},"
            f" offset {row['offset']}): see `forecart audit`"
        )
    return Order(partition, gone + 1, rows)


def _last_of_repeats(predicted: Int64s) -> Int64s:
    """Keep each input's last prediction, in order of partition_seq."""
    by_place = np.lexsort((predicted[:, 3], predicted[:, 2], predicted[:, 1]))
    sorted_ = predicted[by_place]
    last = np.ones(len(sorted_), bool)
    last[:-1] = (np.diff(sorted_[:, 1]) != 0) | (np.diff(sorted_[:, 2]) != 0)
    kept: Int64s = sorted_[last]
    return kept[np.argsort(kept[:, 0], kind="stable")]
