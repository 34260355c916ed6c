"""The simulated shop: same seed same bytes, faults that are what they say, behaviour with order."""

from collections import Counter

import msgspec
import numpy as np
import pytest

from stream.core.layout import TOPICS, Reason, action_of
from stream.local.shop import Block, Shop
from stream.local.shop_catalogue import make_catalogue
from stream.local.shop_faults import NO_FAULTS, POISON, REASON, Fault, FaultRates, spoil
from stream.local.shop_people import DAY_MS, NEVER_MS, Life
from stream.local.shop_visits import SCRIPTS, STEPS_MAX
from stream.wire.decode import Decoder
from stream.wire.murmur2 import partition_of
from stream.wire.records import columns_of

PARTITIONS = 4
WALL_MS = 1_790_000_000_000  # after the end of every shop of these tests
MANY_FAULTS = FaultRates(0.05, 0.05, 0.02, 0.05, 0.01, 0.2)
GOOD = (Fault.NONE, Fault.LATE)


def play(shop: Shop) -> list[Block]:
    return list(shop.events())


def all_rows(blocks: list[Block]) -> np.ndarray:
    return np.concatenate([block.rows for block in blocks])


@pytest.fixture(scope="module")
def faulty() -> tuple[Shop, list[Block]]:
    shop = Shop(5, users=250, days=40, faults=MANY_FAULTS)
    return shop, play(shop)


@pytest.fixture(scope="module")
def clean() -> tuple[Shop, list[Block]]:
    shop = Shop(6, users=400, faults=NO_FAULTS)
    return shop, play(shop)


def test_same_seed_same_bytes_another_seed_others():
    one, two, other = (play(Shop(seed, users=60, days=10)) for seed in (3, 3, 4))
    assert [b.values for b in one] == [b.values for b in two]
    assert [b.keys for b in one] == [b.keys for b in two]
    assert all((a.shift == b.shift).all() for a, b in zip(one, two, strict=True))
    assert [b.values for b in one] != [b.values for b in other]


def test_runs_of_another_time_have_other_event_ids():
    ids = []
    for start_ms in (1_767_571_200_000, 1_767_571_200_000 + DAY_MS):
        rows = play(Shop(3, users=20, days=5, start_ms=start_ms, faults=NO_FAULTS))
        ids.append({msgspec.json.decode(v)["event_id"] for block in rows for v in block.values})
    assert not ids[0] & ids[1]


def test_seeds_sell_the_same_catalogue():
    one, two = Shop(1, users=5).catalogue, Shop(2, users=5).catalogue
    assert one.item_ids == two.item_ids
    assert (one.price_cents == two.price_cents).all()
    assert (one.members == two.members).all()


def test_each_item_stands_in_a_collection_of_each_kind():
    catalogue = make_catalogue(2_000)
    for kind in range(4):
        members = catalogue.members[catalogue.kind == kind]
        assert set(members.ravel().tolist()) == set(range(2_000))
    assert len(set(catalogue.queries)) > 0.95 * catalogue.collections


def test_every_event_says_that_it_is_synthetic(clean):
    for block in clean[1]:
        assert all(value.endswith(b',"source":"simulator"}') for value in block.values)


def test_records_come_in_order_of_delivery_and_only_late_ones_after_their_time(faulty):
    _, blocks = faulty
    rows = all_rows(blocks)
    assert (np.diff(rows["deliver_ms"]) >= 0).all()
    late = rows["fault"] == Fault.LATE
    twice = rows["fault"] == Fault.DUPLICATE
    future = rows["fault"] == Fault.FUTURE
    at_once = ~(late | twice | future)
    assert (rows["deliver_ms"] == rows["time_ms"])[at_once].all()
    assert (rows["deliver_ms"] > rows["time_ms"])[late | twice].all()
    ends = [block.end_ms for block in blocks]
    assert ends == sorted(ends)
    for block in blocks:
        assert (block.due_ms < block.end_ms).all()


def test_a_duplicate_is_its_first_one_again_byte_for_byte(faulty):
    _, blocks = faulty
    seen: dict[int, tuple[bytes, bytes | None, int]] = {}
    twice = 0
    for block in blocks:
        for row, key, value in zip(block.rows, block.keys, block.values, strict=True):
            same = (value, key, int(row["topic"]))
            if row["fault"] == Fault.DUPLICATE:
                assert seen[int(row["seq"])] == same
                twice += 1
            else:
                assert int(row["seq"]) not in seen
                seen[int(row["seq"])] = same
    assert twice > 100


def test_the_decoder_agrees_with_the_reason_of_every_record(faulty):
    _, blocks = faulty
    decoder = Decoder(PARTITIONS)
    faults: Counter[Fault] = Counter()
    for block in blocks:
        for index, decoded, at in decode(decoder, block):
            row = block.rows[index]
            fault = Fault(int(row["fault"]))
            faults[fault] += 1
            if fault is Fault.FUTURE:  # the engine's to refuse: it knows the record's own time
                assert decoded.events["reason"][at] == Reason.NONE
                assert decoded.events["time_ms"][at] > WALL_MS + DAY_MS
                continue
            reason = Reason(decoded.events["reason"][at])
            assert reason == REASON[fault], (fault, decoded.messages.get(at))
            if fault in GOOD:  # also of users whose clock is wrong: the true time comes out
                assert 0 <= decoded.events["time_ms"][at] - row["time_ms"] <= 250
    missing = set(Fault) - set(faults) - {Fault.TOO_LARGE}  # rare on purpose: tested below
    assert not missing


def decode(decoder: Decoder, block: Block):
    """Yield row index, Decoded and row in it, of every record of a block."""
    for topic in range(len(TOPICS)):
        for partition in range(PARTITIONS):
            where = [
                index
                for index in np.flatnonzero(block.topic == topic).tolist()
                if home_of(block, index) == partition
            ]
            count = len(where)
            decoded = decoder.decode(
                topic, partition, 0, count,
                columns_of(
                    range(count), [WALL_MS] * count,
                    [block.keys[i] for i in where], [block.values[i] for i in where],
                ),
            )  # fmt: skip
            for at, index in enumerate(where):
                yield index, decoded, at


def home_of(block: Block, index: int) -> int:
    key = block.keys[index]
    home = 0 if key is None else partition_of(key, PARTITIONS)
    return (home + int(block.shift[index])) % PARTITIONS


@pytest.mark.parametrize("fault", POISON)
def test_each_poison_has_its_reason(fault, clean):
    block = next(block for block in clean[1] if len(block.values))
    key, topic = block.keys[0], int(block.topic[0])
    record = spoil(fault, key, block.values[0])
    home = (partition_of(key if record.key is None else record.key, 4) + record.shift) % 4
    records = columns_of([0], [WALL_MS], [record.key], [record.value])
    decoded = Decoder(4).decode(topic, home, 0, 1, records)
    assert Reason(decoded.events["reason"][0]) == REASON[fault]


def test_what_is_no_poison_cannot_be_spoilt():
    with pytest.raises(ValueError, match="no poison"):
        spoil(Fault.LATE, b"u", b"{}")


def test_one_partition_has_no_wrong_one():
    shop = Shop(5, users=200, days=20, faults=FaultRates(poison=0.2), partitions=1)
    assert not any(block.shift.any() for block in shop.events())


def test_without_faults_there_are_none(clean):
    assert not all_rows(clean[1])["fault"].any()


def test_rates_are_kept(faulty):
    rows = all_rows(faulty[1])
    good = int(np.isin(rows["fault"], GOOD).sum())
    for fault, share in ((Fault.DUPLICATE, 0.05), (Fault.LATE, 0.05), (Fault.BOT, 0.02)):
        assert (rows["fault"] == fault).sum() / good == pytest.approx(share, rel=0.25)


def test_churners_slow_down_and_never_come_back(clean):
    shop, blocks = clean
    rows, people = all_rows(blocks), shop.people
    gone = np.flatnonzero(people.gone_ms < NEVER_MS)
    assert len(gone) > 20
    last = np.zeros(shop.users, np.int64)
    np.maximum.at(last, rows["user"], rows["time_ms"])
    assert (people.life[gone] == Life.CHURNER).all()
    assert (last[gone] - people.gone_ms[gone] < 3_600_000).all()
    silence = (shop.end_ms - last) / people.gap_ms
    assert np.median(silence[gone]) > 3 * np.median(silence[people.life == Life.REGULAR])


def test_a_returner_pauses_once_and_returns(clean):
    shop, blocks = clean
    rows, people = all_rows(blocks), shop.people
    paused = np.flatnonzero(people.paused_ms + people.pause_ms + 10 * DAY_MS < shop.end_ms)
    assert len(paused) > 5
    back = 0
    for user in paused.tolist():
        after = rows["time_ms"][(rows["user"] == user) & (rows["time_ms"] > people.paused_ms[user])]
        after = after[after > people.paused_ms[user] + 3_600_000]
        back += bool(len(after)) and after.min() >= people.paused_ms[user] + people.pause_ms[user]
    assert back >= 0.8 * len(paused)


def test_order_tells_what_counts_do_not(clean):
    """A visit with a search, three views and a cart buys or does not, by the order alone."""
    rows = all_rows(clean[1])
    rows = rows[np.lexsort((rows["position"], rows["visit"], rows["user"]))]
    starts = np.flatnonzero(rows["position"] == 0)
    letters = "vvcfsp"
    stories: dict[str, Counter[bool]] = {}
    for start, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
        visit = rows[start:stop]
        story = "".join(letters[action] for action in visit["action"])
        if sorted(story) == sorted("svvvc"):
            stories.setdefault(story, Counter())[bool(visit["decided"][0])] += 1
    assert stories["svvvc"][True] > 3 * stories["svvvc"][False]
    assert stories["vcsvv"][True] == 0


def test_what_is_left_in_the_cart_is_bought_later(clean):
    rows = all_rows(clean[1])
    rows = rows[np.lexsort((rows["time_ms"], rows["user"]))]
    bought = rows["action"] == action_of["purchase"]
    cart: dict[int, set[int]] = {}
    for row, buys in zip(rows, bought, strict=True):
        if row["action"] == action_of["cart"]:
            cart.setdefault(int(row["user"]), set()).add(int(row["item"]))
        if buys:
            assert int(row["item"]) in cart[int(row["user"])]
    assert bought.sum() > 200


def test_scripts_fit():
    assert max(len(word) for words in SCRIPTS.values() for word, *_ in words) <= STEPS_MAX


@pytest.mark.parametrize("count", [0, 1, 7])
def test_head_gives_the_first_records(count, clean):
    block = next(block for block in clean[1] if len(block.values) > 7)
    head = block.head(count)
    assert head.values == block.values[:count]
    assert len(head.keys) == len(head.rows) == len(head.shift) == count
    assert block.head(len(block.values)) is block


@pytest.mark.parametrize(
    "wrong",
    [{"users": 0}, {"users": 9_000_001}, {"days": 0}, {"items": 11}, {"seed": -1}],
)
def test_what_is_no_shop_is_refused(wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        Shop(**{"seed": 1, "users": 5, **wrong})


@pytest.mark.parametrize("share", [-0.01, 0.51, float("nan")])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ValueError, match="share of late"):
        FaultRates(late=share)


def test_a_shop_is_played_once():
    shop = Shop(1, users=5, days=1)
    play(shop)
    with pytest.raises(RuntimeError, match="has been played"):
        play(shop)
