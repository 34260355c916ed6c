"""Training: early stopping finds the number of epochs, then all of the train part is learned.

Rules of the room: one thread and one seed: the same data and recipe give the same weights. First a
network learns the fit part and is watched on validation, the last fifth of train; its errors there
give the intervals. Then another, from the same start, learns the whole train part for the number of
epochs that was best, with the scales of the whole train part. Loss: squared error in units of each
series' scale. The test part is never passed in here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import nn

from export.demand.network import DemandNetwork
from export.demand.series import Doubles, SeriesSet, Split
from export.demand.windows import (
    Floats,
    Inputs,
    fit_scale,
    horizon_sums,
    inputs_of,
    recursive_paths,
)

EVALUATION_ROWS: Final = 4096
UPDATES_MIN: Final = 20  # an epoch of few windows has smaller batches, to at least...
BATCH_MIN: Final = 16


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained, and how."""

    look_back: int
    horizon: int
    season: int
    hidden: int = 50
    dropout: float = 0.2
    batch_max: int = 256
    rate: float = 2e-3
    epochs_max: int = 60
    patience: int = 8  # epochs without a better validation loss
    clip: float = 1.0
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Trained:
    """The network of the whole train part, its scales, and what validation said."""

    network: DemandNetwork
    scale: Floats
    epochs: int
    curve: list[tuple[float, float]]  # per epoch: loss on fit and on validation
    errors: Doubles  # (S, N) one step on validation, true minus forecast, in scales
    sums: Doubles  # (S, N - H + 1) the same of the sums over the horizon


def train(series: SeriesSet, split: Split, recipe: Recipe, say: Callable[[str], None]) -> Trained:
    """Train on the periods before `split.train`; later ones are cut off first."""
    torch.set_num_threads(1)
    counts = series.counts[:, : split.train]
    index = series.season_index(recipe.season)
    scale = fit_scale(counts, split.fit)
    learned = inputs_of(counts, scale, index, recipe.look_back, recipe.look_back, split.fit)
    watched = inputs_of(counts, scale, index, recipe.look_back, split.fit, split.train)
    goal = _targets(counts, scale, recipe.look_back, split.fit)
    watched_goal = _targets(counts, scale, split.fit, split.train)
    run = _Run(recipe)
    best, best_epoch, best_state, curve = np.inf, 0, run.network.state_dict(), []
    for epoch in range(1, recipe.epochs_max + 1):
        loss = run.epoch(learned, goal)
        watched_loss = run.loss(watched, watched_goal)
        curve.append((loss, watched_loss))
        say(f"epoch {epoch}  loss: fit {loss:.4f}  validation {watched_loss:.4f}")
        if watched_loss < best:
            best, best_epoch = watched_loss, epoch
            best_state = {key: value.clone() for key, value in run.network.state_dict().items()}
        elif epoch - best_epoch >= recipe.patience:
            break
    run.network.load_state_dict(best_state)
    errors, sums = _errors(run.network, counts, watched, recipe, scale)
    say(f"best epoch {best_epoch}; learning all of the train part for as many")
    whole = fit_scale(counts, split.train)
    learned = inputs_of(counts, whole, index, recipe.look_back, recipe.look_back, split.train)
    goal = _targets(counts, whole, recipe.look_back, split.train)
    final = _Run(recipe)
    for _ in range(best_epoch):
        final.epoch(learned, goal)
    final.network.eval()
    return Trained(final.network, whole, best_epoch, curve, errors, sums)


def torch_step(network: DemandNetwork) -> Callable[[Inputs], Floats]:
    """Give the network as a OneStep."""

    def run(inputs: Inputs) -> Floats:
        with torch.no_grad():
            out: Floats = network(*map(torch.from_numpy, inputs)).numpy()
        return out

    return run


def _targets(counts: Doubles, scale: Floats, first: int, last: int) -> Floats:
    scaled = counts[:, first:last] / scale[:, None]
    return scaled.reshape(-1).astype(np.float32)


class _Run:
    """A network on its way, from the recipe's seed on."""

    def __init__(self, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.rng = np.random.default_rng(recipe.seed)
        self.network = DemandNetwork(recipe.hidden, recipe.season, recipe.dropout)
        self.adam = torch.optim.Adam(self.network.parameters(), lr=recipe.rate)

    def epoch(self, inputs: Inputs, goal: Floats) -> float:
        """Learn all windows once; return the mean loss, dropout on."""
        self.network.train()
        total = 0.0
        order = self.rng.permutation(len(goal))
        batch = max(BATCH_MIN, min(self.recipe.batch_max, len(order) // UPDATES_MIN))
        for first in range(0, len(order), batch):
            part = order[first : first + batch]
            made = self.network.scaled(*map(torch.from_numpy, inputs.rows(part)))
            loss = nn.functional.mse_loss(made, torch.from_numpy(goal[part]))
            self.adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
            self.adam.step()
            total += float(loss.detach()) * len(part)
        return total / len(goal)

    def loss(self, inputs: Inputs, goal: Floats) -> float:
        """Mean squared error, dropout off."""
        self.network.eval()
        total = 0.0
        with torch.no_grad():
            for first in range(0, len(goal), EVALUATION_ROWS):
                part = np.arange(first, min(first + EVALUATION_ROWS, len(goal)))
                made = self.network.scaled(*map(torch.from_numpy, inputs.rows(part)))
                total += float(((made - torch.from_numpy(goal[part])) ** 2).sum())
        return total / len(goal)


def _errors(
    network: DemandNetwork, counts: Doubles, inputs: Inputs, recipe: Recipe, scale: Floats
) -> tuple[Doubles, Doubles]:
    """Errors on validation, of one step and of the sum over the horizon."""
    paths = recursive_paths(torch_step(network), inputs, recipe.season, recipe.horizon)
    series = len(counts)
    paths = paths.reshape(series, -1, recipe.horizon)
    true = counts[:, counts.shape[1] - paths.shape[1] :]
    unit = scale[:, None].astype(np.float64)
    whole = paths.shape[1] - recipe.horizon + 1  # origins whose horizon ends within validation
    return (
        (true - paths[:, :, 0]) / unit,
        (horizon_sums(true, recipe.horizon) - paths[:, :whole].sum(axis=2)) / unit,
    )
