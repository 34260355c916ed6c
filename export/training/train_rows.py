"""Training of networks that take each row by itself: a batch is rows, not sequences. Torch.

Rules of the room: losses, start and rate are those of recurrent training (losses.py, train.py,
schedule.py); one thread, one seed. The epoch with the lowest validation loss is kept.
"""

import time

import numpy as np
import torch
from torch import Tensor

from export.models.contract import Part, Say
from export.models.graph_network import GraphNetwork
from export.training.losses import row_losses
from export.training.schedule import batches_by_length, cosine
from export.training.train import Epoch, Recipe, start_from, validation_losses


def train_rows(
    network: GraphNetwork,
    part: Part,
    validation: Part,
    recipe: Recipe,
    say: Say,
    *,
    batch_rows: int = 256,
    epoch_rows_max: int = 60_000,
) -> list[Epoch]:
    """Train a network in place; returns its epochs. An epoch takes `epoch_rows_max` rows at most.

    Recipe.kind, widths and `unknown_share` do not count here; `patience` 0 keeps the last epoch.
    """
    began = time.monotonic()
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    tables = network.network
    start_from(tables, part)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=0.0)
    count = min(epoch_rows_max, len(part.rows))
    batches = recipe.epochs * -(-count // batch_rows)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, cosine(batches, recipe.warm_up, recipe.rate_end)
    )
    lengths = part.data.position + 1
    epochs: list[Epoch] = []
    kept: dict[str, Tensor] = {}
    best = 0
    while len(epochs) < recipe.epochs and (
        not recipe.patience or len(epochs) - best <= recipe.patience
    ):
        network.train()
        losses = []
        drawn = rng.choice(part.rows, count, replace=False)
        for rows in batches_by_length(lengths, drawn, batch_rows, rng):
            top = network.tops(part.data, rows)
            loss = row_losses(tables, part.data, rows, top, recipe.weights)
            optimizer.zero_grad()
            loss.sum().backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            optimizer.step()
            schedule.step()
            losses.append(loss.detach().numpy())
        network.eval()
        seen = validation_losses(tables, validation, recipe, network.run_rows)
        epochs.append(Epoch(tuple(np.mean(losses, axis=0).tolist()), seen))
        totals = [sum(epoch.validation) for epoch in epochs]
        best = int(np.argmin(totals)) if recipe.patience else len(totals) - 1
        if best == len(totals) - 1:
            kept = {name: value.clone() for name, value in network.state_dict().items()}
        say(
            f"epoch {len(epochs)}/{recipe.epochs}  loss {sum(epochs[-1].learned):.4f}  validation "
            f"{totals[-1]:.4f}  {time.monotonic() - began:.0f} s"
        )
    network.load_state_dict(kept)
    return epochs
