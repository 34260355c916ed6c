"""ONNX Runtime reports to nobody: it keeps no device id and no events to send."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCORE = """
{imports}
from stream.model.bundle import load_bundle
from stream.model.providers import open_graphs
open_graphs(load_bundle(), "cpu")
"""
# With these it is silent by itself.
BY_ITSELF = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "ORT_DISABLE_TELEMETRY", "PYTEST_CURRENT_TEST")


@pytest.mark.parametrize(
    ("imports", "chosen", "reports"),
    [
        ("import stream", {}, False),
        ("import export.demand.forecaster", {}, False),
        # Without our word it does report here: else the two above would show nothing.
        ("import stream", {"ORT_DISABLE_TELEMETRY": "0"}, True),
    ],
)
def test_no_report_is_kept(tmp_path: Path, imports: str, chosen: dict[str, str], reports: bool):
    home = {name: str(tmp_path) for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR")}
    environ = {key: value for key, value in os.environ.items() if key not in BY_ITSELF}
    if imports.startswith("import export"):
        pytest.importorskip("torch")
    subprocess.run(
        [sys.executable, "-c", SCORE.format(imports=imports)],
        env={**environ, **home, **chosen}, check=True, timeout=120, capture_output=True,
    )  # fmt: skip
    kept = [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name.lower()]
    assert bool(kept) == reports, kept
