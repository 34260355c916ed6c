"""The GRU core: x per step to h per step, from zero state."""

import numpy as np
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
