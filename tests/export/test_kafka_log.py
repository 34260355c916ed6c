"""Topics as a log: what a real worker served, in its order, partition by partition."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from export.__main__ import group
from export.dataset.folder import load_dataset
from export.dataset.kafka_log import TopicSource, topic_log
from export.dataset.names import Names
from export.dataset.record import record
from export.retrain.gates import GATES
from stream.core.config import EngineConfig
from stream.core.layout import TOPICS
from stream.model.bundle import SHIPPED, load_bundle
from stream.shell.reader import Reader
from tests.deployment import Deployment, deployment_on
from tests.kafka_tools import delete_topics, read_all, unique_prefix

EVENTS = 3_000

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def served(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A shop's events, all served and committed; the worker is gone."""
    prefix = unique_prefix()
    made = deployment_on(kafka, prefix, tmp_path_factory.mktemp("served"))
    made.publish_shop(EVENTS, seed=21)
    made.start()
    try:
        made.settled(EVENTS)
        made.stop()
        yield made
    finally:
        made.stop()
        delete_topics(kafka, prefix)


def options(served: Deployment) -> list[str]:
    settings = served.settings
    return ["--broker", settings.broker, "--set", f"topic_prefix={settings.topic_prefix}"]


def test_the_log_is_what_was_served(served: Deployment) -> None:
    """Same order, same windows: partition_seq, user_seq and digest of every prediction."""
    settings = served.settings
    source = TopicSource(settings.topic_prefix, as_served=True)
    with Reader(settings.broker) as reader:
        log, described = topic_log(reader, source, Names())
    assert described["partition_seq_first"] == dict.fromkeys(range(4), 1)
    assert len(log.events) == EVENTS
    assert len(log.partition_first) == 4
    recorded = record(log, EngineConfig(hidden_users_max=1000))
    ends = [end for _, end in log.spans()]
    made = {}
    for row, event in zip(recorded.rows, recorded.event.tolist(), strict=True):
        number = sum(event >= end for end in ends)
        made[f"{TOPICS[row['topic']]}-{number}-{row['offset']}"] = (
            row["partition_seq"], row["user_seq"], f"{row['window_digest']:016x}"
        )  # fmt: skip
    messages = read_all(settings.broker, settings.topic("predictions"))
    told = [json.loads(message.value()) for message in messages]
    prefix = settings.topic_prefix
    assert made == {
        note["prediction_id"].removeprefix(prefix): (
            note["partition_seq"], note["user_seq"], note["input"]["window_digest"]
        )
        for note in told
    }  # fmt: skip


def test_topics_become_a_dataset(served: Deployment, tmp_path: Path) -> None:
    prefix, out = served.settings.topic_prefix, tmp_path / "data"
    run("dataset", *options(served), "--as-served", "--out", out)
    manifest = load_dataset(out).manifest
    assert manifest.source["order"] == "served"
    assert manifest.counts["events"] == EVENTS
    some = tmp_path / "some"
    run("dataset", *options(served), "--offsets", f"{prefix}clicks-0=5:305", "--out", some)
    fewer = load_dataset(some).manifest
    assert fewer.source["offsets"][f"{prefix}clicks-0"] == [5, 305]
    assert fewer.counts["events"] < EVENTS
    none = ["--since", "2099-01-01", "--out", tmp_path / "none"]
    assert "no records in" in run("dataset", *options(served), *none, exit_code=1)
    wrong = ["--offsets", f"{prefix}clicks-0=5:999999", "--out", tmp_path / "none"]
    assert "the topic holds 0:" in run("dataset", *options(served), *wrong, exit_code=1)


def test_a_candidate_that_passes_serves_when_asked(served: Deployment, tmp_path: Path) -> None:
    """And one that does not, does not."""
    pytest.importorskip("torch", reason="training needs the export extra")
    models = tmp_path / "models"
    settings = [*options(served), "--set", f"models_folder={models}", "--live", SHIPPED]
    small = ["--width", 8, "--layers", 1, "--epochs", 1, "--history-days", 10**5]
    hard = ["--gate", "score_us=0", "--promote", "--out", tmp_path / "kept"]
    assert "kept: nothing was changed" in run("retrain", *settings, *small, *hard)
    assert not models.exists()
    gates = [word for gate in GATES for word in ("--gate", f"{gate.name}=1000")]
    text = run("retrain", *settings, *small, *gates, "--promote", "--out", tmp_path / "round")
    candidate = load_bundle(tmp_path / "round" / "candidate")
    assert f"{candidate.version} is active" in text
    assert load_bundle(models / candidate.version).version == candidate.version
    broker, topic = served.settings.broker, served.settings.topic("model-control")
    (message,) = read_all(broker, topic)
    assert json.loads(message.value())["active"] == candidate.version


def run(*arguments: object, exit_code: int = 0) -> str:
    result = CliRunner().invoke(group, [str(argument) for argument in arguments])
    assert result.exit_code == exit_code, result.output
    return result.output
