"""Slots against a dict: whoever comes and goes, in whatever order, however long the keys."""

from random import Random

import numpy as np
import pytest

from stream.core.slots import ALIGN, KEY_BYTES_MAX, LOAD, SIZE_BYTES, Slots, _home


def change(slots: Slots, ops: list[tuple[bool, int, bytes]]) -> list[bytes]:
    keys = [key for _, _, key in ops]
    created = np.array([made for made, _, _ in ops], np.bool_)
    slots.change(created, np.array([slot for _, slot, _ in ops], np.int32), keys)
    return keys


def check(slots: Slots) -> None:
    """Hold what the kernels trust."""
    of = slots._of
    used = np.flatnonzero(of.begins)
    assert sorted(of.table[of.table >= 0].tolist()) == used.tolist()
    assert of.counts[0] == len(used) <= len(of.table) * LOAD[0] / LOAD[1] < len(of.table)
    for place in np.flatnonzero(of.table >= 0).tolist():
        at = _home.py_func(of.hashes[of.table[place]], len(of.table))
        while at != place:  # no gap between where it belongs and where it is
            assert of.table[at] >= 0
            at = (at + 1) % len(of.table)
    sizes = [SIZE_BYTES + len(key) for key in slots]
    kept = sum(-(-size // ALIGN) * ALIGN for size in sizes)
    assert of.counts[1] - of.counts[2] == ALIGN + kept
    assert of.counts[1] <= len(of.text)


@pytest.mark.parametrize("seed", range(20))
def test_as_a_dict(seed: int) -> None:
    chance = Random(seed)
    slots, twin, by_slot = Slots(16), dict[bytes, int](), dict[int, bytes]()
    room, longest = 16, chance.choice([1, 9, 70, 600])
    grows = chance.choice([0.3, 0.6, 0.9])
    for _ in range(60):
        if len(twin) > room - 12:
            room *= 2
            slots.grow(room)
        ops: list[tuple[bool, int, bytes]] = []
        expected = []
        for _ in range(chance.randrange(12)):
            if by_slot and chance.random() > grows:
                slot = chance.choice(list(by_slot))
                key = by_slot.pop(slot)
                del twin[key]
                ops.append((False, slot, b""))
            elif chance.random() < 0.1:
                key = b"nobody"
                ops.append((False, -1, key))
            else:
                key = chance.randbytes(chance.randrange(1, longest + 1))
                slot = chance.choice([n for n in range(room) if n not in by_slot])
                if key in twin:
                    continue
                twin[key], by_slot[slot] = slot, key
                ops.append((True, slot, key))
            expected.append(key)
        assert change(slots, ops) == expected
        check(slots)
        assert dict(slots) == twin
        assert len(slots) == len(twin)
        asked = [*twin, b"nobody", b""]
        chance.shuffle(asked)
        assert slots.find(asked).tolist() == [twin.get(key, -1) for key in asked]
        assert slots.names(np.array(list(by_slot), np.int32)) == list(by_slot.values())
        assert [slots.name(slot) for slot in range(room)] == [by_slot.get(n) for n in range(room)]


def test_who_comes_and_goes_leaves_nothing() -> None:
    slots = Slots(4)
    for number in range(5_000):
        key = b"user-%d" % number
        assert change(slots, [(True, number % 4, key), (False, number % 4, b"")]) == [key, key]
    assert len(slots._of.table) < 16
    assert len(slots._of.text) < 500
    check(slots)


def test_who_leaves_takes_no_room() -> None:
    slots = Slots(1000)
    change(slots, [(True, number, b"user-%d" % number) for number in range(1000)])
    room = slots.bytes_count
    change(slots, [(False, number, b"") for number in range(1000)])
    assert slots.bytes_count == room
    check(slots)


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, KEY_BYTES_MAX])
def test_keys_of_any_size(size: int) -> None:
    slots = Slots(2)
    key = b"\0" * size
    change(slots, [(True, 1, key), (True, 0, b"x")])
    assert (slots.name(1), slots[key], slots.names(np.array([0, 1]))) == (key, 1, [b"x", key])


def test_a_key_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="a key of more than 65535 bytes"):
        change(Slots(1), [(True, 0, b"x" * (KEY_BYTES_MAX + 1))])


def test_what_is_not_there_is_said_without_a_key() -> None:
    slots = Slots(3)
    change(slots, [(True, 1, b"ann")])
    assert slots.name(0) is None
    assert b"bob" not in slots
    with pytest.raises(KeyError, match="no such user"):
        slots[b"bob"]
    with pytest.raises(RuntimeError, match="slot 2 has no user"):
        slots.names(np.array([1, 2]))
    with pytest.raises(RuntimeError, match="the user of slot 2 is not known"):
        change(slots, [(False, 2, b"")])
