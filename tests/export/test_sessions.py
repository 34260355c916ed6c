"""Files of a next-item benchmark: read plain or packed, refused by line; sessions cut as served."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from export.baselines.item_knn import item_knn
from export.dataset.sessions import FormError, Sequences, read_prefixes, read_sessions

SESSIONS = "a b\nc a b\n\nb b a c\n"


@pytest.mark.parametrize("packed", [False, True])
def test_sessions_are_read_plain_and_packed(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "sessions"
    path.write_bytes(gzip.compress(SESSIONS.encode()) if packed else SESSIONS.encode())
    made = read_sessions(path)
    assert made.item_ids == ["a", "b", "c"]
    assert made.sequences.items.tolist() == [1, 2, 3, 1, 2, 2, 2, 1, 3]
    assert made.sequences.lengths.tolist() == [2, 3, 4]
    assert made.sequences.last.tolist() == [2, 2, 3]


def test_prefixes_keep_what_training_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "prefixes"
    path.write_text("a x\tb\r\nb\ty\n")
    made = read_prefixes(path, ["a", "b"])
    assert made.sequences.items.tolist() == [1, 0, 2]
    assert made.target.tolist() == [2, 0]
    assert made.item_ids == ["a", "x", "b"]


def test_parts_of_sequences() -> None:
    whole = Sequences(np.arange(1, 10, dtype=np.int32), np.array([0, 2, 5, 9]))
    assert whole.part(1, 3).items.tolist() == [3, 4, 5, 6, 7, 8, 9]
    assert whole.part(1, 3).first.tolist() == [0, 3, 7]
    some, at = whole.chosen(np.array([2, 0]))
    assert some.items.tolist() == [6, 7, 8, 9, 1, 2]
    assert some.lengths.tolist() == [4, 2]
    assert whole.items[at].tolist() == some.items.tolist()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is empty"),
        (b"a b\nc\n", "line 2: 'c' is no session"),
        (b"\xff\xfe a b\n", "line 1: byte 1 is not UTF-8"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "sessions"
    path.write_bytes(text)
    with pytest.raises(FormError, match=said):
        read_sessions(path)


def test_half_a_packed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sessions"
    path.write_bytes(gzip.compress(b"a b\n" * 1000)[:-10])
    with pytest.raises(FormError, match="sessions: "):
        read_sessions(path)


@pytest.mark.parametrize("line", ["a b c", "\tb", "a\tb c", "a\t"])
def test_a_line_that_is_no_prefix_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "prefixes"
    path.write_text(f"a\tb\n{line}\n")
    with pytest.raises(FormError, match="line 2"):
        read_prefixes(path, ["a"])


def test_nearest_items_share_sessions() -> None:
    session = np.array([0, 0, 0, 1, 1, 2, 2, 3])
    items = np.array([1, 2, 1, 1, 2, 1, 3, 4])
    lists = item_knn(session, items, 6, 3)
    assert lists[1].tolist() == [2, 3, 1], "2 in two of three sessions, 3 in one; then popular ones"
    assert lists[3].tolist() == [1, 2, 3], "no neighbour of itself, but one of the popular items"
    assert lists[5].tolist() == [1, 2, 3], "never seen: popular ones"
