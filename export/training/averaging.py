"""The mean of a network's weights along the last part of its training. Torch.

Rules of the room: the network that learns is not touched. Its weights go round a better point than
the one where they stop (Izmailov et al., 2018): the mean costs nothing in service.
"""

import copy
from typing import Any, Final, TypeVar

from torch import Tensor, nn

EVERY_BATCHES: Final = 8  # weights of neighbouring batches say the same

Net = TypeVar("Net", bound=nn.Module)


class WeightMean:
    """Mean of some parameters, after each `EVERY_BATCHES` batches from `first_batch` on."""

    def __init__(self, parameters: list[Tensor], first_batch: int) -> None:
        self._parameters = parameters
        self._first_batch = first_batch
        self._count = 0
        self._mean: list[Tensor] = []

    def take(self, batches_done: int) -> None:
        """Add the weights as they are, where it is time. To be called after each batch."""
        if batches_done < self._first_batch or batches_done % EVERY_BATCHES:
            return
        self._count += 1
        if self._count == 1:
            self._mean = [parameter.detach().clone() for parameter in self._parameters]
            return
        for mean, parameter in zip(self._mean, self._parameters, strict=True):
            mean.lerp_(parameter.detach(), 1 / self._count)

    def network(self, learning: Net) -> Net:
        """Copy the network that owns the parameters, with their mean; as it is before there is one.

        Not to be trained further.
        """
        made = copy.deepcopy(learning)
        if self._count:
            held = {id(one): mean for one, mean in zip(self._parameters, self._mean, strict=True)}
            for own, one in zip(made.parameters(), learning.parameters(), strict=True):
                own.data.copy_(held.get(id(one), one.data))
        return made

    def state(self) -> dict[str, Any]:
        """Give what `restore` needs. Not copied."""
        return {"count": self._count, "mean": self._mean}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state of the same parameters."""
        self._count, self._mean = state["count"], state["mean"]
