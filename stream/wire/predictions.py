"""Predictions as JSON text, written by one compiled loop (stream/wire/prediction_text.py).

Rules of the room: `PredictionEncoder` is built once per bundle and called per batch. What it writes
equals, parsed, the typed `stream.wire.types.Prediction` (tests/wire/test_predictions.py). Numbers
that are not whole have six decimals.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from stream.core.layout import TOPICS, Bytes, Records
from stream.core.plan import Scores
from stream.wire.prediction_text import SCORE_MAX, is_plain, size_of, write_rows
from stream.wire.texts import Spans, Texts
from stream.wire.types import ITEM_REASONS


class PredictionEncoder:
    """Rows and scores to messages. Times are epoch ms; the digest is 16 hexadecimal digits."""

    def __init__(
        self,
        topic_names: Sequence[str],
        vocabulary: Sequence[bytes],
        model_version: str,
        provider: str,
        horizons: tuple[str, str],
    ) -> None:
        """Take the input topics' names, item ids as JSON texts (0: no item), both horizons.

        Horizons are ISO 8601 durations: of the purchase probability, of the churn probability.
        """
        if len(topic_names) != len(TOPICS):
            raise ValueError(f"{len(topic_names)} topic names for {TOPICS}")
        self._topics = [_inner(name) for name in topic_names]
        self._items, self._item_spans = _laid_out(vocabulary)
        self._model = _inner(model_version)
        self._provider = _inner(provider)
        self._horizons = (_inner(horizons[0]), _inner(horizons[1]))
        self._pieces: dict[int, tuple[Bytes, Spans]] = {}  # constant text, by partition

    def encode(
        self,
        partition: int,
        rows: Records,
        users: Sequence[bytes | None],
        scores: Scores,
        churn: npt.NDArray[np.float32],
        emitted_at_ms: int,
        reasons: npt.NDArray[np.uint8] | None = None,
    ) -> Texts:
        """Encode predicted rows: `rows["scored"]` indexes scores, churn and reasons.

        `churn` -1: insufficient history. An item index below 1 is no item, its score is not read.
        `reasons` (B, K) indexes ITEM_REASONS; None: popular_fallback where `scores.popular` says
        so, else sequence. Raises ValueError on scores that are not finite and on items beyond the
        vocabulary, and on numbers below 0. 1.4 us of processor time without items, 2.8 us with ten:
        `python -m tests.bench.encode`, 2-core EPYC.
        """
        if not len(rows):
            return Texts.of([])
        at = rows["scored"]
        items = np.ascontiguousarray(scores.items[at], np.int32)  # (n, K)
        item_scores = scores.item_scores[at]
        next_event, purchase, soon = scores.next_event[at], scores.purchase[at], churn[at]
        why = _reasons(scores, at) if reasons is None else np.ascontiguousarray(reasons[at])
        pieces, spans = self._pieces_of(partition)
        names = Texts.of(users)
        if not is_plain(names.data):
            names = Texts.of([_inner((user or b"").decode()) for user in users])
        size = size_of(
            rows, next_event, purchase, soon, items, item_scores, why,
            spans, names.begins, names.ends, self._item_spans, len(ITEM_REASONS),
        )  # fmt: skip
        if size < 0 or emitted_at_ms < 0:
            self._refuse(rows, (next_event, purchase, soon, item_scores), items, why, emitted_at_ms)
        out = np.empty(size, np.uint8)
        ends = np.empty(len(rows), np.int64)
        write_rows(
            out, ends, pieces, spans, names.data, names.begins, names.ends,
            self._items, self._item_spans, rows,
            emitted_at_ms, next_event, purchase, soon, items, item_scores, why,
        )  # fmt: skip
        return Texts.ending(out, ends)

    def _refuse(
        self,
        rows: Records,
        scores: tuple[Records, ...],
        items: npt.NDArray[np.int32],
        reasons: npt.NDArray[np.uint8],
        emitted_at_ms: int,
    ) -> None:
        """Say what is wrong in rows of which something is."""
        floats = np.column_stack(scores).astype(np.float64)  # (n, 5 + K)
        floats[:, 5:][items < 1] = 0
        if not (np.abs(floats) <= SCORE_MAX).all():
            row, column = np.argwhere(~(np.abs(floats) <= SCORE_MAX))[0]
            raise ValueError(f"score {floats[row, column]} in row {row}, column {column}")
        if items.size and int(items.max()) >= len(self._item_spans) - 1:
            raise ValueError(f"item {items.max()} of {len(self._item_spans) - 1}")
        if reasons.size and int(reasons.max()) >= len(ITEM_REASONS):
            raise ValueError(f"item reason {reasons.max()} of {len(ITEM_REASONS)}")
        raise ValueError(f"numbers below 0 in {rows}, emitted at {emitted_at_ms}")

    def _pieces_of(self, partition: int) -> tuple[Bytes, Spans]:
        """Constant text in the order of the P_ places, laid out once."""
        found = self._pieces.get(partition)
        if found is not None:
            return found
        number = b"%d" % partition
        sources = [name + b"-" + number + b"-" for name in self._topics]
        pieces = [
            *(b'{"prediction_id":"' + source for source in sources),
            *(
                b'"input":{"topic":"' + name + b'","partition":' + number + b',"offset":'
                for name in self._topics
            ),
            *(b'"' + source for source in sources),
            *(b',"reason":"' + reason.encode() + b'"}' for reason in ITEM_REASONS),
            b'","user_id":"',
            b'","as_of":',
            b',"emitted_at":',
            b',"model_version":"' + self._model + b'","partition_seq":',
            b',"user_seq":',
            b',"user_epoch":',
            b',"items":[',
            b'{"item_id":',
            b',"rank":',
            b',"score":',
            b'],"next_event":{"click":',
            b',"search":',
            b',"purchase":',
            b'},"purchase_probability":',
            b',"purchase_horizon":"' + self._horizons[0] + b'","churn_probability":',
            b',"churn_horizon":"' + self._horizons[1] + b'","churn_status":"scored",',
            b'null,"churn_horizon":"'
            + self._horizons[1]
            + b'","churn_status":"insufficient_history",',
            b',"event_time":',
            b',"window_length":',
            b',"window_digest":"',
            b'"},"late":false,"revision":',
            b'"},"late":true,"revision":',
            b',"supersedes":null',
            b',"supersedes":',
            b',"provider":"' + self._provider + b'"}',
        ]
        return self._pieces.setdefault(partition, _laid_out(pieces))


def _reasons(scores: Scores, at: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    why = np.zeros((len(at), scores.items.shape[1]), np.uint8)  # ITEM_REASONS[0]: sequence
    if scores.popular is not None:
        why[scores.popular[at]] = ITEM_REASONS.index("popular_fallback")
    return why


def _inner(text: str) -> bytes:
    """Text as it stands between the quotes of a JSON string."""
    return msgspec.json.encode(text)[1:-1]


def _laid_out(pieces: Sequence[bytes]) -> tuple[Bytes, Spans]:
    laid = Texts.of(pieces)
    return laid.data, np.concatenate(([0], laid.ends))
