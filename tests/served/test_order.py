"""Rows as served: the order told by predictions and receipts is the one that gives the same."""

import json

import numpy as np
import pytest

from stream.core.config import EngineConfig
from stream.core.engine import Engine
from stream.core.layout import Outcome
from stream.served.log import ServedError
from stream.served.order import read_order
from stream.served.rows import served_batches
from stream.wire.decode import Decoder
from tests.oracle.int_scorer import IntScorer
from tests.served.played import NAMES, PlayedLog, play_shop

PREDICTED = int(Outcome.PREDICTED)


def replayed(log: PlayedLog, rows_max: int = 100):
    """Rows of an engine that is given what was served, and the outcomes that were told."""
    config = EngineConfig(hidden_users_max=32, exclude_recent=False)
    engine, scorer = Engine(config, 0), IntScorer()
    scorer.open(0, 32)
    rows, told = [], []
    for served in served_batches(log, NAMES, read_order(log, NAMES, 0), Decoder(1), rows_max):
        parts = engine.run(served.batch, lambda plan: scorer.score(0, plan))
        done = np.concatenate([part.rows for part in parts])
        assert done["partition_seq"][0] == served.seq_first
        assert (done["offset"] == served.rows["offset"]).all()
        rows.append(done)
        told.append(served.rows)
    return np.concatenate(rows), np.concatenate(told)


async def test_replayed_rows_are_those_that_were_served() -> None:
    log = await play_shop(31, 900)
    rows, told = replayed(log)
    assert len(rows) == sum(len(log.of(name)) for name in NAMES.inputs)
    assert (rows["outcome"] == told["outcome"]).all()
    counts = np.bincount(rows["outcome"], minlength=6)
    assert (counts[[Outcome.DUPLICATE, Outcome.DEAD_LETTERED, Outcome.CONTROL]] > 5).all()
    assert counts[Outcome.FORGOTTEN] > 0
    assert (rows["late"] != 0).sum() > 5
    predictions = {entry.offset: json.loads(entry.value) for entry in log.of(NAMES.predictions)}
    at = np.flatnonzero(told["outcome"] == PREDICTED)
    assert len(at) == len(predictions)
    for row, served in zip(rows[at], told[at], strict=True):
        note = predictions[int(served["prediction"])]
        assert note["prediction_id"] == f"{NAMES.inputs[row['topic']]}-0-{row['offset']}"
        assert note["input"]["window_digest"] == f"{row['window_digest']:016x}"
        seqs = (note["partition_seq"], note["user_seq"], note["user_epoch"], note["revision"])
        assert seqs == tuple(
            row[name] for name in ("partition_seq", "user_seq", "user_epoch", "revision")
        )


async def test_any_cut_gives_the_same_rows() -> None:
    log = await play_shop(32, 300)
    single, whole = replayed(log, 1)[0], replayed(log, 8192)[0]
    for name in set(whole.dtype.names) - {"user", "scored"}:  # indices into a batch
        assert (single[name] == whole[name]).all(), name


async def test_the_last_of_repeated_predictions_counts() -> None:
    """at_least_once: a try that was not committed had another order."""
    log = await play_shop(33, 200)
    order = read_order(log, NAMES, 0)
    strays = log.of(NAMES.predictions)[:3]
    for entry in log.entries:
        if entry.topic == NAMES.predictions:
            entry.offset += 3
    for number, entry in enumerate(strays):
        seq = json.loads(entry.value)["partition_seq"]
        log.entries.append(type(entry)(entry.topic, number, entry.key, entry.value))
        log.entries[-1].edit(partition_seq=seq + 1)
    again = read_order(PlayedLog(sorted(log.entries, key=lambda x: x.offset)), NAMES, 0)
    for name in ("offset", "topic", "outcome"):
        assert (again.rows[name] == order.rows[name]).all()


async def test_a_prediction_of_what_a_receipt_names_is_of_a_try_that_did_not_commit() -> None:
    log = await play_shop(33, 200)
    order = read_order(log, NAMES, 0)
    exempt = next(row for row in order.rows if row["prediction"] < 0)
    stray = log.of(NAMES.predictions)[0]
    topic, offset = NAMES.inputs[exempt["topic"]], int(exempt["offset"])
    for entry in log.entries:
        if entry.topic == NAMES.predictions:
            entry.offset += 1
    log.entries.append(type(stray)(stray.topic, 0, stray.key, stray.value))
    log.entries[-1].edit(input={"topic": topic, "partition": 0, "offset": offset})
    again = read_order(PlayedLog(sorted(log.entries, key=lambda x: x.offset)), NAMES, 0)
    for name in ("offset", "topic", "outcome"):
        assert (again.rows[name] == order.rows[name]).all()


async def test_rows_after_the_last_receipt_are_left_out() -> None:
    log = await play_shop(34, 200)
    whole = read_order(log, NAMES, 0)
    receipts = log.of(NAMES.receipts)
    commits = [entry for entry in receipts if json.loads(entry.value)["topic"] == "clicks"]
    gone = [entry for entry in receipts if entry.offset >= commits[1].offset]
    order = read_order(PlayedLog([x for x in log.entries if x not in gone]), NAMES, 0)
    assert 0 < len(order.rows) < len(whole.rows)
    assert (order.rows == whole.rows[: len(order.rows)]).all()


@pytest.mark.parametrize("topic", ["clicks", "predictions", "receipts"])
async def test_a_cut_log_begins_after_the_cut(topic: str) -> None:
    log = await play_shop(35, 400)
    whole = read_order(log, NAMES, 0)
    log.starts[topic] = log.of(topic)[len(log.of(topic)) // 3].offset
    order = read_order(log, NAMES, 0)
    assert order.cut
    assert 50 < len(order.rows) < len(whole.rows)
    assert (order.rows == whole.rows[order.seq_first - 1 :]).all()
    assert sum(len(served.rows) for served in served_batches(log, NAMES, order, Decoder(1))) == len(
        order.rows
    )


async def test_a_missing_prediction_is_no_cut() -> None:
    log = await play_shop(36, 200)
    gone = log.of(NAMES.predictions)[20]
    seq = json.loads(gone.value)["partition_seq"]
    log.entries.remove(gone)
    with pytest.raises(ServedError, match=f"partition_seq {seq} is wanted"):
        read_order(log, NAMES, 0)


async def test_a_missing_input_is_named() -> None:
    log = await play_shop(37, 200)
    order = read_order(log, NAMES, 0)
    log.entries.remove(log.of("searches")[4])
    with pytest.raises(ServedError, match=r"searches-0-4 is gone, though a commit covers it"):
        list(served_batches(log, NAMES, order, Decoder(1)))
