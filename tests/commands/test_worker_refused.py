"""`forecart worker` on topics that do not fit: refused before anything is read, with the cure."""

import pytest

from stream.wire.topics import TABLE
from tests.kafka_tools import create_topics

pytestmark = pytest.mark.kafka

ALL = [topic.name for topic in TABLE]


@pytest.mark.parametrize(
    ("partitions", "said", "cure"),
    [
        (dict.fromkeys(ALL, 2), "churn-alerts has 2", "run with --set partitions=2, or"),
        (dict.fromkeys(ALL, 5), "churn-alerts has 5", "run with --set partitions=5, or"),
        (dict.fromkeys(ALL, 4) | {"searches": 3}, "searches has 3", "give each 4 partitions"),
        (dict.fromkeys(ALL, 4) | {"user-state": 5}, "user-state has 5", "give each 5 partitions"),
        ({name: 4 for name in ALL if name != "user-state"}, "user-state", "forecart topics apply"),
    ],
)
def test_wrong_partitions_are_refused_with_the_cure(
    on_broker, kafka, topic_prefix, partitions, said, cure
):
    for count in set(partitions.values()):
        names = [topic_prefix + name for name, wanted in partitions.items() if wanted == count]
        create_topics(kafka, names, count)
    result = on_broker("worker", "--set", "partitions=4")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert topic_prefix + said in result.stderr
    assert cure in result.stderr
