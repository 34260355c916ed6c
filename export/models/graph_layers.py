"""How nodes of a session graph tell each other what they are: gated, or by attention. Torch.

Letters: B graphs, N nodes, E width.
"""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.dataset.session_graphs import APART, ITSELF

_SLOPE: Final = 0.2  # of the leaky rectifier, as in GAT


class GatedLayer(nn.Module):
    """SR-GNN (Wu et al., 2019), equations 1 to 5: messages along edges, taken in by a GRU cell."""

    kind = "gated"

    def __init__(self, width: int) -> None:
        super().__init__()
        self.left = nn.Linear(width, width)
        self.entered = nn.Linear(width, width)
        self.cell = nn.GRUCell(2 * width, width)

    def forward(self, nodes: Tensor, outgoing: Tensor, incoming: Tensor, joined: Tensor) -> Tensor:
        """(B, N, E) to (B, N, E)."""
        del joined
        messages = torch.cat([outgoing @ self.left(nodes), incoming @ self.entered(nodes)], dim=2)
        flat: Tensor = self.cell(messages.flatten(0, 1), nodes.flatten(0, 1))
        return flat.view_as(nodes)


class AttentionLayer(nn.Module):
    """The session layer of GCE-GNN (Wang et al., 2020), equations 5 to 7, a GAT on items.

    How much a node listens to a neighbour depends on both and on how they are joined.
    """

    kind = "attention"

    def __init__(self, width: int) -> None:
        super().__init__()
        self.listen = nn.Parameter(
            torch.randn(ITSELF, width) / width**0.5
        )  # one per way of joining

    def forward(self, nodes: Tensor, outgoing: Tensor, incoming: Tensor, joined: Tensor) -> Tensor:
        """(B, N, E) to (B, N, E). A node without neighbours, itself among them, becomes 0."""
        del outgoing, incoming
        ways = torch.einsum("bne,ke,bme->bknm", nodes, self.listen, nodes)
        chosen = ways.gather(1, (joined - 1).clamp(min=0)[:, None])[:, 0]
        score = functional.leaky_relu(chosen, _SLOPE)
        apart = joined == APART
        weight = torch.softmax(score.masked_fill(apart, -1e9), dim=2).masked_fill(apart, 0.0)
        return weight @ nodes


LAYERS: Final[dict[str, Callable[[int], nn.Module]]] = {
    "gated": GatedLayer,
    "attention": AttentionLayer,
}
