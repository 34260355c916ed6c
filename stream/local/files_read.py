"""Files as rows: CSV, JSON lines and Parquet, also gzipped, each row with its number.

Rules of the room: reading alone, no meaning. A row is a tuple in the order of the asked columns,
text or what JSON and Parquet hold; a row that cannot be read is a Broken, and reading goes on.
Row numbers are those of lines in text files (the header is line 1), and of rows from 1 in Parquet.
Nothing but one batch is held in memory.
"""

import csv
import gzip
import hashlib
import itertools
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import msgspec

from stream.local.files_map import FileError

SNIFF_LINES: Final = 1_000  # of a JSON-lines file, to know its columns
LINE_BYTES_MAX: Final = 4 << 20
PARQUET_ROWS: Final = 16_384
DELIMITERS: Final = (",", "\t", ";", "|")
_GZIP_MAGIC: Final = b"\x1f\x8b"
_PARQUET_MAGIC: Final = b"PAR1"


class Broken(NamedTuple):
    """A row that cannot be used."""

    line: int
    why: str


class Row(NamedTuple):
    """One row: its number, and the values of the asked columns (None or "": missing)."""

    line: int
    values: tuple[Any, ...]


class TableFile:
    """One file: its format, columns and digest. Raises FileError where it is no table."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self._gzipped = file.read(2) == _GZIP_MAGIC
        except OSError as error:
            raise FileError(f"{path}: {(error.strerror or str(error)).lower()}") from error
        self.format = self._find_format()
        self.delimiter = ","
        self.columns = self._find_columns()

    def digest(self) -> str:
        """SHA-256 of the file as it lies on the disk, in hexadecimal."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def rows(self, columns: Sequence[str]) -> Iterator[Row | Broken]:
        """Read the rows in file order. Raises FileError where the file ends in rubbish."""
        if self.format == "parquet":
            yield from self._parquet_rows(columns)
        elif self.format == "jsonl":
            yield from self._json_rows(columns)
        else:
            yield from self._csv_rows(columns)

    def _find_format(self) -> str:
        with self._opened() as file:
            start = file.read(4096)
        if not start.strip():
            raise FileError(f"{self.path}: the file is empty")
        if start.startswith(_PARQUET_MAGIC):
            return "parquet"
        if b"\0" in start:
            raise FileError(f"{self.path}: neither CSV nor JSON lines nor Parquet")
        return "jsonl" if start.lstrip().startswith(b"{") else "csv"

    def _find_columns(self) -> list[str]:
        if self.format == "parquet":
            return [str(name) for name in self._parquet().schema_arrow.names]
        if self.format == "jsonl":
            return self._json_columns()
        with self._opened() as file:
            first = file.readline(LINE_BYTES_MAX).decode("utf-8-sig", "replace").rstrip("\r\n")
        self.delimiter = max(DELIMITERS, key=first.count)
        return next(csv.reader([first], delimiter=self.delimiter), [])

    def _json_columns(self) -> list[str]:
        names: dict[str, None] = {}
        broken: list[Broken] = []
        for row in itertools.islice(self._json_records(), SNIFF_LINES):
            if isinstance(row, Broken):
                broken.append(row)
            else:
                names.update(dict.fromkeys(_paths(row[1])))
        if not names and broken:
            first = broken[0]
            raise FileError(f"{self.path}: line {first.line}: {first.why}")
        return list(names)

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        try:
            with gzip.open(self.path) if self._gzipped else self.path.open("rb") as file:
                yield file  # type: ignore[misc]  # a GzipFile reads like a file
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FileError(f"{self.path}: the gzip file is damaged: {error}") from error

    def _csv_rows(self, columns: Sequence[str]) -> Iterator[Row | Broken]:
        places = [self.columns.index(name) for name in columns]
        width = len(self.columns)
        with self._opened() as file:
            # Bytes that are no UTF-8 become surrogates, which no event can hold: a broken row.
            lines = (line.decode("utf-8", "surrogateescape") for line in file)
            reader = csv.reader(lines, delimiter=self.delimiter, strict=False)
            next(reader)
            line = reader.line_num + 1
            while True:
                try:
                    values = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield Broken(line, str(error))
                else:
                    if len(values) == width:
                        yield Row(line, tuple([values[place] for place in places]))
                    elif values:
                        yield Broken(line, f"{len(values)} columns in place of {width}")
                line = reader.line_num + 1

    def _json_rows(self, columns: Sequence[str]) -> Iterator[Row | Broken]:
        paths = [name.split(".") for name in columns]
        for found in self._json_records():
            if isinstance(found, Broken):
                yield found
            else:
                line, record = found
                yield Row(line, tuple([_at(record, path) for path in paths]))

    def _json_records(self) -> Iterator[tuple[int, dict[str, Any]] | Broken]:
        with self._opened() as file:
            for line, text in enumerate(file, 1):
                if not text.strip():
                    continue
                try:
                    record = msgspec.json.decode(text)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    yield Broken(line, f"no JSON: {error}")
                    continue
                if isinstance(record, dict):
                    yield line, record
                else:
                    yield Broken(line, f"no JSON object: {type(record).__name__}")

    def _parquet_rows(self, columns: Sequence[str]) -> Iterator[Row | Broken]:
        line = 1
        file = self._parquet()
        for batch in file.iter_batches(
            batch_size=PARQUET_ROWS, columns=list(dict.fromkeys(columns))
        ):
            held = batch.to_pydict()
            for values in zip(*(held[name] for name in columns), strict=True):
                yield Row(line, values)
                line += 1

    def _parquet(self) -> Any:
        try:
            import pyarrow as pa  # noqa: PLC0415 - an extra: only Parquet needs it
            import pyarrow.parquet as pq  # noqa: PLC0415
        except ImportError as error:
            raise FileError(
                f"{self.path}: Parquet needs pyarrow: pip install 'forecart[parquet]'"
            ) from error
        try:
            if self._gzipped:
                with self._opened() as file:
                    return pq.ParquetFile(pa.BufferReader(file.read()))
            return pq.ParquetFile(self.path)
        except (pa.ArrowInvalid, OSError) as error:
            raise FileError(f"{self.path}: no Parquet file: {error}") from error


def _paths(record: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Name the values of a JSON object; those of objects in it by dots."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def _at(record: dict[str, Any], path: list[str]) -> Any:
    value: Any = record
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value
