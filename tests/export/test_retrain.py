"""The retrain loop: gates at their margins, days that neither has seen, and a round from files."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the export extra")

from click.testing import CliRunner

from export.__main__ import group
from export.dataset.merge_log import without_before
from export.dataset.shop_log import shop_log
from export.retrain.gates import GATES, Gate, chosen, judge, passes
from export.retrain.side_by_side import Pair
from stream.core.config import DAY_MS
from stream.core.layout import NEVER_MS
from stream.local.shop import START_MS, Shop
from stream.model.bundle import load_bundle

HIGH = Gate("p_at_10", "", 0.25, higher_is_better=True)
LOW = Gate("purchase_log_loss", "", 0.25)
RATIO = Gate("score_us", "", 1.5, ratio=True)


@pytest.mark.parametrize(
    ("gate", "candidate", "passed"),
    [
        (HIGH, 0.5, True), (HIGH, 0.26, True), (HIGH, 0.25, True), (HIGH, 0.24, False),
        (LOW, 0.5, True), (LOW, 0.74, True), (LOW, 0.75, True), (LOW, 0.76, False),
        (RATIO, 0.5, True), (RATIO, 0.74, True), (RATIO, 0.75, True), (RATIO, 0.76, False),
        (HIGH, float("nan"), False), (LOW, float("nan"), False),
    ],
)  # fmt: skip
def test_a_gate_at_its_margin(gate: Gate, candidate: float, passed: bool) -> None:
    (verdict,) = judge({gate.name: Pair(0.5, candidate)}, [gate])
    assert verdict.passed is passed


def test_open_gates_stop_nothing_but_next_items_must_be_known() -> None:
    good, bad = Pair(0.5, 0.5), Pair(0.5, 0.0)
    assert passes(judge({"p_at_10": good}, GATES))
    assert not passes(judge({"p_at_10": bad}, GATES))
    assert not passes(judge({"purchase_auc": good}, GATES))
    assert not passes(judge({"p_at_10": good, "silence_auc": bad}, GATES))
    assert not passes(judge({}, [LOW])), "nothing answered is nothing known"


def test_gates_are_set_by_hand() -> None:
    gates = {gate.name: gate for gate in chosen(["p_at_10=0.2", "silence_auc=off"])}
    assert gates["p_at_10"].margin == 0.2
    assert "silence_auc" not in gates
    assert len(gates) == len(GATES) - 1
    for wrong in ("nothing=1", "p_at_10", "p_at_10=-1", "p_at_10=x", "p_at_10=inf"):
        with pytest.raises(ValueError, match="gate"):
            chosen([wrong])


def test_history_is_cut() -> None:
    log = shop_log(Shop(5, 20, items=50, days=6))
    since_ms = START_MS + 3 * DAY_MS
    left = without_before(log, since_ms)
    times = left.events["time_ms"]
    assert ((times >= since_ms) | (times == NEVER_MS)).all()
    assert 0 < len(left.events) < len(log.events)


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(group, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, result.output


def shop_file(path: Path, days: float) -> Path:
    """A shop's events as JSON lines. Synthetic."""
    lines = []
    for block in Shop(5, 50, items=100, days=days).events():
        for value, fault in zip(block.values, block.rows["fault"].tolist(), strict=True):
            event = json.loads(value) if not fault else {}
            if "items" in event:
                event |= event["items"][0]
            if event:
                lines.append(json.dumps(event))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.model
def test_a_round_from_files(tmp_path: Path) -> None:
    """Trained on ten days, trained again when twenty are there; then the gates are moved."""
    small = ("--width", 8, "--layers", 1, "--epochs", 1)
    dataset, live = tmp_path / "first", tmp_path / "live"
    first = shop_file(tmp_path / "first.jsonl", 10)
    whole = shop_file(tmp_path / "whole.jsonl", 20)
    assert run("dataset", "--file", first, "--out", dataset)[0] == 0
    assert run("train", "--dataset", dataset, "--out", live, *small)[0] == 0
    bundle = load_bundle(live)
    until_ms = bundle.manifest.training.until_ms
    assert START_MS + 9 * DAY_MS < until_ms < START_MS + 10 * DAY_MS
    loose = [f"{gate.name}=1000" for gate in GATES]
    gates = [word for text in loose for word in ("--gate", text)]
    least = ("--events-min", 100)
    arguments = ("--live", live, "--file", whole, *small, "--history-days", 3, *least)
    out = tmp_path / "round"
    code, text = run("retrain", *arguments, "--out", out, *gates)
    assert code == 0, text
    assert "decision=promote" in text
    assert f"forecart model activate {out / 'candidate'}" in text
    report = json.loads((out / "report.json").read_text())
    assert report["live"] == bundle.version
    assert report["candidate"] == load_bundle(out / "candidate").version
    assert report["compared_from_ms"] >= until_ms, "days that the live bundle has not seen"
    assert not report["live_may_have_seen_these_days"]
    manifest = json.loads((out / "dataset" / "manifest.json").read_text())
    assert manifest["cuts"]["test_ms"] == report["compared_from_ms"]
    page = (out / "report.md").read_text()
    assert "**The candidate may be promoted.**" in page
    assert "next item among the ten best" in page

    code, text = run("retrain", *arguments, "--out", tmp_path / "two", "--events-min", 10**6)
    assert code == 1
    assert "a round needs 1000000" in text
    assert not (tmp_path / "two").exists()
    assert "give one of" in run("retrain", *arguments, "--out", out, "--promote", "--shadow")[1]
    assert "is there already" in run("retrain", *arguments, "--out", out)[1]
    assert "write NAME=MARGIN" in run(
        "retrain", *arguments, "--out", tmp_path / "two", "--gate", "x"
    )[1]  # fmt: skip
