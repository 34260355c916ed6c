"""How good a bundle is on a split of a dataset: as served, beside the baselines of the train split.

Rules of the room: no torch. The bundle is run by the engine over the whole log, as a worker would
that is started anew at each cut: windows reach back over it, as they do in service, while labels
end with the split.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from export.baselines import gaps
from export.dataset.folder import Dataset
from export.dataset.labels import labels_of
from export.dataset.record import Recorded, record
from export.dataset.split import cut_places, part_of, rows_of_split, split_of_events
from export.dataset.training_set import item_indices
from export.evaluation.evaluate import TOP, Run, Say, tables_of
from stream.core.layout import NEVER_MS
from stream.core.plan import Scorer
from stream.model.bundle import Bundle
from stream.model.providers import open_graphs
from stream.model.scorer import OnnxScorer


def evaluate_on(bundle: Bundle, dataset: Dataset, say: Say, split: str = "test") -> dict[str, Any]:
    """Measure on a split. Raises ValueError where the split has no row.

    Runs the engine over the log twice; each item that the bundle knows costs at every event.
    """
    say(f"measuring on {split}, as served")
    learned, held = served_runs(bundle, dataset, ("train", split), exclude_recent=True)
    (every,) = served_runs(bundle, dataset, (split,), exclude_recent=False)
    return {
        "split": split,
        "synthetic": dataset.manifest.synthetic,
        "rows": len(held.item),
        "users": len(np.unique(held.recorded.user)),
        "tables": tables_of(bundle, learned, held, every),
    }


def served_runs(
    bundle: Bundle,
    dataset: Dataset,
    names: tuple[str, ...],
    *,
    exclude_recent: bool,
    scorer: Scorer | None = None,
) -> list[Run]:
    """Run a bundle over a dataset's log and give the rows of some splits with their answers.

    `scorer`: the bundle's, where the caller wants to see how it is used.
    """
    config = replace(
        dataset.config(bundle.refresh_steps),
        hazard_edges_ms=bundle.hazard_edges_ms,
        exclude_recent=exclude_recent,
    )
    places = cut_places(dataset.log, dataset.cuts, config.watermark_jump_ms_max)
    scorer = scorer or OnnxScorer(bundle, open_graphs(bundle, "cpu"), TOP)
    recorded = record(dataset.log, config, scorer, places)
    of_event = split_of_events(dataset.log, places)
    gap_ms = gaps.personal_gaps(recorded)
    runs = []
    for name in names:
        since_ms, end_ms = dataset.cuts.span_ms(name)
        rows = rows_of_split(recorded, of_event, name, since_ms)
        if not len(rows):
            raise ValueError(f"{dataset.folder}: {name} has no scored event")
        runs.append(_run(bundle, part_of(recorded, rows, NEVER_MS), end_ms, gap_ms[rows]))
    return runs


def _run(bundle: Bundle, part: Recorded, end_ms: int, gap_ms: gaps.Doubles) -> Run:
    labels = labels_of(part, end_ms, bundle.manifest.purchase_horizon_ms, bundle.hazard_edges_ms)
    vocabulary = bundle.vocabulary
    return Run(
        part,
        labels,
        item_indices(vocabulary, part.item),
        item_indices(vocabulary, labels.next_item),
        gap_ms,
    )
