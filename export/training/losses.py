"""What a network is told of its mistakes: four losses at every scored row. Torch.

Rules of the room: the same for every network that has the tables and heads of `Network`. Unknown
answers are left out: a next item that has no row, a purchase horizon or a bin of silence beyond the
log's end. A batch without any known answer adds nothing.
"""

import torch
from torch import Tensor
from torch.nn import functional

from export.dataset.record import Integers
from export.dataset.training_set import TrainingSet
from export.models.network import Network
from stream.core.layout import EVENT_TYPES

Weights = tuple[float, float, float, float]

_PURCHASE = len(EVENT_TYPES)


def row_losses(
    network: Network, data: TrainingSet, rows: Integers, top: Tensor, weights: Weights
) -> Tensor:
    """Weighted losses of rows whose state is `top` (B, H): item, action, purchase, hazard. (4,)."""
    logits = network.rows(
        top, torch.from_numpy(data.head[rows]), torch.from_numpy(data.context[rows]).long()
    )
    labels = data.labels
    item = torch.from_numpy(data.next_item[rows])
    losses = (
        _classes(network.item_logits(top[item > 0]), item[item > 0] - 1),
        _classes(logits[:, :_PURCHASE], torch.from_numpy(labels.next_type[rows])),
        _binary(logits[:, _PURCHASE], torch.from_numpy(labels.purchase[rows])),
        _binary(logits[:, _PURCHASE + 1 :], torch.from_numpy(labels.hazard[rows])),
    )
    return torch.stack([loss * weight for loss, weight in zip(losses, weights, strict=True)])


def _classes(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy of the targets that are not negative."""
    if not bool((target >= 0).any()):
        return logits.sum() * 0
    return functional.cross_entropy(logits, target, ignore_index=-1)


def _binary(logits: Tensor, labels: Tensor) -> Tensor:
    known = labels >= 0
    if not bool(known.any()):
        return logits.sum() * 0
    return functional.binary_cross_entropy_with_logits(logits[known], labels[known].float())
