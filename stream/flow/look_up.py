"""Look a user up in a running worker, for the live page: window, scores, alert and why.

Rules of the room: the state is read on the worker's thread, between two turns, in some 50 us, and
put into words elsewhere; one at a time. What is asked for by a person never stops a worker.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from stream.core.config import EngineConfig
from stream.core.results import Touched
from stream.flow.described import describe
from stream.flow.models import Models
from stream.flow.restore import Engines
from stream.flow.worker import Worker
from stream.wire.hashing import id_hash
from stream.wire.murmur2 import partition_of
from stream.wire.state import Header, decode_row, encode_users, header_of

WAIT_S: Final = 3.0


class LookUp:
    """Finds users. `find` is awaited on the event loop of the worker."""

    def __init__(
        self,
        worker: Worker,
        engines: Engines,
        models: Models,
        config: EngineConfig,
        inputs: Sequence[str],
        partitions: int,
    ) -> None:
        self._worker = worker
        self._engines = engines
        self._models = models
        self._config = config
        self._inputs = inputs
        self._partitions = partitions
        self._names: tuple[str, dict[str, str]] = ("", {})  # model version, item by its hash

    async def find(self, key: bytes) -> dict[str, Any]:
        """Describe a user; `found` False and `why` where it is not here."""
        number = partition_of(key, self._partitions)
        owned = {place[1] for place in self._worker.committed()}
        if not owned:
            return _not_found("this worker has no partition yet: it starts, restores or rebalances")
        if number not in owned:
            return _not_found(f"partition {number} belongs to another worker: ask there")
        taken: list[tuple[bytes, Header]] = []
        try:
            request = self._worker.ask(lambda: self._take(number, key, taken))
            await asyncio.wait_for(request, WAIT_S)
        except TimeoutError:
            return _not_found("the worker is busy with something else; try again")
        if not taken:
            return _not_found(
                f"partition {number} keeps nothing of this user: it was never seen, was erased, has"
                " expired or was evicted"
            )
        return await asyncio.to_thread(self._describe, number, *taken[0])

    def _take(self, number: int, key: bytes, taken: list[tuple[bytes, Header]]) -> None:
        """Copy a user's state. On the worker's thread: must not raise."""
        engine = self._engines.engine(number)
        slot = None if engine is None else engine.slot_of(key)
        if engine is None or slot is None:
            return
        rows = encode_users(engine, Touched(np.array([slot], np.int64), [key], [], {}))
        taken.append((rows[0] or b"", header_of(engine, self._partitions, {}, {})))

    def _describe(self, number: int, value: bytes, header: Header) -> dict[str, Any]:
        row, steps = decode_row(value)
        note = describe(row, steps, header)
        names = self._item_names()
        for step in note["window"]:
            step["name"] = names.get(step["item"] or "")
        source = int(row["source_last"])
        place = f"{self._inputs[source % 4]}-{number}-{source // 4}" if source >= 0 else None
        return {
            "found": True,
            "partition": number,
            "prediction_id": place,
            "why": reasons(note, self._config),
            **note,
        }

    def _item_names(self) -> dict[str, str]:
        """Name items by their hash, as the model that serves knows them."""
        serving = self._models.serving
        if self._names[0] != serving.version:
            ids = [json.loads(text) for text in serving.item_json]
            hashed = {f"{id_hash(name):016x}": name for name in ids if name is not None}
            self._names = (serving.version, hashed)
        return self._names[1]


def reasons(note: dict[str, Any], config: EngineConfig) -> list[str]:
    """Say why the alert is what it is, a sentence each."""
    alert, churn = note["alert"], note["scores"]["churn"]
    silent = f"silent for {_span(note['silence_seconds'])} of shop time"
    said = []
    if churn is None and note["steps_accepted"] < config.churn_events_min:
        said.append(
            f"{note['steps_accepted']} steps so far; a churn score takes {config.churn_events_min}"
        )
    elif churn is None:
        said.append("no churn score yet")
    else:
        side = "at or above" if churn >= config.churn_enter else "below"
        said.append(
            f"churn probability {churn:.2f}, when last looked at, is {side}"
            f" {config.churn_enter:.2f}, from which an alert fires"
        )
    said.append(silent)
    if alert["state"] == "firing":
        said.append(
            f"it fired as {alert['level'].replace('_', ' ')}; it ends with the user's next event,"
            f" or as churned {_span(config.churn_horizon_ms / 1000)} of shop time after it fired"
        )
    elif alert["state"] in {"resolved", "churned"}:
        said.append(
            f"the last alert ended ({alert['reason'].replace('_', ' ')}); a new one fires only"
            f" after the score was at or below {config.churn_leave:.2f}"
        )
    if alert["next_check_in_seconds"] is not None:
        left_s = max(0.0, alert["next_check_in_seconds"])
        said.append(f"looked at again in {_span(left_s)} of shop time, or at the next event")
    return said


def _span(seconds: float) -> str:
    for name, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {name}"
    return f"{max(0.0, seconds):.0f} s"


def _not_found(why: str) -> dict[str, Any]:
    return {"found": False, "why": [why]}
