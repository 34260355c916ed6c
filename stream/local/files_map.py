"""Which column of a file is which field of an event: known files, and maps given by hand.

Rules of the room: pure data and its checks. A field that a file does not have stays missing: no
price is made up. Errors are FileError, one line, for the user.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from stream.core.layout import ACTIONS, EVENT_TYPES

COLUMNS_SHOWN: Final = 30
CLICK_ACTIONS: Final = ("view", "click", "cart", "favourite")

# Field -> what it is. `event_type` values go through the type map.
FIELDS: Final = {
    "event_time": "ISO 8601, or seconds or milliseconds since 1970 (UTC unless it says otherwise)",
    "time_offset_ms": "milliseconds added to event_time",
    "event_type": "click, search or purchase, or what --type-map makes one of them",
    "user_id": "who",
    "anonymous_id": "who, where user_id is missing",
    "item_id": "of a click or purchase",
    "category": "of the item",
    "brand": "of the item",
    "price": "of one item, in the currency's units",
    "currency": "three letters",
    "quantity": "bought",
    "order_id": "of a purchase; else made from the event id",
    "query": "what was searched for",
    "results_count": "found",
    "action": f"of a click: {', '.join(CLICK_ACTIONS)}",
    "position": "of the item in the list it was clicked in",
    "session_id": "visit",
    "channel": "e.g. web",
    "device": "e.g. mobile",
    "region": "e.g. DE",
    "locale": "e.g. de-DE",
}


class FileError(ValueError):
    """A file cannot be replayed. The message is one line, for the user."""


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """How rows of a file become events."""

    name: str  # of the data set, or "mapped"
    columns: Mapping[str, str]  # field -> column
    constants: Mapping[str, str] = field(
        default_factory=dict
    )  # field -> value, where none is given
    # Value of the event-type column -> (event type, action or "").
    types: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that an event can come of it. Raises FileError."""
        given = {*self.columns, *self.constants}
        for name in given:
            if name not in FIELDS:
                raise FileError(f"no such field: {name}; fields are {', '.join(FIELDS)}")
        for need in ("event_time", "event_type"):
            if need not in given:
                raise FileError(f"no column for {need}: --map {need}=COLUMN (or --const)")
        if not given & {"user_id", "anonymous_id"}:
            raise FileError("no column for user_id: --map user_id=COLUMN")

    def type_of(self, text: str) -> tuple[str, str] | None:
        """Give event type and action of a value of the event-type column; None: not known."""
        if text in self.types:
            return self.types[text]
        return (text, "") if text in EVENT_TYPES else None


_VIEW: Final = ("click", "view")
TAOBAO: Final = ColumnMap(
    "taobao",
    {
        "user_id": "user_id",
        "item_id": "item_id",
        "category": "category_id",
        "event_type": "behavior",
        "event_time": "ts",
    },
    types={
        "pv": _VIEW,
        "cart": ("click", "cart"),
        "fav": ("click", "favourite"),
        "buy": ("purchase", ""),
    },
)
DIGINETICA: Final = ColumnMap(
    "diginetica",
    {
        "user_id": "user",
        "anonymous_id": "session",  # two in three rows have no user
        "session_id": "session",
        "order_id": "session",
        "item_id": "item",
        "event_type": "event",
        "event_time": "eventdate",
        "time_offset_ms": "timeframe",
    },
    types={"view": _VIEW},
)
BESTBUY: Final = ColumnMap(
    "bestbuy",
    {
        "user_id": "user",
        "item_id": "sku",
        "category": "category",
        "query": "query",
        "event_type": "event",
        "event_time": "time",
    },
    types={"click": ("click", "click")},
)
KNOWN: Final = (TAOBAO, DIGINETICA, BESTBUY)


def choose_map(
    header: Sequence[str],
    maps: Iterable[str] = (),
    constants: Iterable[str] = (),
    types: Iterable[str] = (),
) -> ColumnMap:
    """Choose the map of a file by its header; what is given by hand goes before it.

    `maps` and `constants` are FIELD=..., `types` VALUE=TYPE[/ACTION]. Raises FileError.
    """
    named, fixed, kinds = _pairs(maps, "--map"), _pairs(constants, "--const"), _types(types)
    known = next((one for one in KNOWN if set(one.columns.values()) <= set(header)), None)
    if known is None and not named:
        named = {name: name for name in FIELDS if name in header}
        given = {*named, *fixed}
        if not {"event_time", "event_type"} <= given or not given & {"user_id", "anonymous_id"}:
            raise FileError(
                f"not a file that is known by its columns ({_listed(header)}): say which is"
                " which, e.g. --map user_id=visitor --map event_time=at --const event_type=click"
            )
    for name, column in named.items():
        if column not in header:
            raise FileError(f"no column {column} (for {name}); there are {_listed(header)}")
    if known is None:
        return ColumnMap("mapped", named, fixed, kinds)
    return replace(
        known,
        columns={**known.columns, **named},
        constants=fixed,
        types={**known.types, **kinds},
    )


def _listed(header: Sequence[str]) -> str:
    more = f" and {len(header) - COLUMNS_SHOWN} more" if len(header) > COLUMNS_SHOWN else ""
    return ", ".join(header[:COLUMNS_SHOWN]) + more


def _pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name or not value:
            raise FileError(f"{option} {text}: write FIELD=VALUE")
        if name not in FIELDS:
            raise FileError(f"{option} {text}: no field {name}; fields are {', '.join(FIELDS)}")
        pairs[name] = value
    return pairs


def _types(texts: Iterable[str]) -> dict[str, tuple[str, str]]:
    types = {}
    for text in texts:
        value, separator, target = text.rpartition("=")
        kind, _, action = target.partition("/")
        if not separator or not value or kind not in EVENT_TYPES:
            raise FileError(
                f"--type-map {text}: write VALUE=TYPE, TYPE one of {', '.join(EVENT_TYPES)},"
                f" a click also click/ACTION with {', '.join(CLICK_ACTIONS)}"
            )
        if action and (kind != "click" or action not in CLICK_ACTIONS):
            raise FileError(
                f"--type-map {text}: no action {action} of a {kind};"
                f" clicks have {', '.join(CLICK_ACTIONS)}"
            )
        types[value] = (kind, action)
    return types


if not set(CLICK_ACTIONS) <= set(ACTIONS):
    raise ValueError(f"actions of a click {CLICK_ACTIONS} are not among {ACTIONS}")
