"""A file of purchases: customer, date, units, money, as CDNOW_master has them.

Rules of the room: a line that cannot be read ends the reading with its number; nothing is guessed.
"""

import datetime as dt
import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

COLUMNS: Final = 4
_GZIP: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Purchases:
    """N visits: all purchases of a customer on a day are one. By customer, then by day."""

    customer: Integers  # (N,) from 0, in the order of their names
    day: Integers  # (N,) datetime.date.toordinal
    units: Doubles  # (N,) sum of the day
    money: Doubles  # (N,) sum of the day
    names: tuple[str, ...]  # of the customers


def read_purchases(path: Path) -> Purchases:
    """Read a file, gzip or plain: a header line, then `customer date units money`.

    Dates are YYYYMMDD; fields are separated by blanks or tabs. About 2 us a line. Raises ValueError
    with the line and what is wrong with it.
    """
    lines = _text(path).splitlines()
    names, days, amounts = [], [], []
    header = True
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields:
            continue
        if header:
            _check_header(path, number, fields)
            header = False
            continue
        try:
            names.append(fields[0])
            days.append(_day(fields[1]))
            amounts.append(_amounts(fields))
        except (ValueError, IndexError) as error:
            said = f"{len(fields)} columns" if len(fields) != COLUMNS else str(error)
            raise ValueError(
                f"{path}, line {number}: {said}; expected: customer YYYYMMDD units money"
            ) from error
    if not names:
        raise ValueError(f"{path}: no purchases in it")
    return _by_visit(names, np.array(days, np.int64), np.array(amounts, np.float64))


def _text(path: Path) -> str:
    data = path.read_bytes()
    try:
        return (gzip.decompress(data) if data[:2] == _GZIP else data).decode()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: damaged or cut-off gzip ({error})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file") from error


def _check_header(path: Path, number: int, fields: list[str]) -> None:
    if len(fields) != COLUMNS:
        raise ValueError(
            f"{path}, line {number}: {len(fields)} columns; expected a header of {COLUMNS}:"
            " customer, date, units, money"
        )
    try:
        _day(fields[1])
    except ValueError:
        return
    raise ValueError(f"{path}, line {number}: a purchase where the header line should be")


def _day(text: str) -> int:
    if len(text) != 8 or not text.isascii() or not text.isdigit():
        raise ValueError(f"date {text!r}")
    try:
        return dt.date(int(text[:4]), int(text[4:6]), int(text[6:])).toordinal()
    except ValueError as error:
        raise ValueError(f"no such date: {text}") from error


def _amounts(fields: list[str]) -> tuple[float, float]:
    if len(fields) != COLUMNS:
        raise ValueError(f"{len(fields)} columns")
    units, money = float(fields[2]), float(fields[3])
    if not (math.isfinite(units) and math.isfinite(money)) or units < 0 or money < 0:
        raise ValueError(f"units {fields[2]}, money {fields[3]}: not from 0 up")
    return units, money


def _by_visit(names: list[str], day: Integers, amounts: Doubles) -> Purchases:
    known, customer = np.unique(names, return_inverse=True)
    visits, place = np.unique(np.stack([customer, day], axis=1), axis=0, return_inverse=True)
    place = place.reshape(-1)
    return Purchases(
        customer=visits[:, 0],
        day=visits[:, 1],
        units=np.bincount(place, amounts[:, 0]).astype(np.float64),
        money=np.bincount(place, amounts[:, 1]).astype(np.float64),
        names=tuple(known.tolist()),
    )
