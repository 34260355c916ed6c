"""The GRU core: x per step to h per step, from zero state."""

import numpy as np
import torch
from torch import Tensor, nn

from export.bundles.weights import Cell


class GruCore(nn.Module):
    """Layers of one width. Input (T, B, E), output (T, B, H)."""

    kind = "gru"

    def __init__(self, width: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.width = hidden
        self.gru = nn.GRU(width, hidden, layers)

    def forward(self, x: Tensor) -> Tensor:
        """Run all steps."""
        out: Tensor = self.gru(x)[0]
        return out

    def cells(self) -> list[Cell]:
        """Give the weights with the gates in ONNX's order."""
        return [self._cell(layer) for layer in range(self.gru.num_layers)]

    def take(self, cells: list[Cell]) -> None:
        """Put weights in that `cells` gave."""
        for layer, cell in enumerate(cells):
            if cell.recurrent_bias is None:
                raise ValueError(f"layer {layer}: a GRU cell has a recurrent bias")
            for name, value in (
                ("weight_ih", cell.inputs.T),
                ("weight_hh", cell.recurrent.T),
                ("bias_ih", cell.bias),
                ("bias_hh", cell.recurrent_bias),
            ):
                update, reset, new = np.split(value, 3)
                array = np.concatenate([reset, update, new])
                getattr(self.gru, f"{name}_l{layer}").data.copy_(torch.from_numpy(array))

    def _cell(self, layer: int) -> Cell:
        def array(name: str) -> np.ndarray:
            value: Tensor = getattr(self.gru, f"{name}_l{layer}")
            reset, update, new = value.detach().numpy().reshape(3, self.width, -1)
            return np.concatenate([update, reset, new])  # (3 H, ...)

        return Cell(
            inputs=array("weight_ih").T.copy(),
            recurrent=array("weight_hh").T.copy(),
            bias=array("bias_ih")[:, 0],
            recurrent_bias=array("bias_hh")[:, 0],
        )
