"""Many byte texts in one buffer: what is encoded in one loop is sent in one call.

Rules of the room: a text is a span of the buffer and is copied out only where somebody asks for it
by itself, 0.1 us each. Nothing writes into a buffer that a Texts names.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from stream.core.layout import Bytes

Spans = npt.NDArray[np.int64]


class Texts(Sequence[bytes | None]):
    """n texts: text i is data[begins[i] : ends[i]], or None where it ends before it begins."""

    __slots__ = ("begins", "data", "ends")

    def __init__(self, data: Bytes, begins: Spans, ends: Spans) -> None:
        self.data = data
        self.begins = begins
        self.ends = ends

    @classmethod
    def of(cls, texts: Sequence[bytes | None]) -> "Texts":
        """Lay texts after each other; what is a Texts already comes back as it is."""
        if isinstance(texts, Texts):
            return texts
        count = len(texts)
        if None in texts:
            sizes = np.fromiter((-1 if t is None else len(t) for t in texts), np.int64, count)
            data = b"".join(text for text in texts if text is not None)
        else:
            sizes = np.fromiter(map(len, texts), np.int64, count)  # type: ignore[arg-type]
            data = b"".join(texts)  # type: ignore[arg-type]
        lengths = np.maximum(sizes, 0)
        begins = np.cumsum(lengths) - lengths
        return cls(np.frombuffer(data, np.uint8), begins, begins + sizes)

    @classmethod
    def ending(cls, data: Bytes, ends: Spans) -> "Texts":
        """Name texts that lie after each other from the start of a buffer, by their ends."""
        begins = np.zeros_like(ends)
        begins[1:] = ends[:-1]
        return cls(data, begins, ends)

    @classmethod
    def joined(cls, parts: "Sequence[Texts]") -> "Texts":
        """Put the texts of all parts after each other; the buffers are copied."""
        parts = [part for part in parts if len(part)] or list(parts[:1])
        if len(parts) == 1:
            return parts[0]
        before = np.cumsum([0, *(len(part.data) for part in parts)]).tolist()
        return cls(
            np.concatenate([part.data for part in parts]),
            np.concatenate([p.begins + at for p, at in zip(parts, before, strict=False)]),
            np.concatenate([p.ends + at for p, at in zip(parts, before, strict=False)]),
        )

    def at(self, places: npt.NDArray[np.integer]) -> "Texts":
        """Give the texts at these places, of the same buffer."""
        return Texts(self.data, self.begins[places], self.ends[places])

    def since(self, first: int) -> "Texts":
        """Leave out the first ones."""
        return Texts(self.data, self.begins[first:], self.ends[first:])

    @property
    def sizes(self) -> Spans:
        """Give the bytes of each text; below 0: None."""
        return self.ends - self.begins

    @property
    def bytes_count(self) -> int:
        """Count the bytes of all texts."""
        return int(np.maximum(self.sizes, 0).sum())

    def __len__(self) -> int:
        return len(self.begins)

    def __getitem__(self, place: int) -> bytes | None:  # type: ignore[override]
        begin, end = int(self.begins[place]), int(self.ends[place])
        return None if end < begin else self.data[begin:end].tobytes()

    def __iter__(self) -> Iterator[bytes | None]:
        text = self.data.tobytes()
        for begin, end in zip(self.begins.tolist(), self.ends.tolist(), strict=True):
            yield None if end < begin else text[begin:end]
