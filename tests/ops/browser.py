"""A real Chromium, driven through its debugging pipe: opens pages, clicks, types, photographs.

Rules of the room: clicks and keys are the browser's own events, at the place where the element is
drawn; every wait has a deadline. No library: messages are JSON, each ended by a zero byte.
"""

import base64
import fcntl
import itertools
import json
import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any, Self

from tests.deployment import until
from tests.ops.installed import program

ANSWER_S = 30.0
HIGH_FD = 10  # above the two that Chromium takes


class Browser:
    """One Chromium process; a context manager."""

    def __init__(self, folder: Path) -> None:
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD, HIGH_FD) for fd in (to_read, to_write)]

        def place() -> None:
            os.dup2(theirs[0], 3)
            os.dup2(theirs[1], 4)

        self._process = subprocess.Popen(
            [
                program("chromium"), "--headless", "--no-sandbox", "--disable-gpu",
                "--hide-scrollbars", "--no-first-run", "--remote-debugging-pipe",
                f"--user-data-dir={folder}/chromium",
            ],
            preexec_fn=place,  # noqa: PLW1509 nothing here runs threads that hold locks
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for fd in (to_read, to_write, *theirs):
            os.close(fd)
        self._ids = itertools.count(1)
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)
        os.close(self._read)
        os.close(self._write)

    def page(self) -> "Page":
        """Open an empty page."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Page(self, target, session)

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Ask for something and wait for the answer."""
        number = next(self._ids)
        note: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session is not None:
            note["sessionId"] = session
        os.write(self._write, json.dumps(note).encode() + b"\0")
        deadline = time.monotonic() + ANSWER_S
        while True:
            for message in self._take(deadline, method):
                if message.get("id") == number:
                    assert "error" not in message, (method, message["error"])
                    result: dict[str, Any] = message["result"]
                    return result

    def _take(self, deadline: float, what: str) -> list[dict[str, Any]]:
        ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"Chromium did not answer {what} within {ANSWER_S} s"
        data = os.read(self._read, 1 << 20)
        assert data, "Chromium has ended"
        *whole, self._rest = (self._rest + data).split(b"\0")
        return [json.loads(text) for text in whole]


class Page:
    """One page of a browser."""

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self._browser = browser
        self._target = target
        self._session = session
        self._call("Page.enable")

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def close(self) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)

    def screen(self, width: int, height: int, *, dark: bool = False, scale: float = 1) -> None:
        """Be so large; below 600 a phone that is touched."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=scale, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Go to an address, and wait until the page is there."""
        self._call("Page.navigate", url=url)
        until(lambda: self.js("document.readyState") == "complete", url, ANSWER_S)

    def js(self, expression: str) -> Any:
        """Evaluate an expression; a promise is waited for."""
        done = self._call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def run(self, script: str) -> None:
        """Evaluate a script in the page, whatever the page's own rules on scripts are."""
        done = self._call("Runtime.evaluate", expression=script)
        assert "exceptionDetails" not in done, done["exceptionDetails"]

    def text(self, selector: str) -> str:
        """What an element says; "": nothing, or it is not to be seen."""
        name = json.dumps(selector)
        said: str = self.js(
            f"(() => {{ const e = document.querySelector({name});"
            " return e?.checkVisibility() ? e.innerText : ''; })()"
        )
        return said

    def click(self, selector: str) -> None:
        """Press and let go in the middle of an element."""
        name = json.dumps(selector)
        x, y = self.js(
            f"(() => {{ const e = document.querySelector({name});"
            " e.scrollIntoView({block: 'center', behavior: 'instant'});"
            " const b = e.getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, selector: str, text: str) -> None:
        """Click into a field, empty it, and type."""
        self.click(selector)
        self.js(f"document.querySelector({json.dumps(selector)}).select()")
        self._call("Input.insertText", text=text)

    def press_enter(self) -> None:
        """Press the key."""
        for kind in ("keyDown", "keyUp"):
            self._call(
                "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r",
                windowsVirtualKeyCode=13,
            )  # fmt: skip

    def photograph(self, path: Path) -> None:
        """Write all of the page, as long as it is, as PNG."""
        shot = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))
