"""Cost of encoding predictions: `python -m tests.bench.encode`."""

import time

import numpy as np

from stream.core.plan import Scores
from stream.core.results import ROW
from stream.wire.predictions import PredictionEncoder

ROWS = 8192
ROUNDS = 9
USERS = [b"user-%d" % number for number in range(4000)]
VOCABULARY = [b"null", *(b'"item-%d"' % number for number in range(2000))]


def measure(width: int) -> tuple[float, float, int]:
    """Return the best and the median us of processor time per prediction, and its bytes."""
    rng = np.random.default_rng(1)
    rows = np.zeros(ROWS, ROW)
    rows["offset"] = np.arange(ROWS) + 1_000_000
    rows["partition_seq"] = np.arange(ROWS) + 3_000_000
    rows["as_of_ms"] = rows["event_time_ms"] = 1_760_000_000_000
    rows["user"] = rng.integers(0, len(USERS), ROWS)
    rows["window_digest"] = rng.integers(0, 2**63, ROWS)
    rows["scored"], rows["supersedes"], rows["window_len"] = np.arange(ROWS), -1, 12
    scores = Scores(
        rng.random((ROWS, 3), np.float32),
        rng.random(ROWS, np.float32),
        rng.random((ROWS, 8), np.float32),
        rng.integers(1, len(VOCABULARY), (ROWS, width)).astype(np.int32),
        rng.random((ROWS, width), np.float32),
    )
    churn = rng.random(ROWS, np.float32)
    names = ("clicks", "searches", "purchases")
    encoder = PredictionEncoder(names, VOCABULARY, "demo", "cpu", ("P7D", "P7D"))
    taken = []
    for _ in range(ROUNDS):
        begin = time.thread_time()
        texts = encoder.encode(0, rows, USERS, scores, churn, 1_760_000_000_001)
        taken.append((time.thread_time() - begin) / ROWS * 1e6)
    taken.sort()
    return taken[0], taken[ROUNDS // 2], len(texts[0])


def main() -> None:
    """Print a line per width of the item list."""
    for width in (0, 10):
        best, median, size = measure(width)
        print(f"{width:2} items, {size:5} bytes  best {best:5.2f}  median {median:5.2f} us")


if __name__ == "__main__":
    main()
