"""The weights of a model as plain arrays: what training ends in and ONNX export begins with.

Rules of the room: numpy only. Letters: V known items, E item width, S side width, H hidden, C
context width, Z width of the heads' hidden layer.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from stream.core.features import HEAD_FEATURES
from stream.core.layout import EVENT_TYPES, HAZARD_BINS
from stream.model.manifest import Shapes
from stream.model.step_features import DENSE_COUNT, SIDE_COUNT

Floats = npt.NDArray[np.float32]

CONTEXT_COUNT: Final = 3
OUTPUTS: Final = len(EVENT_TYPES) + 1 + HAZARD_BINS  # columns: next event, purchase, hazard
NEVER_WEIGHT: Final = 4.0  # how far "never" (-1) lies below "just now" (0) on the log scale
# Columns that are read on a log scale: everything that has a unit.
HEAD_LOG: Final = np.array([unit != "1" for _, unit, _ in HEAD_FEATURES])


# kind -> G blocks of H columns in a cell's arrays, in ONNX's order; state kept per layer, in order.
GATES: Final = {
    "lstm": ("input", "output", "forget", "cell"),
    "gru": ("update", "reset", "hidden"),
    "rnn": ("hidden",),
}
STATE_PARTS: Final = {"lstm": ("h", "c"), "gru": ("h",), "rnn": ("h",)}


@dataclass(frozen=True, slots=True)
class Cell:
    """One recurrent layer."""

    inputs: Floats  # (D, G H)
    recurrent: Floats  # (H, G H)
    bias: Floats  # (G H,)
    recurrent_bias: Floats | None = None  # (G H,) of the GRU: its reset gate stands between them

    @property
    def hidden(self) -> int:
        """H."""
        return int(self.recurrent.shape[0])


@dataclass(frozen=True, slots=True)
class Weights:
    """A whole model. `kind` names the recurrent cell."""

    item: Floats  # (rows, E) as it enters: scaled; row 0 is zero
    side: Floats  # (rows, S)
    mix: Floats  # (6 S + dense, E)
    mix_bias: Floats  # (E,)
    cells: list[Cell]
    head_mean: Floats  # (28,) on the scale of `scaled_head`
    head_std: Floats  # (28,)
    context: Floats  # (rows, C)
    hidden: Floats  # (H + 28 + 3 C, Z)
    hidden_bias: Floats  # (Z,)
    out: Floats  # (Z, 12)
    out_bias: Floats  # (12,)
    item_out: Floats  # (V, E) normalised rows times the temperature
    project: Floats | None = None  # (H, E) where H differs from E
    kind: str = field(default="lstm")

    @property
    def state_width(self) -> int:
        """Floats kept per user: (h, c), or h alone."""
        return sum(len(STATE_PARTS[self.kind]) * cell.hidden for cell in self.cells)

    @property
    def name(self) -> str:
        """Name kind and size, e.g. `lstm 2x50`."""
        return f"{self.kind} {len(self.cells)}x{self.cells[-1].hidden}"

    def shapes(self) -> Shapes:
        """Widths for the manifest. State per layer: h, then c if there is one; layers in order."""
        top = self.cells[-1].hidden
        return Shapes(
            state=self.state_width,
            top_first=self.state_width - len(STATE_PARTS[self.kind]) * top,
            top=top,
            dense=DENSE_COUNT,
            side=SIDE_COUNT,
            head=len(HEAD_FEATURES),
            context=CONTEXT_COUNT,
            items=len(self.item_out),
        )


def scaled_head(head: Floats) -> npt.NDArray[np.float64]:
    """Put raw head features on the scale on which they are standardised: (B, 28)."""
    raw = head.astype(np.float64)
    positive = np.maximum(raw, 0.0)
    logs = np.log1p(positive) + NEVER_WEIGHT * (raw - positive)
    return np.where(HEAD_LOG, logs, raw)


def random_weights(
    rows: dict[str, int],
    items_count: int,
    seed: int,
    *,
    kind: str = "lstm",
    hidden: int = 50,
    layers: int = 2,
    item_width: int = 50,
    side_width: int = 16,
    context_width: int = 4,
    head_width: int = 64,
) -> Weights:
    """Draw weights of the right sizes: for benches and tests, not for use."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int, scale: float = 0.1) -> Floats:
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    item = draw(rows["items"], item_width)
    item /= np.linalg.norm(item, axis=1, keepdims=True)
    item[0] = 0
    head = len(HEAD_FEATURES)
    widths = [item_width, *[hidden] * (layers - 1)]
    gates = len(GATES[kind]) * hidden

    def draw_cell(width: int) -> Cell:
        return Cell(
            draw(width, gates),
            draw(hidden, gates),
            draw(gates),
            draw(gates) if kind == "gru" else None,
        )

    return Weights(
        item=3 * item,
        side=draw(rows["side"], side_width),
        mix=draw(SIDE_COUNT * side_width + DENSE_COUNT, item_width),
        mix_bias=draw(item_width),
        cells=[draw_cell(width) for width in widths],
        head_mean=np.zeros(head, np.float32),
        head_std=np.ones(head, np.float32),
        context=draw(rows["contexts"], context_width),
        hidden=draw(hidden + head + CONTEXT_COUNT * context_width, head_width),
        hidden_bias=draw(head_width),
        out=draw(head_width, OUTPUTS),
        out_bias=draw(OUTPUTS),
        item_out=16 * item[1 : 1 + items_count],
        project=None if hidden == item_width else draw(hidden, item_width),
        kind=kind,
    )
