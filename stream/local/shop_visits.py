"""What happens in a visit of the simulated shop: scripts, and their events as rows.

Rules of the room: vectorised over visits; a script is a word whose letters are its events, so the
order of events carries what counts of events do not (a cart after comparing is bought, the same
cart before looking around is a bookmark).

Letters: s search, v view the next item of the visit's collection, S and w the same for a second,
unrelated collection, x view some popular item, r view the item left in the cart last time, b view
again the item seen two steps before, c put the item just seen into the cart, f mark it as
favourite, p buy what is in the cart.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.core.layout import Records, action_of, topic_of
from stream.local.shop_catalogue import Catalogue
from stream.local.shop_people import FAVOURITES, Intent, People

ROW: Final = np.dtype(
    [
        ("deliver_ms", "<i8"),  # when the record reaches Kafka, in simulated time
        ("time_ms", "<i8"),  # event time, true clock
        ("sent_ms", "<i8"),  # when the client sent it first, true clock
        ("seq", "<u8"),  # number of the event, from 0: the event id comes of it
        ("visit", "<u4"),  # number of the visit in its user's life, from 1
        ("user", "<i4"),  # index; users and beyond: bots
        ("item", "<i4"),  # index; -1: none
        ("query", "<i4"),  # collection that a search looks for; -1: none
        ("extra", "<i4", (2,)),  # further items of a purchase; -1: none
        ("seen_ms", "<i4"),  # from sending to the gateway; 0: the client stamps nothing
        ("quantity", "u1"),  # of the first item of a purchase
        ("position", "u1"),  # of the event in its visit, from 0
        ("action", "u1"),  # index into core.layout.ACTIONS
        ("topic", "u1"),  # index into core.layout.TOPICS
        ("fault", "u1"),  # Fault
        ("intent", "u1"),  # Intent of the visit
        ("decided", "u1"),  # 1: the visit buys, or leaves a cart that is bought later
    ]
)

STEPS_MAX: Final = 8

# intent -> (script, weight, what becomes of the cart): "now" bought, "later", "-" never bought.
SCRIPTS: Final = {
    Intent.BROWSE: (
        ("vvv", 2, "-"), ("vvvvv", 2, "-"), ("vvvww", 1, "-"), ("vvvvs", 3, "-"),
        ("swvww", 3, "-"), ("svwxw", 3, "-"), ("vwsvwf", 2, "-"), ("vvvbvv", 1, "-"),
    ),
    Intent.COMPARE: (
        ("svvvv", 3, "-"), ("svvvvv", 3, "-"), ("svvfvv", 2, "-"), ("svvvbv", 2, "-"),
    ),
    Intent.BUY: (
        ("svvcp", 2, "now"), ("svvvcp", 2, "now"), ("vsvvvcp", 1, "now"),
        ("svvvc", 3, "later"), ("svvfvc", 1, "later"), ("vsvvcv", 1, "later"), ("svvvc", 0.6, "-"),
    ),
    Intent.IDLE: (("x", 3, "-"), ("xv", 2, "-"), ("v", 2, "-"), ("xx", 1, "-")),
    Intent.RETURN: (("rp", 3, "now"), ("rvp", 2, "now"), ("vrcp", 1, "now")),
    Intent.WISH: (
        ("vcsvv", 3, "-"), ("vcsvwv", 2, "-"), ("xcvvs", 2, "-"), ("vcvfS", 1, "-"),
        ("vcvvSw", 2, "-"),
    ),
}  # fmt: skip
LETTERS: Final = "svSwxrbcfp"
VIEWS: Final = "vwxrb"
_ACTION: Final = {
    **dict.fromkeys(VIEWS, action_of["view"]),
    **dict.fromkeys("sS", action_of["search"]),
    "c": action_of["cart"],
    "f": action_of["favourite"],
    "p": action_of["purchase"],
}
_TOPIC: Final = {
    **dict.fromkeys("vwxrbcf", 0),
    **dict.fromkeys("sS", 1),
    "p": topic_of["purchases"],
}
# Seconds from the event before, in the median: people who mean it look longer.
_DWELL_S: Final = np.array([14.0, 38.0, 45.0, 9.0, 25.0, 18.0])


class _Table(NamedTuple):
    """The scripts as arrays: P scripts, T steps."""

    letters: npt.NDArray[np.int8]  # (P, T) index into LETTERS; -1: the script has ended
    lengths: npt.NDArray[np.int64]  # (P,)
    cumulated: npt.NDArray[np.float64]  # (intents, P) weights summed up; 1 at the end
    later: npt.NDArray[np.bool_]  # (P,) the cart is bought in a later visit
    now: npt.NDArray[np.bool_]  # (P,)


def _make_table() -> _Table:
    rows = [(intent, *script) for intent, scripts in SCRIPTS.items() for script in scripts]
    letters = np.full((len(rows), STEPS_MAX), -1, np.int8)
    weights = np.zeros((len(Intent), len(rows)))
    for index, (intent, word, weight, _) in enumerate(rows):
        letters[index, : len(word)] = [LETTERS.index(letter) for letter in word]
        weights[intent, index] = weight
    cumulated = (weights / weights.sum(axis=1, keepdims=True)).cumsum(axis=1)
    return _Table(
        letters,
        np.array([len(word) for _, word, _, _ in rows]),
        cumulated / cumulated[:, -1:],
        np.array([fate == "later" for *_, fate in rows]),
        np.array([fate == "now" for *_, fate in rows]),
    )


_TABLE: Final = _make_table()
_ACTIONS: Final = np.array([_ACTION[letter] for letter in LETTERS], np.uint8)
_TOPICS: Final = np.array([_TOPIC[letter] for letter in LETTERS], np.uint8)
_IS_VIEW: Final = np.array([letter in VIEWS for letter in LETTERS])


class Visits(NamedTuple):
    """Rows of the visits of distinct users, and what the users do next."""

    rows: Records  # (n,) ROW, by visit and position; deliver_ms, sent_ms, seq and seen_ms 0
    bought: npt.NDArray[np.bool_]  # (S,)
    pending: npt.NDArray[np.int32]  # (S,) item left in the cart to be bought later; -1: none


def play(
    people: People, who: npt.NDArray[np.int64], catalogue: Catalogue, rng: np.random.Generator
) -> Visits:
    """Play the next visit of each of `who`, which are distinct."""
    count = len(who)
    intent = people.intent[who]
    script = (_TABLE.cumulated[intent] <= rng.random(count)[:, None]).sum(axis=1)
    letters = _TABLE.letters[script]  # (S, T)
    target = people.target[who]
    items = _items(letters, people, who, catalogue, rng)
    bought, later = _TABLE.now[script], _TABLE.later[script]
    ends = _TABLE.lengths[script]
    steps = np.arange(STEPS_MAX)
    held = steps < ends[:, None]
    dwell = _DWELL_S[intent][:, None] * rng.lognormal(0, 0.6, (count, STEPS_MAX)) + 2.0
    dwell[:, 0] = 0
    times = people.next_ms[who][:, None] + (dwell.cumsum(axis=1) * 1000).astype(np.int64)
    in_cart = _forward(np.where(letters == LETTERS.index("c"), items, -1))
    cart = in_cart[:, -1]
    rows = np.zeros(int(held.sum()), ROW)
    at, step = np.nonzero(held)
    letter = letters[at, step]
    rows["time_ms"] = times[at, step]
    rows["user"] = who[at]
    rows["visit"] = people.visits[who][at] + 1
    rows["position"] = step
    rows["action"] = _ACTIONS[letter]
    rows["topic"] = _TOPICS[letter]
    rows["intent"] = intent[at]
    rows["decided"] = (bought | later)[at]
    rows["quantity"] = 1
    rows["extra"] = -1
    rows["query"] = -1
    rows["item"] = items[at, step]
    second = people.favourites[who, (people.visits[who] + 1) % FAVOURITES]
    for name, collection in (("s", people.collection[who]), ("S", second)):
        searched = letter == LETTERS.index(name)
        rows["query"][searched] = collection[at[searched]]
        rows["item"][searched] = -1
    buys = np.flatnonzero(letter == LETTERS.index("p"))
    paid = np.where(cart >= 0, cart, target)[at[buys]]
    _fill_orders(rows, buys, paid, people.collection[who][at[buys]], catalogue, rng)
    return Visits(rows, bought, np.where(later, cart, -1).astype(np.int32))


def _items(
    letters: npt.NDArray[np.int8],
    people: People,
    who: npt.NDArray[np.int64],
    catalogue: Catalogue,
    rng: np.random.Generator,
) -> npt.NDArray[np.int32]:
    """Choose the item of each step: (S, T) int32. Steps without a view repeat the one before."""
    count = len(who)
    second = people.favourites[who, (people.visits[who] + 1) % FAVOURITES]
    items = np.full((count, STEPS_MAX), -1, np.int32)
    for name, collection in (("v", people.collection[who]), ("w", second)):
        members = catalogue.members[collection]
        noise = rng.gumbel(size=members.shape) + catalogue.pull[collection]
        order = np.take_along_axis(members, np.argsort(-noise, axis=1), axis=1)
        here = letters == LETTERS.index(name)
        nth = np.maximum(here.cumsum(axis=1) - 1, 0)
        items = np.where(here, np.take_along_axis(order, nth, axis=1), items)
    here = letters == LETTERS.index("x")
    popular = np.searchsorted(catalogue.weight.cumsum(), rng.random(letters.shape) * 0.999_999)
    items = np.where(here, popular, items)
    items = np.where(letters == LETTERS.index("r"), people.target[who][:, None], items)
    items = _forward(items)
    again = letters == LETTERS.index("b")
    back = np.roll(items, 2, axis=1)
    return np.where(again, back, items).astype(np.int32)


def _forward(values: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Carry the last value that is not -1 to the right along each row."""
    last = np.maximum.accumulate(np.where(values >= 0, np.arange(values.shape[1]), 0), axis=1)
    return np.take_along_axis(values, last, axis=1)


def _fill_orders(
    rows: Records,
    buys: npt.NDArray[np.int64],
    paid: npt.NDArray[np.int32],
    collection: npt.NDArray[np.int32],
    catalogue: Catalogue,
    rng: np.random.Generator,
) -> None:
    """Write into the purchase rows what is bought: the item in the cart, and sometimes more."""
    count = len(buys)
    rows["item"][buys] = paid
    rows["quantity"][buys] = np.where(rng.random(count) < 0.85, 1, rng.integers(2, 4, count))
    more = rng.random((count, 2)) < np.array([0.25, 0.06])
    more[:, 1] &= more[:, 0]
    chosen = catalogue.members[collection[:, None], rng.integers(0, 12, (count, 2))]
    more &= chosen != paid[:, None]
    more[:, 1] &= chosen[:, 0] != chosen[:, 1]
    rows["extra"][buys] = np.where(more, chosen, -1)
