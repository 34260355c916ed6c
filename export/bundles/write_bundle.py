"""Weights, vocabulary and what is known of them, to a bundle folder that has passed its own checks.

Rules of the room: the same inputs give the same bytes. The golden outputs come from the numpy
reference in double precision, so that loading the bundle checks ONNX Runtime against it.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from export.bundles import reference
from export.bundles.to_onnx import to_onnx
from export.bundles.weights import Weights
from export.dataset.packing import pack_arrays
from stream.core.layout import ACTIONS, LAYOUT_VERSION, STEP
from stream.model.bundle import GOLDEN_FORM, load_bundle, tables_of
from stream.model.contexts import context_ids
from stream.model.golden import check_golden
from stream.model.graphs import CPU, OrtGraphs
from stream.model.manifest import FILES, FORMAT, MANIFEST, File, Manifest, Training, feature_schema
from stream.model.selection import select_top
from stream.model.step_features import StepTables, encode_steps
from stream.model.vocabulary import CONTEXT_FIELDS, Texts, Vocabulary, hash_32, read_vocabulary

GOLDEN_ROWS: Final = 24
GOLDEN_ITEMS: Final = 10
TOLERANCE: Final = 1e-4


@dataclass(frozen=True, slots=True)
class About:
    """What the manifest says beside the weights."""

    name: str
    refresh_steps: int
    hazard_edges_ms: tuple[int, ...]
    purchase_horizon_ms: int
    churn_horizon_ms: int
    calibration: dict[str, Any]
    metrics: dict[str, Any]
    training: Training


def write_bundle(folder: Path, weights: Weights, texts: Texts, about: About) -> float:
    """Write a bundle, load it again, return the largest golden difference. Raises BundleError."""
    contents = to_onnx(weights)
    contents["vocabulary.json"] = msgspec.json.encode(texts)
    vocabulary = read_vocabulary(contents["vocabulary.json"])
    contents["golden.npz"] = pack_arrays(golden_batch(weights, vocabulary))
    manifest = Manifest(
        format=FORMAT,
        name=about.name,
        model=weights.name,
        layout_version=LAYOUT_VERSION,
        feature_schema=feature_schema(),
        refresh_steps=about.refresh_steps,
        shapes=weights.shapes(),
        hazard_edges_ms=list(about.hazard_edges_ms),
        purchase_horizon_ms=about.purchase_horizon_ms,
        churn_horizon_ms=about.churn_horizon_ms,
        tolerance=TOLERANCE,
        files={
            name: File(hashlib.sha256(contents[name]).hexdigest(), len(contents[name]))
            for name in FILES
        },
        calibration=about.calibration,
        metrics=about.metrics,
        training=about.training,
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / MANIFEST).write_bytes(text + b"\n")
    bundle = load_bundle(folder)
    return check_golden(bundle, OrtGraphs(bundle.contents, bundle.manifest.shapes, CPU))


def golden_batch(weights: Weights, vocabulary: Vocabulary) -> dict[str, npt.NDArray[Any]]:
    """Make inputs that touch every kind of row, and the outputs of the reference."""
    rng = np.random.default_rng(len(vocabulary.item_ids))
    steps, gap_ms = _golden_steps(vocabulary, rng)
    tables: StepTables = tables_of(vocabulary)
    encoded = encode_steps(tables, steps, gap_ms, np.arange(len(steps), dtype=np.int32))
    shapes = weights.shapes()
    state = np.clip(rng.normal(0, 0.4, (len(steps), shapes.state)), -0.9, 0.9).astype(np.float32)
    state[0] = 0
    head = np.abs(rng.lognormal(2, 3, (len(steps), shapes.head))).round().astype(np.float32)
    head[:, -4:] = rng.uniform(-1, 1, (len(steps), 4))
    head[::3, 18:21] = -1
    context = _golden_contexts(vocabulary, rng)
    after = reference.step(weights, *encoded, state)
    top = after[:, shapes.top_first : shapes.top_first + shapes.top]
    next_event, purchase, hazard = reference.heads(
        weights, top, head, context_ids(vocabulary, context)
    )
    logits = reference.items(weights, top).astype(np.float32)
    kept = (len(steps), min(GOLDEN_ITEMS, shapes.items))
    index, score = np.zeros(kept, np.int32), np.zeros(kept, np.float32)
    select_top(logits, index, score)
    golden = {
        "steps": steps,
        "gap_ms": gap_ms,
        **encoded._asdict(),
        "state": state,
        "state_next": after,
        "head": head,
        "context": context,
        "next_event": next_event,
        "purchase": purchase,
        "hazard": hazard,
        "item_scores": score,
    }
    return {name: golden[name].astype(dtype) for name, (dtype, _) in GOLDEN_FORM.items()}


def _golden_steps(
    vocabulary: Vocabulary, rng: np.random.Generator
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    steps = np.zeros(GOLDEN_ROWS, STEP)
    keys = vocabulary.item_map.keys[vocabulary.item_map.keys > 0]
    steps["item"] = rng.choice(keys, GOLDEN_ROWS)
    steps["item"][:3] = (0, 1, 2**63 + 12_345)  # none, two unknown
    steps["category"] = rng.integers(1, 2**32, GOLDEN_ROWS)
    names = vocabulary.texts.categories
    if names:
        known = [hash_32(names[i % len(names)]) for i in range(GOLDEN_ROWS // 2)]
        steps["category"][: GOLDEN_ROWS // 2] = known
    steps["category"][3] = 0
    steps["time_ms"] = rng.integers(1_500_000_000_000, 1_800_000_000_000, GOLDEN_ROWS)
    steps["price_cents"] = rng.lognormal(8, 3, GOLDEN_ROWS).astype(np.int32)
    steps["price_cents"][:6] = (-1, 0, 49, 50, 149, 150)
    steps["tokens"] = rng.integers(0, 2**16, (GOLDEN_ROWS, 4)) * rng.integers(
        0, 2, (GOLDEN_ROWS, 4)
    )
    steps["quantity"] = rng.integers(0, 5, GOLDEN_ROWS)
    steps["event_type"] = np.arange(GOLDEN_ROWS) % 3
    steps["action"] = np.arange(GOLDEN_ROWS) % len(ACTIONS)
    gap_ms = rng.lognormal(10, 3, GOLDEN_ROWS).astype(np.int64)
    gap_ms[:4] = (-1, 0, 1_800_000, 1_800_001)
    return steps, gap_ms


def _golden_contexts(vocabulary: Vocabulary, rng: np.random.Generator) -> npt.NDArray[np.uint32]:
    context = np.zeros((GOLDEN_ROWS, len(CONTEXT_FIELDS)), np.uint32)
    for field, name in enumerate(CONTEXT_FIELDS):
        hashes = [0, 99, *(hash_32(text) for text in getattr(vocabulary.texts, name))]
        context[:, field] = rng.choice(np.array(hashes, np.uint32), GOLDEN_ROWS)
    return context
