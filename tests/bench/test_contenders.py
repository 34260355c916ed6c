"""Every rival takes a small load on the real broker, and each event gets its record.

Not part of `make test`: the first run installs the rivals. `make bench-check` runs it.
"""

import importlib
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec
import pytest

from stream.core.layout import TOPICS
from stream.shell.reader import Reader
from tests.bench.case import Case
from tests.bench.one import delete_topics, fill, make_inputs
from tests.bench.run import CONTENDERS, RIVALS, bundle_of
from tests.kafka_tools import unique_prefix

if TYPE_CHECKING:
    from tests.bench.rival import Rival

EVENTS = 2_000
SIZE_SHARE = 0.05  # that a prediction's size may be off the card

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(300)]


@pytest.mark.parametrize("name", RIVALS)
def test_each_event_gets_its_record(kafka: str, name: str) -> None:
    entry = CONTENDERS[name]
    rival: Rival = importlib.import_module(f"tests.bench.contenders.{entry.module}").RIVAL
    case = Case(
        entry.module, "drain", kafka, unique_prefix(), EVENTS,
        deadline_s=60.0, bundle=bundle_of(entry, ""),
    )  # fmt: skip
    make_inputs(case)
    try:
        fill(case)
        made = rival.setup(case)
        try:
            progress, records, size = rival.take(case, made)
        finally:
            rival.teardown(case, made)
        assert progress.points[-1][2] >= EVENTS
        assert records == EVENTS  # nothing failed, so nothing came twice
        assert ids(case, ["predictions"]) == ids(case, TOPICS)
        assert size / records == pytest.approx(case.card.prediction_bytes, rel=SIZE_SHARE)
    finally:
        delete_topics(case)


def ids(case: Case, names: Iterable[str]) -> Counter[str]:
    """Count event ids in topics."""
    with Reader(case.bootstrap) as reader:
        ranges = reader.ranges([case.prefix + name for name in names])
        return Counter(
            msgspec.json.decode(record.value)["event_id"] for record in reader.records(ranges)
        )
