"""Hand-written streams, one call per event, played to the oracle and to the real engine."""

from stream.core.config import EngineConfig
from stream.core.layout import NEVER_MS, Flag, Reason, action_of, type_of
from tests.oracle.engine import OracleEngine, ScoreWindow
from tests.oracle.int_scorer import FixedScorer, IntScorer, score_window
from tests.oracle.records import Alert, Answer, Dropped, Effect, Event, Row, Step, Swept
from tests.oracle.runs import (
    PARTITION,
    EngineRun,
    OracleRun,
    assert_equal_runs,
    assert_equal_state,
)


class Script:
    """Events in the order in which they are to be applied. Ids count from 1 unless given."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._offsets = [0, 0, 0]

    def click(self, user: str, time_ms: int, **given: int) -> Event:
        """Add a click: one step."""
        return self._add(user, time_ms, "click", 1, given)

    def search(self, user: str, time_ms: int, **given: int) -> Event:
        """Add a search: one step without an item."""
        return self._add(user, time_ms, "search", 1, given)

    def purchase(self, user: str, time_ms: int, steps: int = 1, **given: int) -> Event:
        """Add a purchase of so many lines."""
        return self._add(user, time_ms, "purchase", steps, given)

    def forget(self, user: str, time_ms: int) -> Event:
        """Add a user_forget, on the topic of clicks."""
        event = Event(
            user=user.encode(),
            topic=0,
            offset=self._offset(0),
            time_ms=time_ms,
            timestamp_ms=time_ms,
            flags=Flag.CONTROL_FORGET,
        )
        self.events.append(event)
        return event

    def bad(self, reason: Reason) -> Event:
        """Add what the decoder made of garbage."""
        event = Event(None, 0, self._offset(0), NEVER_MS, 0, reason=reason)
        self.events.append(event)
        return event

    def _add(self, user: str, time_ms: int, kind: str, count: int, given: dict[str, int]) -> Event:
        topic = type_of[kind]
        offset = self._offset(topic)
        event_id = given.pop("event_id", len(self.events) + 1)
        item = given.pop("item", 0 if kind == "search" else event_id)
        step = Step(
            event_id=event_id,
            item=item,
            time_ms=time_ms,
            source=offset * 4 + topic,
            event_type=topic,
            action=action_of[kind],
        )
        event = Event(
            user=user.encode(),
            topic=topic,
            offset=offset,
            time_ms=time_ms,
            timestamp_ms=given.pop("timestamp_ms", time_ms),
            event_id=event_id,
            event_type=topic,
            steps=tuple(step._replace(quantity=index + 1) for index in range(count)),
            **given,
        )
        self.events.append(event)
        return event

    def _offset(self, topic: int) -> int:
        self._offsets[topic] += 1
        return self._offsets[topic] - 1


class Played:
    """A script applied: the oracle afterwards, and the effects of each event."""

    def __init__(self, oracle: OracleEngine, events: list[Event]) -> None:
        self.oracle = oracle
        self.effects: list[list[Effect]] = [list(oracle.apply(event)) for event in events]
        flat = [effect for effects in self.effects for effect in effects]
        self.rows = [effect for effect in flat if isinstance(effect, Row)]
        self.alerts = [effect for effect in flat if isinstance(effect, Alert)]
        self.sweeps = [effect for effect in flat if isinstance(effect, Swept)]
        self.dropped = [effect for effect in flat if isinstance(effect, Dropped)]


def play(config: EngineConfig, events: list[Event], answer: Answer | None = None) -> Played:
    """Apply events to a new oracle and to the real engine, which must say the same.

    Scored in integers, or always by the answer given.
    """
    score: ScoreWindow = score_window if answer is None else lambda *_: answer
    scorer: IntScorer | FixedScorer = IntScorer() if answer is None else FixedScorer(answer)
    played = Played(OracleEngine(config, PARTITION, score), events)
    engine = EngineRun(config, scorer).feed(events)
    engine.commit()
    assert_equal_runs(engine, OracleRun(config, score).feed(events))
    assert_equal_state(engine, played.oracle)
    return played
