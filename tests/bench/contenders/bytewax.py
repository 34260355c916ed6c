"""Bytewax, without a model (tests/bench/rivals/bytewax.py)."""

from tests.bench.environment import python_of
from tests.bench.rival import Rival

RIVAL = Rival(
    "bytewax",
    lambda _: [python_of("quix"), "-m", "tests.bench.rivals.bytewax"],
    transactions=False,
)
setup, run, teardown = RIVAL.setup, RIVAL.run, RIVAL.teardown
