"""Which device the model runs on: the policy require, prefer or cpu, and what if it fails.

Rules of the room: ONNX Runtime falls back to the CPU without a word, so nothing is believed that
was not run: the golden batch on every device in use, and the placement of every node read from a
profile. After a failure of the device the batch is rerun on a CPU session that is already loaded,
and the worker stays there (`degraded`) until it is restarted: a device that failed once is not
trusted half-way through a stream.
"""

import ctypes
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import onnxruntime as ort

from stream.model.bundle import Bundle
from stream.model.golden import check_golden
from stream.model.graphs import CPU, CUDA, DeviceError, Floats, Graphs, Integers, OrtGraphs
from stream.model.manifest import BundleError

POLICIES: Final = ("require", "prefer", "cpu")
_LIBRARIES: Final = ("libcudart.so.13", "libcublas.so.13", "libcudnn.so.9")


class ProviderError(RuntimeError):
    """The policy cannot be met. The message is one line and names what is missing."""


class GuardedGraphs:
    """A device, and the CPU behind it. Both have passed the golden batch.

    failures: runs that the device failed, each rerun on the CPU; 0 or 1, since it stays there.
    reason: why the device is not in use, empty when it is or was not asked for.
    on_failure: called when the device fails, on the thread of the run.
    """

    def __init__(
        self,
        device: Graphs | None,
        spare: Graphs,
        reason: str = "",
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._device = device
        self._spare = spare
        self.degraded = False
        self.failures = 0
        self.reason = reason
        self._on_failure = on_failure

    @property
    def provider(self) -> str:
        """Name the provider in use: cpu or cuda."""
        return self._current.provider

    @property
    def _current(self) -> Graphs:
        return self._spare if self._device is None else self._device

    def steps(
        self,
        item_id: Integers,
        side_id: Integers,
        dense: Floats,
        state: Floats,
        lengths: Integers,
    ) -> tuple[Floats, Floats]:
        """Run steps, on the CPU if the device fails."""
        try:
            return self._current.steps(item_id, side_id, dense, state, lengths)
        except DeviceError as error:
            return self._degrade(error).steps(item_id, side_id, dense, state, lengths)

    def heads(
        self, top: Floats, head: Floats, context_id: Integers
    ) -> tuple[Floats, Floats, Floats]:
        """Run the heads, on the CPU if the device fails."""
        try:
            return self._current.heads(top, head, context_id)
        except DeviceError as error:
            return self._degrade(error).heads(top, head, context_id)

    def items(self, top: Floats) -> Floats:
        """Run the item graph, on the CPU if the device fails."""
        try:
            return self._current.items(top)
        except DeviceError as error:
            return self._degrade(error).items(top)

    def _degrade(self, error: DeviceError) -> Graphs:
        """Leave the device for good. Raises the error where the CPU itself has failed."""
        if self._device is None:
            raise error
        self._device = None
        self.degraded = True
        self.failures += 1
        self.reason = f"cuda failed: {error}"
        self._on_failure()
        return self._spare


def open_graphs(
    bundle: Bundle,
    policy: str = "prefer",
    threads: int = 1,
    open_device: Callable[[Bundle, int], Graphs] | None = None,
    on_failure: Callable[[], None] = lambda: None,
) -> GuardedGraphs:
    """Open a bundle as the policy says, golden batch run. Raises ProviderError, BundleError.

    `prefer` without a working device runs on the CPU; `reason` says why. `on_failure` is called
    when the device fails later on.
    """
    if policy not in POLICIES:
        raise ProviderError(f"provider {policy!r}: one of {', '.join(POLICIES)}")
    spare = OrtGraphs(bundle.contents, bundle.manifest.shapes, CPU, threads=threads)
    check_golden(bundle, spare)
    if policy == "cpu":
        return GuardedGraphs(None, spare)
    try:
        device = (open_device or open_cuda)(bundle, threads)
        check_golden(bundle, device)
    except (DeviceError, BundleError) as error:
        if policy == "require":
            raise ProviderError(f"provider require: {error}") from error
        return GuardedGraphs(None, spare, reason=str(error))
    return GuardedGraphs(device, spare, on_failure=on_failure)


def open_cuda(bundle: Bundle, threads: int) -> Graphs:
    """Open a bundle on CUDA, every node there. Raises DeviceError naming what is missing."""
    missing = cuda_missing()
    if missing:
        raise DeviceError(missing)
    shapes = bundle.manifest.shapes
    with tempfile.TemporaryDirectory(prefix="forecart-placement-") as name:
        probe = OrtGraphs(bundle.contents, shapes, CUDA, threads=threads, profile_folder=Path(name))
        check_golden(bundle, probe)
        placed = placement(probe.end_profiling())
    elsewhere = {place: count for place, count in placed.items() if place[0] != CUDA}
    if elsewhere or not placed:
        names = sorted({f"{node} on {provider}" for provider, node in elsewhere})
        raise DeviceError(f"nodes outside CUDA: {', '.join(names) or 'none ran at all'}")
    return OrtGraphs(bundle.contents, shapes, CUDA, threads=threads)


def cuda_missing() -> str:
    """Say what CUDA lacks on this machine, or nothing."""
    if CUDA not in ort.get_available_providers():
        return "this onnxruntime is built without CUDA (onnxruntime-gpu has it, on Linux x86-64)"
    if not _loads("libcuda.so.1"):
        return "no NVIDIA driver here: libcuda.so.1 is not found"
    ort.preload_dlls()
    lacking = [name for name in _LIBRARIES if not _loads(name)]
    if lacking:
        return f"{', '.join(lacking)} not found: install the extra forecart[gpu]"
    return ""


def placement(profiles: list[Path]) -> Mapping[tuple[str, str], int]:
    """Count runs by (provider, kind of node) in ONNX Runtime's profiles."""
    counts: Counter[tuple[str, str]] = Counter()
    for path in profiles:
        for event in json.loads(path.read_text()):
            about = event.get("args", {})
            timed = event.get("cat") == "Node" and event["name"].endswith("_kernel_time")
            if timed and "provider" in about:
                counts[about["provider"], about["op_name"]] += 1
    return counts


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
