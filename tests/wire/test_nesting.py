"""How deep an event may be nested: a number of ours, the same on every Python."""

import re
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.layout import Reason
from stream.wire.event import Refused, read_event
from stream.wire.hashing import Memories, text_hash
from stream.wire.limits import NESTING_MAX, Limits
from stream.wire.nesting import nesting
from tests.wire.samples import (
    CLICK,
    PARTITION,
    PARTITIONS,
    PURCHASE,
    USER,
    changed,
    packed,
    read,
    reason_of,
)


@pytest.mark.parametrize(
    ("levels", "wanted"),
    [(NESTING_MAX - 1, 0), (NESTING_MAX, 0), (NESTING_MAX + 1, Reason.UNDECODABLE)],
)
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"x":', "}"), ('[{"x":[', "]}]")])
def test_nesting_limit(levels, wanted, opening, closing):
    """Of the whole event, in a field that is not read; the event itself is the first level."""
    brackets = opening.count("[") + opening.count("{")
    whole, rest = divmod(levels - 1, brackets)
    inner = "[" * rest + "0" + "]" * rest
    value = packed(CLICK)[:-1] + f',"x":{opening * whole}{inner}{closing * whole}}}'.encode()
    assert reason_of(value) == wanted


def test_nesting_within_an_item():
    nested = "[" * NESTING_MAX + "]" * NESTING_MAX
    for levels, wanted in ((NESTING_MAX - 3, 0), (NESTING_MAX - 2, Reason.UNDECODABLE)):
        inner = nested[NESTING_MAX - levels : NESTING_MAX + levels]
        value = packed(PURCHASE).replace(b'"quantity": 2', f'"quantity": 2, "x": {inner}'.encode())
        assert reason_of(value, 2) == wanted


@pytest.mark.parametrize(
    "text",
    ["[" * 500, "{" * 500, '\\"' + "[" * 500, "[{" * 100 + '"', "\\" * 9 + "[" * 100 + '\\"'],
)
def test_brackets_in_texts_are_no_nesting(text):
    event = changed(more=text, channel=text[:100])
    assert reason_of(event) == 0
    assert read(event).channel == text_hash(text[:100])


def test_many_levels_beside_each_other_are_no_nesting():
    assert reason_of(changed(more=[[[]]] * 300)) == 0
    assert reason_of(packed(changed(more=[])).replace(b"[]", b"]" * 70 + b"[" * 70)) == (
        Reason.UNDECODABLE
    )


@given(
    st.recursive(
        st.text('[]{}"\\\\a', max_size=6),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text('[{"\\\\', max_size=3), inner)
        ),
        max_leaves=20,
    )
)
def test_levels_are_counted(value):
    def levels(node):
        if isinstance(node, str):
            return 0
        inner = node.values() if isinstance(node, dict) else node
        return 1 + max(map(levels, inner), default=0)

    assert nesting(np.frombuffer(packed(value), np.uint8)) == levels(value)


@pytest.mark.parametrize(
    ("start", "part"),
    [
        (b'["', b'\\"'),
        (b"", b'[""'),
        (b"", b'["\\'),
        (b"", b'""'),
        (b'{"x":[', b'"",'),  # valid JSON nearly to its end
        (b"", b"[]"),
    ],
)
def test_no_bytes_make_the_count_of_levels_slow(start, part):
    """A batch of 60 events of 1 MiB, 60 KB compressed, must not outlast `batch_deadline_s`."""
    value = b"[" * (NESTING_MAX + 1) + start + part * (500_000 // len(part))
    nesting(np.frombuffer(value[:9], np.uint8))  # compiled
    began = time.thread_time()
    for _ in range(10):
        with pytest.raises(Refused):
            read_event(0, PARTITION, USER.encode(), value, Limits(PARTITIONS), Memories())
    assert time.thread_time() - began < 10 * 0.015  # 0.03 s a MiB: 60 of them take half of it


@given(st.lists(st.sampled_from(list(b'[]{}"\\a')), max_size=40).map(bytes))
def test_the_compiled_count_is_its_plain_twin_and_a_regular_expression(value):
    data = np.frombuffer(value, np.uint8)
    depths = [0]
    for char in re.sub(rb'"(?:[^"\\]|\\.)*(?:"|\\?$)', b"", value, flags=re.DOTALL):
        depths.append(depths[-1] + (char in b"[{") - (char in b"]}"))
    assert nesting(data) == nesting.py_func(data) == max(depths)
