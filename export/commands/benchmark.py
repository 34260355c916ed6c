"""`python -m export benchmark NAME`: published benchmarks, a command each.

A benchmark is `export.commands.benchmark_NAME:command`, imported when it is used.
"""

from typing import Final

import click

from stream.lazy_group import LazyGroup

# name -> one line of help
BENCHMARKS: Final[dict[str, str]] = {
    "next-item": "Next item of a session, ranked against all items.",
    "return": "Who buys again? CDNOW or a file of its form.",
}


@click.group(cls=LazyGroup, package="export.commands", names=BENCHMARKS, prefix="benchmark_")
def command() -> None:
    """Train and measure on a published benchmark.

    Example: python -m export benchmark --help
    """
