"""The plain recurrent core (tanh, Elman): x per step to h per step, from zero state."""

import numpy as np
import torch
from torch import Tensor, nn

from export.bundles.weights import Cell


class RnnCore(nn.Module):
    """Layers of one width. Input (T, B, E), output (T, B, H)."""

    kind = "rnn"

    def __init__(self, width: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.width = hidden
        self.rnn = nn.RNN(width, hidden, layers)

    def forward(self, x: Tensor) -> Tensor:
        """Run all steps."""
        out: Tensor = self.rnn(x)[0]
        return out

    def cells(self) -> list[Cell]:
        """Give the weights."""
        return [self._cell(layer) for layer in range(self.rnn.num_layers)]

    def take(self, cells: list[Cell]) -> None:
        """Put weights in that `cells` gave."""
        for layer, cell in enumerate(cells):
            for name, value in (
                ("weight_ih", cell.inputs.T),
                ("weight_hh", cell.recurrent.T),
                ("bias_ih", cell.bias),
                ("bias_hh", np.zeros_like(cell.bias)),
            ):
                array = torch.from_numpy(value.copy())
                getattr(self.rnn, f"{name}_l{layer}").data.copy_(array)

    def _cell(self, layer: int) -> Cell:
        values = {
            name: getattr(self.rnn, f"{name}_l{layer}").detach().numpy()
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        bias = values["bias_ih"] + values["bias_hh"]
        return Cell(values["weight_ih"].T.copy(), values["weight_hh"].T.copy(), bias)
