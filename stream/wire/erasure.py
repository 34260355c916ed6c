"""The receipt of an erasure: which request, and what of the user remains, where and until when.

Rules of the room: pure; the user is named by the keyed hash alone. What remains follows from the
topics' table, so a topic whose retention was changed by hand keeps longer or shorter than is told.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from stream.wire.outputs import Message
from stream.wire.topics import ALERTS, DEAD_LETTERS, INPUTS, PREDICTIONS, STATE, TABLE
from stream.wire.types import ErasureReceipt, Remainder

_encode = msgspec.json.Encoder().encode
_SETTINGS: Final = {topic.name: dict(topic.settings) for topic in TABLE}
_KEPT_MS: Final = {
    name: int(_SETTINGS[name]["retention.ms"])
    for name in (*INPUTS, PREDICTIONS, ALERTS, DEAD_LETTERS)
}
# A row goes at the compaction after the tombstone, the tombstone (it holds the key) after it.
_STATE_MS: Final = sum(
    int(_SETTINGS[STATE][name]) for name in ("max.compaction.lag.ms", "delete.retention.ms")
)


def encode_erasure(
    name: bytes,
    request: str,
    forgotten_until_ms: int,
    hash_kept_ms: int,
    now_ms: int,
    names: Mapping[str, str],
) -> Message:
    """Encode a receipt. `names`: the topics' names on the broker, by those of the contract."""
    remains = [
        Remainder(what=_what(topic), topic=names[topic], until=now_ms + kept_ms)
        for topic, kept_ms in {**_KEPT_MS, STATE: _STATE_MS}.items()
    ]
    remains.append(Remainder(what="weights", topic=None, until=None))
    receipt = ErasureReceipt(
        user_hash=name.hex(),
        request=request,
        forgotten_until=forgotten_until_ms,
        hash_kept_until=forgotten_until_ms + hash_kept_ms,
        erased_at=now_ms,
        remains=remains,
    )
    return Message(name.hex().encode(), _encode(receipt))


def _what(topic: str) -> Any:  # one of Remainder.what
    return "events" if topic in INPUTS else topic.replace("-", "_")
