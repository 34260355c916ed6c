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


MODELS: Final[dict[str, Entry]] = {}


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
