"""Topics as a log: what a real worker served, in its order, partition by partition."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from export.__main__ import group
from export.dataset.folder import load_dataset
from export.dataset.kafka_log import TopicSource, topic_log
from export.dataset.names import Names
from export.dataset.record import record
from stream.core.config import EngineConfig
from stream.core.layout import TOPICS
from stream.served.log import open_log
from tests.e2e.test_worker import Deployment
from tests.kafka_tools import read_all

EVENTS = 3_000

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


@pytest.fixture
def served(kafka: str, topic_prefix: str, tmp_path: Path) -> Deployment:
    """A shop's events, all served and committed; the worker is gone."""
    made = Deployment(kafka, topic_prefix, tmp_path)
    made.publish_shop(EVENTS, seed=21)
    made.start()
    try:
        made.settled(EVENTS)
    finally:
        made.stop()
    return made


def test_the_log_is_what_was_served(served: Deployment, tmp_path: Path) -> None:
    """Same order, same windows: partition_seq, user_seq and digest of every prediction."""
    settings = served.settings
    source = TopicSource(settings.topic_prefix, as_served=True)
    with open_log(settings.broker) as reader:
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

    out = tmp_path / "data"
    options = ["--broker", settings.broker, "--set", f"topic_prefix={prefix}"]
    result = CliRunner().invoke(group, ["dataset", *options, "--as-served", "--out", str(out)])
    assert result.exit_code == 0, result.output
    dataset = load_dataset(out)
    assert dataset.manifest.source["order"] == "served"
    assert dataset.manifest.counts["rows"] == len(told)

    some = ["--offsets", f"{prefix}clicks-0=5:305", "--out", str(tmp_path / "some")]
    result = CliRunner().invoke(group, ["dataset", *options, *some])
    assert result.exit_code == 0, result.output
    fewer = load_dataset(tmp_path / "some").manifest
    assert fewer.source["offsets"][f"{prefix}clicks-0"] == [5, 305]
    assert fewer.counts["events"] < EVENTS
    result = CliRunner().invoke(
        group, ["dataset", *options, "--since", "2099-01-01", "--out", str(tmp_path / "none")]
    )
    assert result.exit_code == 1
    assert "no records in" in result.output
