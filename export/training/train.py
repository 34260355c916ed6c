"""Multi-task training: next item, next event, purchase within a horizon, activity hazard.

Rules of the room: one thread and one seed, so that the same command gives the same bundle; begun
again from a checkpoint, too. The loss is taken at every scored row; its weights stand in the
recipe. Validation is a later split, or users held out: never rows of a sequence that is learned.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from export.dataset.record import Integers
from export.dataset.training_set import TrainingSet
from export.models import CORES
from export.models.contract import Part, Say
from export.models.network import Network, Sizes
from export.training.augment import Augment, augmented
from export.training.checkpoint import load_checkpoint, save_checkpoint
from export.training.item_start import item_start
from export.training.losses import row_losses
from export.training.schedule import batches_by_length, cosine
from stream.model.step_features import StepInputs

ROW_LENGTH = 7.0  # of an item's row at the start: what 50 normal numbers have
RUN_SEQUENCES = 256  # run at once without learning

Tick = Callable[[int, int], None]  # batches done, batches in all
Run = Callable[[Network, TrainingSet, Integers], tuple[Tensor, Tensor]]  # see run_rows


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained, and how."""

    kind: str = "lstm"
    hidden: int = 50
    layers: int = 2
    epochs: int = 6  # at most
    batch_sequences: int = 32
    rate: float = 3e-3
    dropout: float = 0.1  # of the items on their way in
    head_dropout: float = 0.5  # of what the heads read, and of their hidden layer
    warm_up: float = 0.03  # share of the batches
    rate_end: float = 0.02  # share of the rate at the end of the cosine
    clip: float = 5.0
    unknown_share: float = 0.02  # known items that are shown as unknown, to teach those rows
    augment: Augment = field(default_factory=Augment)
    # Of the four losses: next item, next event, purchase, hazard. See docs/evaluation.md.
    weights: tuple[float, float, float, float] = (1.0, 3.0, 3.0, 1.0)
    held_out: float = 0.1  # of the users, where no later split is given
    patience: int = 0  # epochs without a lower validation loss that end it; 0: the last one counts
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass: mean losses, weighted, of next item, next event, purchase and hazard."""

    learned: tuple[float, ...]
    validation: tuple[float, ...]  # empty: not asked


@dataclass(frozen=True, slots=True)
class Trained:
    """A network, and what it has not learned from."""

    network: Network
    validation: Part
    seconds: float  # over all starts
    epochs: list[Epoch]
    best: int  # index of the epoch whose weights these are


def hold_out_users(part: Part, share: float, rng: np.random.Generator) -> tuple[Part, Part]:
    """Split users by chance: the part to learn from, and the part held out."""
    user = part.data.user[part.rows]
    held_out = np.flatnonzero(rng.random(int(part.data.user.max()) + 1) < share)
    apart = np.isin(user, held_out)
    return part.at(part.rows[~apart]), part.at(part.rows[apart])


def train(
    part: Part,
    sizes: Sizes,
    recipe: Recipe,
    say: Say,
    *,
    validation: Part | None = None,
    tick: Tick | None = None,
    checkpoint: Path | None = None,
) -> Trained:
    """Train one network. Without `validation`, `recipe.held_out` of the users are held out.

    `checkpoint` is written after every epoch; where there is one, training goes on from it and ends
    in the same network. Raises CheckpointError where it is of another recipe or other data,
    ValueError where a row of validation is in a learned sequence.
    """
    trainer = Trainer(part, sizes, recipe, validation)
    if checkpoint is not None and trainer.resume(checkpoint):
        say(f"going on after epoch {len(trainer.epochs)} of {checkpoint}")
    while not trainer.ended:
        say(trainer.run_epoch(tick or (lambda _done, _count: None)))
        if checkpoint is not None:
            trainer.save(checkpoint)
    return trainer.trained()


class Trainer:
    """A network, its optimizer and where they stand. Not safe for several threads."""

    def __init__(
        self, part: Part, sizes: Sizes, recipe: Recipe, validation: Part | None = None
    ) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self._rng = np.random.default_rng(recipe.seed)
        core = CORES[recipe.kind](sizes.item, recipe.hidden, recipe.layers)
        self.network = Network(core, recipe.hidden, sizes, recipe.dropout, recipe.head_dropout)
        if validation is None:
            part, validation = hold_out_users(part, recipe.held_out, self._rng)
        self._part, self.validation = part, validation
        start_from(self.network, part)
        data = part.data
        self._learned = np.unique(data.sequence[part.rows])
        if validation.data is data and np.isin(data.sequence[validation.rows], self._learned).any():
            raise ValueError("a sequence has rows to learn from and rows of validation")
        self._chosen = np.zeros(len(data.sequence), np.bool_)
        self._chosen[part.rows] = True
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.rate, weight_decay=0.0
        )
        self._epoch_batches = -(-len(self._learned) // recipe.batch_sequences)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer,
            cosine(recipe.epochs * self._epoch_batches, recipe.warm_up, recipe.rate_end),
        )
        self.epochs: list[Epoch] = []
        self.best = 0
        self._kept: dict[str, Tensor] = {}  # weights of the best epoch
        self.seconds = 0.0

    @property
    def ended(self) -> bool:
        """Whether there is no further epoch."""
        recipe, done = self.recipe, len(self.epochs)
        return done >= recipe.epochs or bool(recipe.patience and done - self.best > recipe.patience)

    def run_epoch(self, tick: Tick) -> str:
        """Train one epoch and look at validation; returns a line about it."""
        began = time.monotonic()
        network, recipe = self.network, self.recipe
        network.train()
        losses = []
        done, count = len(self.epochs) * self._epoch_batches, recipe.epochs * self._epoch_batches
        data = self._part.data
        for sequences in batches_by_length(
            data.lengths, self._learned, recipe.batch_sequences, self._rng
        ):
            loss = self._loss(sequences)
            self._optimizer.zero_grad()
            loss.sum().backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            self._optimizer.step()
            self._schedule.step()
            losses.append(loss.detach().numpy())
            done += 1
            tick(done, count)
        network.eval()
        seen = validation_losses(network, self.validation, recipe) if recipe.patience else ()
        self.epochs.append(Epoch(tuple(np.mean(losses, axis=0).tolist()), seen))
        self._keep_best()
        self.seconds += time.monotonic() - began
        return self._line()

    def trained(self) -> Trained:
        """Give the network with the weights of the best epoch."""
        if self._kept:
            self.network.load_state_dict(self._kept)
        self.network.eval()
        return Trained(self.network, self.validation, self.seconds, self.epochs, self.best)

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        state = {
            "network": self.network.state_dict(),
            "kept": self._kept,
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "chance": json.dumps(self._rng.bit_generator.state),
            "torch_chance": torch.get_rng_state(),
            "epochs": [[list(epoch.learned), list(epoch.validation)] for epoch in self.epochs],
            "best": self.best,
            "seconds": self.seconds,
        }
        save_checkpoint(path, self._depends_on(), state)

    def resume(self, path: Path) -> bool:
        """Go on from a checkpoint; False where there is none. Raises CheckpointError."""
        held = load_checkpoint(path, self._depends_on())
        if held is None:
            return False
        self.network.load_state_dict(held["network"])
        self._kept = held["kept"]
        self._optimizer.load_state_dict(held["optimizer"])
        self._schedule.load_state_dict(held["schedule"])
        self._rng.bit_generator.state = json.loads(held["chance"])
        torch.set_rng_state(held["torch_chance"])
        self.epochs = [Epoch(tuple(one), tuple(other)) for one, other in held["epochs"]]
        self.best, self.seconds = held["best"], held["seconds"]
        return True

    def _depends_on(self) -> dict[str, Any]:
        digest = hashlib.sha256(self._part.vocabulary.digest.encode())
        for part in (self._part, self.validation):
            for array in (part.rows, part.data.table, part.data.inputs.item_id, part.data.head):
                digest.update(np.ascontiguousarray(array).tobytes())
        return {**asdict(self.recipe), "data": digest.hexdigest()[:16]}

    def _keep_best(self) -> None:
        totals = [sum(epoch.validation) for epoch in self.epochs]
        self.best = len(totals) - 1 if not self.recipe.patience else int(np.argmin(totals))
        if self.recipe.patience and self.best == len(totals) - 1:
            state = self.network.state_dict()
            self._kept = {name: value.clone() for name, value in state.items()}

    def _line(self) -> str:
        epoch, recipe = self.epochs[-1], self.recipe
        item, kind, purchase, hazard = epoch.learned
        text = (
            f"epoch {len(self.epochs)}/{recipe.epochs}  loss: item {item:.3f}  next event "
            f"{kind:.3f}  purchase {purchase:.4f}  hazard {hazard:.4f}  {self.seconds:.0f} s"
        )
        if epoch.validation:
            best = ", the lowest" if self.best == len(self.epochs) - 1 else ""
            text += f"  validation {sum(epoch.validation):.4f}{best}"
        return text

    def _loss(self, sequences: Integers) -> Tensor:
        """Return the four weighted losses of the rows along some sequences: (4,)."""
        data, rng = self._part.data, self._rng
        vocabulary = self._part.vocabulary
        steps = _steps(data, sequences)
        stands = None
        if self.recipe.augment.on:
            lengths = data.lengths[sequences]
            steps, stands = augmented(steps, lengths, self.recipe.augment, rng)
        item_id, side_id, dense = _tensors(steps)
        hide = torch.from_numpy(rng.random(item_id.shape) < self.recipe.unknown_share)
        hide &= item_id > 0
        buckets = rng.integers(0, vocabulary.texts.unknown_items, item_id.shape)
        unknown = torch.from_numpy(vocabulary.items_count + 1 + buckets)
        out = self.network.tops(torch.where(hide, unknown, item_id), side_id, dense)
        rows, place = data.rows_of(sequences)
        chosen = self._chosen[rows]
        rows, place = rows[chosen], place[chosen]
        position = data.position[rows]
        if stands is not None:
            position = stands[position, place]
            rows, place, position = (part[position >= 0] for part in (rows, place, position))
        top = out[position, place]
        return row_losses(self.network, data, rows, top, self.recipe.weights)


def run_rows(network: Network, data: TrainingSet, rows: Integers) -> tuple[Tensor, Tensor]:
    """Run a network over the sequences of some rows: top h (B, H), heads' logits (B, 12)."""
    tops = []
    order = []
    with torch.no_grad():
        wanted = np.unique(data.sequence[rows])
        for first in range(0, len(wanted), RUN_SEQUENCES):
            part = wanted[first : first + RUN_SEQUENCES]
            found, place = data.rows_of(part)
            out = network.tops(*_tensors(_steps(data, part)))
            tops.append(out[data.position[found], place])
            order.append(found)
        found = np.concatenate(order)
        back = np.empty(len(data.sequence), np.int64)
        back[found] = np.arange(len(found))
        top = torch.cat(tops)[torch.from_numpy(back[rows])]
        head = torch.from_numpy(data.head[rows])
        return top, network.rows(top, head, torch.from_numpy(data.context[rows]).long())


def validation_losses(
    network: Network, part: Part, recipe: Recipe, run: Run = run_rows
) -> tuple[float, ...]:
    """Weighted losses of all rows of a part, each a mean over its known answers: four numbers."""
    sums, counts = np.zeros(4), np.zeros(4)
    for _, block in part.blocks():
        top, _ = run(network, block.data, block.rows)
        with torch.no_grad():
            losses = row_losses(network, block.data, block.rows, top, recipe.weights).numpy()
        labels = block.data.labels
        known = np.array([
            (block.data.next_item[block.rows] > 0).sum(),
            (labels.next_type[block.rows] >= 0).sum(),
            (labels.purchase[block.rows] >= 0).sum(),
            (labels.hazard[block.rows] >= 0).sum(),
        ])  # fmt: skip
        sums += losses * known
        counts += known
    return tuple((sums / np.maximum(counts, 1)).tolist())


def start_from(network: Network, part: Part) -> None:
    """Set the head's scale and the item table from the rows to learn from."""
    data, rows = part.data, part.rows
    head = data.head[rows]
    network.head_mean.data.copy_(torch.from_numpy(head.mean(axis=0)))
    network.head_std.data.copy_(torch.from_numpy(np.maximum(head.std(axis=0), 1e-3)))
    sizes = network.sizes
    start = item_start(data.item[rows], data.user[rows], sizes.item_rows, sizes.item)
    network.item.weight.data.copy_(torch.from_numpy(start) * ROW_LENGTH)


def _steps(data: TrainingSet, part: Integers) -> StepInputs:
    """Give the steps of some sequences, steps first; past a sequence's end step 0, unread."""
    longest = int(data.lengths[part].max())
    at = np.maximum(data.table[part, :longest].T, 0)
    return StepInputs(data.inputs.item_id[at], data.inputs.side_id[at], data.inputs.dense[at])


def _tensors(steps: StepInputs) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.from_numpy(steps.item_id).long(),
        torch.from_numpy(steps.side_id).long(),
        torch.from_numpy(steps.dense),
    )
