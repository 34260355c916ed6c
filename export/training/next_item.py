"""Training on next items alone: sessions in, a network whose item table and core are learned.

Recipe (docs/benchmarks.md): whole sessions a batch, the loss at every position; softmax over the
target and negatives shared by the batch, drawn from count^0.75, log(K p) subtracted from their
logits; AdamW, warm-up, cosine, clipping; what counts is the mean of the weights along the end.

Rules of the room: one thread and one seed. All sessions are learned from, unless the last part of
them is held out to choose a recipe by: what is newest is most like what comes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from export.dataset.record import Integers
from export.dataset.sessions import Sequences
from export.models import CORES
from export.models.network import INPUT_SCALE, TEMPERATURE, Network, Sizes
from export.training.averaging import WeightMean
from export.training.item_start import item_start
from export.training.schedule import batches_by_length, cosine


@dataclass(frozen=True, slots=True)
class NextItemRecipe:
    """What is trained, and how."""

    kind: str = "lstm"
    width: int = 128  # of the core and of the item table
    layers: int = 1
    epochs: int = 9
    batch_sessions: int = 128  # fewer where an epoch would have fewer than `epoch_batches_min`
    batch_sessions_min: int = 16
    epoch_batches_min: int = 500
    rate: float = 3e-3
    dropout: float = 0.2
    negatives: int = 2048
    negatives_power: float = 0.75  # of an item's count
    warm_up: float = 0.03  # share of the batches
    rate_end: float = 0.02  # share of the rate at the end of the cosine
    clip: float = 5.0
    mean_share: float = 0.4  # of the batches, the last ones, along which weights are averaged
    held_out: float = 0.0  # of the sessions, the last ones: not learned from
    row_length: float = 0.5  # of an item's row at the start: short rows turn faster
    seed: int = 1
    refresh_steps: int = 16  # L: sessions are cut as serving cuts windows


@dataclass(frozen=True, slots=True)
class Pieces:
    """Sessions as serving would run them: at most 2 L steps from zero state."""

    start: Integers  # (P,) index of the first item
    length: Integers  # (P,) items, the last one only a target
    scored: Integers  # (P,) position from which the loss counts: earlier ones are another piece's

    def __len__(self) -> int:
        """P."""
        return len(self.start)


def cut(sequences: Sequences, refresh_steps: int) -> Pieces:
    """Cut sessions at 2 L steps, then at every L more (DESIGN: n > 2 L reads L + 1 to 2 L steps).

    A session of n items has n - 1 steps that are followed by an item.
    """
    starts, lengths, scored = [], [], []
    span = 2 * refresh_steps
    first = sequences.first[:-1]
    left = sequences.lengths.astype(np.int64)
    offset = 0
    while len(first):
        starts.append(first + offset)
        lengths.append(np.minimum(left - offset, span + 1))
        scored.append(np.full(len(first), refresh_steps if offset else 0))
        going = left - offset > span + 1
        first, left = first[going], left[going]
        offset += refresh_steps
    return Pieces(np.concatenate(starts), np.concatenate(lengths), np.concatenate(scored))


class NextItemTrainer:
    """A network, its optimizer, and where they stand. Not safe for several threads."""

    def __init__(self, recipe: NextItemRecipe, sizes: Sizes, sequences: Sequences) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.rng = np.random.default_rng(recipe.seed)
        core = CORES[recipe.kind](sizes.item, recipe.width, recipe.layers)
        self.network = Network(core, recipe.width, sizes, recipe.dropout)
        self.epochs_done = 0
        self.seconds = 0.0  # of training, over all starts
        learned = len(sequences) - int(recipe.held_out * len(sequences))
        self.held_out = sequences.part(learned, len(sequences))
        sequences = sequences.part(0, learned)
        start = _start(sequences, sizes) * recipe.row_length
        self.network.item.weight.data.copy_(torch.from_numpy(start))
        self._items = torch.from_numpy(sequences.items).long()
        self._pieces = cut(sequences, recipe.refresh_steps)
        self._chance = _chance(sequences, sizes.items, recipe.negatives_power)
        few = max(recipe.batch_sessions_min, len(self._pieces) // recipe.epoch_batches_min)
        self._batch_pieces = min(recipe.batch_sessions, few)
        parameters = [self.network.item.weight, *core.parameters()]
        if self.network.project is not None:
            parameters += list(self.network.project.parameters())
        self._parameters = parameters
        self._optimizer = torch.optim.AdamW(
            parameters, lr=recipe.rate, weight_decay=0.0, fused=True
        )
        batches = recipe.epochs * self.epoch_batches
        share = cosine(batches, recipe.warm_up, recipe.rate_end)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, share)
        self._mean = WeightMean(parameters, int((1 - recipe.mean_share) * batches))

    @property
    def epoch_batches(self) -> int:
        """Batches of an epoch."""
        return -(-len(self._pieces) // self._batch_pieces)

    def averaged(self) -> Network:
        """Give the network with the mean of its weights, a copy; before there is one, as it is."""
        return self._mean.network(self.network)

    def run_epoch(self, tick: Callable[[int], None]) -> float:
        """Train one epoch; `tick` is called with 1 after each batch. Returns the mean loss."""
        began = time.monotonic()
        network, recipe = self.network, self.recipe
        network.train()
        total = 0.0
        every = np.arange(len(self._pieces))
        parts = batches_by_length(self._pieces.length, every, self._batch_pieces, self.rng)
        before = self.epochs_done * len(parts)
        for done, part in enumerate(parts, before + 1):
            loss = self._loss(part)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self._parameters, recipe.clip)
            self._optimizer.step()
            self._schedule.step()
            self._mean.take(done)
            total += float(loss.detach())
            tick(1)
        self.epochs_done += 1
        self.seconds += time.monotonic() - began
        return total / len(parts)

    def state(self) -> dict[str, Any]:
        """Give what `restore` needs to go on as if nothing had been between. Not copied."""
        return {
            "epochs_done": self.epochs_done,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "mean": self._mean.state(),
            "torch_chance": torch.get_rng_state(),
            "numpy_chance": self.rng.bit_generator.state,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state of the same recipe and data."""
        self.epochs_done, self.seconds = state["epochs_done"], state["seconds"]
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._mean.restore(state["mean"])
        torch.set_rng_state(state["torch_chance"])
        self.rng.bit_generator.state = state["numpy_chance"]

    def _loss(self, part: Integers) -> Tensor:
        pieces, network = self._pieces, self.network
        longest = int(pieces.length[part].max()) - 1
        steps = np.arange(longest)[:, None]
        follows = steps < pieces.length[part] - 1  # (T, B)
        scored = torch.from_numpy(follows & (steps >= pieces.scored[part]))
        at = torch.from_numpy(np.where(follows, pieces.start[part] + steps, 0))
        ids = torch.where(torch.from_numpy(follows), self._items[at], 0)
        target = self._items[at + 1][scored]  # (P,)
        drawn, log_expected = self._negatives()
        asked = torch.cat([ids.flatten(), target, drawn])
        every, place = torch.unique(asked, return_inverse=True)
        rows = functional.normalize(network.item.weight[every], dim=1)
        seen, right, wrong = place.split([ids.numel(), len(target), len(drawn)])
        x = INPUT_SCALE * rows[seen].view(*ids.shape, -1)
        top = network.core(network.dropout(x))[scored]
        out = top if network.project is None else network.project(top)
        out = TEMPERATURE * functional.normalize(out, dim=1, eps=1e-6)
        positive = (out * rows[right]).sum(dim=1, keepdim=True)
        negative = out @ rows[wrong].T - log_expected
        negative = negative.masked_fill(target[:, None] == drawn, -torch.inf)
        logits = torch.cat([positive, negative], dim=1)
        return -functional.log_softmax(logits, dim=1)[:, 0].mean()

    def _negatives(self) -> tuple[Tensor, Tensor]:
        """Draw items with repetition: indices (K,), log of how often each was to be expected."""
        count = self.recipe.negatives
        drawn = np.searchsorted(self._chance, self.rng.random(count) * self._chance[-1])
        chance = np.diff(self._chance, prepend=0)[drawn] / self._chance[-1]
        expected = np.log(count * chance).astype(np.float32)
        return torch.from_numpy(drawn + 1), torch.from_numpy(expected)


def _start(sequences: Sequences, sizes: Sizes) -> np.ndarray:
    owner = np.repeat(np.arange(len(sequences)), sequences.lengths)
    return item_start(sequences.items.astype(np.int64), owner, sizes.item_rows, sizes.item)


def _chance(sequences: Sequences, items: int, power: float) -> np.ndarray:
    counts = np.bincount(sequences.items, minlength=items + 1)[1:]
    return np.cumsum(np.maximum(counts, 1.0) ** power)


def ranks(network: Network, sequences: Sequences, refresh_steps: int) -> Integers:
    """Rank of the item that follows each prefix of some sessions: (rows,), from 1; ties count."""
    pieces = cut(sequences, refresh_steps)
    network.eval()
    found = []
    with torch.no_grad():
        table = functional.normalize(network.item.weight, dim=1)
        items = torch.from_numpy(sequences.items).long()
        known = table[1 : 1 + network.sizes.items]
        for begin in range(0, len(pieces), 256):
            part = slice(begin, begin + 256)
            steps = np.arange(int(pieces.length[part].max()) - 1)[:, None]
            follows = steps < pieces.length[part] - 1
            scored = torch.from_numpy(follows & (steps >= pieces.scored[part]))
            at = torch.from_numpy(np.where(follows, pieces.start[part] + steps, 0))
            ids = torch.where(torch.from_numpy(follows), items[at], 0)
            target = items[at + 1][scored]
            top = network.core(INPUT_SCALE * table[ids])[scored]
            out = top if network.project is None else network.project(top)
            out = functional.normalize(out, dim=1, eps=1e-6)
            for first in range(0, len(out), 512):
                logits = out[first : first + 512] @ known.T
                own = logits.gather(1, target[first : first + 512, None] - 1)
                found.append((logits >= own).sum(dim=1))
    return torch.cat(found).numpy()
