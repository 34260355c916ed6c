"""What the live page is told: curves, percentiles, who may see users, what a question may be."""

import http.client
import json
from collections.abc import Iterator

import numpy as np
import pytest

from stream.flow.latest import Alert, Prediction
from stream.shell.health import Health
from stream.shell.live import FRESH_S, SAMPLES_MAX, Live, Sample, curves, quantile_ms
from stream.shell.metrics import Metrics
from stream.shell.web import BODY_BYTES_MAX, PAGE, Web
from tests.hand_clock import HandClock

TOKEN = "a-token-for-the-tests"  # noqa: S105
EDGES = [0.1, 0.5, 1.0]


@pytest.fixture
def clock() -> HandClock:
    return HandClock(100.0)


@pytest.fixture
def metrics() -> Metrics:
    made = Metrics(2)
    made.latest.predictions = (
        Prediction(
            "clicks", 1, 17, 5, 6, False, 0.25, -1.0, (0.5, 0.3, 0.2), b"u-secret", (b'"p1"',)
        ),
    )  # fmt: skip
    made.latest.alerts = (Alert(5, None, 1, "firing", "at_risk", "none", 0.75, 9_000, b"u-secret"),)
    return made


@pytest.fixture
def live(metrics: Metrics, clock: HandClock) -> Live:
    return Live(metrics, Health(), {"group": "g"}, users=True, clock=clock)


@pytest.mark.parametrize(
    ("counts", "q", "ms"),
    [
        ([0, 0, 0, 0], 0.99, None),
        ([10, 0, 0, 0], 0.5, 50.0),
        ([0, 10, 0, 0], 0.5, 300.0),
        ([50, 50, 0, 0], 0.5, 100.0),
        ([50, 49, 1, 0], 0.99, 500.0),
        ([0, 0, 0, 3], 0.5, 1000.0),  # beyond the last edge: at least that
    ],
)
def test_a_percentile_is_prometheus_s(counts: list[int], q: float, ms: float | None) -> None:
    assert quantile_ms(EDGES, np.array(counts), q) == ms


def test_curves_are_differences_by_the_time_between() -> None:
    samples = [
        Sample(10.0 + n * 2, 100.0 * n, 5.0 * n, 0.5, np.array([0, 10 * n, 0, 0])) for n in range(4)
    ]
    found = curves(samples, EDGES)
    assert found["rate"] == [50.0, 50.0, 50.0]
    assert found["lag_records"] == [5.0, 10.0, 15.0]
    assert found["p50_ms"] == [300.0, 300.0, 300.0]
    assert curves(samples[:1], EDGES)["rate"] == []


def test_samples_are_bounded(live: Live, clock: HandClock) -> None:
    for _ in range(2 * SAMPLES_MAX):
        clock.now += 1
        live.sample()
    note = json.loads(live.page(users=False))
    assert len(note["curves"]["rate"]) == SAMPLES_MAX - 1
    assert note["curves"]["p99_ms"][-1] is None


def test_a_page_is_made_once_for_many(live: Live, metrics: Metrics, clock: HandClock) -> None:
    first = live.page(users=False)
    metrics.worker("running")
    clock.now += FRESH_S * 0.9
    assert live.page(users=False) is first
    assert b"u-secret" in live.page(users=True)
    clock.now += FRESH_S * 0.2
    assert json.loads(live.page(users=False))["state"] == "running"


def test_without_the_token_no_user_and_no_item(live: Live) -> None:
    text = live.page(users=False).decode()
    assert "u-secret" not in text
    assert '"items"' not in text
    note = json.loads(live.page(users=True))
    (prediction,), (alert,) = note["predictions"], note["alerts"]
    assert (prediction["user"], prediction["items"]) == ("u-secret", ["p1"])
    assert (prediction["place"], prediction["churn"]) == ("clicks-1-17", None)
    assert (alert["user"], alert["event_ms"], alert["silence_seconds"]) == ("u-secret", None, 9.0)


@pytest.fixture
def asked() -> list[bytes]:
    return []


@pytest.fixture(params=[TOKEN, ""], ids=["token", "no-token"])
def server(
    request: pytest.FixtureRequest, metrics: Metrics, live: Live, asked: list[bytes]
) -> Iterator[tuple[str, int]]:
    def find(key: bytes) -> dict[str, object]:
        asked.append(key)
        return {"found": True}

    web = Web("127.0.0.1", 0, metrics, Health(), live, request.param, find)
    yield request.param, int(web.start().rpartition(":")[2])
    web.stop()


def call(
    port: int, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.headers)
    finally:
        connection.close()


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer ", "Bearer x", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x",
              f"Basic {TOKEN}", f"bearer {TOKEN}", "Bearer \xff", TOKEN]
)  # fmt: skip
def test_another_token_opens_nothing(
    server: tuple[str, int], asked: list[bytes], given: str
) -> None:
    token, port = server
    refused = 401 if token else 403
    question = json.dumps({"user": "u1"}).encode()
    for method, path, body in (("POST", "/user", question), ("GET", "/live", None)):
        status, said, _ = call(port, method, path, body, Authorization=given)
        assert status == refused, (method, said)
        assert b"u-secret" not in said
    assert call(port, "POST", "/user", question)[0] == refused
    assert asked == []


def test_the_token_opens_users(server: tuple[str, int], asked: list[bytes]) -> None:
    token, port = server
    if not token:
        assert call(port, "GET", "/live")[0] == 200
        return
    right = {"Authorization": f"Bearer {token}"}
    status, said, headers = call(port, "POST", "/user", b'{"user": "\\u00fc1"}', **right)
    assert (status, json.loads(said), asked) == (200, {"found": True}, ["\u00fc1".encode()])
    assert b"u-secret" in call(port, "GET", "/live", **right)[1]
    assert headers["Cache-Control"] == "no-store"
    assert "default-src 'self'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"7", b"no json", b'{"user": 7}', b'{"user": ""}', b"\xff\xfe",
             b'{"user": "\\ud800"}', b"[" * BODY_BYTES_MAX,
             b'{"user": "' + b"x" * BODY_BYTES_MAX + b'"}']
)  # fmt: skip
def test_what_is_no_question_is_refused(
    server: tuple[str, int], asked: list[bytes], body: bytes
) -> None:
    token, port = server
    if token:
        status, said, _ = call(port, "POST", "/user", body, Authorization=f"Bearer {token}")
        assert (status, asked) == (400, []), said
        length = {"Content-Length": "x", "Authorization": f"Bearer {token}"}
        assert call(port, "POST", "/user", None, **length)[0] == 400


@pytest.mark.parametrize("path", ["/../web.py", "/page/live.js", "/live.js/", "/%2e%2e/web.py"])
def test_a_path_is_one_of_the_files_or_none(server: tuple[str, int], path: str) -> None:
    assert call(server[1], "GET", path)[0] == 404


def test_the_files_are_served_as_they_are(server: tuple[str, int]) -> None:
    status, body, headers = call(server[1], "GET", "/?x=1")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert body == (PAGE / "live.html").read_bytes()
    assert call(server[1], "HEAD", "/live.js")[1] == b""
    assert call(server[1], "POST", "/live")[0] == 404
