"""`forecart`, but its scorer raises on every step of one item: a fault of ours in a real process.

Run as a script, so that `--supervise` starts it again as it was.
"""

from collections.abc import Sequence

from stream.cli import main
from stream.core.plan import Plan, Scores
from stream.model.scorer import OnnxScorer
from stream.wire.hashing import id_hash

BAD_ITEM = "breaks-the-scorer"


def make_picky() -> None:
    """Have every scorer of this process raise on the item."""
    score = OnnxScorer.score_together

    def picky(scorer: OnnxScorer, parts: Sequence[tuple[int, Plan]]) -> list[Scores]:
        if any((plan.steps["item"] == id_hash(BAD_ITEM)).any() for _, plan in parts):
            raise FloatingPointError("no number for this item")
        return score(scorer, parts)

    OnnxScorer.score_together = picky  # type: ignore[method-assign]


if __name__ == "__main__":
    make_picky()
    main()
