"""The whole network around a recurrent core: tables in front, heads behind. Torch.

Recipe (measured on a public benchmark, see docs/features.md): one item table for input and output;
input is the L2-normalised row times 3, output the L2-normalised h times 16, dotted with normalised
rows; no output bias; a projection only where H and E differ.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from export.bundles.weights import CONTEXT_COUNT, OUTPUTS, Cell, Floats, Weights
from stream.core.features import HEAD_FEATURES
from stream.model.step_features import DENSE_COUNT, SIDE_COUNT

INPUT_SCALE: Final = 3.0
TEMPERATURE: Final = 16.0


class Core(Protocol):
    """A recurrent model: an nn.Module that also gives its weights away."""

    kind: str
    width: int

    def __call__(self, x: Tensor) -> Tensor:
        """(T, B, E) to (T, B, H), from zero state."""

    def cells(self) -> list[Cell]:
        """Weights per layer."""

    def take(self, cells: list[Cell]) -> None:
        """Put weights in that `cells` gave."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Widths that do not follow from the core."""

    item_rows: int
    side_rows: int
    context_rows: int
    items: int  # V
    item: int = 50
    side: int = 16
    context: int = 4
    heads: int = 64


class RowOutputs(NamedTuple):
    """B rows, before softmax and sigmoid."""

    items: Tensor  # (B, V) column j: item j + 1
    heads: Tensor  # (B, 12) next event, purchase, hazard


class Network(nn.Module):
    """Steps and rows in, logits out."""

    def __init__(
        self,
        core: nn.Module,
        core_width: int,
        sizes: Sizes,
        dropout: float,
        head_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.core = core
        self.sizes = sizes
        self.item = nn.Embedding(sizes.item_rows, sizes.item)
        self.side = nn.Embedding(sizes.side_rows, sizes.side)
        self.context = nn.Embedding(sizes.context_rows, sizes.context)
        nn.init.normal_(self.side.weight, std=0.3)
        nn.init.normal_(self.context.weight, std=0.3)
        self.mix = nn.Linear(SIDE_COUNT * sizes.side + DENSE_COUNT, sizes.item)
        self.project = (
            None if core_width == sizes.item else nn.Linear(core_width, sizes.item, bias=False)
        )
        width = core_width + len(HEAD_FEATURES) + CONTEXT_COUNT * sizes.context
        self.hidden = nn.Linear(width, sizes.heads)
        self.out = nn.Linear(sizes.heads, OUTPUTS)
        self.dropout = nn.Dropout(dropout)
        self.head_dropout = nn.Dropout(head_dropout)
        self.head_mean = nn.Parameter(torch.zeros(len(HEAD_FEATURES)), requires_grad=False)
        self.head_std = nn.Parameter(torch.ones(len(HEAD_FEATURES)), requires_grad=False)

    def item_table(self) -> Tensor:
        """(rows, E) normalised, row 0 zero."""
        rows = functional.normalize(self.item.weight, dim=1)
        mask = torch.ones(len(rows), 1)
        mask[0] = 0
        return rows * mask

    def inputs(self, item_id: Tensor, side_id: Tensor, dense: Tensor) -> Tensor:
        """(...), (..., 6), (..., 17) to the steps' inputs: (..., E)."""
        item = INPUT_SCALE * functional.embedding(item_id, self.item_table())
        side = self.side(side_id).flatten(-2)
        out: Tensor = self.dropout(item) + self.mix(torch.cat([side, dense], dim=-1))
        return out

    def tops(self, item_id: Tensor, side_id: Tensor, dense: Tensor) -> Tensor:
        """(T, B), (T, B, 6), (T, B, 17) to the top h: (T, B, H)."""
        out: Tensor = self.core(self.inputs(item_id, side_id, dense))
        return out

    def rows(self, top: Tensor, head: Tensor, context_id: Tensor) -> Tensor:
        """(B, H), (B, 28), (B, 3) to the heads' logits: (B, 12)."""
        scaled = (head - self.head_mean) / self.head_std
        context = self.context(context_id).flatten(1)
        x = self.head_dropout(torch.cat([top, scaled, context], dim=1))
        hidden = self.head_dropout(torch.relu(self.hidden(x)))
        out: Tensor = self.out(hidden)
        return out

    def item_logits(self, top: Tensor) -> Tensor:
        """(B, H) to (B, V)."""
        out = top if self.project is None else self.project(top)
        table = self.item_table()[1 : 1 + self.sizes.items]
        return TEMPERATURE * functional.normalize(out, dim=1, eps=1e-6) @ table.T

    def weights(self, out_scale: np.ndarray, out_shift: np.ndarray) -> Weights:
        """Give the weights; `out_scale` and `out_shift` (12,) calibrate the heads' logits."""
        core = cast("Core", self.core)
        table = _array(self.item_table())
        return Weights(
            item=(INPUT_SCALE * table).astype(np.float32),
            side=_array(self.side.weight),
            mix=_array(self.mix.weight).T.copy(),
            mix_bias=_array(self.mix.bias),
            cells=core.cells(),
            head_mean=_array(self.head_mean),
            head_std=_array(self.head_std),
            context=_array(self.context.weight),
            hidden=_array(self.hidden.weight).T.copy(),
            hidden_bias=_array(self.hidden.bias),
            out=(_array(self.out.weight).T * out_scale).astype(np.float32),
            out_bias=(_array(self.out.bias) * out_scale + out_shift).astype(np.float32),
            item_out=(TEMPERATURE * table[1 : 1 + self.sizes.items]).astype(np.float32),
            project=None if self.project is None else _array(self.project.weight).T.copy(),
            kind=core.kind,
        )


def _array(value: Tensor) -> Floats:
    array: Floats = value.detach().numpy().copy()
    return array
