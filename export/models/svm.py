"""Support vector machines: linear, and with a radial kernel by Nystroem's approximation.

An exact kernel machine costs rows squared; Nystroem (Williams and Seeger, 2001) maps rows to
`components` columns whose dot products approximate the kernel, and a linear machine does the rest.
A machine gives margins, not probabilities: Platt's calibration on validation makes them so.
"""

from dataclasses import dataclass
from typing import Any

from sklearn.kernel_approximation import Nystroem
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from export.models.table_model import TableModel


@dataclass
class Svm(TableModel):
    """Squared hinge loss, ridge penalty 1 / `cost`; `components` 0: linear."""

    rows_max: int = 20_000
    by_bin: bool = True
    components: int = 0
    cost: float = 0.01
    gamma: float = 0.005  # of the radial kernel, on standardised columns

    def estimator(self, seed: int) -> Any:
        """Make the machine, behind standardised columns."""
        machine = LinearSVC(C=self.cost, dual=False, random_state=seed)
        if self.components == 0:
            return make_pipeline(StandardScaler(), machine)
        kernel = Nystroem(gamma=self.gamma, n_components=self.components, random_state=seed)
        return make_pipeline(StandardScaler(), kernel, machine)
