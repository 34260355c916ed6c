"""The LSTM core: x per step to h per step, from zero state."""

import numpy as np
import torch
from torch import Tensor, nn

from export.bundles.weights import Cell


class LstmCore(nn.Module):
    """Layers of one width. Input (T, B, E), output (T, B, H)."""

    kind = "lstm"

    def __init__(self, width: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.width = hidden
        self.lstm = nn.LSTM(width, hidden, layers)
        for layer in range(layers):
            # Start by remembering: the forget gate's bias at 1 (Jozefowicz et al., 2015).
            bias = getattr(self.lstm, f"bias_ih_l{layer}")
            bias.data[hidden : 2 * hidden] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        """Run all steps."""
        out: Tensor = self.lstm(x)[0]
        return out

    def cells(self) -> list[Cell]:
        """Give the weights with the gates in ONNX's order."""
        return [self._cell(layer) for layer in range(self.lstm.num_layers)]

    def take(self, cells: list[Cell]) -> None:
        """Put weights in that `cells` gave."""
        for layer, cell in enumerate(cells):
            for name, value in (
                ("weight_ih", cell.inputs.T),
                ("weight_hh", cell.recurrent.T),
                ("bias_ih", cell.bias),
                ("bias_hh", np.zeros_like(cell.bias)),
            ):
                enter, leave, keep, new = np.split(value, 4)
                array = np.concatenate([enter, keep, new, leave])
                getattr(self.lstm, f"{name}_l{layer}").data.copy_(torch.from_numpy(array))

    def _cell(self, layer: int) -> Cell:
        def array(name: str) -> np.ndarray:
            value: Tensor = getattr(self.lstm, f"{name}_l{layer}")
            enter, keep, new, leave = value.detach().numpy().reshape(4, self.width, -1)
            return np.concatenate([enter, leave, keep, new])  # (4 H, ...) input, output, forget

        bias = array("bias_ih") + array("bias_hh")
        return Cell(array("weight_ih").T.copy(), array("weight_hh").T.copy(), bias[:, 0])
