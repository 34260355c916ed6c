"""Measures against hand-made cases and scikit-learn; intervals against chance of a known size."""

import numpy as np
import pytest

from export.evaluation import classes, errors, intervals, probabilities, ranking

RNG = np.random.default_rng(1)
LABEL = RNG.random(800) < 0.2
SCORE = np.clip(np.round(RNG.normal(0.3 + 0.2 * LABEL, 0.2), 2), 0.01, 0.99)  # with many ties
WEIGHT = RNG.integers(0, 4, 800).astype(np.float64)
TARGET = RNG.choice(4, 500, p=[0.7, 0.2, 0.1, 0.0])  # class 3 never comes
CHANCE = RNG.dirichlet(np.ones(4), 500)


def test_auc_counts_ties_half() -> None:
    label = np.array([False, False, True, True])
    assert probabilities.roc_auc(np.array([0.1, 0.2, 0.3, 0.4]), label) == 1
    assert probabilities.roc_auc(np.array([0.4, 0.3, 0.2, 0.1]), label) == 0
    assert probabilities.roc_auc(np.array([0.5, 0.5, 0.5, 0.5]), label) == 0.5
    assert probabilities.roc_auc(np.array([0.1, 0.3, 0.3, 0.4]), label) == 0.875
    with pytest.raises(ValueError, match="0 positives"):
        probabilities.roc_auc(np.array([0.1]), np.array([False]))


def test_measures_of_yes_or_no() -> None:
    label = np.array([True, False])
    assert probabilities.log_loss(np.array([0.5, 0.5]), label) == pytest.approx(np.log(2))
    assert probabilities.brier(np.array([0.8, 0.4]), label) == pytest.approx((0.04 + 0.16) / 2)
    assert np.isfinite(probabilities.log_loss(np.array([0.0, 1.0]), label))


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["rows", "weights"])
def test_areas_and_curves_agree_with_scikit_learn(weight: np.ndarray | None) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    held = np.ones(len(LABEL)) if weight is None else weight
    roc = probabilities.weighted_roc_auc(SCORE, LABEL)(held)
    pr = probabilities.weighted_pr_auc(SCORE, LABEL)(held)
    assert roc == pytest.approx(metrics.roc_auc_score(LABEL, SCORE, sample_weight=held))
    assert pr == pytest.approx(metrics.average_precision_score(LABEL, SCORE, sample_weight=held))
    if weight is None:
        assert probabilities.roc_auc(SCORE, LABEL) == pytest.approx(roc)
        assert probabilities.pr_auc(SCORE, LABEL) == pytest.approx(pr)
        assert probabilities.brier(SCORE, LABEL) == pytest.approx(
            metrics.brier_score_loss(LABEL, SCORE)
        )
        assert probabilities.log_loss(SCORE, LABEL) == pytest.approx(metrics.log_loss(LABEL, SCORE))
        x, y, _ = metrics.roc_curve(LABEL, SCORE, drop_intermediate=False)
        assert np.allclose(probabilities.roc_curve(SCORE, LABEL), [x, y])
        precision, recall, _ = metrics.precision_recall_curve(LABEL, SCORE)
        curve = probabilities.pr_curve(SCORE, LABEL)
        assert np.allclose(curve.x, recall[-2::-1])
        assert np.allclose(curve.y, precision[-2::-1])


def test_a_weight_counts_a_row_so_many_times() -> None:
    again = np.repeat(np.arange(len(LABEL)), WEIGHT.astype(int))
    for prepare in (probabilities.weighted_roc_auc, probabilities.weighted_pr_auc):
        assert prepare(SCORE, LABEL)(WEIGHT) == pytest.approx(
            prepare(SCORE[again], LABEL[again])(np.ones(len(again)))
        )
    counted = classes.confusion(TARGET, CHANCE.argmax(axis=1), 4, WEIGHT[:500])
    again = np.repeat(np.arange(500), WEIGHT[:500].astype(int))
    assert (counted == classes.confusion(TARGET[again], CHANCE.argmax(axis=1)[again], 4)).all()


def test_calibration_error_by_hand() -> None:
    p = np.array([0.1] * 10 + [0.6] * 10)
    label = np.array([True] * 2 + [False] * 8 + [True] * 9 + [False])
    assert probabilities.calibration_error(p, label, bins=2) == pytest.approx((0.1 + 0.3) / 2)
    assert probabilities.calibration_error(p, label, bins=7) == pytest.approx((0.1 + 0.3) / 2)
    made = probabilities.reliability(p, label, bins=2)
    assert made.happened == pytest.approx([0.2, 0.9])
    assert made.weight.tolist() == [10, 10]
    even = RNG.random(50_000)
    honest = RNG.random(50_000) < even
    assert probabilities.calibration_error(even, honest) < 0.01
    assert len(probabilities.reliability(even, honest).predicted) == probabilities.BINS


def test_classes_agree_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    answer = CHANCE.argmax(axis=1)
    counted = classes.confusion(TARGET, answer, 4)
    assert (counted == metrics.confusion_matrix(TARGET, answer, labels=range(4))).all()
    assert classes.accuracy(counted) == metrics.accuracy_score(TARGET, answer)
    made = classes.per_class(counted)
    theirs = metrics.precision_recall_fscore_support(
        TARGET, answer, labels=range(4), zero_division=0
    )
    for one, other in zip(made, theirs, strict=True):
        assert one == pytest.approx(other)
    assert classes.row_log_loss(CHANCE, TARGET).mean() == pytest.approx(
        metrics.log_loss(TARGET, CHANCE, labels=range(4))
    )


def test_macro_areas_agree_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    three = CHANCE[:, :3] / CHANCE[:, :3].sum(axis=1, keepdims=True)
    ours = classes.weighted_macro(three, TARGET, probabilities.weighted_roc_auc)
    theirs = metrics.roc_auc_score(TARGET, three, multi_class="ovr", average="macro")
    assert ours(np.ones(500)) == pytest.approx(theirs)
    padded = np.concatenate([three, np.zeros((500, 1))], axis=1)
    same = classes.weighted_macro(padded, TARGET, probabilities.weighted_roc_auc)
    assert same(np.ones(500)) == pytest.approx(theirs), "a class without rows counts nothing"


def test_brier_of_classes_by_hand() -> None:
    rows = classes.row_brier(np.array([[0.5, 0.3, 0.2]]), np.array([1]))
    assert rows == pytest.approx([0.25 + 0.49 + 0.04])


def test_ranks_share_ties_and_miss_the_unknown() -> None:
    scores = np.array([[0.1, 0.5, 0.4], [1.0, 1.0, 1.0], [3.0, 2.0, 2.0], [9.0, 1.0, 1.0]])
    rank = ranking.target_ranks(scores, np.array([2, 0, 1, -1]))
    assert rank.tolist() == [2, 2, 2.5, np.inf]
    assert ranking.hits_at(rank, 2).tolist() == [1, 1, 0, 0]
    assert ranking.reciprocal_at(rank, 2).tolist() == [0.5, 0.5, 0, 0]
    assert ranking.discounted_at(rank, 3) == pytest.approx(
        [1 / np.log2(3), 1 / np.log2(3), 1 / np.log2(3.5), 0]
    )


def test_ranking_agrees_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    scores = RNG.random((200, 30))
    target = RNG.integers(0, 30, 200)
    rank = ranking.target_ranks(scores, target)
    truth = np.eye(30)[target]
    assert ranking.discounted_at(rank, 10).mean() == pytest.approx(
        metrics.ndcg_score(truth, scores, k=10)
    )
    assert ranking.reciprocal_at(rank, 30).mean() == pytest.approx(
        metrics.label_ranking_average_precision_score(truth, scores)
    )
    for top in (1, 5, 29):
        assert ranking.hits_at(rank, top).mean() == pytest.approx(
            metrics.top_k_accuracy_score(target, scores, k=top, labels=range(30))
        )
        lists = np.argsort(-scores, axis=1)[:, :top]
        assert ranking.hit_rate(lists, target) == ranking.hits_at(rank, top).mean()


def test_squared_errors() -> None:
    predicted, true = np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 0.0])
    assert errors.mse(predicted, true) == pytest.approx(13 / 3)
    assert errors.rmse(predicted, true) == pytest.approx(np.sqrt(13 / 3))


def test_intervals_by_user_cover_and_intervals_by_row_do_not() -> None:
    """Users differ far more than a user's rows: 40 users of 25 rows, true mean 0.5."""
    covered = {"user": 0, "row": 0}
    rng = np.random.default_rng(3)
    trials = 80
    for trial in range(trials):
        rate = rng.beta(2, 2, 40)
        user = np.repeat(np.arange(40), 25)
        hit = (rng.random(1000) < rate[user]).astype(float)
        for name, drawn in (("user", user), ("row", np.arange(1000))):
            draws = intervals.draw_users(drawn, seed=trial, draws=100)
            lower, upper = intervals.interval(intervals.replicas(intervals.mean_of(hit), draws))
            covered[name] += lower <= 0.5 <= upper
    assert covered["user"] / trials > 0.85
    assert covered["row"] / trials < 0.75


def test_draws_are_seeded_and_paired_differences_are_narrower() -> None:
    user = np.repeat(np.arange(60), 5)
    hard = RNG.normal(0, 1, 60)[user]
    one, other = hard + RNG.normal(0, 0.1, 300), hard + 0.1 + RNG.normal(0, 0.1, 300)
    draws = intervals.draw_users(user, seed=1, draws=300)
    assert (draws.times == intervals.draw_users(user, seed=1, draws=300).times).all()
    assert (draws.times != intervals.draw_users(user, seed=2, draws=300).times).any()
    first = intervals.replicas(intervals.mean_of(one), draws)
    second = intervals.replicas(intervals.mean_of(other), draws)
    lower, upper = intervals.interval(second - first)
    assert 0.05 < lower < upper < 0.15
    alone = intervals.interval(first)
    assert alone[1] - alone[0] > 4 * (upper - lower)


def test_a_draw_without_positives_has_no_value() -> None:
    user = np.arange(10)
    label = user == 3
    measure = probabilities.weighted_roc_auc(RNG.random(10), label)
    drawn = intervals.replicas(measure, intervals.draw_users(user, seed=1, draws=50))
    assert 0 < np.isnan(drawn).sum() < 50
    assert np.isfinite(intervals.interval(drawn)).all()
    with pytest.raises(ValueError, match="no rows"):
        intervals.draw_users(np.zeros(0, np.int64), seed=1)
