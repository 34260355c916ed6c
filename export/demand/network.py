"""The demand network: LSTM, dropout, LSTM, dropout, one dense output. Torch.

Rules of the room: one network for all series. It takes natural units and gives them back, so that
nothing outside the graph has to know how a window is prepared: the window's mean is taken off and
put back on the output, so what is learned are deviations from the present level, in units of the
series' scale. Beside the value each step has sine and cosine of the place in the season of the
period that follows it.
"""

import torch
from torch import Tensor, nn

from export.demand.weights import DemandWeights, season_table
from export.models.lstm import LstmCore


class DemandNetwork(nn.Module):
    """Windows in, expected demand of the next period out."""

    season_rows: Tensor

    def __init__(self, hidden: int, season: int, dropout: float) -> None:
        super().__init__()
        self.season = season
        self.lower = LstmCore(3, hidden, 1)
        self.upper = LstmCore(hidden, hidden, 1)
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(hidden, 1)
        self.register_buffer("season_rows", torch.from_numpy(season_table(season)))

    def scaled(self, counts: Tensor, scale: Tensor, season_index: Tensor) -> Tensor:
        """(B, L), (B,), (B,) to the next value in units of the scale: (B,)."""
        look_back = counts.shape[1]
        level = counts.mean(dim=1)
        x = (counts - level[:, None]) / scale[:, None]
        back = torch.arange(1 - look_back, 1)
        place = torch.remainder(season_index.long()[:, None] + back, self.season)
        steps = torch.cat([x[:, :, None], self.season_rows[place]], dim=2)  # (B, L, 3)
        lower = self.dropout(self.lower(steps.transpose(0, 1)))
        top = self.dropout(self.upper(lower)[-1])
        out: Tensor = level / scale + self.dense(top)[:, 0]
        return out

    def forward(self, counts: Tensor, scale: Tensor, season_index: Tensor) -> Tensor:
        """Give the expected value in natural units, not below 0: (B,)."""
        return torch.relu(scale * self.scaled(counts, scale, season_index))

    def weights(self) -> DemandWeights:
        """Give the weights as arrays."""
        return DemandWeights(
            cells=[*self.lower.cells(), *self.upper.cells()],
            dense=self.dense.weight.detach().numpy()[0].copy(),
            dense_bias=float(self.dense.bias.detach()[0]),
            season=self.season,
        )
