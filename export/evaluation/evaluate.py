"""How good a bundle is: its scores as served, beside those of the baselines, on a run of its own.

Rules of the room: no torch. The bundle is run by the engine over a log that it has never seen; the
baselines are fitted on the log that it was trained on, made again from its seed. One number per
measure, the same rows for all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from export.baselines import gaps, items, logistic
from export.dataset.labels import Labels, labels_of
from export.dataset.record import Integers, Recorded, record
from export.dataset.shop_log import shop_log
from export.dataset.training_set import item_indices
from export.evaluation import classes, probabilities, ranking
from export.evaluation.silence import silent_rows, stays_silent
from stream.core.config import DAY_MS, EngineConfig
from stream.core.layout import EVENT_TYPES
from stream.core.plan import Scorer
from stream.local.shop import Shop
from stream.model.bundle import Bundle
from stream.model.providers import open_graphs
from stream.model.scorer import OnnxScorer

TOP: Final = 10
CANDIDATES: Final = 64  # a baseline's list before recent items are left out
SILENCES_MS: Final = (DAY_MS, 3 * DAY_MS)  # at which churn is asked

Doubles = npt.NDArray[np.float64]
Say = Callable[[str], None]
Table = dict[str, dict[str, dict[str, float]]]  # question -> answerer -> measure -> value


class Unanswered(Exception):  # noqa: N818  # an outcome, not an error
    """The rows do not say enough to ask the question of them."""


@dataclass(frozen=True, slots=True)
class Run:
    """A recorded log and what came after each row. Late rows are left out of every measure."""

    recorded: Recorded
    labels: Labels
    item: Integers  # (B,) vocabulary index of the row's own item
    next_item: Integers  # (B,)
    gap_ms: Doubles  # (B,) the user's own gap between visits: see baselines.personal_gaps


def evaluate(
    bundle: Bundle, seed: int, users: int, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Compare a bundle with the baselines on a shop of another seed. Raises ValueError on its own.

    Takes about 30 s for 1,000 users on a quiet core.
    """
    training = bundle.manifest.training
    if seed == training.seed:
        raise ValueError(f"seed {seed} is the one that the bundle was trained on")
    config = engine_config(bundle, training.users)
    say(f"baselines: the training run again, seed {training.seed}, {training.users} users")
    learned = make_run(bundle, training.seed, training.users, config)
    say(f"test: a run of seed {seed}, {users} users")
    graphs = open_graphs(bundle, "cpu")
    held = make_run(bundle, seed, users, config, OnnxScorer(bundle, graphs, TOP))
    every = make_run(bundle, seed, users, _without_exclusion(config), OnnxScorer(bundle, graphs))
    tables = tables_of(bundle, learned, held, every)
    return {"seed": seed, "users": users, "rows": len(held.item), "tables": tables}


def tables_of(bundle: Bundle, learned: Run, held: Run, every: Run) -> Table:
    """Compare a bundle's answers with the baselines, fitted on `learned`, on the rows of `held`.

    `every` are the same rows, the user's recent items not left out of the lists. A question that
    the rows do not answer both ways is left out.
    """
    rows = bundle.vocabulary.items_count + 1
    asked: dict[str, Callable[[], dict[str, dict[str, float]]]] = {
        "next item, P@10": lambda: _next_item(learned, every, rows, leave_out=False),
        "next item new to the user, P@10": lambda: _next_item(learned, held, rows, leave_out=True),
        "next event": lambda: _next_event(learned, held),
        f"purchase within {bundle.purchase_horizon}": lambda: _purchase(learned, held),
    }
    for silence_ms in SILENCES_MS:
        name = f"silent for 7 days more after {silence_ms // DAY_MS} d of silence"
        asked[name] = partial(_churn, learned, held, bundle, silence_ms)
    tables: Table = {}
    for name, answer in asked.items():
        try:
            tables[name] = answer()
        except Unanswered:
            continue
    return tables


def engine_config(bundle: Bundle, users: int) -> EngineConfig:
    """Engine settings for whole logs: nobody is evicted, every (h, c) is kept, sweeps are rare."""
    return EngineConfig(
        bucket_ms=DAY_MS,
        window_steps=max(32, 2 * bundle.refresh_steps),
        refresh_steps=bundle.refresh_steps,
        hazard_edges_ms=bundle.hazard_edges_ms,
        hidden_users_max=max(100_000, users),
    )


def make_run(
    bundle: Bundle, seed: int, users: int, config: EngineConfig, scorer: Scorer | None = None
) -> Run:
    """Play a shop and run it through an engine."""
    log = shop_log(Shop(seed, users, items=bundle.vocabulary.items_count))
    recorded = record(log, config, scorer)
    labels = labels_of(
        recorded, log.end_ms, bundle.manifest.purchase_horizon_ms, bundle.hazard_edges_ms
    )
    return Run(
        recorded,
        labels,
        item_indices(bundle.vocabulary, recorded.item),
        item_indices(bundle.vocabulary, labels.next_item),
        gaps.personal_gaps(recorded),
    )


def beats(table: dict[str, dict[str, float]], measure: str, others: list[str]) -> bool:
    """Say whether the model is better than each of the others: log-loss and Brier count down."""
    sign = -1 if measure in {"log_loss", "brier"} else 1
    model = sign * table["model"][measure]
    return all(model > sign * table[other][measure] for other in others)


def render(result: dict[str, Any]) -> str:
    """Lay the tables out as text."""
    of = f"seed {result['seed']}" if "seed" in result else f"{result['split']} split"
    made = "" if result.get("synthetic", True) is False else " (synthetic)"
    lines = [f"{of}, {result['users']} users, {result['rows']} rows{made}"]
    for question, answers in result["tables"].items():
        names = list(next(iter(answers.values())))
        lines += ["", f"{question:<52}" + "".join(f"{name:>10}" for name in names)]
        for answerer, values in answers.items():
            lines.append(f"  {answerer:<50}" + "".join(f"{values[n]:>10.4f}" for n in names))
    return "\n".join(lines)


def _without_exclusion(config: EngineConfig) -> EngineConfig:
    names = config.__dataclass_fields__
    return EngineConfig(
        **{**{name: getattr(config, name) for name in names}, "exclude_recent": False}
    )


def _next_item(
    learned: Run, run: Run, rows: int, *, leave_out: bool
) -> dict[str, dict[str, float]]:
    """P@10 of every answerer; `leave_out`: only items outside the window are asked and offered."""
    recent = _recent(run) if leave_out else np.zeros((len(run.item), 0), np.int64)
    target = run.next_item
    asked = (target > 0) & (run.recorded.rows["late"] == 0)
    asked &= ~(recent == target[:, None]).any(axis=1)
    if not asked.any():
        raise Unanswered
    last = items.last_items(run.recorded, run.item)
    learned_last = items.last_items(learned.recorded, learned.item)
    popular = items.popularity(learned.next_item, rows, CANDIDATES)
    chain = items.markov(learned_last, learned.next_item, rows, CANDIDATES)
    lists = {
        "model": run.recorded.scores.items[asked].astype(np.int64),
        "first-order Markov": _first(chain[last[asked]], recent[asked]),
        "popularity": _first(np.tile(popular, (int(asked.sum()), 1)), recent[asked]),
    }
    if not leave_out:
        lists["last item again"] = last[asked, None]
    return {
        name: {"p_at_10": ranking.hit_rate(made, target[asked])} for name, made in lists.items()
    }


def _recent(run: Run) -> Integers:
    recent = run.recorded.recent
    keys, place = np.unique(recent, return_inverse=True)
    return place.reshape(recent.shape) if len(keys) == 0 else _indices_of(run, keys)[place]


def _indices_of(run: Run, keys: npt.NDArray[np.uint64]) -> Integers:
    """Vocabulary indices of hashes, learned from the run's own rows; -1: not among them."""
    hashes, first = np.unique(run.recorded.item, return_index=True)
    found = np.minimum(np.searchsorted(hashes, keys), len(hashes) - 1)
    same = (hashes[found] == keys) & (keys > 0)
    return np.where(same, run.item[first[found]], -1)


def _first(candidates: Integers, recent: Integers) -> Integers:
    """Take the first ten candidates that are not recent; 0 where there are too few."""
    out = np.zeros((len(candidates), TOP), np.int64)
    for first in range(0, len(candidates), 4096):
        part = candidates[first : first + 4096]
        seen = recent[first : first + 4096]
        kept = ~(part[:, :, None] == seen[:, None, :]).any(axis=2)
        place = kept.cumsum(axis=1) - 1
        row, column = np.nonzero(kept & (place < TOP))
        out[first + row, place[row, column]] = part[row, column]
    return out


def _next_event(learned: Run, run: Run) -> dict[str, dict[str, float]]:
    """Type of the next event: log-loss and accuracy beside the chain of types."""
    types = len(EVENT_TYPES)
    counts = np.ones((types, types))
    known = learned.labels.next_type >= 0
    np.add.at(counts, (learned.recorded.event_type[known], learned.labels.next_type[known]), 1)
    chain = counts / counts.sum(axis=1, keepdims=True)
    asked = (run.labels.next_type >= 0) & (run.recorded.rows["late"] == 0)
    target = run.labels.next_type[asked]
    if not len(target):
        raise Unanswered
    base = counts.sum(axis=0) / counts.sum()
    answers = {
        "model": run.recorded.scores.next_event[asked],
        "first-order Markov": chain[run.recorded.event_type[asked]],
        "base rate": np.tile(base, (len(target), 1)),
    }
    return {
        name: {
            "accuracy": classes.accuracy(classes.confusion(target, p.argmax(axis=1), types)),
            "log_loss": float(classes.row_log_loss(p, target).mean()),
        }
        for name, p in answers.items()
    }


def _purchase(learned: Run, run: Run) -> dict[str, dict[str, float]]:
    known = learned.labels.purchase >= 0
    _need_both(learned.labels.purchase[known] == 1)
    columns = logistic.counts_columns(learned.recorded)[known]
    fitted = logistic.fit_logistic(columns, learned.labels.purchase[known])
    asked = (run.labels.purchase >= 0) & (run.recorded.rows["late"] == 0)
    label = run.labels.purchase[asked] == 1
    _need_both(label)
    rate = float(learned.labels.purchase[known].mean())
    return _binary(
        {
            "model": run.recorded.scores.purchase[asked],
            "logistic regression": fitted.predict(logistic.counts_columns(run.recorded)[asked]),
            "base rate": np.full(len(label), rate),
        },
        label,
    )


def _churn(learned: Run, run: Run, bundle: Bundle, silence_ms: int) -> dict[str, dict[str, float]]:
    """Ask of users silent for so long whether they stay silent for the churn horizon more."""
    edges = bundle.hazard_edges_ms
    horizon_ms = bundle.manifest.churn_horizon_ms
    asked, label = _silent(run, silence_ms, horizon_ms)
    fitted, fitted_label = _silent(learned, silence_ms, horizon_ms)
    _need_both(label)
    _need_both(fitted_label)

    def conditional(hazard: Doubles) -> Doubles:
        return stays_silent(hazard, edges, silence_ms, horizon_ms)

    base = conditional(gaps.base_hazard(learned.labels)[None])
    ratio = np.log(silence_ms / run.gap_ms[asked])
    own = np.log(silence_ms / learned.gap_ms[fitted])
    rule = logistic.fit_logistic(own[:, None], fitted_label.astype(np.int64))
    return _binary(
        {
            "model": conditional(run.recorded.scores.hazard[asked].astype(np.float64)),
            "personal-gap rule": rule.predict(ratio[:, None]),
            "base rate": np.full(len(label), float(base[0])),
        },
        label,
    )


def _silent(run: Run, silence_ms: int, horizon_ms: int) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """Rows in time after which the user was silent so long; True: went on so."""
    rows, stayed = silent_rows(run.labels, silence_ms, horizon_ms)
    in_time = run.recorded.rows["late"][rows] == 0
    return rows[in_time], stayed[in_time]


def _need_both(label: npt.NDArray[np.bool_]) -> None:
    """Raise Unanswered where one of the answers never comes."""
    if not label.any() or label.all():
        raise Unanswered


def _binary(
    answers: dict[str, npt.NDArray[np.floating]], label: npt.NDArray[np.bool_]
) -> dict[str, dict[str, float]]:
    return {
        name: {
            "roc_auc": probabilities.roc_auc(p, label),
            "log_loss": probabilities.log_loss(p, label),
            "brier": probabilities.brier(p, label),
        }
        for name, p in answers.items()
    }
