"""A row that makes the engine raise: one failure, then a dead letter, and all others predicted."""

import contextlib
import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stream.core.config import EngineConfig
from stream.core.engine import Engine
from stream.core.layout import TOPICS
from stream.core.plan import Plan, Scores
from stream.core.results import Applied, Batch
from stream.flow.crash_note import CrashNote
from stream.flow.effects import Effects
from stream.flow.models import TRIAL
from stream.flow.quarantine import HOUR_S
from stream.flow.restore import Engines
from stream.flow.stops import EngineError, QuarantineError, StuckError
from stream.local.crash_notes import FileCrashNotes
from stream.wire.hashing import id_hash
from tests.flow.fakes import FakeChunk, FakeNotes, FakeTransaction, Rig, make_rig
from tests.flow.test_worker import START, until
from tests.oracle.int_scorer import IntScorer

CONFIG = EngineConfig(hidden_users_max=32, exclude_recent=False)
GOOD = 60


class PickyScorer(IntScorer):
    """Raises on every plan with a step of the item `bad`."""

    def score(self, partition: int, plan: Plan) -> Scores:
        if (plan.steps["item"] == id_hash("bad")).any():
            raise FloatingPointError("no number for this item")
        return super().score(partition, plan)


def click(number: int, item: str = "i1") -> tuple[bytes, bytes]:
    event = {
        "event_id": f"e{number}", "event_type": "click", "user_id": f"u{number % 7}",
        "event_time": 1_700_000_000_000 + 1000 * number, "item_id": item,
    }  # fmt: skip
    return b"u%d" % (number % 7), json.dumps(event).encode()


def clicks(bad: set[int]) -> list[tuple[bytes, bytes]]:
    return [click(n, "bad" if n in bad else "i1") for n in range(GOOD)]


async def run(
    log: list[tuple[bytes, bytes]],
    notes: FakeNotes,
    transaction: FakeTransaction,
    scorer: Any,
    **changed: float,
) -> Rig:
    """Start from what is committed, as a new process would, and run to the end or a failure."""
    transaction.open, transaction.begun = [], False
    engines = Engines(CONFIG, 1, 64)
    state = [(key, value) for name, _, key, value in transaction.committed if name == "state"]
    engines.restore(0, [key for key, _ in state], [value for _, value in state])
    rig = make_rig(scorer, engines, transaction, CONFIG, notes, batch_events_max=16, **changed)
    rig.worker.start()
    starts = engines.positions(0) or START[0]
    with contextlib.suppress(QuarantineError):  # told to the group as well as to `fail`
        await rig.worker.on_assigned({0: starts})
        first = starts["clicks"]
        rig.worker.on_chunk(FakeChunk("clicks", 0, first, log[first:], len(log)))
        for name in TOPICS[1:]:
            rig.worker.on_chunk(FakeChunk(name, 0, 0, [], 0))

    def ended() -> bool:
        noted = notes.notes.get(0, CrashNote()).failures
        return transaction.offsets.get(("clicks", 0)) == len(log) and not noted

    await until(lambda: bool(rig.failures) or ended(), "the end")
    rig.worker.stop(5)
    return rig


async def test_the_row_is_set_aside_and_all_others_are_predicted() -> None:
    log, notes, transaction = clicks({33}), FakeNotes(), FakeTransaction()
    crashed = await run(log, notes, transaction, PickyScorer())
    assert isinstance(crashed.failures[0], EngineError)
    assert notes.notes[0].failures == 1
    assert notes.notes[0].offset_first[0] <= 33 < notes.notes[0].offset_next[0]
    again = await run(log, notes, transaction, PickyScorer())
    assert again.failures == []
    outcomes = Counter[str]()
    for value in transaction.values("receipts"):
        receipt = json.loads(value or b"")
        outcomes["predicted"] += receipt["predicted"]
        outcomes.update(outcome for _, outcome, *_ in receipt["exceptions"])
    assert outcomes == {"predicted": GOOD - 1, "dead_lettered": 1}
    (letter,) = transaction.values("dead-letters")
    assert letter == log[33][1], "the original bytes"
    assert notes.notes[0].failures == 0, "the rows are committed"
    assert len(notes.notes[0].quarantined_at_s) == 1


async def test_two_rows_of_one_batch() -> None:
    log, notes, transaction = clicks({5, 9}), FakeNotes(), FakeTransaction()
    await run(log, notes, transaction, PickyScorer())
    again = await run(log, notes, transaction, PickyScorer())
    assert again.failures == []
    assert len(transaction.values("dead-letters")) == 2
    assert len(transaction.values("predictions")) == GOOD - 2


async def test_what_raised_once_and_never_again_is_predicted() -> None:
    log, notes, transaction = clicks({33}), FakeNotes(), FakeTransaction()
    await run(log, notes, transaction, PickyScorer())
    again = await run(log, notes, transaction, IntScorer())
    assert again.failures == []
    assert len(transaction.values("predictions")) == GOOD
    assert transaction.values("dead-letters") == []


async def test_a_scorer_that_hangs_is_no_rows_fault() -> None:
    class Hanging(PickyScorer):
        end = threading.Event()

        def score(self, partition: int, plan: Plan) -> Scores:
            if partition == TRIAL:
                self.end.wait(60)
            return super().score(partition, plan)

    log, notes, transaction = clicks({33}), FakeNotes(), FakeTransaction()
    await run(log, notes, transaction, PickyScorer())
    again = await run(log, notes, transaction, Hanging(), batch_deadline_s=0.3)
    Hanging.end.set()
    assert [type(error) for error in again.failures] == [StuckError]
    assert transaction.values("dead-letters") == []
    assert notes.notes[0].quarantined_at_s == ()


@pytest.mark.parametrize("where", ["apply", "encode"])
async def test_wherever_it_raises(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    apply, of_rows = Engine.apply, Effects.of_rows

    def raising(engine: Engine, batch: Batch, first: int = 0) -> Applied:
        if (batch.events["event_id"][first:] == id_hash("e33")).any() and not (
            batch.events["reason"][batch.events["event_id"] == id_hash("e33")].any()
        ):
            raise IndexError("of the engine")
        return apply(engine, batch, first)

    def not_encoding(effects: Effects, partition: Any, taken: Any, settled: Any, now: int) -> Any:
        good = (settled.rows["offset"] == 33) & (settled.rows["outcome"] == 0)
        if good.any():
            raise UnicodeError("of the encoder")
        return of_rows(effects, partition, taken, settled, now)

    if where == "apply":
        monkeypatch.setattr(Engine, "apply", raising)
    else:
        monkeypatch.setattr(Effects, "of_rows", not_encoding)
    log, notes, transaction = clicks(set()), FakeNotes(), FakeTransaction()
    crashed = await run(log, notes, transaction, IntScorer())
    assert isinstance(crashed.failures[0], EngineError)
    again = await run(log, notes, transaction, IntScorer())
    assert again.failures == []
    assert transaction.values("dead-letters") == [log[33][1]]
    assert len(transaction.values("predictions")) == GOOD - 1


@pytest.mark.parametrize(("bad", "stays_down"), [(2, False), (3, False), (4, True)])
async def test_more_than_an_hour_may_have_keeps_the_worker_down(bad: int, stays_down: bool) -> None:
    log, notes, transaction = clicks(set(range(20, 20 + bad))), FakeNotes(), FakeTransaction()
    last = await run(log, notes, transaction, PickyScorer())
    for _ in range(6):
        if not last.failures or isinstance(last.failures[0], QuarantineError):
            break
        last = await run(log, notes, transaction, PickyScorer())
    assert bool(last.failures) == stays_down
    if stays_down:
        assert not last.failures[0].restart
        assert "quarantine_max=3" in str(last.failures[0])
        started = await run(log, notes, transaction, PickyScorer())
        assert isinstance(started.failures[0], QuarantineError), "a start does not help"
        old = time.time() - HOUR_S - 1
        notes.notes[0] = CrashNote(quarantined_at_s=(old,) * 9)
        assert (await run(log, notes, transaction, IntScorer())).failures == [], "an hour later"


def test_notes_on_disk(tmp_path: Path) -> None:
    notes = FileCrashNotes(tmp_path / "crashes", "g")
    assert notes.read(3) is None
    note = CrashNote((1, -1, 5), (4, -1, 9), 2, "IndexError: x", (12.5,))
    notes.write(3, note)
    assert FileCrashNotes(tmp_path / "crashes", "g").read(3) == note
    assert note.said() == "clicks 1 to 3, purchases 5 to 8"
    assert notes.read(2) is None
    (tmp_path / "crashes" / "g-3.json").write_bytes(b"{half")
    assert notes.read(3) is None


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "crashes").write_text("a file")
    FileCrashNotes(tmp_path / "crashes", "g").write(0, CrashNote())
