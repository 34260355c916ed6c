"""Photograph dashboards and live page over some minutes of a real worker: docs/pictures/*.png.

    python -m tests.ops.pictures [MINUTES]

An embedded Kafka, a simulated shop, a worker, a Prometheus. Half-way the worker is killed with
kill -9 and started again while events go on, and a second model runs as a shadow, so that there is
something to see. Drawn by deploy/dashboards/preview.py, photographed by Chromium.
"""

import json
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from PIL import Image

from deploy.dashboards.preview import FOLDER, Preview
from export.bundles.bench_bundle import bench_bundle
from stream.local.kafka import EmbeddedKafka
from tests.deployment import FORECART, environ_of, until
from tests.ops.browser import Browser
from tests.ops.installed import lacking, program
from tests.ops.live import Live

PICTURES: Final = Path(__file__).parents[2] / "docs" / "pictures"
BYTES_MAX: Final = 200_000
RATE: Final = 400.0  # events/s: little, so that two cores are enough for all of it
WIDTH_PX: Final = 1446
TOKEN: Final = "a-token-for-the-picture"  # noqa: S105
COLORS: Final = 200  # in a picture: each line keeps its own

log = logging.getLogger(__name__)


def photograph(page: Path, height: int, picture: Path) -> None:
    """Have Chromium draw a page into a PNG. Raises CalledProcessError."""
    subprocess.run(
        [
            program("chromium"), "--headless", "--no-sandbox", "--disable-gpu",
            "--hide-scrollbars", f"--user-data-dir={page.parent}/chromium",
            f"--window-size={WIDTH_PX},{height}", f"--screenshot={picture}", page.as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )  # fmt: skip
    shrink(picture)


def shrink(picture: Path) -> None:
    """Keep few colours; the octree spares those of thin lines, which the median merges."""
    few = Image.open(picture).convert("RGB").quantize(COLORS, method=Image.Quantize.FASTOCTREE)
    few.save(picture, optimize=True)


def photograph_live(live: Live, folder: Path, picture: Path) -> None:
    """Photograph the live page with a user looked up; it says itself what it is a picture of."""
    with Browser(folder) as browser:
        page = browser.page()
        page.screen(WIDTH_PX, 1000)
        page.open(f"http://127.0.0.1:{live.port}/")
        page.type("#token", TOKEN)
        page.type("#user", "nobody")
        page.press_enter()
        until(lambda: page.text("#predictions .link"), "users on the live page")
        page.click("#predictions .link")
        until(lambda: page.text("#found"), "a user on the live page")
        said = f"picture: one worker on the CPU, a simulated shop at {live.rate:.0f} events/s"
        page.js(f"document.querySelector('#who').append(' | {said}')")
        page.screen(WIDTH_PX, page.js("document.documentElement.scrollHeight"))
        page.photograph(picture)
    shrink(picture)


def shadow(live: Live, folder: Path) -> None:
    """Run a second model beside the one that serves."""
    bench_bundle(folder / "second", 200, hidden=20)
    settings = live.deployment.settings
    subprocess.run(
        [*FORECART, "model", "shadow", str(folder / "second"), "--broker", settings.broker],
        env=environ_of(settings),
        check=True,
        capture_output=True,
        timeout=120,
    )


def watch(live: Live, folder: Path, seconds: float) -> None:
    """Let the minutes pass, with a kill in their middle."""
    live.start()
    began = time.time()
    shadow(live, folder)
    time.sleep(max(0.0, began + seconds / 2 - time.time()))
    live.deployment.worker().kill()
    time.sleep(seconds / 20)  # nobody restarts it at once
    live.deployment.start()
    time.sleep(max(0.0, began + seconds - time.time()))


def main(arguments: list[str]) -> int:
    """Write the pictures. Returns the exit status."""
    logging.basicConfig(level="INFO", format="%(message)s")
    missing = [text for name in ("prometheus", "chromium") if (text := lacking(name))]
    if missing:
        log.error("%s", "; ".join(missing))
        return 1
    seconds = 60 * float(arguments[0]) if arguments else 300.0
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="forecart-pictures-") as name:
        folder = Path(name)
        broker = EmbeddedKafka(folder / "kafka")
        live = Live(broker.up(), folder, RATE, users=2_000, token=TOKEN)
        try:
            watch(live, folder, seconds)
            end = time.time()
            preview = Preview(live.watching.asked, end - seconds, end, "5s")
            for path in sorted(FOLDER.glob("*.json")):
                about = (
                    f"{seconds / 60:.0f} minutes of one worker on the CPU, a simulated shop at"
                    f" {RATE:.0f} events/s whose days are months ago; killed half-way, and back."
                )
                text, height = preview.page(json.loads(path.read_text()), about)
                (folder / "page.html").write_text(text)
                picture = PICTURES / f"{path.stem}.png"
                photograph(folder / "page.html", height, picture)
                log.info("%s: %d bytes", picture.name, picture.stat().st_size)
            photograph_live(live, folder, PICTURES / "forecart-live.png")
        finally:
            live.stop()
            broker.down()
    large = [path.name for path in PICTURES.glob("*.png") if path.stat().st_size > BYTES_MAX]
    if large:
        log.error("larger than %d bytes: %s", BYTES_MAX, ", ".join(large))
    return 1 if large else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
