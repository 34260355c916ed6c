"""Users that asked to be forgotten: a keyed hash and a time, so that older events find nothing."""

import hashlib

from stream.core.layout import NEVER_MS


class Forgotten:
    """Hashes in the order in which they came, bounded in number and event time."""

    def __init__(self, hash_key: bytes, users_max: int, keep_ms: int) -> None:
        self._hash_key = hash_key
        self._users_max = users_max
        self._keep_ms = keep_ms
        self._times: dict[bytes, int] = {}
        self._changed: dict[bytes, int | None] = {}

    def hash(self, key: bytes) -> bytes:
        """Return 16 bytes, by keyed BLAKE2b."""
        return hashlib.blake2b(key, key=self._hash_key, digest_size=16).digest()

    def add(self, name: bytes, time_ms: int) -> None:
        """Forget up to a time, for the hash of a user's key."""
        time_ms = max(time_ms, self._times.pop(name, NEVER_MS))
        self._times[name] = time_ms
        self._changed[name] = time_ms
        if len(self._times) > self._users_max:
            lowest = min(self._times, key=lambda other: (self._times[other], other))
            del self._times[lowest]
            self._changed[lowest] = None

    def restore(self, name: bytes, time_ms: int | None) -> None:
        """Take over what the changelog says."""
        self._times.pop(name, None)
        if time_ms is not None:
            self._times[name] = time_ms

    def times(self, keys: list[bytes]) -> list[int]:
        """Return for each key the time up to which it is forgotten. 1 us a key, 0 when none is."""
        if not self._times:
            return [NEVER_MS] * len(keys)
        return [self._times.get(self.hash(key), NEVER_MS) for key in keys]

    def changes(self, watermark_ms: int) -> dict[bytes, int | None]:
        """Drop what is over, and return what changed since the last call (None: dropped)."""
        over = [name for name, ms in self._times.items() if watermark_ms - ms >= self._keep_ms]
        for name in over:
            del self._times[name]
            self._changed[name] = None
        changed, self._changed = self._changed, {}
        return changed
