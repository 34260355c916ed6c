"""Kafka Streams in Java; with a bundle, its step graph runs in the same process.

The program is tests/bench/rivals/streams/Streams.java.
"""

from tests.bench.rival import Rival
from tests.bench.rivals.java import command

RIVAL = Rival("streams", lambda _: command("streams", "Streams"), transactions=True, warm_share=0.4)
setup, run, teardown = RIVAL.setup, RIVAL.run, RIVAL.teardown
