"""A short set of seeds, those that ever failed, and that a fault of ours would be seen."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from stream.core.layout import Outcome
from stream.core.results import Applied
from stream.flow import partition
from stream.flow.order import Order
from tests.sim import run
from tests.sim.faults import KINDS
from tests.sim.process import Process
from tests.sim.producer import Record
from tests.sim.run import FAILED, known, one, summary, table
from tests.sim.seed import play

SEEDS = range(40)
KEPT = [int(line.split()[0]) for line in FAILED.read_text().splitlines() if line[:1].isdigit()]
DIGEST = """
import sys
from tests.sim.seed import play
print(play(int(sys.argv[1]), digest=True).digest)
"""


def test_a_short_set() -> None:
    results = [play(seed) for seed in SEEDS]
    assert [(result.seed, result.problems) for result in results if result.problems] == []
    met = {kind for result in results for kind, _ in result.met}
    assert met == set(KINDS)
    for result in results:
        assert result.events >= 200
        assert result.commits > 0
        assert {"crash", "rebalance"} <= {kind for kind, _ in result.met}


@pytest.mark.parametrize("seed", KEPT)
def test_a_seed_that_failed_once(seed: int) -> None:
    assert play(seed).problems == []


def test_the_same_seed_gives_the_same_bytes_in_another_process() -> None:
    for seed in (3, 11):
        done = subprocess.run(
            [sys.executable, "-c", DIGEST, str(seed)],
            env={"PYTHONHASHSEED": "7", "PYTHONPATH": "."},
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        assert done.stdout.strip() == play(seed, digest=True).digest


class Once:
    """Spoils the third lot of records of a topic, in the run's first process that has one."""

    def __init__(self, topic: str, spoil: Callable[[list[Record]], list[Record]]) -> None:
        self._topic = topic
        self._spoil = spoil
        self._seen = 0

    def __call__(self, process: Process) -> None:
        process.producer.keep = self.keep

    def keep(self, topic: str, records: list[Record]) -> list[Record]:
        if topic != self._topic or not records:
            return records
        self._seen += 1
        return self._spoil(records) if self._seen >= 3 else records


@pytest.mark.parametrize(
    ("topic", "spoil", "words"),
    [
        ("intake-receipts", lambda records: records[1:], "receipts end at"),
        ("predictions", lambda records: [*records, records[0]], "predictions, receipts say"),
        ("predictions", lambda records: records[1:], "predictions, receipts say"),
        ("user-state", lambda records: records[1:], "changelog of partition|state of .* differs"),
        ("churn-alerts", lambda records: [*records, records[0]], "churn-alerts"),
    ],
    ids=["lost receipt", "doubled output", "lost output", "lost state", "doubled alert"],
)
def test_a_canary_is_seen(
    topic: str, spoil: Callable[[list[Record]], list[Record]], words: str
) -> None:
    found = [problem for seed in (0, 2, 3) for problem in play(seed, Once(topic, spoil)).problems]
    assert any(re.search(words, problem) for problem in found), found


def test_an_order_that_is_no_legal_merge_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    times = Order._times
    monkeypatch.setattr(Order, "_times", lambda order, buffer: -times(order, buffer))
    found = [problem for seed in (0, 2, 3) for problem in play(seed).problems]
    assert any("which was there" in problem for problem in found), found


def test_a_users_last_row_that_is_left_out_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_of_them(applied: Applied) -> None:
        rows = applied.rows
        rows["outcome"][rows["outcome"] == Outcome.PREDICTED] = Outcome.COALESCED

    monkeypatch.setattr(partition, "coalesce", all_of_them)
    found = [problem for seed in range(12) for problem in play(seed).problems]
    assert any("last row was coalesced" in problem for problem in found), found


def test_results_are_kept_and_added_up(tmp_path: Path) -> None:
    line = one(2)
    path = tmp_path / "results.jsonl"
    assert known(path) == {}
    path.write_bytes(msgspec.json.encode(line) + b"\ncut of")
    assert known(path) == {2: line}
    assert summary([line]).startswith("seeds=1 failures=0 ")
    assert any(row.startswith("crash") and "1" in row for row in table([line]))


def test_seeds_of_other_code_count_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "FOLDER", tmp_path)
    old = msgspec.structs.replace(one(2), commits=1_000_000)
    run.results_of("before").write_bytes(msgspec.json.encode(old) + b"\n")
    asked = ["run", "--seeds", "2..3", "--processes", "1"]
    monkeypatch.setattr(sys, "argv", [*asked, "--any-code"])
    assert run.main() == 0
    told = capsys.readouterr().out
    assert "1 seeds by the code before" in told
    assert " commits=1000000 " in told
    monkeypatch.setattr(sys, "argv", asked)
    assert run.main() == 0
    assert f"1 seeds by the code {run.code_digest()}" in capsys.readouterr().out
