"""Quix Streams, without a model (tests/bench/rivals/quix.py)."""

from tests.bench.environment import python_of
from tests.bench.rival import Rival

RIVAL = Rival(
    "quix", lambda _: [python_of("quix"), "-m", "tests.bench.rivals.quix"], transactions=True
)
setup, run, teardown = RIVAL.setup, RIVAL.run, RIVAL.teardown
