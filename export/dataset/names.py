"""The texts behind the hashes of a log: ids of items, names of categories and contexts.

Rules of the room: a step holds hashes only, a vocabulary needs texts, so they are gathered while
the records are at hand: of good events alone. What becomes of them is decided later, by hash: a
text that is counted nowhere is never written.
"""

from typing import Any, Final

from stream.core.layout import Flag, Reason, Records
from stream.wire.event import STRUCT_DECODERS
from stream.wire.hashing import id_hash, text_hash

CONTEXTS: Final = ("channel", "device", "region")
_PURCHASES: Final = 2


class Names:
    """hash -> text. Grows with the number of distinct texts; about 2 us an event."""

    def __init__(self) -> None:
        self.items: dict[int, str] = {}
        self.categories: dict[int, str] = {}
        self.contexts: dict[str, dict[int, str]] = {name: {} for name in CONTEXTS}
        self._texts: dict[str, int] = {}  # of categories and contexts

    def learn(self, topic: int, events: Records, values: list[bytes | None]) -> None:
        """Read the texts of a chunk's good events; control events name none."""
        good = (events["reason"] == Reason.NONE) & (events["flags"] & Flag.CONTROL_FORGET == 0)
        decode = STRUCT_DECODERS[topic].decode
        for row in good.nonzero()[0].tolist():
            event: Any = decode(values[row] or b"")
            for name in CONTEXTS:
                self._note(self.contexts[name], getattr(event, name))
            lines = event.items if topic == _PURCHASES else (event,)
            for line in lines:
                self._note(self.categories, line.category)
                if item := getattr(line, "item_id", None) or getattr(line, "product_id", None):
                    self.items.setdefault(id_hash(item), item)

    def _note(self, found: dict[int, str], text: str | None) -> None:
        if not text:
            return
        value = self._texts.get(text)
        if value is None:
            self._texts[text] = value = text_hash(text)
        found.setdefault(value, text)
