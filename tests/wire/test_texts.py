"""Texts behave as the list they were made of."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream.wire.texts import Texts

texts_of = st.lists(st.one_of(st.none(), st.binary(max_size=20)), max_size=12)


@given(texts_of, st.data())
def test_a_texts_is_its_list(texts, data):
    made = Texts.of(texts)
    assert list(made) == texts
    assert [made[place] for place in range(len(made))] == texts
    assert made.bytes_count == sum(len(text) for text in texts if text is not None)
    assert (made.sizes < 0).tolist() == [text is None for text in texts]
    assert Texts.of(made) is made
    first = data.draw(st.integers(0, len(texts)))
    assert list(made.since(first)) == texts[first:]
    places = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=5)) if texts else []
    assert list(made.at(np.array(places, np.int64))) == [texts[place] for place in places]


@given(st.lists(texts_of, min_size=1, max_size=4))
def test_joined_keeps_the_order(parts):
    joined = Texts.joined([Texts.of(part) for part in parts])
    assert list(joined) == [text for part in parts for text in part]


def test_one_part_is_not_copied():
    part = Texts.of([b"a", b"b"])
    assert Texts.joined([Texts.of([]), part, Texts.of([])]) is part


def test_what_is_taken_shares_the_buffer():
    made = Texts.of([b"ann", b"bob"])
    assert made.at(np.array([1, 1, 0])).data is made.data
