"""The contract of stream/shell/produce_batch.py: librdkafka's layout, and what it does with it."""

import ctypes
from collections.abc import Callable

import pytest
from confluent_kafka import KafkaException, Producer, cimpl

from stream.shell.produce_batch import handle_of, produce_batch
from stream.shell.producer import TooLargeError, produce_texts
from stream.wire.texts import Texts
from tests.kafka_tools import read_all

NOBODY = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}
HARD_TEXTS = [b"", None, b"x", b"\x00", b"y" * 3000]


def test_the_handle_is_librdkafkas() -> None:
    producer = Producer({**NOBODY, "client.id": "contract"})
    library = ctypes.CDLL(cimpl.__file__)
    library.rd_kafka_name.restype = ctypes.c_char_p
    library.rd_kafka_name.argtypes = [ctypes.c_void_p]
    assert library.rd_kafka_name(handle_of(producer)).startswith(b"contract#producer-")
    library.rd_kafka_type.argtypes = [ctypes.c_void_p]
    assert library.rd_kafka_type(handle_of(producer)) == 0  # RD_KAFKA_PRODUCER
    producer.close()


def test_a_closed_producer_is_refused() -> None:
    producer = Producer(NOBODY)
    producer.close()
    with pytest.raises(RuntimeError, match="closed"):
        produce_batch(producer, "t", 0, Texts.of([b"k"]), Texts.of([b"v"]))


def test_a_full_queue_takes_the_first_ones() -> None:
    producer = Producer({**NOBODY, "queue.buffering.max.messages": 10})
    texts = Texts.of([b"%d" % n for n in range(25)])
    assert produce_batch(producer, "t", 0, texts, texts) == 10
    assert produce_batch(producer, "t", 0, texts.since(10), texts.since(10)) == 0
    assert produce_batch(producer, "t", 0, Texts.of([]), Texts.of([])) == 0
    producer.purge()
    producer.poll(0)
    producer.close()


def test_what_is_too_large_is_found_before_anything_is_queued() -> None:
    producer = Producer({**NOBODY, "queue.buffering.max.messages": 1})
    keys, values = Texts.of([b"k", None, b"k"]), Texts.of([b"v", b"x" * 100, None])
    told: list[tuple[str, str]] = []
    with pytest.raises(TooLargeError, match=r"record 1 .* 100 bytes"):
        produce_texts(
            producer, "t", 0, keys, values, message_bytes_max=99, deadline_s=1,
            on_error=lambda *why: told.append(why),
        )  # fmt: skip
    assert produce_batch(producer, "t", 0, Texts.of([b"k"]), Texts.of([b"v"])) == 1, "was empty"
    assert told == [("t", "too_large")]
    producer.purge()
    producer.close()


def test_a_record_left_out_in_the_middle_is_no_prefix() -> None:
    producer = Producer({**NOBODY, "message.max.bytes": 2000})
    keys = Texts.of([None] * 10)
    values = Texts.of([b"x" * (5000 if n in (3, 8) else 5) for n in range(10)])
    with pytest.raises(RuntimeError, match="record 3 was left out"):
        produce_batch(producer, "t", 0, keys, values)
    producer.purge()
    producer.close()


@pytest.mark.kafka
def test_nothing_nothing_at_all_and_zeros_arrive(
    kafka: str, make_topics: Callable[..., dict[str, str]]
) -> None:
    topic = make_topics(["hard"], 2)["hard"]
    producer = Producer({"bootstrap.servers": kafka})
    keys = Texts.of([*HARD_TEXTS, *reversed(HARD_TEXTS)])
    values = Texts.of([*HARD_TEXTS, *HARD_TEXTS])
    assert produce_batch(producer, topic, 1, keys, values) == 10
    assert producer.flush(10) == 0
    seen = read_all(kafka, topic)
    assert {message.partition() for message in seen} == {1}
    assert [(message.key(), message.value()) for message in seen] == list(
        zip(keys, values, strict=True)
    )
    producer.close()


@pytest.mark.kafka
def test_a_partition_that_is_not_there_is_told(
    kafka: str, make_topics: Callable[..., dict[str, str]]
) -> None:
    topic = make_topics(["one"], 1)["one"]
    producer = Producer({"bootstrap.servers": kafka})
    producer.list_topics(topic, 10)
    texts = Texts.of([b"v"])
    produce_batch(producer, topic, 0, texts, texts)
    assert producer.flush(10) == 0
    with pytest.raises(KafkaException, match="partition"):
        produce_texts(producer, topic, 7, texts, texts, message_bytes_max=100, deadline_s=1)
    producer.close()
