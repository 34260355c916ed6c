"""The watermark and the shop clock of a partition: an event moves them, or waits for a sweep."""

from typing import Final

from stream.core.compiled import compiled
from stream.core.layout import NEVER_MS
from stream.core.state import WITNESSES, State

NOBODY: Final = -1  # no witness: a control event of a user without state


@compiled
def advance(
    state: State, time_ms: int, epoch: int, jump_ms_max: int, gap_ms_max: int, bucket_ms: int
) -> bool:
    """Move the clocks for a good event of the user `epoch`. False: a bucket must be swept first.

    Nothing is changed when False is returned but `shop_target_ms`, so the row can come again.
    """
    clock = state.clock[0]
    if clock.watermark_ms == NEVER_MS:
        clock.watermark_ms = time_ms
        return True
    if time_ms <= clock.watermark_ms:
        return True
    watermark_ms = time_ms
    if time_ms - clock.watermark_ms > jump_ms_max:
        count = clock.witness_count
        if epoch == NOBODY:
            clock.jumps_held += 1
            return True
        for index in range(count):
            if clock.witness_epoch[index] == epoch:
                clock.jumps_held += 1
                return True
        if count < WITNESSES - 1:
            clock.witness_epoch[count] = epoch
            clock.witness_ms[count] = time_ms
            clock.witness_count = count + 1
            clock.jumps_held += 1
            return True
        for index in range(count):
            watermark_ms = min(watermark_ms, clock.witness_ms[index])
    shop_ms = clock.shop_ms + min(watermark_ms - clock.watermark_ms, gap_ms_max)
    if shop_ms >= (clock.bucket + 1) * bucket_ms:
        clock.shop_target_ms = shop_ms
        return False
    clock.shop_ms = shop_ms
    clock.watermark_ms = watermark_ms
    clock.witness_count = 0
    return True
