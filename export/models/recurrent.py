"""LSTM, GRU and RNN as models of the registry: the network that is shipped, trained by train.py."""

from dataclasses import dataclass, field

from export.models.contract import HAZARD, NEXT_ACTION, NEXT_ITEM, PURCHASE, Doubles, Part, Say
from export.models.network_answers import NetworkAnswers, calibrated, curve_of, sizes_of
from export.training.augment import Augment
from export.training.train import Recipe, run_rows
from export.training.train import train as train_network


@dataclass
class Recurrent:
    """Options are those of the recipe; `width` is that of the item table."""

    kind: str = "lstm"
    hidden: int = 50
    layers: int = 2
    width: int = 50
    dropout: float = 0.2
    head_dropout: float = 0.5
    epochs: int = 10
    patience: int = 2
    batch_sequences: int = 32
    rate: float = 3e-3
    crop: float = 0.0  # augmentation: see training/augment.py
    step_dropout: float = 0.0
    exchange: float = 0.0
    questions: frozenset[str] = field(
        default=frozenset({NEXT_ITEM, NEXT_ACTION, PURCHASE, HAZARD}), init=False, repr=False
    )
    curve: list[tuple[float, float]] = field(default_factory=list, init=False, repr=False)
    _answers: NetworkAnswers | None = field(default=None, init=False, repr=False)

    def fit(self, train: Part, validation: Part, seed: int, say: Say) -> None:
        """Train until validation no longer gains."""
        recipe = Recipe(
            kind=self.kind,
            hidden=self.hidden,
            layers=self.layers,
            dropout=self.dropout,
            head_dropout=self.head_dropout,
            epochs=self.epochs,
            patience=self.patience,
            batch_sequences=self.batch_sequences,
            rate=self.rate,
            augment=Augment(self.crop, self.step_dropout, self.exchange),
            seed=seed,
        )
        sizes = sizes_of(train.vocabulary, self.width)
        trained = train_network(train, sizes, recipe, say, validation=validation)
        self.curve = curve_of(trained.epochs)
        self._answers = calibrated(trained.network, run_rows, validation)

    def predict(self, question: str, part: Part) -> Doubles:
        """Answer for all rows of the part."""
        if self._answers is None:
            raise ValueError(f"{question}: not fitted")
        return self._answers.answer(question, part)

    def size_bytes(self) -> int:
        """Bytes of all weights; 0 before fitting."""
        return 0 if self._answers is None else self._answers.size_bytes()
