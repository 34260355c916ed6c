"""`python -m export COMMAND`: names of commands. A command is `export.commands.NAME:command`."""

import sys
from typing import Final

import click

from stream.lazy_group import LazyGroup

COMMANDS: Final = {
    "dataset": "Make a dataset of topics, files or a simulated shop.",
    "retrain": "Train on the newest data, compare with the live bundle, keep or promote.",
    "train": "Train a recurrent model on a dataset, write a bundle.",
    "demo-bundle": "Simulate a shop, train the LSTM, write the shipped bundle.",
    "evaluate-bundle": "Compare a bundle with the baselines on a fresh run.",
    "bench-bundle": "Write a bundle of random weights, for benches.",
    "benchmark": "Train and measure on a published benchmark.",
    "forecast": "Forecast demand: an LSTM beside simple methods, with a report.",
    "compare": "Train all models on one split, write one report.",
    "tune": "Search for the best settings of a model; its lengths.",
    "parity": "Run a bundle in torch, ONNX and numpy, print how far they differ.",
    "features-doc": "Write the tables of docs/features.md from the code.",
}


@click.group(
    cls=LazyGroup,
    package="export.commands",
    names=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
def group() -> None:
    """Make, check and measure models.

    Example: python -m export evaluate-bundle
    """


if __name__ == "__main__":
    sys.exit(group(prog_name="python -m export"))
