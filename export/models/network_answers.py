"""What a trained network says, whatever its core: its state and logits to the contract's answers.

Rules of the room: purchase and hazard are calibrated on validation by Platt's two numbers per
logit, as in a bundle. A block of rows is run as a whole; next item should be asked in blocks.
"""

from dataclasses import dataclass

import numpy as np
import torch

from export.models.contract import HAZARD, NEXT_ACTION, NEXT_ITEM, PURCHASE, Doubles, Part
from export.models.network import Network, Sizes
from export.training.calibrate import Calibration, calibrate
from export.training.train import Epoch, Run
from stream.core.layout import EVENT_TYPES
from stream.model.bundle import table_rows
from stream.model.vocabulary import Vocabulary

_PURCHASE = len(EVENT_TYPES)
EVERY_QUESTION = frozenset({NEXT_ITEM, NEXT_ACTION, PURCHASE, HAZARD})


def sizes_of(vocabulary: Vocabulary, width: int) -> Sizes:
    """Rows of the tables that a vocabulary asks for; items `width` wide."""
    rows = table_rows(vocabulary)
    return Sizes(rows["items"], rows["side"], rows["contexts"], vocabulary.items_count, item=width)


def curve_of(epochs: list[Epoch]) -> list[tuple[float, float]]:
    """Loss of train and validation after each epoch."""
    return [(sum(epoch.learned), sum(epoch.validation)) for epoch in epochs]


@dataclass(frozen=True, slots=True)
class NetworkAnswers:
    """A network, how its rows are run, and its calibration."""

    network: Network
    run: Run
    calibration: Calibration

    def answer(self, question: str, part: Part) -> Doubles:
        """Answer for all rows of the part. Raises ValueError for what is no question."""
        if question not in EVERY_QUESTION:
            raise ValueError(f"{question}: not answered")
        if len(part.rows) == 0:
            raise ValueError(f"{question}: no row is asked about")
        top, logits = self.run(self.network, part.data, part.rows)
        with torch.no_grad():
            if question == NEXT_ITEM:
                return np.asarray(self.network.item_logits(top).numpy().astype(np.float64))
            if question == NEXT_ACTION:
                p = torch.softmax(logits[:, :_PURCHASE].double(), dim=1)
                return np.asarray(p.numpy())
        scaled = logits.numpy() * self.calibration.scale + self.calibration.shift
        p_yes = 1.0 / (1.0 + np.exp(-np.clip(scaled, -60.0, 60.0)))
        return np.asarray(
            p_yes[:, _PURCHASE] if question == PURCHASE else p_yes[:, _PURCHASE + 1 :]
        )

    def size_bytes(self) -> int:
        """Bytes of all weights."""
        return sum(value.numel() * value.element_size() for value in self.network.parameters())


def calibrated(network: Network, run: Run, validation: Part) -> NetworkAnswers:
    """Calibrate on the rows of validation."""
    logits = run(network, validation.data, validation.rows)[1].numpy()
    labels = validation.data.labels
    return NetworkAnswers(network, run, calibrate(logits, labels, validation.rows))
