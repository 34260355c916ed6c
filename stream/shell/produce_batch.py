"""Queue many records in one call of librdkafka, without an object or a call a record.

Rules of the room: the only file that reaches behind the Python package. It has `produce_batch` too,
which wants a dict a record and costs more than one call a record does. So its producer's handle is
read where its extension keeps it, behind the object's head, and the library that the extension
itself is linked with is called: tests/shell/test_produce_batch.py is the contract.
A failed record is reported to nobody: for transactions, whose end fails then.
"""

import ctypes
from typing import Final

import numpy as np
from confluent_kafka import Producer, cimpl

from stream.wire.texts import Texts

COPY: Final = 0x2  # RD_KAFKA_MSG_F_COPY: librdkafka keeps bytes of its own

# rd_kafka_message_t of librdkafka 2 on machines of 64 bits.
MESSAGE: Final = np.dtype(
    {
        "names": ["err", "payload", "len", "key", "key_len"],
        "formats": ["<i4", "<u8", "<u8", "<u8", "<u8"],
        "offsets": [0, 24, 32, 40, 48],
        "itemsize": 72,
    }
)

_library: Final = ctypes.CDLL(cimpl.__file__)
_topic_new: Final = _library.rd_kafka_topic_new
_topic_new.restype = ctypes.c_void_p
_topic_new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_topic_destroy: Final = _library.rd_kafka_topic_destroy
_topic_destroy.restype = None
_topic_destroy.argtypes = [ctypes.c_void_p]
_produce_batch: Final = _library.rd_kafka_produce_batch
_produce_batch.restype = ctypes.c_int
_produce_batch.argtypes = [
    ctypes.c_void_p, ctypes.c_int32, ctypes.c_int, ctypes.c_void_p, ctypes.c_int,
]  # fmt: skip


def handle_of(producer: Producer) -> int:
    """Give the address of a producer's rd_kafka_t. Raises RuntimeError on one that is closed."""
    handle = ctypes.c_void_p.from_address(id(producer) + object.__basicsize__).value
    if handle is None:
        raise RuntimeError("the producer is closed")
    return handle


def produce_batch(
    producer: Producer, topic: str, partition: int, keys: Texts, values: Texts
) -> int:
    """Queue records for one partition, in order; returns how many, from the first one on.

    Fewer than all: librdkafka refused the next one, which asked for by itself says why. About
    0.2 us a record (680 bytes); the interpreter's lock is free meanwhile.
    """
    messages = np.zeros(len(values), MESSAGE)
    _point(messages, "key", "key_len", keys)
    _point(messages, "payload", "len", values)
    handle = _topic_new(handle_of(producer), topic.encode(), None)
    if handle is None:
        return 0
    try:
        _produce_batch(handle, partition, COPY, messages.ctypes.data, len(messages))
    finally:
        _topic_destroy(handle)
    refused = np.flatnonzero(messages["err"])
    if not len(refused):
        return len(messages)
    queued = int(refused[0])
    if len(refused) < len(messages) - queued:  # a record too large: sizes are looked at before
        raise RuntimeError(
            f"{topic}[{partition}]: record {queued} was left out, later ones were not"
        )
    return queued


def _point(messages: np.ndarray, address: str, size: str, texts: Texts) -> None:
    """Set where each text lies; None stays a null pointer."""
    sizes = texts.sizes
    there = sizes >= 0
    messages[address] = np.where(there, texts.data.ctypes.data + texts.begins, 0)
    messages[size] = np.where(there, sizes, 0)
