"""A small LSTM over a customer's purchases, with the time since the last one at its head. Torch.

Rules of the room: one thread and one seed. A step is known when it happens (time since the step
before, money, units); what moves while nothing happens enters at the head, as in the worker. The
number of updates is fixed, not the epochs: nothing is stopped by looking at what is measured.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from export.returns.purchases import Doubles, Integers, Purchases
from export.training.schedule import batches_by_length, cosine

STEPS_MAX: Final = 40  # of a customer, the newest
STEP_COLUMNS: Final = 3
PREDICT_ROWS: Final = 2048


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained, and how."""

    hidden: int = 24
    head: int = 32
    dropout: float = 0.1
    batch_rows: int = 256
    updates: int = 900
    rate: float = 3e-3
    warm_up: float = 0.1
    rate_end: float = 0.01
    decay: float = 1e-3


@dataclass(frozen=True, slots=True)
class Rows:
    """B customers at a cut: where their visits are, and what is known beside them."""

    first: Integers  # (B,) row of the first visit
    count: Integers  # (B,) visits
    head: Doubles  # (B, F)
    offset: Doubles  # (B,) logit that the network's own is added to; 0: none

    def at(self, rows: Integers) -> "Rows":
        """Give some of the rows."""
        return Rows(self.first[rows], self.count[rows], self.head[rows], self.offset[rows])


def joined(parts: Sequence[Rows]) -> Rows:
    """Put the rows of several cuts one after the other."""
    return Rows(
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.count for part in parts]),
        np.concatenate([part.head for part in parts]),
        np.concatenate([part.offset for part in parts]),
    )


def step_columns(purchases: Purchases) -> Doubles:
    """Log days since the visit before (0 at the first), log money, log units: (N, 3)."""
    begins = np.diff(purchases.customer, prepend=-1) != 0
    gap = np.where(begins, 0, np.diff(purchases.day, prepend=0))
    return np.asarray(np.log1p(np.stack([gap, purchases.money, purchases.units], axis=1)))


class ReturnNetwork(nn.Module):
    """LSTM, last h beside the head's columns, one hidden layer, one logit."""

    def __init__(self, columns: int, recipe: Recipe) -> None:
        super().__init__()
        self.lstm = nn.LSTM(STEP_COLUMNS, recipe.hidden, batch_first=True)
        self.dropout = nn.Dropout(recipe.dropout)
        self.inner = nn.Linear(recipe.hidden + columns, recipe.head)
        self.out = nn.Linear(recipe.head, 1)

    def forward(self, steps: Tensor, last: Tensor, head: Tensor, offset: Tensor) -> Tensor:
        """(B, T, 3), (B,) index of the last step, (B, F), (B,) to logits (B,)."""
        top = self.lstm(steps)[0][torch.arange(len(last)), last]
        joined = torch.cat([self.dropout(top), head], dim=1)
        out: Tensor = self.out(self.dropout(torch.relu(self.inner(joined))))
        return out[:, 0] + offset


@dataclass(frozen=True, slots=True)
class Trained:
    """A network and the scales of its inputs, which are those of its training rows."""

    network: ReturnNetwork
    steps: Tensor  # (N, 3) all visits, scaled
    head_mean: Doubles
    head_std: Doubles

    def logits(self, rows: Rows) -> Doubles:
        """Ask about customers: (B,)."""
        out = np.empty(len(rows.first))
        order = np.argsort(rows.count, kind="stable")
        with torch.no_grad():
            for first in range(0, len(order), PREDICT_ROWS):
                part = order[first : first + PREDICT_ROWS]
                out[part] = self.network(*self.inputs(rows.at(part))).numpy()
        return out

    def inputs(self, rows: Rows) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Give the network's inputs; past a customer's last step it is repeated, unread."""
        count = np.minimum(rows.count, STEPS_MAX)
        last = count - 1
        start = rows.first + rows.count - count
        at = start[:, None] + np.minimum(np.arange(count.max()), last[:, None])
        head = ((rows.head - self.head_mean) / self.head_std).astype(np.float32)
        offset = torch.from_numpy(rows.offset.astype(np.float32))
        return self.steps[at], torch.from_numpy(last), torch.from_numpy(head), offset


def train(
    steps: Doubles,
    rows: Rows,
    returned: np.ndarray,
    seed: int,
    recipe: Recipe,
) -> Trained:
    """Train on `rows` with their labels; `steps` (N, 3) are of all visits. 10 ms an update."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    seen = _seen(len(steps), rows)
    scaled = (steps - steps[seen].mean(axis=0)) / np.maximum(steps[seen].std(axis=0), 1e-6)
    made = Trained(
        ReturnNetwork(rows.head.shape[1], recipe),
        torch.from_numpy(scaled.astype(np.float32)),
        rows.head.mean(axis=0),
        np.maximum(rows.head.std(axis=0), 1e-6),
    )
    network = made.network
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    share = cosine(recipe.updates, recipe.warm_up, recipe.rate_end)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    label = torch.from_numpy(returned.astype(np.float32))
    network.train()
    for part in islice(_endless(rows.count, recipe, rng), recipe.updates):
        answer = network(*made.inputs(rows.at(part)))
        loss = functional.binary_cross_entropy_with_logits(answer, label[part])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    network.eval()
    return made


def _endless(count: Integers, recipe: Recipe, rng: np.random.Generator) -> Iterator[Integers]:
    every = np.arange(len(count))
    lengths = np.minimum(count, STEPS_MAX)
    while True:
        yield from batches_by_length(lengths, every, recipe.batch_rows, rng)


def _seen(visits: int, rows: Rows) -> np.ndarray:
    """Visits that belong to the rows: scales are of nothing else. (N,) bool."""
    change = np.zeros(visits + 1, np.int64)
    np.add.at(change, rows.first, 1)
    np.add.at(change, rows.first + rows.count, -1)
    return change[:-1].cumsum() > 0
