"""Which device is used, and what happens when it fails: faults are put in at the session seam."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stream.model.graphs as room
from stream.model.bundle import Bundle
from stream.model.graphs import CPU, CUDA, CUDA_BUCKETS, DeviceError, OrtGraphs, padded
from stream.model.providers import (
    GuardedGraphs,
    ProviderError,
    cuda_missing,
    open_graphs,
    placement,
)
from stream.model.scorer import OnnxScorer
from tests.model.plans import Segment, history, plan_of


class FailingDevice:
    """A device that is right until it has run `runs_left` times, and then fails for good."""

    provider = "cuda"

    def __init__(self, inner: OrtGraphs, runs_left: int = 10**9, skew: float = 0.0) -> None:
        self.inner = inner
        self.runs_left = runs_left
        self.skew = skew
        self.failed = 0

    def _run(self, result: Any) -> Any:
        if self.runs_left == 0:
            self.failed += 1
            raise DeviceError("CUDA error 700: an illegal memory access")
        self.runs_left -= 1
        return result

    def steps(self, *arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tops, state = self._run(self.inner.steps(*arrays))
        return tops, state + np.float32(self.skew)

    def heads(self, *arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._run(self.inner.heads(*arrays))

    def items(self, *arrays: np.ndarray) -> np.ndarray:
        return self._run(self.inner.items(*arrays))


def test_cpu_asks_for_no_device(bundle: Bundle) -> None:
    def never(*_: Any) -> FailingDevice:
        raise AssertionError("a device was opened")

    graphs = open_graphs(bundle, "cpu", open_device=never)
    assert (graphs.provider, graphs.degraded, graphs.reason) == ("cpu", False, "")


def test_prefer_falls_back_and_says_why(bundle: Bundle) -> None:
    def missing(*_: Any) -> FailingDevice:
        raise DeviceError("no NVIDIA driver here")

    graphs = open_graphs(bundle, "prefer", open_device=missing)
    assert (graphs.provider, graphs.degraded) == ("cpu", False)
    assert graphs.reason == "no NVIDIA driver here"


def test_require_refuses_naming_what_is_missing(bundle: Bundle) -> None:
    def missing(*_: Any) -> FailingDevice:
        raise DeviceError("libcudnn.so.9 not found")

    with pytest.raises(ProviderError, match=r"provider require: libcudnn\.so\.9 not found"):
        open_graphs(bundle, "require", open_device=missing)


def test_an_unknown_policy_is_refused(bundle: Bundle) -> None:
    with pytest.raises(ProviderError, match="'gpu'"):
        open_graphs(bundle, "gpu")


@pytest.mark.parametrize("policy", ["require", "prefer"])
def test_a_working_device_is_used(bundle: Bundle, graphs: OrtGraphs, policy: str) -> None:
    opened = open_graphs(bundle, policy, open_device=lambda *_: FailingDevice(graphs))
    assert (opened.provider, opened.degraded, opened.reason) == ("cuda", False, "")


def test_a_device_that_calculates_otherwise_is_not_trusted(
    bundle: Bundle, graphs: OrtGraphs
) -> None:
    """As with TF32: everything runs, the numbers are a little off."""

    def skewed(*_: Any) -> FailingDevice:
        return FailingDevice(graphs, skew=2 * bundle.manifest.tolerance)

    with pytest.raises(ProviderError, match="golden batch on cuda: state_next differs"):
        open_graphs(bundle, "require", open_device=skewed)
    assert open_graphs(bundle, "prefer", open_device=skewed).provider == "cpu"


@pytest.mark.parametrize("runs", range(6))
def test_a_failing_device_costs_a_rerun_and_nothing_else(
    bundle: Bundle, graphs: OrtGraphs, runs: int
) -> None:
    """Whichever run fails (steps, heads or items), the scores are those of the CPU."""
    plan = plan_of([Segment(*history(bundle, 4, seed), -1, seed) for seed in range(5)])
    device = FailingDevice(graphs, runs)
    guarded = GuardedGraphs(device, graphs)
    scorer, plain = OnnxScorer(bundle, guarded), OnnxScorer(bundle, graphs)
    for made in (scorer, plain):
        made.open(0, 8)
    assert scorer.provider == "cuda"
    for _ in range(2):
        for one, other in zip(scorer.score(0, plan), plain.score(0, plan), strict=True):
            assert np.array_equal(one, other)
    assert (guarded.provider, guarded.degraded, guarded.failures) == ("cpu", True, 1)
    assert device.failed == 1, "a degraded worker must not ask the device again"
    assert "CUDA error 700" in guarded.reason
    assert np.array_equal(scorer._pools[0].state, plain._pools[0].state)


def test_a_failing_cpu_is_no_reason_to_go_on(bundle: Bundle, graphs: OrtGraphs) -> None:
    guarded = GuardedGraphs(None, FailingDevice(graphs, 0))
    with pytest.raises(DeviceError):
        guarded.items(np.zeros((1, bundle.manifest.shapes.top), np.float32))


class BrokenSession:
    """An ONNX Runtime session that fails as one does on a lost device."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def run(self, *_: Any) -> Any:
        raise self.error


@pytest.mark.parametrize("kind", room._DEVICE_ERRORS)
def test_a_failure_inside_onnx_runtime_is_a_device_error(
    bundle: Bundle, kind: type[Exception]
) -> None:
    graphs = OrtGraphs(bundle.contents, bundle.manifest.shapes, CPU)
    graphs._graphs["items"].session = BrokenSession(kind("CUDA failure\n 700"))
    with pytest.raises(DeviceError, match="CUDA failure 700"):
        graphs.items(np.zeros((1, bundle.manifest.shapes.top), np.float32))


def test_a_wrong_call_is_no_device_error(bundle: Bundle, graphs: OrtGraphs) -> None:
    with pytest.raises(Exception, match=r"(?i)invalid") as caught:
        graphs.items(np.zeros((1, 3), np.float32))
    assert not isinstance(caught.value, DeviceError)


def test_cuda_without_a_device_is_named(bundle: Bundle) -> None:
    missing = cuda_missing()
    if not missing:
        pytest.skip("this machine has CUDA: tests/model/test_cuda.py is for it")
    assert any(word in missing for word in ("driver", "onnxruntime", "forecart[gpu]"))
    with pytest.raises(ProviderError) as caught:
        open_graphs(bundle, "require")
    assert missing in str(caught.value)


def test_onnx_runtime_falling_back_is_noticed(bundle: Bundle) -> None:
    if not cuda_missing():
        pytest.skip("this machine has CUDA")
    with pytest.raises((DeviceError, room.BundleError)):
        OrtGraphs(bundle.contents, bundle.manifest.shapes, CUDA)


def test_placement_is_read_from_the_profile(bundle: Bundle, tmp_path: Path) -> None:
    graphs = OrtGraphs(bundle.contents, bundle.manifest.shapes, CPU, profile_folder=tmp_path)
    top = np.zeros((2, bundle.manifest.shapes.top), np.float32)
    graphs.items(top)
    graphs.items(top)
    placed = placement(graphs.end_profiling())
    assert placed[CPU, "MatMul"] >= 2
    assert {provider for provider, _ in placed} == {CPU}


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 63, 64, 65, 1023, 1024, 1025, 2048, 2049])
def test_bound_runs_equal_plain_ones(bundle: Bundle, rows: int) -> None:
    """The way of CUDA, padded buckets through I/O binding, on the CPU."""
    graphs = OrtGraphs(bundle.contents, bundle.manifest.shapes, CPU)
    rng = np.random.default_rng(rows)
    top = rng.standard_normal((rows, bundle.manifest.shapes.top)).astype(np.float32)
    head = rng.standard_normal((rows, bundle.manifest.shapes.head)).astype(np.float32)
    context = rng.integers(0, 3, (rows, 3)).astype(np.int32)
    plain = graphs.heads(top, head, context)
    for graph in graphs._graphs.values():
        graph._on_device = True
    for one, other in zip(plain, graphs.heads(top, head, context), strict=True):
        assert one.shape == other.shape
        assert np.abs(one - other).max() < 1e-6


@pytest.mark.parametrize(
    ("rows", "size"), [(1, 16), (16, 16), (17, 64), (1023, 1024), (1024, 1024)]
)
def test_batches_are_padded_to_buckets(rows: int, size: int) -> None:
    array = padded(np.ones((rows, 3), np.float32))
    assert (len(array), float(array.sum())) == (size, 3 * rows)
    assert size in CUDA_BUCKETS
