"""Multi-task training: next item, next event, purchase within a horizon, activity hazard.

Rules of the room: one thread and one seed, so that the same command gives the same bundle. The loss
is taken at every scored row. Users, not rows, are held out for validation.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from export.dataset.record import Integers
from export.dataset.training_set import TrainingSet
from export.models import CORES
from export.models.network import Network, Sizes
from export.training.item_start import item_start
from export.training.losses import row_losses
from export.training.schedule import batches_by_length, cosine
from stream.model.vocabulary import Vocabulary

ROW_LENGTH: Final = 7.0  # of an item's row at the start: what 50 normal numbers have


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained, and how."""

    kind: str = "lstm"
    hidden: int = 50
    layers: int = 2
    epochs: int = 6
    batch_sequences: int = 32
    rate: float = 3e-3
    dropout: float = 0.1
    warm_up: float = 0.03  # share of the batches
    rate_end: float = 0.02  # share of the rate at the end of the cosine
    clip: float = 5.0
    unknown_share: float = 0.02  # known items that are shown as unknown, to teach those rows
    weights: tuple[float, float, float, float] = (1.0, 0.3, 1.0, 1.0)  # of the four losses
    held_out: float = 0.1  # of the users, for validation
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Trained:
    """A network, and the rows that it has not seen."""

    network: Network
    validation: Integers  # rows
    seconds: float


def train(
    data: TrainingSet,
    vocabulary: Vocabulary,
    sizes: Sizes,
    recipe: Recipe,
    say: Callable[[str], None],
) -> Trained:
    """Train one network."""
    began = time.monotonic()
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    core = CORES[recipe.kind](sizes.item, recipe.hidden, recipe.layers)
    network = Network(core, recipe.hidden, sizes, recipe.dropout)
    held_out = np.flatnonzero(rng.random(int(data.user.max()) + 1) < recipe.held_out)
    apart = np.isin(data.user, held_out)
    network.head_mean.data.copy_(torch.from_numpy(data.head[~apart].mean(axis=0)))
    network.head_std.data.copy_(torch.from_numpy(np.maximum(data.head[~apart].std(axis=0), 1e-3)))
    start = item_start(data.item[~apart], data.user[~apart], sizes.item_rows, sizes.item)
    if start is not None:
        network.item.weight.data.copy_(torch.from_numpy(start) * ROW_LENGTH)
    learned = np.setdiff1d(np.unique(data.sequence[~apart]), np.unique(data.sequence[apart]))
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=0.0)
    batches = recipe.epochs * -(-len(learned) // recipe.batch_sequences)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, cosine(batches, recipe.warm_up, recipe.rate_end)
    )
    validation = np.flatnonzero(apart)
    network.train()
    for epoch in range(recipe.epochs):
        losses = []
        for part in batches_by_length(data.lengths, learned, recipe.batch_sequences, rng):
            loss = _loss(network, data, part, recipe, vocabulary, rng)
            optimizer.zero_grad()
            loss.sum().backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            optimizer.step()
            schedule.step()
            losses.append(loss.detach().numpy())
        item, kind, purchase, hazard = np.mean(losses, axis=0)
        say(
            f"epoch {epoch + 1}/{recipe.epochs}  loss: item {item:.3f}  next event {kind:.3f}  "
            f"purchase {purchase:.4f}  hazard {hazard:.4f}  {time.monotonic() - began:.0f} s"
        )
    network.eval()
    return Trained(network, validation, time.monotonic() - began)


def run_rows(network: Network, data: TrainingSet, rows: Integers) -> tuple[Tensor, Tensor]:
    """Run a network over the sequences of some rows: top h (B, H), heads' logits (B, 12)."""
    tops = []
    order = []
    with torch.no_grad():
        wanted = np.unique(data.sequence[rows])
        for first in range(0, len(wanted), 256):
            part = wanted[first : first + 256]
            found, place = data.rows_of(part)
            out = network.tops(*_inputs(data, part))
            tops.append(out[data.position[found], place])
            order.append(found)
        found = np.concatenate(order)
        back = np.empty(len(data.sequence), np.int64)
        back[found] = np.arange(len(found))
        top = torch.cat(tops)[torch.from_numpy(back[rows])]
        head = torch.from_numpy(data.head[rows])
        return top, network.rows(top, head, torch.from_numpy(data.context[rows]).long())


def _inputs(data: TrainingSet, part: Integers) -> tuple[Tensor, Tensor, Tensor]:
    """Give the steps of some sequences, steps first; past a sequence's end step 0, unread."""
    longest = int(data.lengths[part].max())
    at = np.maximum(data.table[part, :longest].T, 0)
    return (
        torch.from_numpy(data.inputs.item_id[at]).long(),
        torch.from_numpy(data.inputs.side_id[at]).long(),
        torch.from_numpy(data.inputs.dense[at]),
    )


def _loss(
    network: Network,
    data: TrainingSet,
    part: Integers,
    recipe: Recipe,
    vocabulary: Vocabulary,
    rng: np.random.Generator,
) -> Tensor:
    """Return the four weighted losses of the rows along some sequences: (4,)."""
    item_id, side_id, dense = _inputs(data, part)
    hide = torch.from_numpy(rng.random(item_id.shape) < recipe.unknown_share) & (item_id > 0)
    buckets = rng.integers(0, vocabulary.texts.unknown_items, item_id.shape)
    unknown = torch.from_numpy(vocabulary.items_count + 1 + buckets)
    out = network.tops(torch.where(hide, unknown, item_id), side_id, dense)
    rows, place = data.rows_of(part)
    top = out[data.position[rows], place]
    return row_losses(network, data, rows, top, recipe.weights)
