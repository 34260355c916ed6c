"""A second model is activated and rolled back while a worker works: all is accounted for."""

import subprocess
from itertools import groupby
from pathlib import Path

import msgspec
import pytest

from export.bundles.bench_bundle import bench_bundle
from stream.model.bundle import SHIPPED
from stream.model.shelf import version_in
from stream.shell.reader import Reader
from tests.deployment import FORECART, Deployment, environ_of
from tests.kafka_tools import produce

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


class Said(msgspec.Struct):
    """What is read of a prediction."""

    partition_seq: int
    model_version: str


def model(at: Deployment, *words: str) -> str:
    """Run `forecart model` beside the worker."""
    done = subprocess.run(
        [*FORECART, "model", *words],
        env=environ_of(at.settings), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def runs(at: Deployment) -> list[list[str]]:
    """By partition: the versions of its predictions in the order of its rows, repeats left out."""
    topic = at.settings.topic("predictions")
    said: list[list[Said]] = [[] for _ in range(at.settings.partitions)]
    with Reader(at.settings.broker) as reader:
        for record in reader.records(reader.ranges([topic])):
            said[record.partition].append(msgspec.json.decode(record.value or b"", type=Said))
    found = []
    for messages in said:
        seqs = [message.partition_seq for message in messages]
        assert seqs == sorted(seqs)
        found.append([version for version, _ in groupby(m.model_version for m in messages)])
    return found


def test_there_and_back_under_load(deployment: Deployment, tmp_path: Path) -> None:
    bundle = tmp_path / "second"
    bench_bundle(bundle, 200, hidden=20)
    first, second = version_in(SHIPPED), version_in(bundle)
    topic = deployment.settings.topic("model-control")
    produce(deployment.settings.broker, topic, [(b"main", b"rubbish"), (b"other", b"{}")])
    worker = deployment.start()
    worker.wait_until_it_runs()
    events = 0
    for number, words in enumerate((["activate", str(bundle)], ["rollback"], [])):
        events += deployment.publish_shop(2_000, seed=50 + number, rate=2_000)
        if words:
            model(deployment, *words)
            worker.wait_said(f"model {first if number else second} serves instead", 180)
    report = deployment.settled(events)
    assert report.problems.count == 0, report.summary()
    assert runs(deployment) == [[first, second, first]] * deployment.settings.partitions
    assert f"active    {first}" in model(deployment, "show")
    assert "record ignored" in worker.said()
