"""The web server and the probes, over real sockets."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from stream.shell.health import Beat, Health
from stream.shell.live import Live
from stream.shell.metrics import Metrics
from stream.shell.web import Web, WebError


def get(url: str, method: str = "GET") -> tuple[int, str, bytes]:
    request = urllib.request.Request(url, method=method)  # noqa: S310 our own server
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


def make_web(port: int, health: Health) -> Web:
    metrics = Metrics(2)
    return Web("127.0.0.1", port, metrics, health, Live(metrics, health, {}, users=False))


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def url(health: Health) -> Iterator[str]:
    web = make_web(0, health)
    yield web.start()
    web.stop()


def test_not_ready_until_started(url: str, health: Health) -> None:
    status, kind, body = get(url + "/readyz")
    assert (status, kind) == (503, "application/json")
    answer = json.loads(body)
    assert answer["ok"] is False
    assert "not started" in answer["reasons"]["starting"]
    assert get(url + "/healthz")[0] == 200
    health.started()
    status, _, body = get(url + "/readyz")
    assert (status, json.loads(body)) == (200, {"ok": True, "reasons": {}})


def test_ready_probe_leaves_health_alone(url: str, health: Health) -> None:
    health.started()
    health.add("ready", "restoring", lambda: "12 records to restore")
    assert json.loads(get(url + "/readyz")[2])["reasons"] == {"restoring": "12 records to restore"}
    assert get(url + "/healthz")[0] == 200
    health.remove("ready", "restoring")
    assert get(url + "/readyz")[0] == 200


def test_dead_is_never_ready(url: str, health: Health) -> None:
    health.started()
    health.add("live", "engine", lambda: "its thread is dead")
    for page in ("/healthz", "/readyz"):
        status, _, body = get(url + page)
        assert status == 503
        assert json.loads(body)["reasons"] == {"engine": "its thread is dead"}


def test_broken_probe_shows_and_hides_nothing(url: str, health: Health) -> None:
    health.started()
    health.add("live", "broken", lambda: str(1 // 0))
    health.add("live", "engine", lambda: "dead")
    reasons = json.loads(get(url + "/healthz")[2])["reasons"]
    assert "ZeroDivisionError" in reasons["broken"]
    assert reasons["engine"] == "dead"


def test_metrics_say_ready_as_readyz_does(url: str, health: Health) -> None:
    status, kind, body = get(url + "/metrics?x=1")
    assert status == 200
    assert kind.startswith("text/plain; version=0.0.4")
    assert b"\nforecart_ready 0.0\n" in body
    health.started()
    assert b"\nforecart_ready 1.0\n" in get(url + "/metrics")[2]


def test_other_paths_and_methods(url: str) -> None:
    assert get(url + "/table/users")[0] == 404
    assert get(url + "/metrics", "POST")[0] == 404
    assert get(url + "/metrics", "PUT")[0] == 501
    status, _, body = get(url + "/metrics", "HEAD")
    assert (status, body) == (200, b"")


def test_answers_while_another_thread_never_rests(url: str) -> None:
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            sum(range(1_000))

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        begin = time.monotonic()
        assert get(url + "/healthz")[0] == 200
        assert time.monotonic() - begin < 2
    finally:
        stop.set()
        thread.join()


def test_silent_client_holds_nobody_back(url: str) -> None:
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)):
        assert get(url + "/healthz")[0] == 200


def test_taken_port_is_a_clear_error(url: str, health: Health) -> None:
    port = int(url.rpartition(":")[2])
    with pytest.raises(WebError, match=f"127.0.0.1:{port}.*in use.*web_port"):
        make_web(port, health).start()


def test_port_minus_one_is_no_server(health: Health) -> None:
    web = make_web(-1, health)
    assert web.start() == ""
    web.stop()


def test_stop_frees_the_port_and_the_thread(health: Health) -> None:
    web = make_web(0, health)
    port = int(web.start().rpartition(":")[2])
    web.stop()
    web.stop()
    assert not any(thread.name == "forecart-web" for thread in threading.enumerate())
    again = make_web(port, health)
    again.start()
    again.stop()


@pytest.mark.parametrize(("seconds", "well"), [(1.9, True), (2.0, True), (2.1, False)])
def test_beat_tells_what_stopped(seconds: float, well: bool) -> None:
    now = [100.0]
    beat = Beat("commits", 2.0, clock=lambda: now[0])
    assert beat() is None  # nothing is due before the first
    beat.beat()
    now[0] += seconds
    assert (beat() is None) == well
    if not well:
        assert beat() == "commits: nothing for 2.1 s, at most 2 s"
    beat.rest()
    assert beat() is None
