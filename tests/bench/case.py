"""One measurement: which contender, on what load, against which broker. Travels as JSON."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

from tests.bench.card import Card

Mode = Literal["drain", "live"]


@dataclass(frozen=True, slots=True)
class Case:
    """What a fresh process is told."""

    contender: str
    mode: Mode
    bootstrap: str
    prefix: str  # of all its topics and its group
    events: int
    rate: float = 0.0  # live: events/s; 0: as fast as the broker takes them
    profile: str = "step"
    guarantee: str = "exactly_once"
    bundle: str = ""
    compression: str = "none"  # of the load, by its producer
    catch_up_age_s: float = 0.0  # Forecart's setting
    workers: int = 1  # of Forecart
    deadline_s: float = 300.0
    card: Card = field(default_factory=Card)

    def to_json(self) -> str:
        """Write."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "Case":
        """Read."""
        values = json.loads(text)
        card = values.pop("card")
        card["shares"] = tuple(card["shares"])
        return Case(card=Card(**card), **values)


Result = dict[str, Any]  # at least events, seconds, events_per_second


class Contender(Protocol):
    """The three names of a contender's module."""

    def setup(self, case: Case) -> Any:
        """Make what it needs beside the input topics. Not measured."""

    def run(self, case: Case, made: Any) -> Result:
        """Take the whole load. Raises where not every event came through."""

    def teardown(self, case: Case, made: Any) -> None:
        """Stop and remove what setup and run made; also after a failure."""
