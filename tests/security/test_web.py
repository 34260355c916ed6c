"""No page of a worker shows a user without a token; all are on this machine's address alone."""

import ast
import http.client
import inspect
from collections.abc import Iterator

import pytest

from stream.settings import Settings
from stream.shell import faust_app, web
from stream.shell.health import Health
from stream.shell.live import Live
from stream.shell.metrics import Metrics
from stream.shell.metrics_table import METRICS
from stream.shell.web import Web

PAGES = ("/metrics", "/healthz", "/readyz", "/live")
# Faust's own pages, and what a page of users' data might be called.
OTHERS = ("/table", "/table/users", "/table/users/u1", "/router/users/u1", "/stats", "/users",
          "/user/u1", "/state", "/predictions", "/alerts", "/user", "/graph", "/docs")  # fmt: skip


@pytest.fixture
def port() -> Iterator[int]:
    metrics, health = Metrics(1), Health()
    live = Live(metrics, health, {}, users=False)
    server = Web(Settings().web_bind, 0, metrics, health, live, Settings().token)
    address = server.start()
    assert address.startswith("http://127.0.0.1:")
    yield int(address.rpartition(":")[2])
    server.stop()


def answer(port: int, path: str, method: str = "GET") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_there_are_these_pages_and_no_others(port: int) -> None:
    assert {answer(port, path) for path in PAGES} <= {200, 503}
    assert {answer(port, path) for path in web.FILES} == {200}
    assert {answer(port, path) for path in OTHERS} == {404}
    assert {answer(port, path, "POST") for path in (*PAGES, *web.FILES)} == {404}
    assert answer(port, "/user", "POST") == 403  # no token is set: nobody sees a user
    assert {answer(port, path, "PUT") for path in (*PAGES, *OTHERS)} == {501}
    texts = {
        node.value
        for node in ast.walk(ast.parse(inspect.getsource(web._Handler)))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    ours = {text for text in texts if text.startswith("/") and " " not in text}
    assert ours == {*PAGES, "/user"}


def test_fausts_own_server_is_off() -> None:
    assert '"web_enabled": False' in inspect.getsource(faust_app.make_faust_app)


def test_no_metric_has_a_label_of_users() -> None:
    labels = {label for metric in METRICS for label in metric.labels}
    assert not labels & {"user", "user_id", "key", "item", "item_id", "event_id", "session_id"}
