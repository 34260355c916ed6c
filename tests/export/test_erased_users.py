"""Who has an erasure receipt is in no training data, though the request is gone from the topics."""

from export.dataset.kafka_log import TopicSource, topic_log
from export.dataset.names import Names
from stream.core.forgotten import Forgotten
from stream.core.layout import TOPICS
from stream.wire.topics import ERASURES
from tests.flow.logs import shop_log
from tests.served.played import Entry, PlayedLog

KEY = b"the key of a deployment"


def test_who_has_a_receipt_is_left_out() -> None:
    entries = [
        Entry(TOPICS[topic], offset, key, value)
        for topic, records in enumerate(shop_log(5, 400))
        for offset, (key, value) in enumerate(records)
    ]
    whole, _ = topic_log(PlayedLog(entries), TopicSource(), Names())
    gone = whole.users[3]
    receipts = [
        Entry(ERASURES, offset, Forgotten(KEY, 1, 0).hash(key).hex().encode(), b"{}")
        for offset, key in enumerate((gone, b"somebody else"))
    ]
    log = PlayedLog([*entries, *receipts])
    left, _ = topic_log(log, TopicSource(hash_key=KEY), Names())
    assert left.users == [key for key in whole.users if key != gone]
    assert 0 < len(left.events) < len(whole.events)
    other, _ = topic_log(log, TopicSource(hash_key=b"another key"), Names())
    assert other.users == whole.users
