"""On a machine with CUDA: every node there, the golden batch within tolerance, padded batches."""

import numpy as np
import pytest

from stream.model.bundle import Bundle
from stream.model.golden import check_golden
from stream.model.graphs import OrtGraphs
from stream.model.providers import cuda_missing, open_cuda, open_graphs
from stream.model.scorer import OnnxScorer
from tests.model.plans import Segment, history, plan_of

pytestmark = pytest.mark.skipif(bool(cuda_missing()), reason=f"no CUDA: {cuda_missing()}")


def test_require_opens_cuda(bundle: Bundle) -> None:
    assert open_graphs(bundle, "require").provider == "cuda"
    assert check_golden(bundle, open_cuda(bundle, 1)) <= bundle.manifest.tolerance


@pytest.mark.parametrize("users", [1, 17, 1500])
def test_scores_are_those_of_the_cpu(bundle: Bundle, graphs: OrtGraphs, users: int) -> None:
    plan = plan_of([Segment(*history(bundle, 1 + seed % 5, seed)) for seed in range(users)])
    answers = []
    for opened in (graphs, open_cuda(bundle, 1)):
        scorer = OnnxScorer(bundle, opened)
        scorer.open(0, 1)
        answers.append(scorer.score(0, plan))
    for name in ("next_event", "purchase", "hazard"):
        difference = np.abs(getattr(answers[0], name) - getattr(answers[1], name)).max()
        assert difference <= bundle.manifest.tolerance, name
