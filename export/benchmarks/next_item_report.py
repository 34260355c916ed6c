"""What the next-item benchmark found, as JSON and as a page."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from export.dataset.sessions import Prefixes, Sessions
from export.evaluation.document import Block, Heading, Items, Paragraph, Table, write
from export.evaluation.next_item import Figures, Served
from stream.model.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Results:
    """Everything measured."""

    recipe: dict[str, Any]
    command: str
    model: str
    refresh_steps: int  # L of the bundle
    curve: list[dict[str, float]]  # an epoch each
    served: list[Served]  # an L each
    baselines: dict[str, Figures]
    training_seconds: float
    seconds: float  # of the whole command, earlier starts included

    @property
    def headline(self) -> Figures:
        """All rows at the bundle's own L."""
        return next(one.every for one in self.served if one.refresh_steps == self.refresh_steps)

    def timed(self, seconds: float) -> "Results":
        """Say how long it took."""
        return replace(self, seconds=seconds)


def as_json(results: Results) -> dict[str, Any]:
    """Give what report.json and the manifest hold."""
    return {
        "command": results.command,
        "recipe": results.recipe,
        **results.headline.described(),
        "refresh_steps": {
            str(one.refresh_steps): {
                "all": one.every.described(),
                "longer_than_2L": one.longer.described(),
            }
            for one in results.served
        },
        "baselines": {name: found.described() for name, found in results.baselines.items()},
        "curve": results.curve,
        "training_seconds": round(results.training_seconds, 1),
        "seconds": round(results.seconds, 1),
    }


def write_report(
    folder: Path, results: Results, bundle: Bundle, sessions: Sessions, prefixes: Prefixes
) -> None:
    """Write report.md, report.html and report.json."""
    text = json.dumps(as_json(results), indent=2, allow_nan=False)
    (folder / "report.json").write_text(text + "\n", "utf-8")
    write(folder, _blocks(results, bundle, sessions, prefixes))


def _blocks(
    results: Results, bundle: Bundle, sessions: Sessions, prefixes: Prefixes
) -> list[Block]:
    found = results.headline
    table = [("model as served", found), *results.baselines.items()]
    return [
        Heading("Next item", 1),
        Paragraph(
            f"**P@20 {found.precision:.2f} %, MRR@20 {found.reciprocal:.2f} %** over "
            f"{found.rows} prefixes: {results.model}, trained in {results.training_seconds:.0f} s, "
            f"asked as served.",
            lead=True,
        ),
        Paragraph(f"`{results.command}`"),
        Heading("Beside simple lists"),
        _table("list", table),
        Paragraph("Fitted on the same sessions; each list is asked of the prefix's last item."),
        Heading("By the length at which windows are cut"),
        _table("L", [(f"{s.refresh_steps}", s.every) for s in results.served]),
        Paragraph(
            "Prefixes longer than 2 L alone, the ones of which only L + 1 to 2 L items are read:"
        ),
        _table("L", [(f"{s.refresh_steps}", s.longer) for s in results.served]),
        Heading("Training"),
        _curve(results),
        Paragraph(
            "All sessions are learned from. What is asked is the mean of the weights along the end "
            "of training. The test file was asked once, of the finished bundle."
        ),
        Heading("How it was asked"),
        _how(results, bundle, sessions, prefixes),
    ]


def _how(results: Results, bundle: Bundle, sessions: Sessions, prefixes: Prefixes) -> Items:
    targets = int((prefixes.target == 0).sum())
    unseen = int((prefixes.sequences.items == 0).sum())
    size_bytes = sum(len(data) for data in bundle.contents.values())
    served = (
        "Prefixes became events of users, mixed; they went through the engine and the bundle's "
        "ONNX graphs a step at a time, in batches of random sizes, (h, c) carried between."
    )
    ranked = (
        "Every known item is ranked, those of the prefix too. Of equal scores the lower index "
        "stands first, as in service. Beyond the 20th place both measures count 0."
    )
    unknown = (
        f"{targets} targets and {unseen} items of prefixes are unknown to training. An unknown "
        "target counts as missed; an unknown item says nothing."
    )
    cut = (
        f"At other L than the bundle's {results.refresh_steps}, prefixes that are read whole at "
        "both keep their figures, the others are served again."
    )
    sizes = (
        f"{len(sessions.sequences)} sessions, {len(sessions.sequences.items)} items in them, "
        f"{len(sessions.item_ids)} different ones. Bundle: {size_bytes / 1e6:.1f} MB."
    )
    return Items((served, ranked, unknown, cut, sizes))


def _table(name: str, rows: list[tuple[str, Figures]]) -> Table:
    return Table(
        (name, "rows", "P@20 %", "MRR@20 %"),
        tuple(
            (label, f"{f.rows}", f"{f.precision:.2f}", f"{f.reciprocal:.2f}") for label, f in rows
        ),
    )


def _curve(results: Results) -> Table:
    return Table(
        ("epoch", "loss", "seconds"),
        tuple(
            (f"{point['epoch']:.0f}", f"{point['loss']:.3f}", f"{point['seconds']:.0f}")
            for point in results.curve
        ),
    )
