"""The digest of a window, as stream.core.window.digest's docstring defines it."""

from collections.abc import Sequence

from tests.oracle.records import Step

_WORD = 2**64
_MIX_1 = 0x9E37_79B9_7F4A_7C15
_MIX_2 = 0xBF58_476D_1CE4_E5B9
_MIX_3 = 0x94D0_49BB_1331_11EB
_MIX_4 = 0xD6E8_FEB8_6659_FD93


def window_digest(ring: Sequence[Step]) -> int:
    """Hash the steps held, oldest first."""
    value = len(ring)
    for step in ring:
        word = step.event_id * _MIX_2 % _WORD
        word ^= step.item * _MIX_3 % _WORD
        word ^= step.time_ms * _MIX_1 % _WORD
        word ^= (step.price_cents % 2**32) << 32 | step.category
        word ^= (step.quantity * 65_536 + step.event_type * 256 + step.action) * _MIX_2 % _WORD
        first, second, third, fourth = step.tokens
        tokens = first << 48 | second << 32 | third << 16 | fourth
        word ^= tokens * _MIX_4 % _WORD
        value = (value ^ word) * _MIX_1 % _WORD
        value ^= value >> 29
    return value
