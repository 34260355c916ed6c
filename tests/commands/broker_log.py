"""The small log of tests/audit on a real broker, with real transaction markers in its holes."""

from itertools import groupby

from confluent_kafka import Producer

from tests.audit.small_log import NAMES, PREFIX
from tests.kafka_tools import create_topics, unique_prefix

TOPICS = (*NAMES.inputs, NAMES.receipts, NAMES.predictions, NAMES.dead_letters)


def write_log(bootstrap, prefix, lines):
    """Create the topics under `prefix` instead of the log's own, and write every line."""
    create_topics(bootstrap, [prefix + name[len(PREFIX) :] for name in TOPICS], 2)
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": unique_prefix()})
    producer.init_transactions(30)

    def send(line, **changes):
        headers = [(name, _renamed(value, prefix)) for name, value in line.headers]
        producer.produce(
            _renamed(line.topic.encode(), prefix).decode(),
            partition=line.partition,
            key=_renamed(line.key, prefix),
            value=_renamed(line.value, prefix),
            headers=headers,
        )

    def skip(line, count):
        """Leave a hole: an aborted transaction of count - 1 records, and its marker."""
        producer.begin_transaction()
        for _ in range(count - 1):
            send(line)
        producer.flush(30)
        producer.abort_transaction(30)

    outputs = [line for line in lines.all() if line.topic not in NAMES.inputs]
    producer.begin_transaction()
    for line in outputs:
        send(line)
    producer.commit_transaction(30)
    place = lambda line: (line.topic, line.partition)  # noqa: E731
    for _, group in groupby(sorted(lines.inputs, key=lambda x: (*place(x), x.offset)), place):
        offset, is_open = 0, False
        for line in group:
            if is_open and line.offset > offset:
                producer.commit_transaction(30)
                is_open, offset = False, offset + 1
            if line.offset > offset:
                skip(line, line.offset - offset)
                offset = line.offset
            if not is_open:
                producer.begin_transaction()
                is_open = True
            send(line)
            offset += 1
        producer.commit_transaction(30)


def _renamed(text, prefix):
    for name in NAMES.inputs if text else ():
        text = text.replace(name.encode(), (prefix + name[len(PREFIX) :]).encode())
    for name in TOPICS[3:] if text else ():
        text = text.replace(name.encode(), (prefix + name[len(PREFIX) :]).encode())
    return text
