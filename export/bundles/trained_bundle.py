"""From rows to a bundle: train, calibrate, write, check. What every recurrent bundle goes through.

Rules of the room: a bundle that does not pass its golden batch, or in which torch, ONNX and numpy
differ, is not made: BundleError.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from export.bundles.parity import check_parity
from export.bundles.weights import Weights
from export.bundles.write_bundle import About, write_bundle
from export.models.contract import Part, Say
from export.models.network import Sizes
from export.training.calibrate import calibrate
from export.training.train import Recipe, Tick, Trained, run_rows, train
from stream.model.bundle import Bundle, load_bundle, table_rows
from stream.model.vocabulary import Vocabulary

PARITY_SEQUENCES: Final = 20


@dataclass(frozen=True, slots=True)
class Made:
    """A bundle that has passed its checks, and what it was made of."""

    bundle: Bundle
    trained: Trained
    weights: Weights
    about: About
    parity: float  # largest difference of torch, ONNX and numpy

    def measured(self, metrics: dict[str, Any]) -> Bundle:
        """Write what was measured into the manifest; the version stays."""
        texts = self.bundle.vocabulary.texts
        write_bundle(self.bundle.folder, self.weights, texts, replace(self.about, metrics=metrics))
        return load_bundle(self.bundle.folder)


def make_bundle(
    folder: Path,
    part: Part,
    recipe: Recipe,
    about: About,
    say: Say,
    *,
    validation: Part | None = None,
    tick: Tick | None = None,
    checkpoint: Path | None = None,
) -> Made:
    """Train on a part, calibrate on validation (see `train`), write and check. Raises BundleError.

    Of `about`, the calibration is filled in here.
    """
    vocabulary = part.vocabulary
    trained = train(
        part,
        sizes_of(vocabulary, recipe),
        recipe,
        say,
        validation=validation,
        tick=tick,
        checkpoint=checkpoint,
    )
    held = trained.validation
    logits = run_rows(trained.network, held.data, held.rows)[1].numpy()
    calibration = calibrate(logits, held.data.labels, held.rows)
    weights = trained.network.weights(calibration.scale, calibration.shift)
    about = replace(about, calibration=calibration.described())
    golden = write_bundle(folder, weights, vocabulary.texts, about)
    bundle = load_bundle(folder)
    data = part.data
    sample = np.arange(0, len(data.lengths), max(1, len(data.lengths) // PARITY_SEQUENCES))
    parity = check_parity(trained.network, weights, bundle, data, sample)
    say(f"parity: golden batch {golden:.1e}, torch and ONNX and numpy {parity:.1e}")
    return Made(bundle, trained, weights, about, parity)


def sizes_of(vocabulary: Vocabulary, recipe: Recipe) -> Sizes:
    """Give the sizes of a network's tables: items as wide as the core, so no projection."""
    rows = table_rows(vocabulary)
    return Sizes(
        rows["items"], rows["side"], rows["contexts"], vocabulary.items_count, item=recipe.hidden
    )
