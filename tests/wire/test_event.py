"""Each rule of the contract for one event: an example per reason, each limit in threes."""

import json

import pytest

from stream.core.layout import Flag, Reason, action_of
from stream.wire.event import Refused, read_event
from stream.wire.hashing import Memories, id_hash, text_hash, token_hash
from stream.wire.limits import TIME_MS_MAX, TIME_MS_MIN, Limits
from stream.wire.murmur2 import partition_of
from tests.wire.samples import (
    CLICK,
    FORGET,
    LIMITS,
    PARTITION,
    PARTITIONS,
    PURCHASE,
    SEARCH,
    TIME_MS,
    USER,
    changed,
    packed,
    read,
    reason_of,
)


def test_click():
    event = read(CLICK)
    assert event.event_id == id_hash("e-1")
    assert event.time_ms == TIME_MS
    assert event.flags == 0
    assert (event.channel, event.device, event.region) == tuple(
        text_hash(text) for text in ("web", "phone", "DE")
    )
    item, cents, category, tokens, quantity, action = event.steps[0]
    assert len(event.steps) == 1
    assert (item, cents, category) == (id_hash("i-1"), 1299, text_hash("shoes"))
    assert (tokens, quantity, action) == ((0, 0, 0, 0), 1, action_of["view"])


def test_search():
    (step,) = read(SEARCH, 1).steps
    words = tuple(token_hash(word) for word in ("red", "shoes", "size", "42"))
    assert step == (0, -1, 0, words, 1, action_of["search"])


def test_purchase():
    first, second = read(PURCHASE, 2).steps
    bought = action_of["purchase"]
    assert first == (id_hash("i-1"), 1250, 0, (0, 0, 0, 0), 2, bought)
    assert second == (id_hash("i-2"), -1, text_hash("hats"), (0, 0, 0, 0), 1, bought)


@pytest.mark.parametrize("topic", [0, 1, 2])
def test_user_forget_on_any_topic(topic):
    event = read(FORGET, topic)
    assert event.flags == Flag.CONTROL_FORGET
    assert event.steps == []


@pytest.mark.parametrize(
    ("name", "action", "wanted"),
    [
        ("click", None, "click"),
        ("product_clicked", None, "click"),
        ("product_viewed", None, "view"),
        ("product_added", None, "cart"),
        ("click", "view", "view"),
        ("product_viewed", "favourite", "favourite"),
        ("click", "cart", "cart"),
        ("product_added", "click", "click"),
    ],
)
def test_actions(name, action, wanted):
    assert read(changed(event_type=name, action=action)).steps[0][5] == action_of[wanted]


def test_accepted_names():
    assert reason_of(changed(1, event_type="products_searched"), 1) == Reason.NONE
    assert reason_of(changed(2, event_type="purchase"), 2) == Reason.NONE


def test_anonymous_user():
    event = changed(user_id=..., anonymous_id="x7")
    assert read(event).steps
    assert reason_of(event, key=b"x7") == Reason.KEY_MISMATCH
    # user_id wins, and an empty one counts as absent.
    assert reason_of(changed(anonymous_id="x7")) == Reason.NONE
    assert reason_of(changed(user_id="", anonymous_id="x7"), key=b"anon:x7") == Reason.NONE


def test_product_id_is_item_id():
    assert read(changed(item_id=..., product_id="p")).steps[0][0] == id_hash("p")
    assert read(changed(product_id="p")).steps[0][0] == id_hash("i-1")


EXAMPLES = [
    (Reason.UNDECODABLE, 0, None),
    (Reason.UNDECODABLE, 0, b""),
    (Reason.UNDECODABLE, 0, b"garbage"),
    (Reason.UNDECODABLE, 0, packed(CLICK)[:-1]),
    (Reason.UNDECODABLE, 0, packed(CLICK) + b"x"),
    (Reason.UNDECODABLE, 0, packed(CLICK).replace(b"shoes", b"\xff\xfe")),
    (Reason.UNDECODABLE, 0, packed(CLICK).replace(b"shoes", b"\\ud800")),
    (Reason.UNDECODABLE, 0, packed(CLICK).replace(b"12.99", b"NaN")),
    (Reason.UNDECODABLE, 0, packed(CLICK).replace(b"12.99", b"Infinity")),
    (Reason.UNDECODABLE, 0, json.dumps(CLICK).encode("utf-16")),
    (Reason.UNDECODABLE, 0, b"\xef\xbb\xbf" + packed(CLICK)),
    (Reason.SCHEMA_INVALID, 0, b"null"),
    (Reason.SCHEMA_INVALID, 0, b"[]"),
    (Reason.SCHEMA_INVALID, 0, b"{}"),
    (Reason.SCHEMA_INVALID, 0, changed(event_id=...)),
    (Reason.SCHEMA_INVALID, 0, changed(event_id=7)),
    (Reason.SCHEMA_INVALID, 0, changed(event_type=...)),
    (Reason.SCHEMA_INVALID, 0, changed(event_time=...)),
    (Reason.SCHEMA_INVALID, 0, changed(event_time=None)),
    (Reason.SCHEMA_INVALID, 0, changed(event_time=True)),
    (Reason.SCHEMA_INVALID, 0, changed(user_id=7)),
    (Reason.SCHEMA_INVALID, 0, changed(user_id=...)),
    (Reason.SCHEMA_INVALID, 0, changed(user_id=None, anonymous_id="")),
    (Reason.SCHEMA_INVALID, 0, changed(item_id=...)),
    (Reason.SCHEMA_INVALID, 0, changed(item_id=12)),
    (Reason.SCHEMA_INVALID, 0, changed(action="stare")),
    (Reason.SCHEMA_INVALID, 0, changed(action="purchase")),
    (Reason.SCHEMA_INVALID, 0, changed(is_bot="true")),
    (Reason.SCHEMA_INVALID, 0, changed(price=[1])),
    (Reason.SCHEMA_INVALID, 0, SEARCH),
    (Reason.SCHEMA_INVALID, 1, PURCHASE),
    (Reason.SCHEMA_INVALID, 2, CLICK),
    (Reason.SCHEMA_INVALID, 1, changed(1, query=...)),
    (Reason.SCHEMA_INVALID, 1, changed(1, query=None)),
    (Reason.SCHEMA_INVALID, 2, changed(2, order_id=...)),
    (Reason.SCHEMA_INVALID, 2, changed(2, items=...)),
    (Reason.SCHEMA_INVALID, 2, changed(2, items=[])),
    (Reason.SCHEMA_INVALID, 2, changed(2, items=[{}])),
    (Reason.SCHEMA_INVALID, 2, changed(2, items=["i-1"])),
    (Reason.SCHEMA_INVALID, 2, changed(2, items=[{"item_id": "a", "quantity": 1.5}])),
    (Reason.UNKNOWN_TYPE, 0, changed(event_type="login")),
    (Reason.UNKNOWN_TYPE, 0, changed(event_type="")),
    (Reason.UNKNOWN_TYPE, 2, changed(event_type="login", items="none")),
    (Reason.BAD_VALUE, 0, changed(event_id="")),
    (Reason.BAD_VALUE, 0, changed(item_id="")),
    (Reason.BAD_VALUE, 0, changed(event_time="yesterday")),
    (Reason.BAD_VALUE, 0, changed(event_time="2025-13-01T00:00:00Z")),
    (Reason.BAD_VALUE, 0, changed(event_time=1_760_000_000)),
    (Reason.BAD_VALUE, 0, changed(event_time=10**30)),
    (Reason.BAD_VALUE, 0, packed(CLICK).replace(str(TIME_MS).encode(), b"1e400")),
    (Reason.BAD_VALUE, 0, packed(CLICK).replace(str(TIME_MS).encode(), b"9" * 5000)),
    (Reason.BAD_VALUE, 0, packed(CLICK).replace(b"12.99", b"1e999")),
    (Reason.BAD_VALUE, 0, changed(price=-0.01)),
    (Reason.BAD_VALUE, 0, changed(price=1e300)),
    (Reason.BAD_VALUE, 0, changed(price="NaN")),
    (Reason.BAD_VALUE, 0, changed(price="1e3")),
    (Reason.BAD_VALUE, 0, changed(price="-1")),
    (Reason.BAD_VALUE, 0, changed(price="")),
    (Reason.BAD_VALUE, 0, changed(sent_at="x", received_at=TIME_MS)),
    (Reason.BAD_VALUE, 2, changed(2, order_id="")),
    (Reason.BAD_VALUE, 2, changed(2, items=[{"item_id": "a", "price": -1}])),
    (Reason.BAD_VALUE, 2, changed(2, items=[{"item_id": ""}])),
    (Reason.BOT, 0, changed(is_bot=True)),
]


@pytest.mark.parametrize(("reason", "topic", "event"), EXAMPLES)
def test_reason(reason, topic, event):
    assert reason_of(event, topic, key=USER.encode(), partition=PARTITION) == reason


def test_keys():
    assert reason_of(CLICK, key=None) == Reason.KEY_MISSING
    assert reason_of(CLICK, key=b"") == Reason.KEY_MISSING
    assert reason_of(CLICK, key=b"bob") == Reason.KEY_MISMATCH
    assert reason_of(CLICK, key=b"\xff\xfe") == Reason.KEY_MISMATCH
    assert reason_of(CLICK, key=b"\0ann") == Reason.KEY_MISMATCH
    assert reason_of(changed(user_id="\0ann")) == Reason.BAD_VALUE
    for partition in range(PARTITIONS):
        wanted = Reason.NONE if partition == PARTITION else Reason.WRONG_PARTITION
        assert reason_of(CLICK, partition=partition) == wanted


def test_the_body_is_judged_before_the_key():
    assert reason_of(b"{", key=None) == Reason.UNDECODABLE
    assert reason_of(changed(is_bot=True), key=None) == Reason.BOT


def test_deep_nesting_is_undecodable():
    deep = b"[" * 4000 + b"]" * 4000
    value = packed(CLICK)[:-1] + b', "x": ' + deep + b"}"
    assert reason_of(value) == Reason.UNDECODABLE


def test_the_last_of_duplicate_keys_counts():
    value = packed(CLICK)[:-1] + b', "item_id": "other"}'
    assert read(value).steps[0][0] == id_hash("other")


def test_null_counts_as_absent():
    nothing = dict.fromkeys(
        ("channel", "category", "price", "action", "is_bot", "sent_at", "product_id")
    )
    assert read(changed(**nothing)).steps[0][1:3] == (-1, 0)


def test_size_limit():
    size = len(packed(CLICK))
    for limit, wanted in ((size - 1, Reason.TOO_LARGE), (size, 0), (size + 1, 0)):
        assert reason_of(CLICK, limits=Limits(PARTITIONS, event_bytes_max=limit)) == wanted


@pytest.mark.parametrize(("length", "wanted"), [(511, 0), (512, 0), (513, Reason.BAD_VALUE)])
@pytest.mark.parametrize(
    ("topic", "field"),
    [
        (0, "event_id"), (0, "user_id"), (0, "item_id"), (0, "category"), (0, "channel"),
        (0, "device"), (0, "region"), (1, "category"), (2, "order_id"),
    ],
)  # fmt: skip
def test_text_limits_in_bytes(topic, field, length, wanted):
    assert reason_of(changed(topic, **{field: "x" * length}), topic) == wanted
    wide = "ü" * (length // 2) + "x" * (length % 2)
    assert reason_of(changed(topic, **{field: wide}), topic) == wanted


@pytest.mark.parametrize(("length", "wanted"), [(506, 0), (507, 0), (508, Reason.BAD_VALUE)])
def test_anonymous_limit_includes_the_prefix(length, wanted):
    assert reason_of(changed(user_id=..., anonymous_id="x" * length)) == wanted


@pytest.mark.parametrize(("length", "wanted"), [(4095, 0), (4096, 0), (4097, Reason.BAD_VALUE)])
def test_query_limit(length, wanted):
    assert reason_of(changed(1, query="x" * length), 1) == wanted


@pytest.mark.parametrize(
    ("time", "wanted"),
    [
        (TIME_MS_MIN - 1, Reason.BAD_VALUE), (TIME_MS_MIN, 0), (TIME_MS_MIN + 1, 0),
        (TIME_MS_MAX - 1, 0), (TIME_MS_MAX, 0), (TIME_MS_MAX + 1, Reason.BAD_VALUE),
    ],
)  # fmt: skip
def test_time_range(time, wanted):
    assert reason_of(changed(event_time=time)) == wanted


@pytest.mark.parametrize(
    ("quantity", "wanted"),
    [
        (-1, Reason.BAD_VALUE), (0, Reason.BAD_VALUE), (1, 0),
        (65_534, 0), (65_535, 0), (65_536, Reason.BAD_VALUE), (10**30, Reason.BAD_VALUE),
    ],
)  # fmt: skip
def test_quantity_range(quantity, wanted):
    event = changed(2, items=[{"item_id": "a", "quantity": quantity}])
    assert reason_of(event, 2) == wanted


@pytest.mark.parametrize(
    ("skew", "wanted", "flags"),
    [
        (0, 0, 0),
        (1, 1, Flag.SKEW_CORRECTED),
        (-1, -1, Flag.SKEW_CORRECTED),
        (86_399_999, 86_399_999, Flag.SKEW_CORRECTED),
        (86_400_000, 86_400_000, Flag.SKEW_CORRECTED),
        (86_400_001, 0, Flag.SKEW_REFUSED),
        (-86_400_000, -86_400_000, Flag.SKEW_CORRECTED),
        (-86_400_001, 0, Flag.SKEW_REFUSED),
        (10**25, 0, Flag.SKEW_REFUSED),
    ],
)
def test_skew(skew, wanted, flags):
    event = read(changed(sent_at=TIME_MS, received_at=TIME_MS + skew))
    assert (event.time_ms - TIME_MS, event.flags) == (wanted, flags)


def test_skew_needs_both_times():
    assert read(changed(sent_at=0)).time_ms == TIME_MS
    assert read(changed(received_at="nonsense")).flags == 0


def test_skew_may_not_leave_the_years():
    event = changed(event_time=TIME_MS_MAX, sent_at=1, received_at=2)
    assert reason_of(event) == Reason.BAD_VALUE


@pytest.mark.parametrize("count", [63, 64, 65])
def test_purchase_of_many_items(count):
    items = [{"item_id": f"i-{n}", "price": n, "quantity": 1} for n in range(count)]
    steps = read(changed(2, items=items), 2).steps
    assert len(steps) == min(count, 64)
    last = steps[-1]
    assert last[0] == id_hash(f"i-{min(count, 64) - 1}")
    assert last[4] == (2 if count == 65 else 1)
    assert last[1] == (6350 if count == 65 else 100 * (count - 1))  # (63 + 64) / 2


def test_the_sum_of_many_items():
    first = [{"item_id": f"i-{n}"} for n in range(63)]
    rest = [
        {"item_id": "a", "price": 1, "quantity": 2, "category": "c"},
        {"item_id": "b", "quantity": 65_000},
        {"item_id": "c", "price": 2.01, "quantity": 1, "category": "d"},
    ]
    last = read(changed(2, items=first + rest), 2).steps[-1]
    # (2 * 100 + 201) / 3 = 133.67 over the priced ones; quantity stays within its column.
    assert last == (
        id_hash("a"), 134, text_hash("c"), (0, 0, 0, 0), 65_003, action_of["purchase"],
    )  # fmt: skip
    more = [{"item_id": "d", "quantity": 60_000}]
    assert read(changed(2, items=first + rest + more), 2).steps[-1][4] == 65_535


def test_messages_are_short_and_encodable():
    event = changed(event_type="x" * 5000 + "\u20ac")
    with pytest.raises(Refused) as caught:
        read(event)
    assert len(str(caught.value)) <= 200
    assert str(caught.value).encode()


def test_partition_counts_differ():
    for count in (1, 2, 3, 12):
        home = partition_of(USER.encode(), count)
        read_event(0, home, USER.encode(), packed(CLICK), Limits(count), Memories())


@pytest.mark.parametrize("bad", [(0, 1, 0), (1, 0, 0), (1, 1, -1)])
def test_limits_are_checked(bad):
    with pytest.raises(ValueError, match="decoder limits"):
        Limits(*bad)


def test_limits_are_the_settings_defaults():
    from stream.settings import Settings  # noqa: PLC0415

    assert Limits(4) == Limits(4, Settings().event_bytes_max, Settings().skew_ms_max)
    assert LIMITS.partitions_count == PARTITIONS
