"""Session graph networks as models of the registry: gated (SR-GNN) and by attention (GAT)."""

from dataclasses import dataclass, field

import torch

from export.models.contract import HAZARD, NEXT_ACTION, NEXT_ITEM, PURCHASE, Doubles, Part, Say
from export.models.graph_network import GraphNetwork
from export.models.network_answers import NetworkAnswers, calibrated, curve_of, sizes_of
from export.training.train import Recipe
from export.training.train_rows import train_rows


@dataclass
class Graph:
    """`kind`: gated or attention; nodes are as wide as the item table."""

    kind: str = "gated"
    layers: int = 1
    width: int = 50
    dropout: float = 0.2
    head_dropout: float = 0.5
    epochs: int = 6
    patience: int = 1
    batch_rows: int = 256
    epoch_rows_max: int = 60_000
    rate: float = 3e-3
    questions: frozenset[str] = field(
        default=frozenset({NEXT_ITEM, NEXT_ACTION, PURCHASE, HAZARD}), init=False, repr=False
    )
    curve: list[tuple[float, float]] = field(default_factory=list, init=False, repr=False)
    _graph: GraphNetwork | None = field(default=None, init=False, repr=False)
    _answers: NetworkAnswers | None = field(default=None, init=False, repr=False)

    def fit(self, train: Part, validation: Part, seed: int, say: Say) -> None:
        """Train until validation no longer gains."""
        torch.manual_seed(seed)
        sizes = sizes_of(train.vocabulary, self.width)
        network = GraphNetwork(self.kind, self.layers, sizes, self.dropout, self.head_dropout)
        recipe = Recipe(epochs=self.epochs, patience=self.patience, rate=self.rate, seed=seed)
        epochs = train_rows(
            network,
            train,
            validation,
            recipe,
            say,
            batch_rows=self.batch_rows,
            epoch_rows_max=self.epoch_rows_max,
        )
        self.curve = curve_of(epochs)
        self._graph = network
        self._answers = calibrated(network.network, network.run_rows, validation)

    def predict(self, question: str, part: Part) -> Doubles:
        """Answer for all rows of the part."""
        if self._answers is None:
            raise ValueError(f"{question}: not fitted")
        return self._answers.answer(question, part)

    def size_bytes(self) -> int:
        """Bytes of all weights; 0 before fitting."""
        if self._graph is None:
            return 0
        return sum(value.numel() * value.element_size() for value in self._graph.parameters())
