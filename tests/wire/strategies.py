"""Hypothesis strategies for records: good events, good events with something changed, garbage."""

import json

from hypothesis import strategies as st

from stream.wire.limits import TIME_MS_MAX, TIME_MS_MIN
from tests.wire.samples import FORGET, GOOD, TIME_MS, USER

USERS = ("ann", "bob", "zoë", "x" * 512)

odd_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([
        0, 1, -1, 65_535, 65_536, 2**31, 2**53, 2**62, 2**63 - 1, 2**63, -(2**63) - 1, 10**30,
        TIME_MS_MIN - 1, TIME_MS_MIN, TIME_MS_MAX, TIME_MS_MAX + 1, 0.005, 1e300, -0.0, 1.5e12,
        21_474_836.47, 21_474_836.48, 1.005, 0.285, TIME_MS + 0.7,
    ]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([
        "", "x", "\0", "12.5", "1e5", "-1", "x" * 512, "x" * 513, "ü" * 256, "ü" * 257, "İ" * 40,
        "2025-10-09T08:53:20Z", "2025-10-09T08:53:20.123456+02:00", "2024-02-29 00:00:00-0130",
        "2025-02-29T00:00:00Z", "2025-10-09T08:53", "2025-10-09T08:53Z", "view", "cart", "anon:x",
    ]),
    st.text(max_size=12),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip

items = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "item_id": st.one_of(st.sampled_from(["i-1", "i-2"]), odd_values),
            "product_id": st.sampled_from(["p-1", ""]),
            "quantity": st.one_of(st.integers(1, 9), odd_values),
            "price": st.one_of(st.floats(0, 99), odd_values),
            "category": st.one_of(st.sampled_from(["c", "d"]), odd_values),
        },
    ),
    max_size=3,
)
many_items = st.integers(60, 70).map(
    lambda count: [{"item_id": f"i-{n}", "quantity": n + 1} for n in range(count)]
)

FIELDS = sorted({name for event in GOOD for name in event} | {
    "anonymous_id", "is_bot", "sent_at", "received_at", "product_id", "action",
})  # fmt: skip


@st.composite
def events(draw):
    """A good event of any topic, up to three fields changed or taken away."""
    event = dict(draw(st.sampled_from([*GOOD, FORGET])))
    event["user_id"] = draw(st.sampled_from([USER, *USERS]))
    event["event_id"] = draw(st.sampled_from([f"e-{n}" for n in range(9)]))
    for name in draw(st.lists(st.sampled_from(FIELDS), max_size=3)):
        if draw(st.booleans()):
            event.pop(name, None)
        elif name == "items":
            event[name] = draw(st.one_of(items, many_items, odd_values))
        else:
            event[name] = draw(odd_values)
    return event


@st.composite
def mutated(draw):
    """The bytes of an event, cut or with bytes replaced."""
    value = bytearray(json.dumps(draw(events())).encode())
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(value)))
        value[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(value)


nested = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(max_size=3)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
).map(lambda thing: json.dumps(thing).encode())

values = st.one_of(
    st.none(),
    st.binary(max_size=60),
    events().map(lambda event: json.dumps(event).encode()),
    events().map(lambda event: json.dumps(event, ensure_ascii=False).encode()),
    mutated(),
    nested,
    st.integers(0, 3000).map(lambda depth: b'{"a":' * depth + b"1" + b"}" * depth),
)
keys = st.one_of(
    st.just(USER.encode()),
    st.sampled_from([user.encode() for user in USERS]),
    st.none(),
    st.binary(max_size=6),
    st.sampled_from([b"", b"\0", b"x" * 512, b"x" * 513, b"anon:x"]),
)
records = st.tuples(keys, values)
