"""The truth of a simulated run, written beside it: JSON lines, of published records alone.

Rules of the room: a line is written once its record has been handed to Kafka, so a run that was
cut short has a truth of just what it published. The first line (`kind: run`) names the run and says
that it is synthetic, the last (`kind: end`) counts the lines of each kind.

| kind | one line for | fields |
|---|---|---|
| visit | each visit | user, session_id, at_ms, intent, buys (in it, or later from its cart) |
| duplicate | each record sent again | event_id, topic, key, at_ms |
| late | each good event delivered late | event_id, topic, key, at_ms, delay_ms, overtaken |
| bot, poison, future | each record to be dead-lettered | event_id, topic, key, reason, sha256 |
| churner | each user who slowed down for good | user, slowing_from_ms, gone_from_ms or null |
| returner | each user whose pause began | user, pause_from_ms, pause_ms |
| skewed | each user whose clock is wrong | user, skew_ms |

`overtaken` says whether a newer event of the same user was delivered before. `sha256` is of the
value, as in the dead letter's headers. Churners, returners and skewed users come at the end, as far
as the time reached knows them.
"""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from stream.core.layout import TOPICS
from stream.local.shop import Block, Shop
from stream.local.shop_faults import REASON, Fault
from stream.local.shop_people import HOUR_MS, NEVER_MS, Intent, Life


class TruthWriter:
    """Writes the truth of one shop's run. A context manager; `finish` ends the file."""

    def __init__(self, path: Path, shop: Shop) -> None:
        """Open the file and write its first line. Raises OSError."""
        self._shop = shop
        self._lines: Counter[str] = Counter()
        self._newest_ms = np.full(len(shop.renderer.keys), -NEVER_MS, np.int64)
        self._file: IO[str] = path.open("w", encoding="utf-8")
        self._write(
            "run",
            synthetic=True,
            run=shop.run,
            seed=shop.seed,
            users=shop.users,
            items=len(shop.catalogue.item_ids),
            days=shop.days,
            start_ms=shop.start_ms,
            end_ms=shop.end_ms,
        )

    def __enter__(self) -> Self:
        """Give the writer."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the file, as it stands."""
        self._file.close()

    def sent(self, block: Block, start: int, stop: int) -> None:
        """Write what is true of block[start:stop], which has just been published."""
        rows = block.rows[start:stop]
        fault = rows["fault"]
        good = fault <= Fault.LATE
        first = (rows["position"] == 0) & good & (fault != Fault.DUPLICATE)
        for index in np.flatnonzero(first | (fault != Fault.NONE)).tolist():
            if first[index]:
                self._visit(rows[index])
            if fault[index] != Fault.NONE:
                self._fault(block, start + index, start)
        np.maximum.at(self._newest_ms, rows["user"][good], rows["time_ms"][good])

    def finish(self, reached_ms: int) -> None:
        """Write what is true of users at the simulated time reached, and the counts."""
        people = self._shop.people
        keys = self._shop.renderer.keys
        seen = self._newest_ms[: self._shop.users] > -NEVER_MS
        for user in np.flatnonzero(seen).tolist():
            name = keys[user].decode()
            slow_ms, gone_ms = int(people.slow_from_ms[user]), int(people.gone_ms[user])
            paused_ms = int(people.paused_ms[user])
            if people.life[user] == Life.CHURNER and slow_ms <= reached_ms:
                # The newest event is the last one only where the whole last visit is out.
                gone = int(self._newest_ms[user]) if gone_ms + HOUR_MS < reached_ms else None
                self._write("churner", user=name, slowing_from_ms=slow_ms, gone_from_ms=gone)
            if paused_ms <= reached_ms:
                self._write(
                    "returner",
                    user=name,
                    pause_from_ms=paused_ms,
                    pause_ms=int(people.pause_ms[user]),
                )
            if people.skew_ms[user]:
                self._write("skewed", user=name, skew_ms=int(people.skew_ms[user]))
        counts = dict(self._lines)
        self._write("end", reached_ms=reached_ms, lines=counts)
        self._file.flush()

    def _visit(self, row: np.void) -> None:
        user = int(row["user"])
        self._write(
            "visit",
            user=self._shop.renderer.keys[user].decode(),
            session_id=f"s{user:x}-{int(row['visit']):x}",
            at_ms=int(row["time_ms"]),
            intent=Intent(int(row["intent"])).name.lower(),
            buys=bool(row["decided"]),
        )

    def _fault(self, block: Block, index: int, start: int) -> None:
        row = block.rows[index]
        fault = Fault(int(row["fault"]))
        key = block.keys[index]
        fields: dict[str, Any] = {
            "event_id": f"{self._shop.run}{int(row['seq']):08x}",
            "topic": TOPICS[row["topic"]],
            "key": None if key is None else key.decode(),
            "at_ms": int(row["time_ms"]),
        }
        if fault is Fault.DUPLICATE:
            self._write("duplicate", **fields)
        elif fault is Fault.LATE:
            delay_ms = int(row["deliver_ms"] - row["time_ms"])
            overtaken = self._overtaken(block, index, start)
            self._write("late", **fields, delay_ms=delay_ms, overtaken=overtaken)
        else:
            kind = {Fault.BOT: "bot", Fault.FUTURE: "future"}.get(fault, "poison")
            self._write(
                kind,
                **fields,
                fault=fault.name.lower(),
                reason=REASON[fault].name.lower(),
                sha256=hashlib.sha256(block.values[index]).hexdigest(),
            )

    def _overtaken(self, block: Block, index: int, start: int) -> bool:
        """Say whether a newer good event of the row's user has been delivered before it."""
        row = block.rows[index]
        before = block.rows[start:index]
        newer = (before["user"] == row["user"]) & (before["time_ms"] > row["time_ms"])
        newer &= before["fault"] <= Fault.LATE
        return bool(newer.any() or self._newest_ms[row["user"]] > row["time_ms"])

    def _write(self, kind: str, **fields: Any) -> None:
        self._file.write(json.dumps({"kind": kind, **fields}) + "\n")
        self._lines[kind] += 1
