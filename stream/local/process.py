"""A detached process: start it in a session of its own, know it again, stop it.

Rules: a process is (pid, start mark); a pid alone may have been given to another program since.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

POLL_S = 0.05
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def start_mark(pid: int) -> str:
    """Tell when a process started, as text that no later process of this pid has; "": none runs."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        if BOOT_ID.exists():
            return ""
    except ProcessLookupError:
        return ""
    else:
        state, ticks = fields[0], fields[19]
        boot = BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""
        return "" if state in "ZX" else f"{boot}/{ticks}"
    # No /proc (macOS): ask ps.
    done = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = done.stdout.strip().partition(" ")
    return "" if not started or state.startswith("Z") else started.strip()


def start(command: list[str], output: Path, cwd: Path) -> int:
    """Start a command in its own session, its parent gone, and return its pid.

    The shell in between ends at once, so that the process is nobody's child: no zombie stays with
    a caller that lives on, and Ctrl-C in the caller's terminal does not reach it.
    """
    with output.open("wb") as sink:
        done = subprocess.run(
            ["/bin/sh", "-c", 'exec 3>&1 >&2; "$@" 3>&- & echo $! >&3', "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=sink,
            cwd=cwd,
            start_new_session=True,
            check=True,
        )
    return int(done.stdout)


def running(pid: int, mark: str) -> bool:
    """Say whether this very process still runs."""
    return bool(mark) and start_mark(pid) == mark


def stop(pid: int, mark: str, *, deadline_s: float) -> bool:
    """Ask a process to end, then kill it; wait until it is gone. False: it had to be killed."""
    gently = _signal_and_wait(pid, mark, signal.SIGTERM, deadline_s)
    if not gently and not _signal_and_wait(pid, mark, signal.SIGKILL, 10.0):
        raise TimeoutError(f"process {pid} does not end, not even killed")
    return gently


def _signal_and_wait(pid: int, mark: str, number: signal.Signals, deadline_s: float) -> bool:
    until = time.monotonic() + deadline_s
    if running(pid, mark):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return True
    while running(pid, mark):
        if time.monotonic() > until:
            return False
        time.sleep(POLL_S)
    return True
