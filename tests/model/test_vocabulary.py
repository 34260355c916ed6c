"""Vocabulary: hashes as the decoder makes them, indices, what is refused."""

import msgspec
import numpy as np
import pytest

from stream.model.contexts import context_ids
from stream.model.lookup import find
from stream.model.manifest import BundleError
from stream.model.vocabulary import Texts, hash_32, hash_64, read_vocabulary
from stream.wire.hashing import id_hash, text_hash

TEXTS = Texts(
    items=["a", 'quo"te', "käse"],
    categories=["x", "y"],
    channels=["web"],
    devices=["web", "mobile"],
    regions=["DE"],
    popular=[3, 1],
    unknown_items=2,
    unknown_categories=2,
    token_buckets=8,
)


@pytest.mark.parametrize("text", ["a", "käse", "p00001", "x" * 300])
def test_hashes_are_those_of_the_decoder(text: str) -> None:
    assert hash_64(text) == id_hash(text)
    assert hash_32(text) == text_hash(text)


def test_items_have_indices_texts_and_json() -> None:
    vocabulary = read_vocabulary(msgspec.json.encode(TEXTS))
    table = vocabulary.item_map
    assert [find(table.keys, table.values, np.uint64(hash_64(t))) for t in TEXTS.items] == [1, 2, 3]
    assert vocabulary.item_ids == ["", "a", 'quo"te', "käse"]
    assert [msgspec.json.decode(text) for text in vocabulary.item_json] == [
        None, "a", 'quo"te', "käse",
    ]  # fmt: skip
    assert vocabulary.popular.tolist() == [3, 1]
    assert (vocabulary.items_count, vocabulary.item_rows) == (3, 6)


def test_contexts_are_known_by_field() -> None:
    vocabulary = read_vocabulary(msgspec.json.encode(TEXTS))
    web, mobile, de = (hash_32(text) for text in ("web", "mobile", "DE"))
    context = np.array([[0, 0, 0], [web, web, web], [mobile, mobile, de]], np.uint32)
    assert context_ids(vocabulary, context).tolist() == [[0, 0, 0], [2, 3, 1], [1, 4, 5]]
    assert vocabulary.context_rows == 6


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"items": []}, "no items"),
        ({"items": ["a", "a", "b"]}, "distinct"),
        ({"popular": [0]}, "popular"),
        ({"popular": [4]}, "popular"),
        ({"unknown_items": 0}, "unknown_items"),
        ({"unknown_categories": 0}, "unknown_categories"),
        ({"token_buckets": 0}, "token_buckets"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], reason: str) -> None:
    data = msgspec.json.encode(msgspec.to_builtins(TEXTS) | change)
    with pytest.raises(BundleError, match=reason):
        read_vocabulary(data)
