"""A pipeline in its steady state, with a load before it: what the benches in memory measure.

Every user has a full window, and (h, c) lie in the pools as after a long run. All is synthetic.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from stream.flow.opening import Opener
from stream.settings import Settings
from stream.shell.metrics import Metrics
from stream.wire.records import columns_of
from tests.bench.card import Card
from tests.bench.full_users import HIDDEN_USERS_MAX, START_MS, FullUsers
from tests.bench.load import Load, Message
from tests.bench.pipeline import Pipeline
from tests.bench.random_bundle import random_bundle

# Rows of a topic in a chunk, in parts of what a batch has of it: two of them are more than a batch
# takes, so each chunk of clicks makes a batch, as one of few rows does when a worker keeps up.
CHUNK_SHARE: Final = 15 / 16
POLICIES: Final = {"cpu": "cpu", "cuda": "require"}


@dataclass(frozen=True, slots=True)
class Setup:
    """The card, and what beside it makes a difference to a worker's cost."""

    card: Card = field(default_factory=Card)
    items: int = 2_000  # of the bundle
    items_top: int = 0  # 0: profile step; 10: profile full
    rows_max: int = 4_096  # of a batch
    hidden_users_max: int = HIDDEN_USERS_MAX  # a partition's pool of (h, c)
    commit_events: int = 30_000  # half a second of them


def loaded(setup: Setup, events: int, provider: str = "cpu") -> Pipeline:
    """Make a pipeline with more than so many events before it. Raises ProviderError."""
    card = setup.card
    settings = Settings(
        bundle=str(random_bundle(card, setup.items)),
        provider=POLICIES[provider],
        items_top=setup.items_top,
        window_steps=card.window_steps,
    )
    serving = Opener(settings, card.partitions, Metrics(card.partitions)).first(None)
    users = FullUsers(
        card,
        card.users,
        hidden_users_max=setup.hidden_users_max,
        exclude_recent=setup.items_top > 0,
    )
    load = Load(card, events + events // 4 + 8 * setup.rows_max, START_MS + card.span_ms)
    users.carry_on(load.ranks)
    pipeline = Pipeline(users.engines, serving, setup.rows_max, setup.commit_events)
    waiting: dict[tuple[int, int], list[Message]] = defaultdict(list)
    for block in load.blocks():
        for place, messages in block.items():
            waiting[place] += messages
    for (topic, partition), messages in waiting.items():
        size = max(1, int(CHUNK_SHARE * setup.rows_max * card.shares[topic]))
        for first in range(0, len(messages), size):
            part = messages[first : first + size]
            columns = columns_of(
                range(first, first + len(part)),
                [load.end_ms] * len(part),
                [message["key"] for message in part],
                [message["value"] for message in part],
            )
            pipeline.feed(topic, partition, columns)
    return pipeline
