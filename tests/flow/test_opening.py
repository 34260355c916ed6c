"""A bundle that is opened on a device: predictions name the one that scored them, always."""

import pytest

from stream.flow.opening import Opener
from stream.model.bundle import load_bundle
from stream.model.graphs import CPU, OrtGraphs
from stream.settings import Settings
from stream.shell.metrics import Metrics
from tests.model.plans import Segment, history, plan_of
from tests.model.test_providers import FailingDevice


def test_after_a_failure_of_cuda_predictions_say_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = load_bundle()
    device = FailingDevice(OrtGraphs(bundle.contents, bundle.manifest.shapes, CPU))
    monkeypatch.setattr("stream.model.providers.open_cuda", lambda *_: device)
    metrics = Metrics(4)
    serving = Opener(Settings(provider="prefer"), 4, metrics).first(None)
    metrics.model(serving.version, "x", serving.provider, "float32")
    encoder = serving.effects._encoder
    assert (serving.provider, encoder._provider) == ("cuda", b"cuda")
    serving.scorer.open(0, 8)
    plan = plan_of([Segment(*history(bundle, 4, 0)), Segment(*history(bundle, 3, 1))])
    serving.scorer.score(0, plan)
    assert serving.effects._encoder is encoder
    assert serving.scorer.padded_steps == 1  # a rectangle of 4 by 2 over 7 steps
    device.runs_left = 0
    serving.scorer.score(0, plan)
    assert serving.effects._encoder._provider == b"cpu"
    assert metrics.series.number("provider_fallbacks_total") == 1
    assert metrics.series.children("model_info")[0][2] == "cpu"
