"""Numbers for the users of a chunk, in order of appearance, without an object per record."""

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.core.layout import Bytes, Records
from stream.wire.murmur2 import murmur2_at

Integers = npt.NDArray[np.int64]


def new_table(rows: int) -> Integers:
    """Make the table of users that so many rows need: a power of two, at most half full."""
    return np.full(max(16, 1 << (2 * rows - 1).bit_length()), -1, np.int64)


@compiled
def number_users(
    data: Bytes,
    places: Integers,
    events: Records,  # (n,) EVENT: user out; -1 where there is a reason
    first_rows: Integers,  # (n,) out: the row in which each user comes first
    table: Integers,  # scratch, of `new_table`
) -> int:
    """Give the distinct keys numbers in order of appearance; return how many. 0.03 us a row."""
    size = len(table)
    count = 0
    for row in range(len(places)):
        if events[row].reason != 0:
            events[row].user = -1
            continue
        at, length = places[row, 0], places[row, 1]
        slot = np.int64(murmur2_at(data, at, length)) & (size - 1)
        while True:
            user = table[slot]
            if user < 0:
                table[slot] = count
                first_rows[count] = row
                events[row].user = count
                count += 1
                break
            other = first_rows[user]
            if places[other, 1] == length:
                same = True
                for index in range(length):
                    if data[at + index] != data[places[other, 0] + index]:
                        same = False
                        break
                if same:
                    events[row].user = user
                    break
            slot = (slot + 1) & (size - 1)
    return count
