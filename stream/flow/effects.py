"""What is published of settled rows: predictions, alerts, dead letters, receipts and state."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from stream.core.layout import Outcome
from stream.core.results import Settled
from stream.flow.account import Closing, Output
from stream.flow.partition import Partition, Taken
from stream.flow.receipts import Stretch
from stream.wire.erasure import encode_erasure
from stream.wire.outputs import Message, dead_letter, encode_alerts, encode_receipts
from stream.wire.predictions import PredictionEncoder
from stream.wire.state import Header, changelog
from stream.wire.texts import Texts
from stream.wire.topics import ALERTS, DEAD_LETTERS, INPUTS, PREDICTIONS, STATE

Latencies = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]  # receipt and event time by row

_NONE: Final = np.zeros(0, np.int64)
_PREDICTED: Final = int(Outcome.PREDICTED)
_DEAD: Final = int(Outcome.DEAD_LETTERED)


@dataclass(frozen=True, slots=True)
class OutputTopics:
    """Names on the broker."""

    predictions: str
    alerts: str
    dead_letters: str
    receipts: str
    state: str
    erasures: str


class Effects:
    """Encodes, for one bundle, what settled rows say to the world."""

    def __init__(
        self,
        inputs: Sequence[str],
        topics: OutputTopics,
        encoder: PredictionEncoder,
        model_version: str,
        churn_horizon: str,
        partitions: int,
        dead_letter_bytes_max: int,
    ) -> None:
        self._inputs = list(inputs)
        self._topics = topics
        self._names = dict(zip(INPUTS, inputs, strict=True)) | {
            PREDICTIONS: topics.predictions,
            ALERTS: topics.alerts,
            DEAD_LETTERS: topics.dead_letters,
            STATE: topics.state,
        }
        self._encoder = encoder
        self._model_version = model_version
        self._churn_horizon = churn_horizon
        self._partitions = partitions
        self._dead_letter_bytes_max = dead_letter_bytes_max

    def encode_with(self, encoder: PredictionEncoder) -> None:
        """Encode the next batches' predictions with another encoder. From any thread."""
        self._encoder = encoder

    def of_rows(
        self, partition: Partition, taken: Taken, settled: Settled, now_ms: int
    ) -> list[Output]:
        """Encode predictions, alerts and dead letters, each in the order of the rows."""
        number = partition.number
        rows = settled.rows[settled.rows["outcome"] == _PREDICTED]
        users = Texts.of(taken.batch.users)
        values = self._encoder.encode(number, rows, users, settled.scores, settled.churn, now_ms)
        outputs = [Output(self._topics.predictions, number, users.at(rows["user"]), values)]
        if len(settled.alerts):
            alerts = encode_alerts(
                settled.alerts, settled.alert_keys, self._model_version, self._churn_horizon
            )
            outputs.append(_output(self._topics.alerts, number, alerts))
        dead = np.flatnonzero(settled.rows["outcome"] == _DEAD).tolist()
        if dead:
            outputs.append(self._dead_letters(number, taken, settled, dead))
        return outputs

    def _dead_letters(self, number: int, taken: Taken, settled: Settled, dead: list[int]) -> Output:
        letters = []
        for index in dead:
            row = settled.rows[index]
            key, value, message = taken.origin.original(taken.first + index)
            letters.append(
                dead_letter(
                    self._inputs[row["topic"]],
                    number,
                    int(row["offset"]),
                    int(row["reason"]),
                    message,
                    key,
                    value,
                    self._dead_letter_bytes_max,
                )
            )
        return Output(
            self._topics.dead_letters,
            number,
            Texts.of([letter.key for letter in letters]),
            Texts.of([letter.value for letter in letters]),
            [letter.headers for letter in letters],
        )

    def state(self, partition: Partition) -> tuple[Output, Header, bytes]:
        """Encode the changelog of what a partition's rows touched, its header apart."""
        keys, values, header, header_value = changelog(
            partition.engine, self._partitions, partition.positions(), dict(partition.outcomes)
        )
        return Output(self._topics.state, partition.number, keys, values), header, header_value

    def receipts(self, number: int, stretches: Sequence[Stretch]) -> Output:
        """Encode the receipts of a partition."""
        messages = [
            message
            for stretch in stretches
            for message in encode_receipts(
                self._inputs,
                stretch.topic,
                number,
                stretch.offset_first,
                stretch.offset_next,
                stretch.rows,
            )
        ]
        return _output(self._topics.receipts, number, messages)

    def erasures(self, partition: Partition) -> Output:
        """Encode the receipts of users erased since the last commit."""
        messages = [
            encode_erasure(
                erased.name,
                f"{self._inputs[erased.topic]}-{partition.number}-{erased.offset}",
                erased.time_ms,
                partition.engine.config.forget_keep_ms,
                erased.now_ms,
                self._names,
            )
            for erased in partition.erasures.take()
        ]
        return _output(self._topics.erasures, partition.number, messages)

    def closing(self, partitions: Sequence[Partition], latencies: Sequence[Latencies]) -> Closing:
        """Encode the end of a transaction: state, header, receipts and offsets of what moved."""
        closing = Closing([], [], {}, {}, _NONE, _NONE)
        offsets: dict[tuple[str, int], int] = {}
        for partition in partitions:
            if not partition.moved:
                continue
            output, header, value = self.state(partition)
            closing.state.append(output)
            stretches = partition.receipts.take(partition.offset_next)
            closing.receipts.append(self.receipts(partition.number, stretches))
            closing.receipts.append(self.erasures(partition))
            closing.headers[partition.number] = header, value
            offsets |= {(name, partition.number): at for name, at in header.offset_next.items()}
            partition.note_closed()
        closing.offsets = offsets
        if latencies:
            closing.receipt_ms = np.concatenate([receipt_ms for receipt_ms, _ in latencies])
            closing.event_ms = np.concatenate([event_ms for _, event_ms in latencies])
        return closing


def _output(topic: str, number: int, messages: Sequence[Message]) -> Output:
    return Output(
        topic,
        number,
        Texts.of([message.key for message in messages]),
        Texts.of([message.value for message in messages]),
    )
