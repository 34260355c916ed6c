"""The type of every message: events in; predictions, alerts, receipts and dead letters out.

Rules of the room: these types are the contract; docs/schemas is written from them by
stream.wire.schemas. An event's types name only what is read: other fields may be there and are
skipped. What `extra_json_schema` says is enforced by stream.wire.event, not by msgspec. Times out
are epoch ms, UTC.
"""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from stream.wire.limits import (
    ID_BYTES_MAX,
    KEY_BYTES_MAX,
    PRICE_CENTS_MAX,
    QUANTITY_MAX,
    QUERY_BYTES_MAX,
    TEXT_BYTES_MAX,
    TIME_MS_MAX,
    TIME_MS_MIN,
)
from stream.wire.money import PRICE_PATTERN
from stream.wire.times import ISO_PATTERN

CLICK_NAMES: Final = ("click", "product_clicked", "product_viewed", "product_added")
SEARCH_NAMES: Final = ("search", "products_searched")
PURCHASE_NAMES: Final = ("purchase", "order_completed")
FORGET_NAME: Final = "user_forget"


def _said(text: str, **extra: Any) -> Meta:
    return Meta(description=text, extra_json_schema=extra or None)


EventId = Annotated[
    str, _said("Unique per event: a repeat is a duplicate.", minLength=1, maxLength=ID_BYTES_MAX)
]
EventTime = Annotated[
    int | float | str,
    _said(
        "ISO 8601 (UTC unless it says otherwise) or epoch ms; years 2000 to 2099.",
        minimum=TIME_MS_MIN,
        maximum=TIME_MS_MAX,
        pattern=ISO_PATTERN,
    ),
]
ClientTime = Annotated[
    int | float | str | None,
    _said("ISO 8601 or epoch ms. Read only when sent_at and received_at are both given."),
]
UserId = Annotated[
    str | None, _said("Key of the record; empty counts as absent.", maxLength=KEY_BYTES_MAX)
]
AnonymousId = Annotated[
    str | None, _said("Without user_id the key is `anon:` + this.", maxLength=KEY_BYTES_MAX)
]
ItemId = Annotated[str | None, _said("Empty counts as absent.", maxLength=ID_BYTES_MAX)]
Text = Annotated[str | None, _said("Empty counts as absent.", maxLength=TEXT_BYTES_MAX)]
Price = Annotated[
    float | str | None,
    _said(
        "In units of the currency, a number or a decimal text; kept as whole cents, halves up.",
        minimum=0,
        maximum=(PRICE_CENTS_MAX + 1) / 100,
        pattern=PRICE_PATTERN,
    ),
]
Quantity = Annotated[int | None, _said("1 when absent.", minimum=1, maximum=QUANTITY_MAX)]
IsBot = Annotated[bool | None, _said("true: the event is a dead letter, reason `bot`.")]


class Envelope(Struct, gc=False, kw_only=True):
    """What every event has."""

    event_id: EventId
    event_type: str
    event_time: EventTime
    user_id: UserId = None
    anonymous_id: AnonymousId = None
    sent_at: ClientTime = None
    received_at: ClientTime = None
    channel: Text = None
    device: Text = None
    region: Text = None
    is_bot: IsBot = None


class Click(Envelope, gc=False, kw_only=True):
    """A user looked at, clicked, put into the cart or marked an item. Topic `clicks`."""

    event_type: Literal["click", "product_clicked", "product_viewed", "product_added"]
    item_id: ItemId = None
    product_id: ItemId = None
    category: Text = None
    price: Price = None
    action: Annotated[
        Literal["view", "click", "cart", "favourite"] | None,
        _said("When absent, of the event type: view for product_viewed, cart for product_added."),
    ] = None


class Search(Envelope, gc=False, kw_only=True):
    """A user searched. Topic `searches`. Only hashes of its first four words are kept."""

    event_type: Literal["search", "products_searched"]
    query: Annotated[str, _said("Text as typed.", maxLength=QUERY_BYTES_MAX)]
    category: Text = None


class PurchaseItem(Struct, gc=False, kw_only=True):
    """One line of an order."""

    item_id: ItemId = None
    product_id: ItemId = None
    category: Text = None
    quantity: Quantity = None
    price: Price = None


class Purchase(Envelope, gc=False, kw_only=True):
    """A user bought. Topic `purchases`. Each item is one step, the 64th holds all from there on."""

    event_type: Literal["purchase", "order_completed"]
    order_id: Annotated[str, _said("Of the shop.", minLength=1, maxLength=ID_BYTES_MAX)]
    items: Annotated[list[PurchaseItem], _said("In order.", minItems=1)]


class UserForget(Envelope, gc=False, kw_only=True):
    """Erase the user. Accepted on any of the three topics."""

    event_type: Literal["user_forget"]


EpochMs = Annotated[int, _said("Epoch ms, UTC.")]
Probability = Annotated[float, Meta(ge=0, le=1, description="6 decimals.")]
Reasons = Literal["sequence", "similar", "popular_fallback", "exploration"]
ITEM_REASONS: Final = ("sequence", "similar", "popular_fallback", "exploration")


class ItemScore(Struct, gc=False):
    """One item of a prediction's list."""

    item_id: str
    rank: Annotated[int, Meta(ge=1)]
    score: float
    reason: Reasons


class NextEvent(Struct, gc=False):
    """Probability of each type for the user's next event. They sum to 1 but for rounding."""

    click: Probability
    search: Probability
    purchase: Probability


class InputReference(Struct, gc=False):
    """The event that caused a prediction, and the window that it saw."""

    topic: str
    partition: int
    offset: int
    event_time: EpochMs
    window_length: Annotated[int, Meta(ge=1, le=255, description="Steps in the window.")]
    window_digest: Annotated[
        str, Meta(description="xxh3-64 of the window, hexadecimal.", pattern="^[0-9a-f]{16}$")
    ]


class Prediction(Struct, gc=False):
    """One per event that is predicted. Topic `predictions`, key = user."""

    prediction_id: Annotated[str, _said("topic-partition-offset of the input.")]
    user_id: Annotated[str, _said("The key: user_id, or `anon:` + anonymous_id.")]
    as_of: Annotated[int, _said("The user's latest event time, epoch ms.")]
    emitted_at: EpochMs
    model_version: str
    partition_seq: Annotated[int, _said("Order of application in the partition, from 1.")]
    user_seq: Annotated[int, _said("Predictions of this user in this epoch, from 1.")]
    user_epoch: Annotated[int, _said("partition_seq of the event that created the user.")]
    items: list[ItemScore]
    next_event: NextEvent
    purchase_probability: Probability
    purchase_horizon: Annotated[str, _said("ISO 8601 duration.")]
    churn_probability: Annotated[Probability | None, _said("null: insufficient history.")]
    churn_horizon: Annotated[str, _said("ISO 8601 duration.")]
    churn_status: Literal["scored", "insufficient_history"]
    input: InputReference
    late: bool
    revision: Annotated[int, _said("Late events of this user so far.")]
    supersedes: Annotated[str | None, _said("Late: prediction_id of the one before.")]
    provider: Annotated[str, _said("Execution provider of the scores.")]


class ChurnAlert(Struct, gc=False):
    """One published transition of a user's alert. Topic `churn-alerts`, key = user."""

    alert_id: Annotated[str, _said("Hash of episode and level: one alert per silence.")]
    episode_id: Annotated[str, _said("Hash of the user and the start of the silence.")]
    user_id: str
    user_epoch: int
    state: Literal["normal", "firing", "resolved", "churned"]
    previous_state: Literal["normal", "firing", "resolved", "churned"]
    level: Literal["none", "at_risk", "high_risk"]
    churn_probability: Probability | None
    horizon: Annotated[str, _said("ISO 8601 duration.")]
    starts_at: Annotated[int, _said("Start of the silence, epoch ms.")]
    fired_at: Annotated[int, _said("Event time at which it fired, epoch ms.")]
    ends_at: Annotated[int | None, _said("Event time of the end, epoch ms; null: open.")]
    reason: Literal["returned", "purchased", "late_activity", "forgotten", "expired"] | None
    trigger: Annotated[Literal["event", "clock"], _said("What caused the transition.")]
    silence_seconds: Annotated[float, _said("Shop time without activity.")]
    model_version: str
    sequence_no: Annotated[int, _said("Transitions of this user in this epoch, from 1.")]


class IntakeReceipt(Struct, gc=False):
    """What became of offsets offset_first .. offset_next - 1. Topic `intake-receipts`.

    Receipts tile each input partition. Of its offsets `predicted` were predicted, `exceptions`
    were not, and the others hold no record (markers, compaction).
    """

    topic: str
    partition: int
    offset_first: int
    offset_next: int
    predicted: int
    exceptions: Annotated[
        list[list[int | str]],
        _said(
            "[offset, outcome]; a duplicate has the offset of the first as well, and its topic"
            " where that is another."
        ),
    ]
    exception_seqs: Annotated[list[int], _said("partition_seq of each exception, as they stand.")]


class Remainder(Struct, gc=False):
    """What of an erased user is still there."""

    what: Literal["events", "predictions", "churn_alerts", "dead_letters", "user_state", "weights"]
    topic: Annotated[str | None, _said("Where; null: in the weights of a trained model.")]
    until: Annotated[int | None, _said("Epoch ms, about; null: until the next training.")]


class ErasureReceipt(Struct, gc=False):
    """One per user_forget that was carried out. Topic `erasure-receipts`, key = user_hash."""

    user_hash: Annotated[
        str,
        Meta(
            description="BLAKE2b of the key, keyed with the deployment's erasure_key.",
            pattern="^[0-9a-f]{32}$",
        ),
    ]
    request: Annotated[str, _said("topic-partition-offset of the user_forget.")]
    forgotten_until: Annotated[int, _said("Event time up to which events find nothing, epoch ms.")]
    hash_kept_until: Annotated[int, _said("Event time until which user_hash is kept, epoch ms.")]
    erased_at: EpochMs
    remains: list[Remainder]


class DeadLetterHeaders(Struct, gc=False, rename=None):
    """Headers of a dead letter, all UTF-8 text. Its key and value are the original's.

    Topic `dead-letters`.
    """

    reason: Literal[
        "undecodable",
        "schema_invalid",
        "bad_value",
        "unknown_type",
        "too_large",
        "too_late",
        "from_future",
        "bot",
        "key_missing",
        "key_mismatch",
        "wrong_partition",
        "handler_error",
    ]
    message: str
    topic: str
    partition: Annotated[str, Meta(pattern="^[0-9]+$")]
    offset: Annotated[str, Meta(pattern="^[0-9]+$")]
    length: Annotated[str, Meta(pattern="^[0-9]+$", description="Bytes of the original value.")]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="Of the original value.")]
    truncated: Annotated[Literal["true", "false"], _said("true: the value was cut.")]


Version = Annotated[
    str,
    Meta(
        description="model_version of a bundle, and the name of its folder.",
        pattern="^[A-Za-z0-9_][A-Za-z0-9._-]*$",
        max_length=TEXT_BYTES_MAX,
    ),
]


class ModelControl(Struct, gc=False, kw_only=True, forbid_unknown_fields=True):
    """Which model serves. Topic `model-control`, key = model; the last record counts."""

    model: Annotated[str, _said("Setting `model_name` of the workers that follow it.")]
    active: Version
    previous: Annotated[Version | None, _said("What was active before: for a rollback.")] = None
    shadow: Annotated[Version | None, _said("Scored beside the active one, not told.")] = None
    issued_at: EpochMs
    issued_by: Annotated[str, _said("Who wrote it: user and machine.")]


EVENTS: Final = {"click": Click, "search": Search, "purchase": Purchase, "user-forget": UserForget}
OUTPUTS: Final = {
    "prediction": Prediction,
    "churn-alert": ChurnAlert,
    "intake-receipt": IntakeReceipt,
    "erasure-receipt": ErasureReceipt,
    "dead-letter-headers": DeadLetterHeaders,
    "model-control": ModelControl,
}
