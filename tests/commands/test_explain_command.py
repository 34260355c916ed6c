"""`forecart explain` and `forecart audit --scores` on a real broker, no worker running."""

import json

import pytest

from stream.core.layout import TOPICS
from tests.served.conftest import log, served_log, shipped  # noqa: F401
from tests.served.played import NAMES, write_played

pytestmark = pytest.mark.kafka
RIG = ("--set", "exclude_recent=false", "--set", "provider=cpu")  # settings of tests/flow/fakes.py


@pytest.fixture
def told(log):  # noqa: F811
    """A prediction with a long window, before the changes of a test."""
    notes = [json.loads(entry.value) for entry in log.of(NAMES.predictions)]
    return next(n for n in reversed(notes) if n["input"]["window_length"] == 32 and n["items"])


def test_explained_to_a_person_and_as_json(on_broker, kafka, topic_prefix, log, told):  # noqa: F811
    write_played(kafka, topic_prefix, log)
    name = topic_prefix + told["prediction_id"]
    result = on_broker("explain", name, *RIG)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{name}: user {told['user_id']} as of 20")
    assert f"digest {told['input']['window_digest']} agrees" in lines[1]
    assert f"purchase (P7D): {100 * told['purchase_probability']:.1f} %" in result.stdout
    assert "effects do not add up to the score and are no causes." in result.stdout
    found = json.loads(on_broker("explain", name, "--json", "--steps", "5", *RIG).stdout)
    assert abs(found["scores"]["purchase"] - told["purchase_probability"]) < 2e-4
    assert found["scores"]["item_id"] == told["items"][0]["item_id"]
    assert sorted(step["back"] for step in found["steps"]) == [0, 1, 2, 3, 4]
    strengths = [abs(step["effects"]["purchase"]) for step in found["steps"]]
    assert strengths == sorted(strengths, reverse=True)
    newest = json.loads(on_broker("explain", "--user", told["user_id"], "--json", *RIG).stdout)
    assert newest["user_id"] == told["user_id"]
    assert newest["as_of"] >= found["as_of"]
    by_churn = json.loads(on_broker("explain", name, "--by", "churn", "--json", *RIG).stdout)
    strengths = [abs(step["effects"]["churn"]) for step in by_churn["steps"]]
    assert strengths == sorted(strengths, reverse=True)
    assert strengths[0] > 0


def test_refusals_are_one_line(on_broker, kafka, topic_prefix, log, told):  # noqa: F811
    entry = next(
        x for x in log.of(NAMES.predictions)
        if json.loads(x.value)["prediction_id"] == told["prediction_id"]
    )  # fmt: skip
    entry.edit(model_version="demo-other")
    write_played(kafka, topic_prefix, log)
    name = topic_prefix + told["prediction_id"]
    for words, why in (
        (("explain", told["prediction_id"]), f"'{told['input']['topic']}' is none of the inputs"),
        (("explain", name), "model demo-other is needed, and the bundle in"),
        (("explain", topic_prefix + "clicks-3-1"), "has no partition 3"),
        (("explain", "--user", "nobody"), "no prediction of user 'nobody'"),
        (("audit", "--scores"), "model demo-other is needed, and the bundle in"),
    ):
        result = on_broker(*words, *RIG)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.count("\n") == 1
        assert why in result.stderr


def test_every_score_is_recomputed_and_a_changed_one_found(
    on_broker, kafka, topic_prefix, log, shipped  # noqa: F811
):  # fmt: skip
    write_played(kafka, topic_prefix, log)
    result = on_broker("audit", "--scores", *RIG)
    assert result.exit_code == 0, result.stdout
    balance, scores = result.stdout.splitlines()[-2:]
    rows = sum(len(log.of(name)) for name in TOPICS)
    told = len(log.of(NAMES.predictions))
    assert balance.startswith(f"events={rows} predicted={told} ")
    assert f" predictions={told} " in scores
    assert f" digests_equal={told} scores={told} scores_equal={told} " in scores
    assert scores.endswith(" problems=0")


def test_a_changed_score_fails(on_broker, kafka, topic_prefix, log):  # noqa: F811
    entry = log.of(NAMES.predictions)[333]
    note = json.loads(entry.value)
    entry.edit(purchase_probability=note["purchase_probability"] + 0.0002)
    write_played(kafka, topic_prefix, log)
    result = on_broker("audit", "--scores", *RIG)
    assert result.exit_code == 1
    problem = f"problem: {topic_prefix}{note['prediction_id']}: purchase_probability "
    assert problem in result.stdout
    assert result.stdout.splitlines()[-1].endswith(" problems=1")
