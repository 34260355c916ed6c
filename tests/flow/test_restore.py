"""A changelog that is no whole state is refused, with what is wrong; never an empty state."""

from collections.abc import Callable

import msgspec
import pytest

from stream.core.layout import LAYOUT_VERSION
from stream.flow.restore import Engines
from stream.flow.stops import RestoreError
from stream.wire.limits import KEY_BYTES_MAX
from stream.wire.state import HEADER_KEY
from tests.oracle.runs import EngineRun
from tests.oracle.script import Script
from tests.strategies.streams import CONFIGS

T = 1_700_000_000_000
PARTITIONS = 4
Records = list[tuple[bytes, bytes | None]]


@pytest.fixture(scope="module")
def log() -> Records:
    """A commit: two users, one forgotten, the header last."""
    script = Script()
    script.click("ann", T)
    script.click("bob", T + 1)
    script.click("cid", T + 2)
    script.forget("cid", T + 3)
    return EngineRun(CONFIGS[0]).feed(script.events).commit()


def restored(records: Records) -> Engines:
    engines = Engines(CONFIGS[0], PARTITIONS, rows_max=64)
    engines.restore(0, [key for key, _ in records], [value for _, value in records])
    return engines


def test_what_a_commit_wrote_is_taken(log: Records) -> None:
    engine, header = restored(log).activate(0)
    assert header is not None
    assert engine.users_count == header.users_count == 2


def older_version(value: bytes) -> bytes:
    return bytes([LAYOUT_VERSION - 1]) + value[1:]


def header_of_version(value: bytes) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(value) | {"layout_version": LAYOUT_VERSION - 1})


def header_of_partitions(value: bytes) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(value) | {"partitions": PARTITIONS + 1})


def header_without_offsets(value: bytes) -> bytes:
    header = msgspec.json.decode(value)
    del header["offset_next"]
    return msgspec.json.encode(header)


@pytest.mark.parametrize(
    ("key", "change", "why"),
    [
        (b"ann", older_version, f"row of version {LAYOUT_VERSION - 1}"),
        (b"ann", lambda value: b"\x63" + value[1:], "row of version 99"),
        (b"ann", lambda _: b"", "row of version None"),
        (b"ann", lambda value: value[:-1], "bytes with 1 steps"),
        (b"ann", lambda value: value + b"\0", "bytes with 1 steps"),
        (b"ann", lambda value: value[:9], "row of 9 bytes"),
        (HEADER_KEY, header_of_version, f"layout version {LAYOUT_VERSION - 1}"),
        (HEADER_KEY, header_of_partitions, "made with 5 partitions, the inputs have 4"),
        (HEADER_KEY, header_without_offsets, "missing required field `offset_next`"),
        (HEADER_KEY, lambda value: value[:-1], "header of"),
        (HEADER_KEY, lambda _: b"", "header of 0 bytes"),
        (HEADER_KEY, lambda _: None, "the header was deleted"),
    ],
)
def test_a_record_that_cannot_be_read_is_refused(
    log: Records, key: bytes, change: Callable[[bytes], bytes | None], why: str
) -> None:
    changed = [
        (name, change(value) if name == key and value is not None else value)
        for name, value in log
    ]  # fmt: skip
    with pytest.raises(RestoreError, match=why):
        restored(changed)


def test_a_key_that_nobody_writes_is_refused(log: Records) -> None:
    with pytest.raises(RestoreError, match="unknown key"):
        restored([*log, (b"\x00other", b"x")])


def test_users_without_a_header_are_no_state(log: Records) -> None:
    """The header is the last record of a commit: a changelog cut before it was never committed."""
    with pytest.raises(RestoreError, match="2 users and no header"):
        restored(log[:-1]).activate(0)


def test_nothing_at_all_is_an_empty_partition() -> None:
    engine, header = restored([]).activate(0)
    assert header is None
    assert engine.users_count == 0


def test_header_that_counts_other_users_is_refused(log: Records) -> None:
    """A row is missing: compaction lost it, or someone deleted it."""
    with pytest.raises(RestoreError, match="1 users, its header says 2"):
        restored([record for record in log if record[0] != b"ann"]).activate(0)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (b"", "of 0 bytes"),
        (b"a" * (KEY_BYTES_MAX + 1), f"of {KEY_BYTES_MAX + 1} bytes"),
        (b"\xc3", "no UTF-8"),
        (b"ann\xff", "no UTF-8"),
    ],
)
@pytest.mark.parametrize("behind", [b"bob", "bøb".encode()])
def test_a_key_that_no_user_has_is_refused(
    log: Records, key: bytes, why: str, behind: bytes
) -> None:
    """Also where two of them would be text if they lay behind each other."""
    value = dict(log)[b"bob"]
    with pytest.raises(RestoreError, match=why):
        restored([(key, value), (b"\xb8" + behind, value)])


@pytest.mark.parametrize("key", ["ä".encode(), b"a" * KEY_BYTES_MAX, b"a"])
def test_keys_at_the_limits_are_taken(log: Records, key: bytes) -> None:
    engines = restored([(key, dict(log)[b"bob"])])
    engine = engines.engine(0)
    assert engine is not None
    assert engine.slot_of(key) is not None


def test_a_wrong_record_of_our_own_is_refused_though_another_follows(log: Records) -> None:
    with pytest.raises(RestoreError, match="the header was deleted"):
        restored([(HEADER_KEY, None), *log])


def test_of_several_rows_of_a_user_the_last_counts(log: Records) -> None:
    value = dict(log)[b"bob"]
    engine = restored([(b"bob", None), (b"ann", value), (b"bob", value), (b"ann", None)]).engine(0)
    assert engine is not None
    assert (engine.slot_of(b"ann"), engine.slot_of(b"bob")) == (None, 0)
    assert engine.users_count == 1


def test_a_key_without_a_value_beside_it_is_refused() -> None:
    with pytest.raises(RestoreError, match="2 keys for 1 values"):
        Engines(CONFIGS[0], PARTITIONS, rows_max=64).restore(0, [b"ann", b"bob"], [None])
