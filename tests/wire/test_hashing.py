"""Query words and the memories of hashes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from stream.core.layout import TOKENS_MAX
from stream.wire import hashing
from stream.wire.hashing import REFUSED, Hashes, Memories, id_hash, query_words, text_hash


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", []),
        ("!?- _", []),
        ("Red", ["red"]),
        ("red_shoes red RED", ["red", "shoes"]),
        ("a b c d", ["a", "b", "c", "d"]),
        ("a a a a b c d e", ["a", "b", "c", "d"]),
        ("Größe 42½ 靴", ["größe", "42½", "靴"]),
        ("x" * 63, ["x" * 63]),
        ("x" * 64, ["x" * 64]),
        ("x" * 65, ["x" * 64]),
    ],
)
def test_words(query, words):
    assert query_words(query) == words + [None] * (TOKENS_MAX - len(words))


@given(st.text())
def test_any_query_gives_four_tokens(query):
    memory = Memories().words
    tokens = [memory.one(word) for word in query_words(query)]
    assert len(tokens) == TOKENS_MAX
    assert all(0 <= token < 2**16 for token in tokens)
    assert all(len(word) <= 64 for word in query_words(query) if word)


def test_hashes_are_those_of_the_layout():
    assert id_hash("i-1") == xxh3_64_intdigest(b"i-1")
    assert text_hash("shoes") == xxh3_64_intdigest(b"shoes") & 0xFFFF_FFFF


def test_no_hash_is_zero(monkeypatch):
    monkeypatch.setattr(hashing, "xxh3_64_intdigest", lambda data: 1 << 32)
    assert hashing.text_hash("a") == 1
    assert hashing.token_hash("a") == 1
    monkeypatch.setattr(hashing, "xxh3_64_intdigest", lambda data: 0)
    assert hashing.id_hash("a") == 1


@given(st.lists(st.one_of(st.none(), st.text(max_size=6))))
def test_a_memory_remembers_only_what_is_so(texts):
    memory = Hashes(text_hash, 8)
    wanted = [
        (text_hash(text) if len(text.encode()) <= 8 else REFUSED) if text else 0 for text in texts
    ]
    for _ in range(2):
        assert [memory.one(text) for text in texts] == wanted


def test_a_full_memory_is_emptied(monkeypatch):
    monkeypatch.setattr(hashing, "HASHES_MAX", 5)
    memory = Hashes(text_hash, 99)
    for n in range(50):
        assert memory.one(str(n)) == text_hash(str(n))
        assert len(memory._known) <= 5
    assert [memory.one(text) for text in (None, "", "1", "49")] == [
        0, 0, text_hash("1"), text_hash("49"),
    ]  # fmt: skip
