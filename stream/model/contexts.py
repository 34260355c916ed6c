"""Channel, device and region hashes to rows of the context table.

Row 0 stands for not given, row 1 for unknown; the known texts follow.
"""

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.model.lookup import find
from stream.model.vocabulary import Vocabulary

NOT_GIVEN = 0
UNKNOWN = 1


def context_ids(vocabulary: Vocabulary, context: npt.NDArray[np.uint32]) -> npt.NDArray[np.int32]:
    """Look up (B, 3) hashes: (B, 3) rows."""
    ids = np.empty(context.shape, np.int32)
    _look_up(context, vocabulary.context_map.keys, vocabulary.context_map.values, ids)
    return ids


@compiled
def _look_up(
    context: npt.NDArray[np.uint32],
    keys: npt.NDArray[np.uint64],
    values: npt.NDArray[np.int32],
    ids: npt.NDArray[np.int32],
) -> None:
    for row in range(len(context)):
        for field in range(context.shape[1]):
            hashed = np.uint64(context[row, field])
            if hashed == 0:
                ids[row, field] = NOT_GIVEN
                continue
            known = find(keys, values, (np.uint64(field) << np.uint64(32)) | hashed)
            ids[row, field] = known if known >= 0 else UNKNOWN
