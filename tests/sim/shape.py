"""What a seed draws of the world before anything runs."""

from dataclasses import dataclass

from tests.sim.events import Sent
from tests.sim.process import Setup


@dataclass(slots=True)
class Shape:
    """What a seed has drawn of the world itself."""

    setup: Setup
    events: list[list[Sent]]  # by partition number
    instances: list[str]
    standby: bool
    late_markers: float  # share of transactions whose markers come one by one
    compact: float  # share of the broker's steps
    meanwhile: float  # share of points at which others run
    swap_at: float  # share of the input after which another model is to serve; 2: never
    sender_aborts: float  # share of writes to an input that are aborted and written again
