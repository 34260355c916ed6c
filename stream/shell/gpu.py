"""What the GPUs say of themselves, by NVIDIA's library (nvidia-ml-py, in the extra `gpu`).

Rules of the room: a machine without GPU, driver or package has no readings, and that is no fault;
a GPU that stops answering is said once in the log and never stops a worker. Indices are the
driver's, which CUDA_VISIBLE_DEVICES does not change.
"""

import importlib
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

log = logging.getLogger(__name__)


class GpuReading(NamedTuple):
    """One GPU at one moment: its index, and its gauges by their name in the metrics' table."""

    gpu: str
    gauges: dict[str, float]


def open_gpus() -> Callable[[], list[GpuReading]] | None:
    """Give what reads all GPUs of this machine; None where there is nothing to read."""
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
    except ImportError:
        return None
    except Exception as error:  # noqa: BLE001 its errors are made at run time: NVMLError_<code>
        log.info("no GPU metrics: %s", error)
        return None
    handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
    return Gpus(nvml, handles).read


class Gpus:
    """The GPUs of a machine."""

    def __init__(self, nvml: Any, handles: list[Any]) -> None:
        self._nvml = nvml
        self._handles = handles
        self._silent = False

    def read(self) -> list[GpuReading]:
        """Read all of them; tens of microseconds each."""
        try:
            readings = [self._read(str(i), handle) for i, handle in enumerate(self._handles)]
        except self._nvml.NVMLError as error:
            if not self._silent:
                log.warning("the GPU does not answer: %s", error)
            self._silent = True
            return []
        self._silent = False
        return readings

    def _read(self, index: str, handle: Any) -> GpuReading:
        nvml = self._nvml
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        gauges = {
            "gpu_utilization_ratio": nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100,
            "gpu_memory_used_bytes": float(memory.used),
            "gpu_memory_total_bytes": float(memory.total),
            "gpu_power_watts": nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
        }
        return GpuReading(index, gauges)
