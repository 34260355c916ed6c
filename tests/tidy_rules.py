"""The rules of tests/test_tidy.py: each takes parsed files and returns what is wrong with them.

They are functions of their own so that each can be shown a bad sample and be seen to object.
"""

import ast
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
LINE_COLUMNS_MAX = 100

# Highest first; a room imports from lower floors and from itself, never sideways.
FLOORS = (
    ("stream.cli",),
    ("stream.commands",),
    ("stream.app",),
    ("stream.served",),
    ("stream.audit", "stream.doctor"),
    ("stream.local", "stream.shell"),
    ("stream.flow",),
    ("stream.model", "stream.wire"),
    ("stream.lazy_group",),
    ("stream.connection",),  # how a client connects: shell and local stand beside each other
    ("stream.settings",),
    ("stream.security",),
    ("stream.core",),
    ("stream.__init__",),
    ("stream.kernel_cache",),  # where kernels are kept: chosen before anything else is imported
)
HEIGHT = {room: -index for index, rooms in enumerate(FLOORS) for room in rooms}

# What training and evaluation may take from the service: definitions, and the shop to train on.
EXPORT_MAY_IMPORT = {
    "stream.core",
    "stream.model",
    "stream.wire",
    "stream.local",
    "stream.served",
    "stream.lazy_group",
    # A deployment's broker, prefix and limits, given by the options of every command: data are to
    # be read as the worker reads them.
    "stream.settings",
    "stream.commands.options",
    "stream.commands.model",  # a candidate is promoted by the command that promotes any bundle
}

# Outside libraries that a room may use; a room without an entry may use any but the forbidden.
LIBRARIES = {
    "stream.core": {"numpy", "numba"},
    "stream.flow": {"numpy"},
    "stream.wire": {"numpy", "numba", "msgspec", "xxhash"},
    "stream.model": {"numpy", "numba", "msgspec", "xxhash", "onnxruntime", "cryptography"},
    "stream.settings": set(),
    "stream.kernel_cache": set(),
}
FORBIDDEN_IN_STREAM = {"torch", "sklearn", "onnx", "scipy", "export", "tests"}
# An adapter knows one of these. Faust, mode and aiokafka are one library in three packages.
ADAPTED = {
    "faust": "faust", "mode": "faust", "aiokafka": "faust",
    "confluent_kafka": "confluent_kafka", "prometheus_client": "prometheus_client",
    "aiohttp": "aiohttp",
}  # fmt: skip

# Clocks, I/O, logging, async and chance have no place in core, whoever asks.
CRASHING = {
    "list_consumer_group_offsets": "librdkafka 2.16.1 dies on it (SIGSEGV, rd_kafka_cgrp_op of no"
    " group) while a coordinator loads: ask by Consumer.committed",
}
IMPURE = {
    "asyncio", "datetime", "io", "logging", "multiprocessing", "os", "pathlib", "random",
    "secrets", "socket", "subprocess", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip

NAMES_SAYING_NOTHING = {
    "util", "utils", "helper", "helpers", "common", "manager", "managers", "base", "misc",
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """One Python file: its path from the repository's root, and its text."""

    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=str(self.path))

    @property
    def room(self) -> str:
        """`stream.core` for stream/core/x.py, `stream.app` for stream/app.py, else the folder."""
        parts = self.path.with_suffix("").parts
        return ".".join(parts[:2]) if parts[0] == "stream" else parts[0]

    @cached_property
    def imports(self) -> list[tuple[int, str]]:
        """Line and dotted name of all that is imported, inside functions too."""
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [(node.lineno, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                module = node.module or ""
                if node.level:  # relative: from the file's own package, or one above it
                    package = self.path.parent.parts
                    parents = package[: len(package) - node.level + 1]
                    module = ".".join((*parents, module)).rstrip(".")
                # `from stream import core` names the room in what is imported.
                deep = module in {"stream", "export"}
                found += [
                    (node.lineno, f"{module}.{alias.name}" if deep else module)
                    for alias in node.names
                ]
        return found


def floors(source: Source) -> list[str]:
    """Imports go down only; export takes only what it may."""
    wrong = []
    for line, name in source.imports:
        if not name.startswith("stream."):
            continue
        room = ".".join(name.split(".")[:2])
        if source.room == "export":
            if not {room, name} & EXPORT_MAY_IMPORT:
                wrong.append(f"{source.path}:{line}: export imports {name}")
        elif source.room in HEIGHT and room != source.room:
            if room not in HEIGHT:
                wrong.append(f"{source.path}:{line}: {room} stands on no floor of tidy_rules.py")
            elif HEIGHT[room] >= HEIGHT[source.room]:
                wrong.append(f"{source.path}:{line}: {source.room} imports {name}, not below it")
        elif source.room.startswith("stream.") and source.room not in HEIGHT:
            wrong.append(f"{source.path}: {source.room} stands on no floor of tidy_rules.py")
    return wrong


def libraries(source: Source) -> list[str]:
    """A room uses its outside libraries only; the service never export, torch or its like."""
    if not source.room.startswith("stream"):
        return []
    wrong, adapted = [], set()
    for line, name in source.imports:
        top = name.split(".")[0]
        if top in FORBIDDEN_IN_STREAM:
            wrong.append(f"{source.path}:{line}: the service imports {top}")
        elif top in sys.stdlib_module_names or top == "stream":
            continue
        elif top not in LIBRARIES.get(source.room, {top}):
            wrong.append(f"{source.path}:{line}: {source.room} imports {top}")
        if top in ADAPTED:
            adapted.add(ADAPTED[top])
    if source.room == "stream.shell" and len(adapted) > 1:
        wrong.append(f"{source.path}: an adapter of {' and '.join(sorted(adapted))}, not of one")
    return wrong


def purity(source: Source) -> list[str]:
    """Core has no clock, I/O, logging, async or chance."""
    if source.room != "stream.core":
        return []
    return [
        f"{source.path}:{line}: core imports {name}"
        for line, name in source.imports
        if name.split(".")[0] in IMPURE
    ]


def sizes(source: Source) -> list[str]:
    """Limit lines of a file, lines of a function, and columns."""
    lines = source.text.splitlines()
    wrong = []
    if len(lines) > FILE_LINES_MAX:
        wrong.append(f"{source.path}: {len(lines)} lines, at most {FILE_LINES_MAX}")
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_COLUMNS_MAX:
            wrong.append(f"{source.path}:{number}: {len(line)} columns, at most {LINE_COLUMNS_MAX}")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            if size > FUNCTION_LINES_MAX:
                wrong.append(
                    f"{source.path}:{node.lineno}: {node.name} has {size} lines,"
                    f" at most {FUNCTION_LINES_MAX}"
                )
    return wrong


def names(source: Source) -> list[str]:
    """No file, folder or class is called by a word that says nothing."""
    wrong = [
        f"{source.path}: the name says {word!r}, which says nothing"
        for part in source.path.with_suffix("").parts
        for word in set(part.lower().split("_")) & NAMES_SAYING_NOTHING
    ]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef):
            # A library's own word may go on in what is made from it: TableManager is Faust's.
            inherited = [ast.unparse(parent) for parent in node.bases]
            wrong += [
                f"{source.path}:{node.lineno}: class {node.name}: {word!r} says nothing"
                for word in map(str.capitalize, sorted(NAMES_SAYING_NOTHING))
                if node.name.endswith(word)
                and not any(parent.endswith(word) for parent in inherited)
            ]
    return wrong


def docstrings(source: Source) -> list[str]:
    """A file says its job first."""
    if ast.get_docstring(source.tree):
        return []
    return [f"{source.path}: no docstring that says the file's job"]


def crashes(source: Source) -> list[str]:
    """No call that takes the process with it."""
    return [
        f"{source.path}:{node.lineno}: {node.attr}: {CRASHING[node.attr]}"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and node.attr in CRASHING
    ]


RULES = (floors, libraries, purity, sizes, names, docstrings, crashes)
