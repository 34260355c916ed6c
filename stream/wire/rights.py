"""What each role may do on the broker, and nothing more: the least that its commands work with.

Rules of the room: pure data, beside the topics; `forecart topics acls` prints it, docs/security.md
shows it, a worker compares itself with it at its start, and a test runs with exactly these.
"""

from dataclasses import dataclass
from typing import Final

from stream.wire.topics import (
    ALERTS,
    CONTROL,
    DEAD_LETTERS,
    ERASURES,
    INPUTS,
    PREDICTIONS,
    RECEIPTS,
    STATE,
    TABLE,
)

ROLES: Final = {
    "worker": "forecart worker",
    "publisher": "what writes events; `simulate`, `replay`, `dlq replay`",
    "reader": "what reads predictions and alerts; `tail`",
    "auditor": "`audit`, `state`, `explain`, `dlq list`, `dlq show`, `model show`",
    "operator": "`topics apply`, `topics describe`, `model activate`, `shadow`, `rollback`",
}


@dataclass(frozen=True, slots=True)
class Right:
    """Operations on one resource, as kafka-acls.sh calls them."""

    kind: str  # topic, group or transactional-id
    name: str
    operations: tuple[str, ...]  # Read and Write hold Describe
    is_prefix: bool = False  # of the names of resources


def rights_of(role: str, topic_prefix: str, group: str) -> list[Right]:
    """Name the rights of a role, one a resource. Raises KeyError on an unknown role."""
    everything = tuple(topic.name for topic in TABLE)
    operate = ("Create", "Describe", "DescribeConfigs", "AlterConfigs")
    by_role: dict[str, dict[str, tuple[str, ...]]] = {
        "worker": {
            **dict.fromkeys((*INPUTS, CONTROL), ("Read",)),
            **dict.fromkeys((PREDICTIONS, ALERTS, DEAD_LETTERS, RECEIPTS, ERASURES), ("Write",)),
            STATE: ("Read", "Write"),
        },
        "publisher": dict.fromkeys(INPUTS, ("Write",)),
        "reader": dict.fromkeys((PREDICTIONS, ALERTS), ("Read",)),
        "auditor": dict.fromkeys(everything, ("Read",)),
        "operator": {
            **dict.fromkeys(everything, operate),
            CONTROL: (*operate, "Read", "Write"),
        },
    }
    rights = [Right("topic", topic_prefix + name, each) for name, each in by_role[role].items()]
    if role == "worker":
        rights.append(Right("group", group, ("Read",)))
        rights.append(Right("transactional-id", f"{group}-", ("Write",), is_prefix=True))
    return rights
