"""Steps in words: the ids and texts of the events that brought them, which steps keep as hashes."""

from dataclasses import dataclass
from typing import Any

from stream.core.layout import ACTIONS, EVENT_TYPES, TOPICS, Record
from stream.served.log import ServedError
from stream.served.window import Window
from stream.wire.event import STRUCT_DECODERS


@dataclass(frozen=True, slots=True)
class StepWords:
    """A step as a person knows it."""

    time_ms: int
    event_type: str
    action: str
    item_id: str | None
    query: str | None
    price_cents: int | None
    quantity: int
    topic: str  # of the event, without prefix
    offset: int


def step_words(window: Window, position: int) -> StepWords:
    """Describe a step of a window's plan. Raises ServedError where its event is not that step's."""
    step = window.plan.steps[position]
    topic, offset = int(step["source"]) % 4, int(step["source"]) // 4
    event: Any = STRUCT_DECODERS[topic].decode(window.values[int(step["source"])])
    item_id = query = None
    if TOPICS[topic] == "clicks":
        item_id = event.item_id or event.product_id
    elif TOPICS[topic] == "searches":
        query = event.query
    else:
        line = event.items[_line(window, step)]
        item_id = line.item_id or line.product_id
    return StepWords(
        time_ms=int(step["time_ms"]),
        event_type=EVENT_TYPES[int(step["event_type"])],
        action=ACTIONS[int(step["action"])],
        item_id=item_id,
        query=query,
        price_cents=int(step["price_cents"]) if step["price_cents"] >= 0 else None,
        quantity=int(step["quantity"]),
        topic=TOPICS[topic],
        offset=offset,
    )


def _line(window: Window, step: Record) -> int:
    """Return the place of a step among those of its event."""
    steps = window.batch.steps
    mine = steps[steps["source"] == step["source"]]
    for number, other in enumerate(mine):
        if other == step:
            return number
    raise ServedError(f"a step of offset {int(step['source']) // 4} is not among its event's")
