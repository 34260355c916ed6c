"""murmur2 agrees with Kafka's own test vectors and with aiokafka, alone and by column."""

import numpy as np
import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from stream.wire.murmur2 import murmur2, murmur2_column, partition_of

# org.apache.kafka.common.utils.UtilsTest.testMurmur2, as signed 32-bit numbers.
JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", JAVA)
def test_java_vectors(key):
    assert murmur2(key) == JAVA[key] & 0xFFFF_FFFF


@given(st.binary(max_size=600), st.integers(1, 200))
def test_as_aiokafka(key, count):
    assert murmur2(key) == aiokafka_murmur2(key) & 0xFFFF_FFFF
    everyone = list(range(count))
    assert partition_of(key, count) == DefaultPartitioner()(key, everyone, everyone)


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_column_as_alone(keys):
    sizes = np.array([len(key) for key in keys], np.int64)
    hashes = np.zeros(len(keys), np.uint32)
    murmur2_column(np.frombuffer(b"".join(keys), np.uint8), sizes, hashes)
    assert hashes.tolist() == [murmur2(key) for key in keys]
