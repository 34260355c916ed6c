"""Buyer models: published values, simulated buyers with known parameters, hard corners."""

import itertools

import numpy as np
import pytest
from scipy import integrate

from export.baselines.histories import Histories, histories_of
from export.baselines.mbg_nbd import BetaGeometricNbd, fit_bg_nbd, fit_mbg_nbd
from export.baselines.pareto_nbd import ParetoNbd, fit_pareto_nbd

# Estimates published for the 1/10 sample of CDNOW, in weeks (Fader, Hardie and Lee, 2005).
PARETO = ParetoNbd(0.553, 10.578, 0.606, 11.669)
BG = BetaGeometricNbd(0.243, 4.414, 0.793, 2.426, first_may_be_last=False)
MBG = BetaGeometricNbd(0.525, 6.183, 0.891, 1.614, first_may_be_last=True)


def one(repeats: float, last: float, age: float) -> Histories:
    return Histories(np.array([repeats]), np.array([last]), np.array([age]))


@pytest.mark.parametrize(
    ("model", "seen", "time", "expected"),
    [
        (PARETO, one(26, 30.86, 31), 52, 25.46),  # the vignette of the R package BTYD
        (BG, one(26, 30.86, 31), 52, 25.76),
        (BG, one(2, 30.43, 38.86), 39, 1.226),  # Fader, Hardie and Lee: customer 1
    ],
)
def test_expected_visits_are_the_published_ones(model, seen, time, expected) -> None:
    assert model.expected(seen, time)[0] == pytest.approx(expected, abs=0.006)


def test_p_alive_is_the_published_one() -> None:
    assert PARETO.p_alive(one(26, 30.86, 31))[0] == pytest.approx(0.9979, abs=5e-5)


def test_only_bg_nbd_calls_every_one_time_buyer_alive() -> None:
    seen = one(0, 0, 40)
    assert BG.p_alive(seen)[0] == 1
    assert MBG.p_alive(seen)[0] < 0.6
    assert PARETO.p_alive(seen)[0] < 0.6


def test_the_integral_of_pareto_nbd_holds_for_many_visits_and_odd_parameters() -> None:
    corners = [
        (PARETO, one(0, 0, 39)),
        (PARETO, one(5, 38.9, 39)),
        (PARETO, one(400, 30, 39)),
        (ParetoNbd(0.05, 0.5, 3.0, 2000.0), one(3, 1, 39)),
        (ParetoNbd(5.0, 200.0, 0.05, 0.1), one(30, 12, 39)),
        (ParetoNbd(300.0, 700.0, 0.6, 5.0), one(0, 0, 39)),
    ]
    for model, seen in corners:
        x, last, age = seen.repeats[0], seen.last[0], seen.age[0]

        def log_density(time, model=model, x=x):
            return -(model.r + x) * np.log(model.alpha + time) - (model.s + 1) * np.log(
                model.beta + time
            )

        top = log_density(last)
        width = 1 / ((model.r + x) / (model.alpha + last) + (model.s + 1) / (model.beta + last))
        points = [p for p in last + width * np.array([0.1, 1, 4, 16, 64]) if p < age]
        edges = [last, *points, age]
        gone = sum(
            integrate.quad(lambda t, top=top: np.exp(log_density(t) - top), *pair)[0]
            for pair in itertools.pairwise(edges)
        )
        alive = np.exp(log_density(age) - top) * (model.beta + age) / model.s
        assert model.p_alive(seen)[0] == pytest.approx(alive / (alive + gone), rel=1e-5)


def test_a_visit_just_now_means_alive() -> None:
    for model in (PARETO, BG, MBG):
        chance = model.p_alive(one(4, 39, 39))[0]
        # Only where one leaves by visits may one have left with the last.
        assert chance == 1 if isinstance(model, ParetoNbd) else 0.7 < chance < 1


@pytest.mark.parametrize("model", [PARETO, BG, MBG])
def test_silence_agrees_with_simulated_futures(model) -> None:
    seen, later = simulated(model, 60_000, age=40, horizon=26)
    silent, expected = model.p_silent(seen, 26), model.expected(seen, 26)
    for repeats in (0, 1, 3):  # by what was seen: a model that is right in the mean alone fails
        rows = seen.repeats == repeats
        deviation = 4 * 0.5 / np.sqrt(rows.sum())
        assert silent[rows].mean() == pytest.approx((later[rows] == 0).mean(), abs=deviation)
        spread = 4 * later[rows].std() / np.sqrt(rows.sum())
        assert expected[rows].mean() == pytest.approx(later[rows].mean(), abs=spread)


@pytest.mark.parametrize(
    ("fit", "model"), [(fit_bg_nbd, BG), (fit_mbg_nbd, MBG), (fit_pareto_nbd, PARETO)]
)
def test_fitting_finds_the_parameters_in_any_unit_of_time(fit, model) -> None:
    seen, _ = simulated(model, 8_000, age=40, horizon=1)
    seen = Histories(seen.repeats, np.round(seen.last, 1), seen.age)
    weeks = fit(seen)
    assert weeks.log_likelihood(seen).sum() >= model.log_likelihood(seen).sum()
    assert weeks.r == pytest.approx(model.r, rel=0.2)
    assert weeks.alpha == pytest.approx(model.alpha, rel=0.2)
    assert weeks.p_silent(seen, 26).mean() == pytest.approx(
        model.p_silent(seen, 26).mean(), abs=0.01
    )
    days = fit(Histories(seen.repeats, seen.last * 7, seen.age * 7))
    assert days.alpha / 7 == pytest.approx(weeks.alpha, rel=1e-3)


def test_nothing_to_fit_is_said() -> None:
    with pytest.raises(ValueError, match="no repeated visit among 1 users"):
        fit_mbg_nbd(one(0, 0, 10))


def test_histories_count_visits_before_the_cut() -> None:
    user = np.array([1, 0, 0, 0, 1, 0])
    time = np.array([7.0, 1.0, 1.4, 5.0, 3.0, 9.0])
    seen = histories_of(user, time, 9.0, users_count=2, apart=0.5)
    assert seen.repeats.tolist() == [1, 1]  # 1.0 and 1.4 are one visit; 9.0 is not before the cut
    assert seen.last.tolist() == [4, 4]
    assert seen.age.tolist() == [8, 6]
    with pytest.raises(ValueError, match="1 of 3 users have no visit before 9"):
        histories_of(user, time, 9.0, users_count=3)


def simulated(model, users: int, age: float, horizon: float) -> tuple[Histories, np.ndarray]:
    """Draw users of a model: what was seen of them until `age`, visits in the time after."""
    rng = np.random.default_rng(3)
    rate = rng.gamma(model.r, 1 / model.alpha, users)
    if isinstance(model, ParetoNbd):
        leaves = rng.exponential(1 / rng.gamma(model.s, 1 / model.beta, users))
        stops = np.zeros(users)
    else:
        leaves = np.full(users, np.inf)
        stops = rng.beta(model.a, model.b, users)
    time, here = np.zeros(users), np.ones(users, bool)
    if not isinstance(model, ParetoNbd) and model.first_may_be_last:
        here &= rng.random(users) >= stops
    repeats, last, later = np.zeros(users), np.zeros(users), np.zeros(users)
    while here.any():
        time = np.where(here, time + rng.exponential(1, users) / rate, time)
        here &= (time < leaves) & (time < age + horizon)
        before = here & (time < age)
        repeats += before
        last = np.where(before, time, last)
        later += here & ~before
        here &= rng.random(users) >= stops
    return Histories(repeats, last, np.full(users, float(age))), later
