"""What the buyer models need of a user: how often, how lately, for how long (x, t_x, T).

Rules of the room: numpy, and scipy's optimiser. Times are numbers in one unit of the caller's
choice (days, hours); nothing at or after the cut is looked at.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import optimize

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LOG_PARAMETER_MAX: Final = 12.0  # parameters stay within e^-12 and e^12 of the users' mean age


@dataclass(frozen=True, slots=True)
class Histories:
    """B users, counted from each one's first visit, which is no repeat."""

    repeats: Doubles  # (B,) x: visits after the first
    last: Doubles  # (B,) t_x: first to last visit, 0 without repeats
    age: Doubles  # (B,) T: first visit to the cut

    def __len__(self) -> int:
        """Count the users."""
        return len(self.age)

    def older(self, time: float) -> "Histories":
        """Give the same users after `time` more without a visit."""
        return Histories(self.repeats, self.last, self.age + time)


def histories_of(
    user: Integers, time: Doubles, cut: float, *, users_count: int, apart: float = 0.0
) -> Histories:
    """Sum up the visits before the cut: B = users_count, by number of the user.

    `user` (N,) and `time` (N,) in any order. What follows a user's event within `apart` is the same
    visit. Raises ValueError for a user without a visit before the cut.
    """
    before = time < cut
    user, time = user[before], time[before]
    order = np.lexsort((time, user))
    user, time = user[order], time[order]
    same = (np.diff(user, prepend=-1) == 0) & (np.diff(time, prepend=-np.inf) <= apart)
    user, time = user[~same], time[~same]
    visits = np.bincount(user, minlength=users_count)
    if len(visits) != users_count or (visits == 0).any():
        absent = int((visits[:users_count] == 0).sum())
        raise ValueError(f"{absent} of {users_count} users have no visit before {cut:g}")
    ends = visits.cumsum()
    first, last = time[ends - visits], time[ends - 1]
    return Histories((visits - 1).astype(np.float64), last - first, cut - first)


def fit_by_likelihood(
    log_likelihood: Callable[[Histories, Doubles], Doubles],
    seen: Histories,
    start: Doubles,
    timed: npt.NDArray[np.bool_],
) -> Doubles:
    """Find the parameters (all positive) that make the histories likeliest.

    `start` are parameters where the mean age is 1; `timed` says which have the unit of time. The
    search is over logarithms, on distinct histories counted. Raises ValueError where it fails.
    """
    if not len(seen) or not seen.repeats.any():
        raise ValueError(f"no repeated visit among {len(seen)} users: nothing to fit")
    scale = float(seen.age.mean())
    table = np.stack([seen.repeats, seen.last / scale, seen.age / scale], axis=1)
    table, counts = np.unique(table, axis=0, return_counts=True)
    scaled = Histories(*table.T)

    def loss(logs: Doubles) -> float:
        return float(-(counts @ log_likelihood(scaled, np.exp(logs))) / len(seen))

    bound = (-LOG_PARAMETER_MAX, LOG_PARAMETER_MAX)
    found = optimize.minimize(
        loss, np.log(start), method="L-BFGS-B", bounds=[bound] * len(start), options={"ftol": 1e-11}
    )
    if not np.isfinite(found.fun):
        raise ValueError(f"the likelihood has no maximum: {found.message}")
    parameters = np.exp(found.x)
    parameters[timed] *= scale
    return np.asarray(parameters)
