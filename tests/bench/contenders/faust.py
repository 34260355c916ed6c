"""Stock Faust, from our own environment (tests/bench/rivals/faust.py)."""

import sys

from tests.bench.rival import Rival

RIVAL = Rival(
    "faust", lambda _: [sys.executable, "-m", "tests.bench.rivals.faust"], transactions=False
)
setup, run, teardown = RIVAL.setup, RIVAL.run, RIVAL.teardown
