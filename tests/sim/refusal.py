"""Why the fake broker refuses a request, by the names of Kafka's error codes."""

FENCED = "INVALID_PRODUCER_EPOCH"
STALE_GENERATION = "ILLEGAL_GENERATION"
UNKNOWN_MEMBER = "UNKNOWN_MEMBER_ID"
UNSTABLE = "UNSTABLE_OFFSET_COMMIT"
UNAVAILABLE = "NOT_COORDINATOR"
TOO_LARGE = "MESSAGE_TOO_LARGE"
FENCING = frozenset({FENCED, STALE_GENERATION, UNKNOWN_MEMBER})


class Refusal(Exception):  # noqa: N818 an answer, not yet an error
    """A request that the broker refuses."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
