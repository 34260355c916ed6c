"""A Prometheus of a test's own: our rules, given targets, scraped each second."""

import shutil
import socket
import subprocess
from pathlib import Path

import yaml

from deploy.dashboards.ask import Prometheus
from tests.deployment import until
from tests.ops.installed import program

DEPLOYED = Path(__file__).parents[2] / "deploy" / "prometheus"
RATE_INTERVAL = "5s"  # four scrapes and one


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class Watching:
    """The process, from start to stop. `folder` holds its config, its data and its log."""

    def __init__(self, folder: Path, targets: list[str]) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = free_port()
        self.asked = Prometheus(f"http://127.0.0.1:{self.port}")
        self._process: subprocess.Popen[bytes] | None = None
        shutil.copytree(DEPLOYED / "rules", folder / "rules", dirs_exist_ok=True)
        deployed = yaml.safe_load((DEPLOYED / "prometheus.yml").read_text())
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": deployed["rule_files"],
            "scrape_configs": [
                {"job_name": "forecart", "static_configs": [{"targets": targets}]},
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))

    def start(self) -> None:
        with (self.folder / "prometheus.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    program("prometheus"),
                    f"--config.file={self.folder}/prometheus.yml",
                    f"--storage.tsdb.path={self.data}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    "--storage.tsdb.retention.time=90d",
                ],
                stdout=log,
                stderr=log,
            )
        until(self._answers, "Prometheus", 60)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "prometheus.log").read_text()[-2000:]
        try:
            return bool(self.asked.now("vector(1)"))
        except OSError:
            return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
