"""A session graph network: tables and heads of `Network`, a graph where the recurrent core was.

Wu et al., 2019 (SR-GNN): nodes are the distinct items of the window; after the layers the newest
node asks the steps what the session is about (soft attention). Ours, since the heads need more than
items: a node begins as the mean of its steps' inputs, and the newest step's input goes to the
read-out beside the two.
"""

from typing import Final, cast

import numpy as np
import torch
from torch import Tensor, nn

from export.dataset.record import Integers
from export.dataset.session_graphs import session_graphs
from export.dataset.training_set import TrainingSet
from export.models.graph_layers import LAYERS
from export.models.network import Network, Sizes

RUN_ROWS: Final = 512  # run at once without learning


class GraphNetwork(nn.Module):
    """Rows in, their state out; `network` has tables and heads, as for a recurrent core."""

    def __init__(
        self, kind: str, layers: int, sizes: Sizes, dropout: float, head_dropout: float = 0.0
    ) -> None:
        super().__init__()
        width = sizes.item
        self.network = Network(nn.Identity(), width, sizes, dropout, head_dropout)
        self.layers = nn.ModuleList([LAYERS[kind](width) for _ in range(layers)])
        self.newest = nn.Linear(width, width)
        self.other = nn.Linear(width, width, bias=False)
        self.weigh = nn.Linear(width, 1, bias=False)
        self.read = nn.Linear(3 * width, width, bias=False)

    def tops(self, data: TrainingSet, rows: Integers) -> Tensor:
        """State of each row: (B, E)."""
        graphs = session_graphs(data, rows)
        held = torch.from_numpy(graphs.steps >= 0)
        at = np.maximum(graphs.steps, 0)
        x = self.network.inputs(
            torch.from_numpy(data.inputs.item_id[at]).long(),
            torch.from_numpy(data.inputs.side_id[at]).long(),
            torch.from_numpy(data.inputs.dense[at]),
        )  # (B, T, E)
        nodes = torch.from_numpy(graphs.shares) @ x
        edges = [torch.from_numpy(part) for part in graphs[2:5]]
        for layer in self.layers:
            nodes = cast("Tensor", layer(nodes, *edges))
        place = torch.from_numpy(graphs.node)[:, :, None].expand(-1, -1, nodes.shape[2])
        steps = nodes.gather(1, place)  # (B, T, E)
        newest = steps[:, 0]
        asked = torch.sigmoid(self.newest(newest)[:, None] + self.other(steps))
        session = (self.weigh(asked) * held[:, :, None] * steps).sum(dim=1)
        out: Tensor = self.read(torch.cat([newest, session, x[:, 0]], dim=1))
        return out

    def run_rows(
        self, network: Network, data: TrainingSet, rows: Integers
    ) -> tuple[Tensor, Tensor]:
        """State (B, E) and heads' logits (B, 12) of rows; `network` is the graph's own."""
        order = np.argsort(data.position[rows], kind="stable")
        parts = [rows[order[at : at + RUN_ROWS]] for at in range(0, len(rows), RUN_ROWS)]
        with torch.no_grad():
            top = torch.empty(len(rows), network.sizes.item)
            top[torch.from_numpy(order)] = torch.cat([self.tops(data, part) for part in parts])
            head, context = torch.from_numpy(data.head[rows]), torch.from_numpy(data.context[rows])
            return top, network.rows(top, head, context.long())
