"""The pipeline in memory does the worker's whole work, and the providers are told apart."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stream.model.bundle import Bundle
from stream.model.graphs import DeviceError, Graphs
from tests.bench import memory, random_bundle
from tests.bench.card import Card
from tests.bench.full_users import FullUsers
from tests.bench.loaded import Setup, loaded
from tests.bench.pipeline import STAGES

SMALL = Setup(card=Card(users=300, hidden=8, layers=1), items=50, rows_max=64, commit_events=500)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (random_bundle, memory):
        monkeypatch.setattr(module, "OUTPUT", tmp_path)
    return tmp_path


def test_every_event_goes_through_all_stages():
    pipeline = loaded(replace(SMALL, items_top=3), 3_000)
    measured = pipeline.run(2_000)
    pipeline.run(1_000)
    outcomes = pipeline.outcomes()
    assert 2_000 <= measured.events < 2_000 + SMALL.rows_max
    assert outcomes.total() >= 3_000
    assert outcomes["dead_lettered"] == 0
    assert 0 < outcomes["duplicate"] < 0.03 * outcomes.total()
    assert set(measured.stages_us) == set(STAGES)
    assert all(us > 0 for us in measured.stages_us.values())
    assert measured.steps > measured.events  # windows are rebuilt each L events
    assert 300 <= measured.state_rows <= 5 * 300  # each commit writes whom it touched, once
    assert measured.state_bytes > 1_000 * measured.state_rows
    assert max(measured.batches_ms) > 0


def test_batches_are_about_as_large_as_they_may_be():
    measured = loaded(SMALL, 4_000).run(4_000)
    assert 0.7 * SMALL.rows_max < measured.events / len(measured.batches_ms) <= SMALL.rows_max


def test_who_was_active_carries_on_from_the_pool():
    card = Card(users=2_000)
    full = FullUsers(card, card.users)
    full.carry_on(np.arange(card.users))
    rows = np.concatenate([engine.state.hidden_row for engine in full.engines])
    assert (rows >= 0).sum() > 0.9 * card.users
    for engine in full.engines:
        owned = np.flatnonzero(engine.state.pool_owner >= 0)
        assert (engine.state.hidden_row[engine.state.pool_owner[owned]] == owned).all()


def test_a_load_that_is_at_its_end_is_told():
    pipeline = loaded(SMALL, 100)
    with pytest.raises(RuntimeError, match="at its end"):
        pipeline.run(10_000)


def small_run(monkeypatch: pytest.MonkeyPatch, missing: str, *arguments: str) -> int:
    monkeypatch.setattr(memory, "Setup", lambda **_: SMALL)
    monkeypatch.setattr(memory, "cuda_missing", lambda: missing)
    return memory.main(["--events", "500", "--rounds", "2", *arguments])


def test_without_cuda_the_cpu_alone_is_measured(folder, monkeypatch, capsys):
    assert small_run(monkeypatch, "no NVIDIA driver here") == 0
    said = capsys.readouterr().out
    assert "no CUDA here: no NVIDIA driver here; measured is the CPU alone" in said
    (path,) = folder.glob("memory-*.json")
    report = json.loads(path.read_text())
    assert list(report["runs"]) == ["cpu"]
    assert len(report["runs"]["cpu"]) == 2
    assert report["cuda_missing"] == "no NVIDIA driver here"


def test_a_provider_that_is_there_and_fails_is_an_error(monkeypatch, capsys):
    def absent(_bundle: Bundle, _threads: int) -> Graphs:
        raise DeviceError("CUDA error 999")

    monkeypatch.setattr("stream.model.providers.open_cuda", absent)
    assert small_run(monkeypatch, "") == 1
    assert "cuda: provider require: CUDA error 999" in capsys.readouterr().out
