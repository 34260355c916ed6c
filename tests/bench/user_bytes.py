"""What a user costs in memory: fields of the layout, arrays, and the growth of this process.

Rules of the room: all users in one engine, filled as a restore fills it; the resident size is the
kernel's. The (h, c) pool is the model's and not in it.
"""

import gc
import os
import sys
from pathlib import Path

from stream.core.engine import Engine
from stream.core.layout import STEP, USER
from stream.shell.memory import give_back
from tests.bench.card import Card
from tests.bench.full_users import FullUsers


def show_memory(users: int) -> None:
    """Print the table of fields, of parts, and the resident bytes per user."""
    window = Card().window_steps
    for name, dtype in (("USER", USER), ("STEP", STEP)):
        for field in dtype.names or ():
            print(f"{name:6}{field:20}{dtype[field].itemsize:6} bytes")
        print(f"{name:6}{'all':20}{dtype.itemsize:6} bytes")
    FullUsers(Card(partitions=1), 64)  # compiled code and libraries are not the users'
    gc.collect()
    before = resident_bytes()
    full = FullUsers(Card(partitions=1), users)
    engine = full.engines[0]
    del full
    gc.collect()
    grown = resident_bytes() - before
    parts = parts_bytes(engine)
    for what, size in parts.items():
        print(f"{what:40}{size / users:10.1f} bytes per user")
    print(f"{'sum':40}{sum(parts.values()) / users:10.1f} bytes per user")
    print(f"{'resident':40}{grown / users:10.1f} bytes per user")
    print(f"slots {len(engine.state.users):,} for {users:,} users; window {window}")


def parts_bytes(engine: Engine) -> dict[str, int]:
    """Add up what the engine keeps per user, objects of Python with it."""
    state = engine.state
    parts = {"users": state.users.nbytes, "ring": state.ring.nbytes}
    for name in ("newer", "older", "free", "dirty", "due_bucket", "hidden_row"):
        parts[name] = getattr(state, name).nbytes
    parts["locals_of"] = engine._locals_of.nbytes
    of = engine._slots._of
    parts["key, in the text of keys"] = int(of.counts[1])  # behind it nothing was written yet
    parts |= {"table of slots": of.table.nbytes, "hashes": of.hashes.nbytes}
    parts["places of keys"] = of.begins.nbytes
    parts["due index"] = sum(map(sys.getsizeof, engine._due._slots.values()))
    return parts


def resident_bytes() -> int:
    """Return this process's resident size, without freed memory, as a worker after its restore."""
    give_back()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
