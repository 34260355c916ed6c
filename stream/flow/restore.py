"""A worker's engines, owned or kept warm, as the changelog restores them (ports.StateStore)."""

import time
from collections.abc import Mapping, Sequence

from stream.core.config import EngineConfig
from stream.core.engine import Engine
from stream.flow.stops import RestoreError
from stream.wire.state import Header, clock_of, restore
from stream.wire.state_check import StateError


class Engines:
    """Engines by partition number. Called on the event loop's thread, but for `note_commit`."""

    def __init__(self, config: EngineConfig, partitions: int, rows_max: int) -> None:
        self._config = config
        self._partitions = partitions
        self._rows_max = rows_max
        self._engines: dict[int, Engine] = {}
        self._headers: dict[int, Header] = {}
        self._read: dict[int, tuple[int, float]] = {}  # records since `activate`, and when begun

    def restore(
        self, partition: int, keys: Sequence[bytes | None], values: Sequence[bytes | None]
    ) -> None:
        """Apply changelog records. Raises RestoreError: a state that cannot be read is no state."""
        engine = self._engine(partition)
        count, began = self._read.get(partition, (0, time.monotonic()))
        self._read[partition] = count + len(keys), began
        try:
            header = restore(engine, keys, values)
        except (StateError, ValueError) as error:
            raise RestoreError(f"changelog of partition {partition}: {error}") from error
        if header is None:
            return
        if header.partitions != self._partitions:
            raise RestoreError(
                f"state of partition {partition} was made with {header.partitions} partitions,"
                f" the inputs have {self._partitions}: users would be in the wrong partition"
            )
        self._headers[partition] = header

    def drop(self, partition: int) -> None:
        """Forget a partition."""
        self._engines.pop(partition, None)
        self._headers.pop(partition, None)

    def positions(self, partition: int) -> Mapping[str, int] | None:
        """Give the header's next offset per input topic."""
        header = self._headers.get(partition)
        return None if header is None else header.offset_next

    def activate(self, partition: int) -> tuple[Engine, Header | None]:
        """End a partition's restore and hand its engine out."""
        engine = self._engine(partition)
        header = self._headers.get(partition)
        if header is not None:
            clock = clock_of(header)
            if header.bucket_ms != self._config.bucket_ms:
                # The setting was changed: the bucket that is open is another one.
                clock["bucket"] = header.shop_ms // self._config.bucket_ms
            try:
                engine.finish_restore(clock)
            except ValueError as error:
                raise RestoreError(f"changelog of partition {partition}: {error}") from error
            if engine.users_count != header.users_count:
                raise RestoreError(
                    f"changelog of partition {partition}: {engine.users_count} users, its header"
                    f" says {header.users_count}: records are missing"
                )
            if header.hash_key_id not in {"", engine.forgotten.key_id}:
                raise RestoreError(
                    f"changelog of partition {partition} knows forgotten users by another"
                    f" erasure_key ({header.hash_key_id}, not {engine.forgotten.key_id}): they"
                    " would not be known again; set the key that it was made with"
                )
        elif engine.users_count:
            raise RestoreError(
                f"changelog of partition {partition}: {engine.users_count} users and no header"
            )
        engine.drop_hidden()
        return engine, header

    def engine(self, partition: int) -> Engine | None:
        """Give an engine to look at, if there is one."""
        return self._engines.get(partition)

    def restored(self, partition: int) -> tuple[int, float] | None:
        """Return records read and seconds since the first, once per restore."""
        if partition not in self._read:
            return None
        count, began = self._read.pop(partition)
        return count, time.monotonic() - began

    def note_commit(self, partition: int, header: Header) -> None:
        """Keep what a commit wrote: the state in memory is that of this header."""
        self._headers[partition] = header

    def _engine(self, partition: int) -> Engine:
        engine = self._engines.get(partition)
        if engine is None:
            engine = Engine(self._config, partition, self._rows_max)
            self._engines[partition] = engine
        return engine
