"""`forecart`, but its scorer raises on every step of one item: a fault of ours in a real process.

Run as a script, so that `--supervise` starts it again as it was.
"""

from stream.cli import main
from stream.core.plan import Plan, Scores
from stream.model.scorer import OnnxScorer
from stream.wire.hashing import id_hash

BAD_ITEM = "breaks-the-scorer"


def make_picky() -> None:
    """Have every scorer of this process raise on the item."""
    score = OnnxScorer.score

    def picky(scorer: OnnxScorer, partition: int, plan: Plan) -> Scores:
        if (plan.steps["item"] == id_hash(BAD_ITEM)).any():
            raise FloatingPointError("no number for this item")
        return score(scorer, partition, plan)

    OnnxScorer.score = picky  # type: ignore[method-assign]


if __name__ == "__main__":
    make_picky()
    main()
