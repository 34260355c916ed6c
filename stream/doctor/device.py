"""Checks of the device: the driver, CUDA's and cuDNN's libraries, and the golden batch on it.

Rules of the room: nothing is believed that was not loaded or run. Where the setting `provider` is
cpu nothing of a GPU is wanted; where it is prefer, what is missing is a warning.
"""

import contextlib
import ctypes
import io
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import onnxruntime as ort

from stream.doctor.finding import Finding, Verdict
from stream.model.bundle import Bundle
from stream.model.graphs import CUDA
from stream.model.providers import ProviderError, open_graphs
from stream.settings import Settings

DRIVER: Final = "libcuda.so.1"
CUDA_VERSION_MIN: Final = 13_000  # what onnxruntime-gpu 1.31 is built for; cuDriverGetVersion's
# What ONNX Runtime's CUDA provider links to, and cuDNN, which it opens; a test reads its header.
LIBRARIES: Final = (
    "libcudart.so.13", "libcublas.so.13", "libcublasLt.so.13", "libcurand.so.10", "libcudnn.so.9",
)  # fmt: skip
NEWER_DRIVER: Final = "install NVIDIA's driver R580 or newer"


def device_findings(settings: Settings, bundle: Bundle | None) -> Iterator[Finding]:
    """Look at provider, driver and libraries; `bundle`: one that may be run."""
    yield from _installed_twice()
    if settings.provider == "cpu":
        yield Finding("provider", "ok", "cpu, as the setting `provider` says")
        return
    worse: Verdict = "fail" if settings.provider == "require" else "warn"
    if CUDA not in ort.get_available_providers():
        said = f"provider={settings.provider}, but this onnxruntime is built without CUDA"
        yield Finding("provider", worse, said, "onnxruntime-gpu is made for Linux on x86-64; "
                      "elsewhere `--set provider=cpu`")  # fmt: skip
        return
    so = f"provider={settings.provider}: " + (
        "scoring on the CPU" if worse == "warn" else "a worker does not start"
    )
    if not loads(DRIVER):  # the one cause of all that is missing, as a rule: one line
        said = f"no NVIDIA driver: {DRIVER} is not found; {so}"
        cure = (
            f"where there is no GPU `--set provider=cpu`; else {NEWER_DRIVER} (in a container: run"
            " it with `--gpus all`)"
        )
        yield Finding("provider", worse, said, cure)
        return
    found = (_driver(worse, so), _libraries(worse, so))
    yield from found
    if bundle is not None and all(each.verdict == "ok" for each in found):
        yield _golden(settings, bundle, worse)


def _installed_twice() -> Iterator[Finding]:
    """Both packages install the same module, and the later one half."""
    found = []
    for name in ("onnxruntime", "onnxruntime-gpu"):
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    if len(found) > 1:
        cure = "`pip uninstall -y onnxruntime onnxruntime-gpu`, then install forecart anew"
        yield Finding("provider", "fail", f"{' and '.join(found)} are both installed", cure)


def _driver(worse: Verdict, so: str) -> Finding:
    found = ctypes.c_int(0)
    ctypes.CDLL(DRIVER).cuDriverGetVersion(ctypes.byref(found))
    said = f"the NVIDIA driver is made for CUDA {_cuda(found.value)}"
    if found.value < CUDA_VERSION_MIN:
        said += f", {_cuda(CUDA_VERSION_MIN)} is needed; {so}"
        return Finding("driver", worse, said, NEWER_DRIVER)
    return Finding("driver", "ok", said)


def _cuda(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _libraries(worse: Verdict, so: str) -> Finding:
    """Load each; those of Python packages first, as a worker does."""
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
        ort.preload_dlls()
    missing = [name for name in LIBRARIES if not loads(name)]
    if missing:
        said = f"cannot be loaded: {', '.join(missing)}; {so}"
        cure = f"`make setup`; without a clone `pip install 'forecart[gpu]'` into {sys.prefix}"
        return Finding("cuda", worse, said, cure)
    return Finding("cuda", "ok", f"{', '.join(LIBRARIES)} can be loaded")


def _golden(settings: Settings, bundle: Bundle, worse: Verdict) -> Finding:
    try:
        graphs = open_graphs(bundle, settings.provider)
    except ProviderError as error:
        return Finding("provider", "fail", str(error), "see the line; or `--set provider=cpu`")
    if graphs.reason:
        return Finding("provider", worse, graphs.reason, "see the line; or `--set provider=cpu`")
    return Finding("provider", "ok", f"{graphs.provider}, golden batch run on it")


def loads(name: str) -> bool:
    """Try to load a library."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
