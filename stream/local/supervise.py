"""Run a command again when it fails: the plain stand-in for systemd, compose or Kubernetes.

It is started again after 1 s, then 2, 4, ... up to 30 s; one that ran for a minute starts anew at
1 s. An exit code that another start cannot cure is final, and so is a signal to stop.
"""

import logging
import signal
import subprocess
import threading
import time
from collections.abc import Collection, Sequence
from types import FrameType
from typing import Final

log = logging.getLogger(__name__)

WAIT_S_FIRST: Final = 1.0
WAIT_S_MAX: Final = 30.0
HEALTHY_S: Final = 60.0


def supervise(command: Sequence[str], final_codes: Collection[int]) -> int:
    """Run until it ends well, or for good, or a signal comes; returns its exit code."""
    stopping = threading.Event()
    child: subprocess.Popen[bytes] | None = None

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stopping.set()
        if child is not None and child.poll() is None:
            child.send_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    wait_s = WAIT_S_FIRST
    while True:
        began = time.monotonic()
        child = subprocess.Popen(command, start_new_session=True)
        code = child.wait()
        if stopping.is_set() or code == 0 or code in final_codes:
            return code
        if time.monotonic() - began >= HEALTHY_S:
            wait_s = WAIT_S_FIRST
        log.warning("worker ended with %d; starting again in %.0f s", code, wait_s)
        if stopping.wait(wait_s):
            return code
        wait_s = min(2 * wait_s, WAIT_S_MAX)
