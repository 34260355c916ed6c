"""Ask a Prometheus what a panel asks, with values in the place of Grafana's variables."""

import json
import urllib.parse
import urllib.request
from typing import Any, Final, NamedTuple

TIMEOUT_S: Final = 30.0
Point = tuple[float, float]  # unix time in seconds, value


class Series(NamedTuple):
    """One answer: its labels, and its points in order of time."""

    labels: dict[str, str]
    points: list[Point]


def filled(expr: str, rate_interval: str) -> str:
    """Put values in the place of variables: all jobs, all workers."""
    for name, value in {"$__rate_interval": rate_interval, "$job": ".*", "$instance": ".*"}.items():
        expr = expr.replace(name, value)
    return expr


class Prometheus:
    """The HTTP API of one Prometheus."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def now(self, expr: str, at: float | None = None) -> list[Series]:
        """Evaluate at one moment; a number stands as one series without labels."""
        asked = {"query": expr} | ({} if at is None else {"time": f"{at:.3f}"})
        data = self.get("query", asked)
        if data["resultType"] == "scalar":
            return [Series({}, [_point(data["result"])])]
        return [Series(row["metric"], [_point(row["value"])]) for row in data["result"]]

    def over(self, expr: str, start: float, end: float, step_s: float) -> list[Series]:
        """Evaluate at each step of a time."""
        asked = {"query": expr, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step_s:g}"}
        rows = self.get("query_range", asked)["result"]
        return [Series(row["metric"], [_point(pair) for pair in row["values"]]) for row in rows]

    def get(self, path: str, asked: dict[str, str]) -> Any:
        """Call /api/v1/PATH. Raises OSError, also with what Prometheus says of a bad query."""
        body = urllib.parse.urlencode(asked).encode()
        if path not in {"query", "query_range"}:
            address, body_or_none = f"{self._url}/api/v1/{path}?{body.decode()}", None
        else:
            address, body_or_none = f"{self._url}/api/v1/{path}", body
        with urllib.request.urlopen(address, body_or_none, TIMEOUT_S) as answer:  # noqa: S310
            return json.load(answer)["data"]


def _point(pair: list[Any]) -> Point:
    return float(pair[0]), float(pair[1])
