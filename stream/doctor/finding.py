"""What a check found: one line, a verdict, and how to mend it."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from stream.security import SECRETS
from stream.settings import Settings, load

Verdict = Literal["ok", "warn", "fail"]
TELLING = ("broker", "topic_prefix", "group", "partitions", "replication", "state_dir", "bundle")


@dataclass(frozen=True, slots=True)
class Finding:
    """fail: a worker does not start, or does wrong. warn: it runs, and somebody should know."""

    check: str
    verdict: Verdict
    said: str
    cure: str = ""


def forecart(words: str, settings: Settings) -> str:
    """Write a command of ours with what was given by argument, so that it can be pasted."""
    without = load({})
    given = [
        (field.name, getattr(settings, field.name))
        for field in dataclasses.fields(settings)
        if field.name in TELLING
        and field.name not in SECRETS
        and getattr(settings, field.name) != getattr(without, field.name)
    ]
    flags = [
        f"--broker {value}" if name == "broker" else f"--set {name}={value}"
        for name, value in given
    ]
    return "`" + " ".join(["forecart", words, *flags]) + "`"
