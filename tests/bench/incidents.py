"""What happens to a worker in the middle of a load: a rebalance, another model, a restart.

Rules of the room: each takes the case and what its contender made, returns when the cause is there
(not when it is over), and leaves what it started in `made`, for its teardown.
"""

import signal
from collections.abc import Callable, Mapping
from typing import Final

from tests.bench.case import Case
from tests.bench.contenders import forecart
from tests.bench.swap import activate, second_bundle

ITEMS: Final = 2_000  # of the second model


def nothing(_case: Case, _made: forecart.Made) -> None:
    """Let it run."""


def rebalance(_case: Case, made: forecart.Made) -> None:
    """A second worker joins and takes its share of the partitions, which it has to restore."""
    forecart.join(made, ".second.log")


def swap(_case: Case, made: forecart.Made) -> None:
    """Another model is named, as an operator does."""
    activate(made, second_bundle(ITEMS))


def restore(_case: Case, made: forecart.Made) -> None:
    """The worker is killed and started again: it restores all of its state."""
    made.worker.send_signal(signal.SIGKILL)
    made.worker.wait()
    made.worker = forecart.started(made.environ, made.log.with_suffix(".again.log"))


INCIDENTS: Final[Mapping[str, Callable[[Case, forecart.Made], None]]] = {
    "nothing": nothing, "rebalance": rebalance, "swap": swap, "restore": restore,
}  # fmt: skip
