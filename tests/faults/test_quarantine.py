"""A row that makes the engine raise, in a real worker under `--supervise`."""

import json
import signal
import sys
from collections.abc import Callable

import pytest

from stream.flow.stops import EngineError
from stream.shell.reader import Reader, Record
from tests.deployment import until
from tests.faults import picky
from tests.faults.loaded import Loaded
from tests.kafka_tools import produce

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(400)]

KEY = b"picky-user"


def set_aside(loaded: Loaded) -> list[Record]:
    """Give the dead letters that the quarantine made."""
    topic = loaded.deployment.settings.topic("dead-letters")
    with Reader(loaded.deployment.settings.broker) as reader:
        records = list(reader.records(reader.ranges([topic])))
    return [record for record in records if dict(record.headers)["reason"] == b"handler_error"]


def test_a_row_that_breaks_the_engine_is_set_aside(loaded_here: Callable[..., Loaded]) -> None:
    """It ends the worker once; then it raises on a copy, and all other rows are predicted."""
    loaded = loaded_here()
    settings = loaded.deployment.settings
    worker = loaded.deployment.worker()
    worker.start("--supervise", program=(sys.executable, picky.__file__))
    try:
        loaded.wait_owned(0)
        loaded.load.on()
        loaded.wait_predictions()
        event = {
            "event_id": "picky", "event_type": "click", "event_time": 1_700_000_000_000,
            "user_id": KEY.decode(), "item_id": picky.BAD_ITEM,
        }  # fmt: skip
        value = json.dumps(event).encode()
        produce(settings.broker, settings.topic("clicks"), [(KEY, value)])
        until(lambda: set_aside(loaded), "the dead letter")
        loaded.wait_predictions()
        report = loaded.deployment.settled(loaded.load.off() + 1)
        assert report.problems.count == 0, (report.summary(), report.problems.shown)
        (letter,) = set_aside(loaded)
        assert (letter.key, letter.value) == (KEY, value)
        ends = worker.said().count("; starting again in ")
        assert ends == worker.said().count(f"worker ended with {EngineError.exit_code};") == 1
        aside = worker.metric("forecart_dead_letters_total", 'reason="handler_error"')
        assert aside == 1, "what alert RowsSetAside looks at"
    finally:
        worker.kill(signal.SIGTERM)  # the supervisor's child too
