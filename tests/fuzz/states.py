"""Target: the changelog. Every set of records must be a state that works, or be refused in a line.

An input is the records of a partition, in order. What is taken is put to use: events of its users
are applied and scored, buckets swept, alerts and predictions encoded, and the state written and
read again.
"""

import struct
from collections.abc import Hashable, Iterator, Sequence
from random import Random
from typing import Final

import msgspec
import numpy as np

from stream.core.config import HOUR_MS
from stream.core.engine import Engine
from stream.core.layout import STEP, USER, Outcome
from stream.flow import restore as restore_door
from stream.flow.restore import Engines
from stream.flow.stops import RestoreError
from stream.wire import state as state_reader
from stream.wire.outputs import encode_alerts
from stream.wire.predictions import PredictionEncoder
from stream.wire.state import FORGOTTEN_PREFIX, HEADER_KEY, Header, changelog
from tests.fuzz.arcs import Arc, Tracer
from tests.fuzz.mutate import change_bytes, change_members
from tests.fuzz.target import Judged
from tests.oracle.batches import batch_of
from tests.oracle.int_scorer import ITEMS_COUNT, IntScorer
from tests.oracle.runs import EngineRun
from tests.strategies.streams import CONFIGS, Move, StreamBuilder, seeded_moves, stream_of

CONFIG: Final = CONFIGS[1]
PARTITIONS: Final = 4
NUMBER: Final = 3
Records = list[tuple[bytes, bytes | None]]
_NONE: Final = 0xFFFF_FFFF
_NUMBERS: Final = (0, 1, 2, 3, 4, 5, 6, 9, 127, 128, 200, 255, 256, 2**31, 2**62, 2**63 - 1, 2**63)
_FLOATS: Final = (0.0, -0.0, -1.0, 0.5, 1.0, 1.0000001, 2.0, float("nan"), float("inf"), 1e30)


class States:
    """See stream.wire.state and stream.flow.restore."""

    name = "states"
    batch_inputs = 64
    traced_bytes_max = 65_536

    def __init__(self) -> None:
        self._tracer = Tracer(state_reader.__file__, restore_door.__file__)
        items = [b"null", *(b'"i%d"' % number for number in range(ITEMS_COUNT))]
        names = ["clicks", "searches", "purchases"]
        self._encoder = PredictionEncoder(names, items, "m", "cpu", ("P7D", "P7D"))

    def seeds(self) -> list[bytes]:
        """Changelogs of short streams: whole ones, and of one commit each."""
        made = []
        for seed in range(4):
            run = EngineRun(CONFIG)
            events = stream_of(CONFIG, seeded_moves(seed, 120))
            for first in range(0, len(events), 40):
                run.feed(events[first : first + 40])
                run.offset_next = {"clicks": first, "searches": 0, "purchases": 7}
                made.append(pack(run.commit()))
            made.append(pack(run.log))
        return made

    def change(self, rng: Random, value: bytes, other: bytes) -> bytes:
        """Change one or two records, leave one out, or take one of another input."""
        records = list(unpack(value))
        for _ in range(rng.choice((1, 1, 2))):
            if not records:
                return pack(list(unpack(other))[-3:])
            at = rng.randrange(len(records))
            kind = rng.randrange(10)
            if kind == 0:
                del records[at]
            elif kind == 1:
                records.insert(at, rng.choice(list(unpack(other)) or [(b"", None)]))
            elif kind == 2:
                records[at] = _odd_key(rng, records[at][0]), records[at][1]
            elif kind == 3:
                records[at] = records[at][0], rng.choice((None, b"", b"\x01", b"\0" * 8))
            else:
                records[at] = records[at][0], _changed_value(rng, *records[at])
        return pack(records[-24:])

    def judge(self, inputs: Sequence[bytes]) -> Judged:
        """Restore and use each."""
        judged = Judged([None] * len(inputs), 0, 0)
        for at, value in enumerate(inputs):
            records = list(unpack(value))
            try:
                engine, header = restored(records)
            except RestoreError as error:
                judged.refused += 1
                judged.features[at] = "".join(filter(str.isalpha, str(error)[:60]))
                continue
            except Exception as error:  # noqa: BLE001 that it raises is what is looked for
                judged.failures.append((at, f"restore raised {type(error).__name__}: {error}"))
                continue
            try:
                judged.features[at] = self._use(engine, header, records)
            except Exception as error:  # noqa: BLE001 a state that was taken must work
                judged.failures.append((at, f"in use: {type(error).__name__}: {error}"))
            judged.accepted += 1
        return judged

    def arcs(self, value: bytes) -> set[Arc]:
        """Trace the parts that are not compiled."""
        return self._tracer.of(lambda: restored(list(unpack(value))))

    def _use(self, engine: Engine, header: Header | None, records: Records) -> Hashable:
        """Let time pass and events come to the users that are there, and to one who is not."""
        scorer = IntScorer()
        scorer.open(NUMBER, CONFIG.hidden_users_max)
        builder = StreamBuilder(CONFIG, [*list(engine._slots)[:6], b"new"])
        builder.now_ms = max(builder.now_ms, min(int(engine.state.clock["watermark_ms"][0]), 2**42))
        kinds = ("next", "late", "next", "forget", "next", "ahead", "next", "next")
        moves = [Move(kind, n, n % 6, n, n % 3, 1 + n % 3, n) for n, kind in enumerate(kinds)]
        events = [builder.add(move) for move in moves]
        for step in range(3):
            builder.now_ms += HOUR_MS * (1 + step)
            events.append(builder.add(moves[0]._replace(user=step)))
        alerts = predicted = 0
        batch = batch_of(events)
        for settled in engine.run(batch, lambda plan: scorer.score(NUMBER, plan)):
            encode_alerts(settled.alerts, settled.alert_keys, "m", "P7D")
            alerts += len(settled.alerts)
            rows = settled.rows[settled.rows["outcome"] == Outcome.PREDICTED]
            predicted += len(rows)
            for value in self._encoder.encode(
                NUMBER, rows, batch.users, settled.scores, settled.churn, 0
            ):
                msgspec.json.decode(value)
        engine.open_alerts()
        offset_next = {} if header is None else header.offset_next
        # With those before: a user whose events were all duplicates, say, is not written again.
        restored([*records, *changelog(engine, PARTITIONS, offset_next, {}).records()])
        return min(engine.users_count, 4), min(alerts, 3), min(predicted, 9)


def restored(records: Records) -> tuple[Engine, Header | None]:
    """Restore as a worker does. Raises RestoreError."""
    engines = Engines(CONFIG, PARTITIONS, 64)
    engines.restore(NUMBER, [key for key, _ in records], [value for _, value in records])
    return engines.activate(NUMBER)


def pack(records: Records) -> bytes:
    """Write records one after the other."""
    parts = []
    for key, value in records:
        size = _NONE if value is None else len(value)
        parts.append(struct.pack("<HI", len(key), size) + key + (value or b""))
    return b"".join(parts)


def unpack(data: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """Read them again; a cut one ends them."""
    at = 0
    while at + 6 <= len(data):
        length, size = struct.unpack_from("<HI", data, at)
        at += 6
        key, at = data[at : at + length], at + length
        value = None if size == _NONE else data[at : at + size]
        at += 0 if value is None else size
        yield key, value


def _odd_key(rng: Random, key: bytes) -> bytes:
    return rng.choice((
        b"", b"\0", HEADER_KEY, HEADER_KEY + b"x", FORGOTTEN_PREFIX,
        FORGOTTEN_PREFIX + b"\xff" * 16,
        b"\xff\xfe", b"x" * 512, b"x" * 513, key + b"!", key[:-1], b'"\\\n',
    ))  # fmt: skip


def _changed_value(rng: Random, key: bytes, value: bytes | None) -> bytes:
    data = value or b""
    if key == HEADER_KEY:
        return change_members(rng, data, b"")
    if len(data) < 1 + USER.itemsize or rng.random() < 0.2:
        return change_bytes(rng, data, data)
    raw = bytearray(data)
    if rng.random() < 0.6 or len(raw) == 1 + USER.itemsize:
        _write_field(rng, raw, USER, 1)
    elif rng.random() < 0.9:
        steps = (len(raw) - 1 - USER.itemsize) // STEP.itemsize
        _write_field(
            rng, raw, STEP, 1 + USER.itemsize + rng.randrange(max(1, steps)) * STEP.itemsize
        )
    else:
        steps = rng.choice((0, 1, 2, 7, 8, 9, 31, 255))
        raw = raw[: 1 + USER.itemsize] + raw[-STEP.itemsize :] * steps
        raw[USER.itemsize] = steps
    return bytes(raw)


def _write_field(rng: Random, raw: bytearray, layout: np.dtype, first: int) -> None:
    """Write an odd number into one field, or into one cell of a field of several."""
    name = rng.choice(layout.names or ())
    kind, offset = layout.fields[name][:2] if layout.fields else (layout, 0)
    cells = int(np.prod(kind.shape)) if kind.shape else 1
    cell = kind.base
    if cell.kind == "f":
        data = np.array(rng.choice(_FLOATS), cell).tobytes()
    else:
        number = rng.choice(_NUMBERS) * rng.choice((1, -1)) % (1 << (8 * cell.itemsize))
        data = number.to_bytes(cell.itemsize, "little")
    at = first + offset + rng.randrange(cells) * cell.itemsize
    raw[at : at + cell.itemsize] = data
