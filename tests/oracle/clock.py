"""The partition's clocks: watermark, shop time, jump witnesses and bucket ends."""

from collections.abc import Iterator

from stream.core.config import EngineConfig

WITNESSES = 3


class Clock:
    """Time as a partition's events tell it. The watermark is None before the first one."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.watermark_ms: int | None = None
        self.shop_ms = 0
        self.witnesses: dict[int, int] = {}  # a user's epoch -> its first time beyond the limit

    def hear(self, epoch: int | None, time_ms: int) -> int | None:
        """Take an event's time; return where the watermark has to move, None if it stays.

        epoch: by which a witness is known; None: it is no witness.
        """
        if self.watermark_ms is None:
            return time_ms
        if time_ms <= self.watermark_ms:
            return None
        if time_ms - self.watermark_ms <= self.config.watermark_jump_ms_max:
            self.witnesses = {}
            return time_ms
        if epoch is None:
            return None
        self.witnesses.setdefault(epoch, time_ms)
        if len(self.witnesses) < WITNESSES:
            return None
        lowest = min(self.witnesses.values())
        self.witnesses = {}
        return lowest

    def advance(self, target_ms: int) -> Iterator[int]:
        """Move to a watermark, stopping at each bucket's end on the way with shop_ms there.

        The watermark itself moves after the last stop.
        """
        if self.watermark_ms is not None:
            advance_ms = min(target_ms - self.watermark_ms, self.config.source_gap_ms_max)
            shop_next = self.shop_ms + advance_ms
            bucket_ms = self.config.bucket_ms
            end_ms = (self.shop_ms // bucket_ms + 1) * bucket_ms
            while end_ms <= shop_next:
                self.shop_ms = end_ms
                yield end_ms
                end_ms += bucket_ms
            self.shop_ms = shop_next
        self.watermark_ms = target_ms
