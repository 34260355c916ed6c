"""The user table's one number per partition: gaps, overlaps, own writes."""

import faust
import pytest
from faust.types import TP
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.flow.stops import RestoreError
from stream.shell.chunk import FetchedChunk
from stream.shell.table import UserTable
from stream.shell.transport import ChunkSchema
from tests.shell.batch_making import make_batch, read_chunks

LOG = [(b"user-%d" % (n % 3), None if n % 5 == 4 else b"%d" % n) for n in range(30)]


class Store:
    """Takes part of StateStore: records what it is given."""

    def __init__(self) -> None:
        self.rows: list[tuple[bytes, bytes | None]] = []
        self.dropped: list[int] = []

    def restore(self, partition, keys, values) -> None:
        assert partition == 0
        self.rows += zip(keys, values, strict=True)

    def drop(self, partition) -> None:
        self.rows = []
        self.dropped.append(partition)

    def positions(self, partition):
        return None


APP = faust.App("table-test", broker="kafka://localhost", autodiscover=False)


@pytest.fixture
def app() -> faust.App:
    return APP


def make_table(app: faust.App) -> tuple[UserTable, Store]:
    store = Store()
    topic = app.topic("clicks", schema=ChunkSchema(), acks=False)
    return UserTable(app, name="users", changelog_topic=topic, store=store), store


def chunk_of(first: int, after: int) -> FetchedChunk:
    raw = make_batch(first, [(n, *LOG[n]) for n in range(first, after)])
    (chunk,) = read_chunks(raw, first, [])
    return chunk


def test_chunks_that_tile_are_applied(app: faust.App) -> None:
    table, store = make_table(app)
    assert table.persisted_offset(TP("clicks", 0)) is None
    assert table.apply_chunk(chunk_of(0, 4)) is None
    assert table.apply_chunk(chunk_of(4, 9)) is None
    assert store.rows == LOG[:9]
    assert table.persisted_offset(TP("clicks", 0)) == 8


def test_a_gap_is_read_again_not_applied(app: faust.App) -> None:
    table, store = make_table(app)
    table.apply_chunk(chunk_of(0, 4))
    assert table.apply_chunk(chunk_of(5, 9)) == 4
    assert store.rows == LOG[:4]
    assert table.persisted_offset(TP("clicks", 0)) == 3


def test_the_first_chunk_of_a_partition_must_begin_where_expected(app: faust.App) -> None:
    table, store = make_table(app)
    table.expect(0, 2)
    assert table.apply_chunk(chunk_of(3, 5)) == 2
    assert table.apply_chunk(chunk_of(1, 5)) is None
    assert store.rows == LOG[2:5]


@pytest.mark.parametrize(("offset_last", "persisted"), [(2, 3), (3, 3), (4, 4)])
def test_own_writes_advance_and_never_go_back(
    app: faust.App, offset_last: int, persisted: int
) -> None:
    table, store = make_table(app)
    table.apply_chunk(chunk_of(0, 4))
    table.advance(0, offset_last)
    assert table.persisted_offset(TP("clicks", 0)) == persisted
    assert store.rows == LOG[:4]


async def test_only_lost_partitions_are_dropped(app: faust.App) -> None:
    table, store = make_table(app)
    table.apply_chunk(chunk_of(0, 4))
    await table.on_rebalance(set(), {TP("other", 0), TP("clicks", 1)}, set())
    assert store.dropped == [1]
    assert table.persisted_offset(TP("clicks", 0)) == 3
    await table.on_rebalance(set(), {TP("clicks", 0)}, set())
    assert store.dropped == [1, 0]
    assert table.persisted_offset(TP("clicks", 0)) is None


def test_unreadable_records_end_the_restore(app: faust.App) -> None:
    table, _ = make_table(app)
    chunk = chunk_of(0, 4)
    chunk.unreadable = 1
    with pytest.raises(RestoreError, match="1 unreadable"):
        table.apply_chunk(chunk)


def test_faust_must_not_bring_changelog_events(app: faust.App) -> None:
    table, _ = make_table(app)
    table.apply_changelog_batch([])
    with pytest.raises(RestoreError, match="queue"):
        table.apply_changelog_batch([object()])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 29), st.integers(1, 10)), max_size=30))
def test_whatever_comes_the_state_is_a_prefix_of_the_log(
    fetches: list[tuple[int, int]],
) -> None:
    """Chunks lost, doubled and overlapping: what is applied is LOG[:persisted + 1], in order."""
    table, store = make_table(APP)
    table.expect(0, 0)
    for first, size in fetches:
        gap_at = table.apply_chunk(chunk_of(first, min(first + size, 30)))
        persisted = table.persisted_offset(TP("clicks", 0))
        assert persisted is not None
        assert store.rows == LOG[: persisted + 1]
        assert gap_at is None or gap_at == persisted + 1 < first
