"""The plain recurrent core (tanh, Elman): x per step to h per step, from zero state."""

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

    def _cell(self, layer: int) -> Cell:
        values = {
            name: getattr(self.rnn, f"{name}_l{layer}").detach().numpy()
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        bias = values["bias_ih"] + values["bias_hh"]
        return Cell(values["weight_ih"].T.copy(), values["weight_hh"].T.copy(), bias)
