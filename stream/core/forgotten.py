"""Users that asked to be forgotten: a keyed hash and a time, so that older events find nothing."""

import hashlib
import heapq

from stream.core.layout import NEVER_MS

ENTRIES_SPARE = 1024  # that may be held beyond two a user


class Forgotten:
    """Hashes with their times, bounded in number and event time.

    A heap of (time, hash) says which is the lowest. An entry counts only while its hash has that
    time; the others are cleared away when they are too many. All that is done to one user costs
    some microseconds, however many there are.
    """

    def __init__(self, hash_key: bytes, users_max: int, keep_ms: int) -> None:
        self._hash_key = hash_key
        self._users_max = users_max
        self._keep_ms = keep_ms
        self._times: dict[bytes, int] = {}
        self._order: list[tuple[int, bytes]] = []
        self._changed: dict[bytes, int | None] = {}

    def __len__(self) -> int:
        """Count the hashes that are kept."""
        return len(self._times)

    @property
    def key_id(self) -> str:
        """Tell the key of these hashes from another, and nothing more of it."""
        return self.hash(b"\x00key")[:4].hex()

    def hash(self, key: bytes) -> bytes:
        """Return 16 bytes, by keyed BLAKE2b."""
        return hashlib.blake2b(key, key=self._hash_key, digest_size=16).digest()

    def add(self, name: bytes, time_ms: int) -> None:
        """Forget up to a time, for the hash of a user's key."""
        time_ms = max(time_ms, self._times.get(name, NEVER_MS))
        self._set(name, time_ms)
        self._changed[name] = time_ms
        if len(self._times) > self._users_max:
            self._drop_lowest()

    def restore(self, name: bytes, time_ms: int | None) -> None:
        """Take over what the changelog says."""
        if time_ms is None:
            self._times.pop(name, None)
        else:
            self._set(name, time_ms)

    def times(self, keys: list[bytes]) -> list[int]:
        """Return for each key the time up to which it is forgotten. 1 us a key, 0 when none is."""
        if not self._times:
            return [NEVER_MS] * len(keys)
        return [self._times.get(self.hash(key), NEVER_MS) for key in keys]

    def changes(self, watermark_ms: int) -> dict[bytes, int | None]:
        """Drop what is over, and return what changed since the last call (None: dropped)."""
        while self._times and watermark_ms - self._lowest()[0] >= self._keep_ms:
            self._drop_lowest()
        changed, self._changed = self._changed, {}
        return changed

    def _set(self, name: bytes, time_ms: int) -> None:
        self._times[name] = time_ms
        heapq.heappush(self._order, (time_ms, name))
        if len(self._order) > 2 * len(self._times) + ENTRIES_SPARE:
            self._order = [(held_ms, held) for held, held_ms in self._times.items()]
            heapq.heapify(self._order)

    def _lowest(self) -> tuple[int, bytes]:
        """Find the lowest (time, hash) that counts; there is one."""
        while True:
            time_ms, name = self._order[0]
            if self._times.get(name) == time_ms:
                return time_ms, name
            heapq.heappop(self._order)

    def _drop_lowest(self) -> None:
        _, name = self._lowest()
        del self._times[name]
        self._changed[name] = None
