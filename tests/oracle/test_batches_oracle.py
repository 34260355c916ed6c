"""Events to arrays and back."""

import pytest

from stream.core.config import EngineConfig
from tests.oracle.batches import batch_of, batches_of, events_of
from tests.strategies.streams import CONFIGS, seeded_moves, stream_of


@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_events_survive_the_way_through_arrays(config: EngineConfig) -> None:
    events = stream_of(config, seeded_moves(2, 300))
    assert events_of(batch_of(events)) == events
    pieces = batches_of(events, [1, 7, 7, 250])
    assert [len(piece.events) for piece in pieces] == [1, 6, 243, 50]
    assert [event for piece in pieces for event in events_of(piece)] == events
