"""The recurrent models that can be trained, one a file; weights.py is what all of them become."""

from collections.abc import Callable
from typing import Final

from torch import nn

from export.models.gru import GruCore
from export.models.lstm import LstmCore
from export.models.rnn import RnnCore

# kind -> (input width, hidden width, layers) -> core. A new kind also needs its ONNX nodes.
CORES: Final[dict[str, Callable[[int, int, int], nn.Module]]] = {
    "lstm": LstmCore,
    "gru": GruCore,
    "rnn": RnnCore,
}
