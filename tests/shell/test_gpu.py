"""GPU readings: none without a driver, all gauges with one, silence said once.

No GPU was at hand: NVIDIA's library is stood in for by a plain object with its functions, whose
names are held against the real package where that is installed.
"""

import importlib.util
import logging
from types import SimpleNamespace

import pytest

from stream.shell import gpu
from stream.shell.metrics_table import METRICS


class NVMLError(Exception):
    pass


def library(**changes):
    found = {
        "NVMLError": NVMLError,
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(used=3 << 30, total=80 << 30),
        "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=25 * (handle + 1)),
        "nvmlDeviceGetPowerUsage": lambda handle: 310_500,
    }
    return SimpleNamespace(**(found | changes))


def fail(*_):
    raise NVMLError("GPU is lost")


def opened(monkeypatch, nvml):
    monkeypatch.setattr(gpu.importlib, "import_module", lambda name: nvml)
    return gpu.open_gpus()


def test_every_gauge_is_read_of_every_gpu(monkeypatch):
    readings = opened(monkeypatch, library())()
    assert [reading.gpu for reading in readings] == ["0", "1"]
    assert readings[1].gauges == {
        "gpu_utilization_ratio": 0.5,
        "gpu_memory_used_bytes": 3 << 30,
        "gpu_memory_total_bytes": 80 << 30,
        "gpu_power_watts": 310.5,
    }
    assert set(readings[0].gauges) == {m.name for m in METRICS if m.group == "gpu"}


def test_without_a_driver_or_the_package_there_is_nothing_to_read(monkeypatch, caplog):
    with caplog.at_level(logging.INFO):
        assert opened(monkeypatch, library(nvmlInit=fail)) is None
    assert "no GPU metrics: GPU is lost" in caplog.text

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(gpu.importlib, "import_module", missing)
    assert gpu.open_gpus() is None


def test_a_gpu_that_falls_silent_is_said_once(monkeypatch, caplog):
    nvml = library()
    read = opened(monkeypatch, nvml)
    nvml.nvmlDeviceGetMemoryInfo = fail
    assert read() == []
    assert read() == []
    assert caplog.text.count("does not answer") == 1


@pytest.mark.skipif(not importlib.util.find_spec("pynvml"), reason="nvidia-ml-py is not installed")
def test_the_real_library_has_these_functions():
    nvml = importlib.import_module("pynvml")
    assert all(hasattr(nvml, name) for name in vars(library()))
