"""What a search may see: the rows to learn from and those of validation.

Rules of the room: test is not in what leaves this file, so nothing here can be tuned on it.
"""

from dataclasses import dataclass, replace

from export.dataset.folder import Dataset
from export.evaluation.questions import Asked
from export.evaluation.runs import Settings, open_dataset
from export.models.contract import Part


@dataclass(frozen=True, slots=True)
class Learning:
    """Parts of a dataset without its test split."""

    train: Part
    validation: Part
    asked: dict[str, Asked]  # question -> rows of validation whose answer is known
    left_out: dict[str, str]  # question -> why it cannot be tuned for


def learning_of(dataset: Dataset, settings: Settings) -> Learning:
    """Cut a dataset and forget its test split."""
    opened = open_dataset(dataset, replace(settings, asked_splits=("validation",)))
    asked = {question: by_split["validation"] for question, by_split in opened.asked.items()}
    return Learning(opened.parts["train"], opened.parts["validation"], asked, opened.left_out)
