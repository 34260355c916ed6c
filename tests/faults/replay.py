"""The state that a deployment wrote against a replay of its recorded order, byte for byte.

The order is that of partition_seq in predictions and receipts (stream/served/order.py); a new
engine is given the rows in it, in batches of other sizes, and must come to the same changelog:
each user's row, each forgotten hash, the header. Needs a model of exact scores (exact_bundle.py).
"""

from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from stream.core.engine import Engine
from stream.flow.partition import OUTCOMES
from stream.model.bundle import load_bundle
from stream.model.providers import open_graphs
from stream.model.scorer import OnnxScorer
from stream.served.order import Order, read_order
from stream.served.rows import served_batches
from stream.settings import Settings
from stream.shell.reader import Reader
from stream.wire.decode import Decoder
from stream.wire.state import HEADER_KEY, changelog
from tests.deployment import Deployment

ROWS_MAX: Final = 777  # unlike any batch of the worker
SHOWN_MAX: Final = 5

Rows = dict[bytes, bytes]


def differences(deployment: Deployment) -> list[str]:
    """Replay every partition; say what differs."""
    settings = deployment.settings
    found = []
    with Reader(settings.broker) as log:
        for partition in range(settings.partitions):
            order = read_order(log, deployment.names, partition)
            written = written_rows(log, settings.topic("user-state"), partition)
            again = _replayed(log, deployment, order)
            found += _compared(partition, written, again)
    return found


def written_rows(log: Reader, topic: str, partition: int) -> Rows:
    """Read a partition of the changelog: the last value of each key, without the erased."""
    range_ = log.ranges([topic])[topic, partition]
    rows: dict[bytes, bytes | None] = {}
    for record in log.records({(topic, partition): range_}):
        rows[record.key or b""] = record.value
    return {key: value for key, value in rows.items() if value is not None}


def _replayed(log: Reader, deployment: Deployment, order: Order) -> Rows:
    settings = deployment.settings
    scorer, engine = _engine(settings, order.partition)
    decoder = Decoder(settings.partitions, settings.event_bytes_max, settings.skew_ms_max)
    rows: dict[bytes, bytes | None] = {}
    outcomes = dict.fromkeys(OUTCOMES, 0)
    offset_next = dict.fromkeys(deployment.names.inputs, 0)
    batches = served_batches(log, deployment.names, order, decoder, ROWS_MAX)
    for served in batches:
        engine.run(served.batch, lambda plan: scorer.score(order.partition, plan))
        counts = np.bincount(served.rows["outcome"], minlength=len(OUTCOMES)).tolist()
        outcomes = {name: outcomes[name] + n for name, n in zip(OUTCOMES, counts, strict=True)}
        for topic, name in enumerate(deployment.names.inputs):
            mine = served.rows["offset"][served.rows["topic"] == topic]
            offset_next[name] = max(offset_next[name], int(mine.max(initial=-1)) + 1)
        rows.update(changelog(engine, settings.partitions, offset_next, outcomes).records())
    return {key: value for key, value in rows.items() if value is not None}


def _engine(settings: Settings, partition: int) -> tuple[OnnxScorer, Engine]:
    bundle = load_bundle(Path(settings.bundle), settings.window_steps)
    scorer = OnnxScorer(bundle, open_graphs(bundle, "cpu"), settings.items_top)
    scorer.open(partition, settings.hidden_users_max)
    config = settings.engine(bundle.refresh_steps, bundle.hazard_edges_ms)
    return scorer, Engine(config, partition)


def _compared(partition: int, written: Rows, again: Rows) -> list[str]:
    what = f"partition {partition}: "
    headers = [msgspec.json.decode(rows.pop(HEADER_KEY)) for rows in (written, again)]
    found = [
        f"{what}header {name}: written {value}, replayed {headers[1][name]}"
        for name, value in headers[0].items()
        if value != headers[1][name]
    ]
    keys = sorted(written.keys() | again.keys())
    wrong = [key for key in keys if written.get(key) != again.get(key)]
    found += [f"{what}{key!r}: {_unlike(written.get(key), again.get(key))}" for key in wrong][
        :SHOWN_MAX
    ]
    return [*found, f"{what}{len(wrong)} of {len(keys)} rows differ"] if wrong else found


def _unlike(written: bytes | None, again: bytes | None) -> str:
    if written is None or again is None:
        return f"written: {written is not None}, replayed: {again is not None}"
    at = next(
        (at for at, pair in enumerate(zip(written, again, strict=False)) if pair[0] != pair[1]),
        min(len(written), len(again)),
    )
    return f"{len(written)} and {len(again)} bytes, unlike from byte {at}"
