"""All models by name: what each is, what it answers, what it costs, what may be tuned.

Rules of the room: one line of the table a model; its file is imported when it is made, so that a
list of names needs neither torch nor scikit-learn. A model's options are the fields of its
dataclass, named in `space` with the values that a search may try.
"""

from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final, cast

from export.models.contract import HAZARD, NEXT_ACTION, NEXT_ITEM, PURCHASE, Model

_ALL: Final = (NEXT_ITEM, NEXT_ACTION, PURCHASE, HAZARD)
_TABLE: Final = (NEXT_ACTION, PURCHASE, HAZARD)


@dataclass(frozen=True, slots=True)
class Entry:
    """One model as a row of a report and as something to be made."""

    family: str  # baseline | table | graph | recurrent
    questions: tuple[str, ...]
    about: str
    cost: str  # of training: what it grows with
    place: str  # module:attribute under export.models
    options: dict[str, Any] = field(default_factory=dict)  # what makes it this model
    space: dict[str, tuple[Any, ...]] = field(default_factory=dict)  # what a search may try


_RECURRENT: Final[dict[str, tuple[Any, ...]]] = {
    "hidden": (32, 50, 100),
    "layers": (1, 2),
    "dropout": (0.1, 0.2, 0.4),
    "rate": (1e-3, 3e-3, 6e-3),
    "batch_sequences": (16, 32, 64),
}
_GRAPH: Final[dict[str, tuple[Any, ...]]] = {
    "layers": (1, 2),
    "dropout": (0.1, 0.2, 0.4),
    "rate": (1e-3, 3e-3, 6e-3),
    "batch_rows": (128, 256, 512),
}

MODELS: Final[dict[str, Entry]] = {
    "popularity": Entry(
        "baseline", (NEXT_ITEM,), "the most frequent items, the same for all", "rows",
        "item_baselines:Popularity",
    ),
    "last-item": Entry(
        "baseline", (NEXT_ITEM,), "the item seen last once more", "rows",
        "item_baselines:LastItem",
    ),
    "markov": Entry(
        "baseline", (NEXT_ITEM, NEXT_ACTION), "what followed the last item, the last type",
        "pairs of items", "item_baselines:Markov",
    ),
    "item-knn": Entry(
        "baseline", (NEXT_ITEM,), "items of the same visits as the last item",
        "pairs of items of a visit", "item_baselines:ItemKnn",
    ),
    "base-rate": Entry(
        "baseline", _TABLE, "shares of the answers, the same for all", "rows",
        "rate_baselines:BaseRate",
    ),
    "personal-gap": Entry(
        "baseline", (HAZARD,), "silence beside the user's own gap between visits", "rows",
        "rate_baselines:PersonalGap", space={"prior": (0.5, 2.0, 8.0)},
    ),
    "mbg-nbd": Entry(
        "baseline", (HAZARD,), "buyers that come at a rate of their own and may leave",
        "users x steps of the optimiser", "rate_baselines:MbgNbd",
    ),
    "logistic": Entry(
        "baseline", _TABLE, "logistic regression on counters, recency and clock",
        "rows x columns squared", "logistic_regression:LogisticRegression",
        options={"head_only": True}, space={"ridge": (0.1, 1.0, 10.0, 100.0)},
    ),
    "logistic-window": Entry(
        "table", _TABLE, "logistic regression on all window features",
        "rows x columns squared", "logistic_regression:LogisticRegression",
        space={"ridge": (0.1, 1.0, 10.0, 100.0)},
    ),
    "decision-tree": Entry(
        "table", _TABLE, "one tree: readable, quick, coarse", "rows x columns x depth",
        "decision_tree:DecisionTree",
        space={"depth": (4, 6, 8, 12), "leaf": (20, 50, 100, 300)},
    ),
    "random-forest": Entry(
        "table", _TABLE, "many deep trees on drawn rows and columns, averaged",
        "trees x rows x root of columns", "random_forest:RandomForest",
        space={"trees": (50, 100, 200), "depth": (8, 12, 20), "leaf": (5, 20, 50)},
    ),
    "adaboost": Entry(
        "table", _TABLE, "small trees in a row, each on the rows the others got wrong",
        "trees x rows x columns", "adaboost:AdaBoost",
        space={"trees": (30, 60, 120), "depth": (1, 2, 3), "rate": (0.1, 0.5, 1.0)},
    ),
    "gradient-boosting": Entry(
        "table", _TABLE, "small trees in a row, each on what the others left over",
        "trees x rows x columns", "gradient_boosting:GradientBoosting",
        space={
            "trees": (50, 100, 200), "leaves": (7, 15, 31), "rate": (0.03, 0.08, 0.2),
            "ridge": (0.0, 1.0, 10.0),
        },
    ),
    "svm-linear": Entry(
        "table", _TABLE, "the widest margin between answers", "rows x columns", "svm:Svm",
        space={"cost": (0.001, 0.01, 0.1)},
    ),
    "svm-rbf": Entry(
        "table", _TABLE, "the widest margin under a radial kernel (Nystroem)",
        "rows x components", "svm:Svm", options={"components": 300},
        space={"cost": (0.001, 0.01, 0.1), "gamma": (0.001, 0.005, 0.02)},
    ),
    "stacked": Entry(
        "table", _TABLE, "a regression over logistic, forest and boosting, out of fold by time",
        "about twice its members", "stacked:Stacked",
        space={"trees": (30, 60, 120), "stretches": (3, 4, 6)},
    ),
    "lstm": Entry(
        "recurrent", _ALL, "LSTM over the steps of the window: what is shipped",
        "epochs x steps x hidden squared + rows x items", "recurrent:Recurrent",
        options={"kind": "lstm"}, space=_RECURRENT,
    ),
    "gru": Entry(
        "recurrent", _ALL, "GRU over the steps of the window",
        "epochs x steps x hidden squared + rows x items", "recurrent:Recurrent",
        options={"kind": "gru"}, space=_RECURRENT,
    ),
    "rnn": Entry(
        "recurrent", _ALL, "plain recurrent network over the steps of the window",
        "epochs x steps x hidden squared + rows x items", "recurrent:Recurrent",
        options={"kind": "rnn"}, space=_RECURRENT,
    ),
    "lstm-crop": Entry(
        "recurrent", _ALL, "lstm; half of its training sequences are cut at a random step",
        "as lstm", "recurrent:Recurrent", options={"kind": "lstm", "crop": 0.5},
    ),
    "lstm-step-dropout": Entry(
        "recurrent", _ALL, "lstm; a tenth of the steps are left out in training",
        "as lstm", "recurrent:Recurrent", options={"kind": "lstm", "step_dropout": 0.1},
    ),
    "lstm-exchange": Entry(
        "recurrent", _ALL, "lstm; neighbours within 10 s change places in training, 3 of 10",
        "as lstm", "recurrent:Recurrent", options={"kind": "lstm", "exchange": 0.3},
    ),
    "graph-gated": Entry(
        "graph", _ALL, "session graph, gated messages along its edges (SR-GNN)",
        "epochs x rows x (steps x width squared + items)", "graph:Graph",
        options={"kind": "gated"}, space=_GRAPH,
    ),
    "graph-attention": Entry(
        "graph", _ALL, "session graph, attention to neighbours (GAT, as in GCE-GNN)",
        "epochs x rows x (steps squared x width + items)", "graph:Graph",
        options={"kind": "attention"}, space=_GRAPH,
    ),
}  # fmt: skip


def make(name: str, **options: Any) -> Model:
    """Make an unfitted model. Raises ValueError for an unknown name or option."""
    entry = MODELS.get(name)
    if entry is None:
        raise ValueError(f"no model is called {name}; there are {', '.join(MODELS)}")
    module, attribute = entry.place.split(":")
    build = getattr(import_module(f"export.models.{module}"), attribute)
    unknown = sorted(options.keys() - build.__dataclass_fields__.keys())
    if unknown:
        raise ValueError(f"{name} has no option {', '.join(unknown)}")
    return cast("Model", build(**(entry.options | options)))
