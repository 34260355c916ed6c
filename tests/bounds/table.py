"""Every limit, from limits.toml: its default as the code has it, and the tests at its edge.

Rules of the room: a number of the settings and limits classes that is in no row is found by
test_table.py, and so is a test that is not there. docs/limits.md is written from here:
`python -m tests.bounds.table`, with `--check` it only compares.
"""

import importlib
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from stream.core.config import EngineConfig
from stream.flow.limits import FlowLimits
from stream.settings import Settings
from stream.shell.chunk import ChunkLimits
from stream.wire.limits import Limits

TABLE: Final = Path(__file__).parent / "limits.toml"
TESTS: Final = Path(__file__).parent.parent
PAGE: Final = TESTS.parent / "docs" / "limits.md"
WATCHED: Final = (Settings, EngineConfig, FlowLimits, ChunkLimits, Limits)
# Numbers that bound nothing: choices, thresholds, addresses; and what a setting is passed on as.
NO_LIMITS: Final = frozenset({
    "partitions", "replication", "instance", "standby_replicas", "churn_enter", "churn_leave",
    "churn_high", "churn_horizon_days", "churn_horizon_ms", "model_warm_share",
    "latency_objective_ms", "model_shadow_share",
    "web_port", "refresh_steps", "exclude_recent", "partitions_count",
})  # fmt: skip
PASSED_ON: Final = {
    "topic_bytes_max": "buffer_bytes_max", "merge_hold_ms": "merge_hold_s",
    "at_once_rows_max": "AT_ONCE_ROWS_MAX", "commit_interval_s": "commit_interval_ms",
    "user_ttl_ms": "user_ttl_days", "catch_up_ms": "catch_up_age_s",
}  # fmt: skip
HEAD: Final = """# Limits

Every buffer, batch, table, transaction and retry has one, and does something stated at it. Settings
can be changed ([operations.md](operations.md#settings)), the others stand in the code. Each is
tested just inside, at and beyond it by the tests named. Written by `python -m tests.bounds.table`.
"""


@dataclass(frozen=True, slots=True)
class Limit:
    """A row of the page."""

    owner: str  # module, or module:class
    name: str
    unit: str
    at_limit: str
    tests: tuple[str, ...]  # file::function below tests/

    @property
    def default(self) -> object:
        """Its value; of a class, the field's default."""
        module, _, kind = self.owner.partition(":")
        held = importlib.import_module(module)
        if not kind:
            return getattr(held, self.name)
        return next(f.default for f in fields(getattr(held, kind)) if f.name == self.name)

    @property
    def path(self) -> str:
        """The file where it stands."""
        return self.owner.partition(":")[0].replace(".", "/") + ".py"


def read_table() -> dict[str, list[Limit]]:
    """Read all rows, by section."""
    return {
        section: [
            Limit(*place.split(" "), unit, at_limit, tuple(tests))
            for place, (unit, at_limit, *tests) in rows.items()
        ]
        for section, rows in tomllib.loads(TABLE.read_text()).items()
    }


def page() -> str:
    """Write docs/limits.md."""
    lines = [HEAD]
    for section, rows in read_table().items():
        lines += [
            f"## {section}\n",
            "| limit | default | unit | at it | tests |",
            "|---|---|---|---|---|",
        ]
        for row in rows:
            tests = "<br>".join(f"`{test}`" for test in row.tests)
            where = "" if row.owner.startswith("stream.settings") else f"<br>{row.path}"
            lines.append(
                f"| `{row.name}`{where} | {row.default:,} | {row.unit} | {row.at_limit} | {tests} |"
            )
        lines.append("")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Write the page, or compare it."""
    text = page()
    if "--check" in arguments:
        return int(PAGE.read_text() != text)
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
