"""The Hypothesis side of streams: moves, configurations and cuts."""

from hypothesis import strategies as st

from stream.core.config import EngineConfig
from tests.oracle.records import Event
from tests.strategies.streams import CONFIGS, DELTAS_COUNT, KINDS, Move, stream_of

configs = st.sampled_from(CONFIGS)

moves = st.builds(
    Move,
    kind=st.sampled_from(KINDS),
    user=st.integers(0, 6),
    delta=st.one_of(st.integers(0, 5), st.integers(0, DELTAS_COUNT - 1)),
    back=st.integers(0, 23),
    event_type=st.sampled_from((0, 0, 0, 1, 2)),
    steps=st.sampled_from((1, 2, 3, 9, 64)),
    context=st.integers(0, 17),
)


@st.composite
def streams(draw: st.DrawFn, *, events_max: int = 80) -> tuple[EngineConfig, list[Event]]:
    """Draw a configuration and a stream of events made for its limits."""
    config = draw(configs)
    return config, stream_of(config, draw(st.lists(moves, min_size=1, max_size=events_max)))


@st.composite
def cuts(draw: st.DrawFn, count: int) -> list[int]:
    """Draw places to cut a stream of `count` rows: none, a few, or before every row."""
    inner = st.integers(1, max(1, count - 1))
    return draw(
        st.one_of(
            st.just([]),
            st.just(list(range(1, count))),
            st.lists(inner, max_size=8, unique=True).map(sorted),
        )
    )
