"""The live page, `/metrics`, `/healthz` and `/readyz`, served from a thread of their own.

Rules of the room: the answer must come while the event loop is busy or stuck, so only the look-up
of a user goes there, within a deadline; files are read at the start, and no path comes from a
request. Nothing of a user is shown without the token, which comes in a header: neither it nor a
user's key is in an address or a log. /healthz and /readyz answer 200 or 503 with
{"ok": ..., "reasons": {probe: reason}}.
"""

import hmac
import json
import logging
import socket
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from stream.shell.health import Health, Verdict
from stream.shell.live import Live
from stream.shell.metrics import CONTENT_TYPE, Metrics

logger = logging.getLogger(__name__)

NO_PORT: Final = -1
REQUEST_TIMEOUT_S: Final = 10.0  # a client that is silent for longer is dropped
STOP_TIMEOUT_S: Final = 5.0
BODY_BYTES_MAX: Final = 4096  # of a question
JSON: Final = "application/json"
PAGE: Final = Path(__file__).parent / "page"
FILES: Final = {  # path -> file, kind
    "/": ("live.html", "text/html; charset=utf-8"),
    "/live.css": ("live.css", "text/css; charset=utf-8"),
    "/live.js": ("live.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

FindUser = Callable[[bytes], dict[str, Any]]


class WebError(OSError):
    """The port cannot be listened on. The message is for the user."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a slow client never holds the process back
    request_queue_size = 32
    allow_reuse_address = True  # a restart need not wait for old connections; a listener still wins

    def __init__(
        self,
        address: tuple[str, int],
        metrics: Metrics,
        health: Health,
        live: Live,
        token: str,
        find_user: FindUser,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)
        self.metrics = metrics
        self.health = health
        self.live = live
        self.token = token.encode()
        self.find_user = find_user
        self.finding = threading.Lock()
        self.files = {path: (PAGE / name).read_bytes() for path, (name, _) in FILES.items()}

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """Say nothing of a client that went away; all else is ours, and is logged."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            logger.error("a request of %s failed", client_address, exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = REQUEST_TIMEOUT_S
    server_version = "forecart"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer a page."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            ready = self.server.health.ready().well
            self._answer(HTTPStatus.OK, CONTENT_TYPE, self.server.metrics.render(ready))
        elif path == "/healthz":
            self._verdict(self.server.health.live())
        elif path == "/readyz":
            self._verdict(self.server.health.ready())
        elif path == "/live":
            asked = "Authorization" in self.headers
            if not asked or self._may_see_users():
                self._answer(HTTPStatus.OK, JSON, self.server.live.page(users=asked))
        elif path in FILES:
            self._answer(HTTPStatus.OK, FILES[path][1], self.server.files[path])
        else:
            text = b"/ /metrics /healthz /readyz\n"
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", text)

    do_HEAD = do_GET  # noqa: N815 http.server's name

    def do_POST(self) -> None:
        """Answer a question about a user: {"user": key}, by who has the token."""
        if self.path != "/user":
            self._refuse(HTTPStatus.NOT_FOUND, "questions go to /user")
        elif self._may_see_users() and (key := self._key_asked()):
            if not self.server.finding.acquire(blocking=False):
                self._refuse(HTTPStatus.TOO_MANY_REQUESTS, "another user is being looked up")
                return
            try:
                note = self.server.find_user(key)
            finally:
                self.server.finding.release()
            self._answer(HTTPStatus.OK, JSON, json.dumps(note).encode())

    def _may_see_users(self) -> bool:
        """Compare the token in a time that does not depend on it; refuse if it is another."""
        kind, _, given = self.headers.get("Authorization", "").partition(" ")
        token = self.server.token
        if not token:
            self._refuse(HTTPStatus.FORBIDDEN, "users are not shown: the worker has no web_token")
        elif kind != "Bearer" or not hmac.compare_digest(given.strip().encode(), token):
            logger.warning("a page of users was asked for with a wrong token")
            self._refuse(HTTPStatus.UNAUTHORIZED, "the token is wrong")
        else:
            return True
        return False

    def _key_asked(self) -> bytes:
        """Read the question; refuse and give b"" where there is none."""
        key = b""
        try:
            size = int(self.headers.get("Content-Length", "0"))
            if 0 < size <= BODY_BYTES_MAX:
                key = json.loads(self.rfile.read(size))["user"].encode()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass  # no question
        if not key:
            said = f'write {{"user": KEY}}, at most {BODY_BYTES_MAX} bytes'
            self._refuse(HTTPStatus.BAD_REQUEST, said)
        return key

    def _refuse(self, status: HTTPStatus, said: str) -> None:
        self._answer(status, JSON, json.dumps({"error": said}).encode())

    def _verdict(self, verdict: Verdict) -> None:
        status = HTTPStatus.OK if verdict.well else HTTPStatus.SERVICE_UNAVAILABLE
        body = json.dumps({"ok": verdict.well, "reasons": verdict.reasons}) + "\n"
        self._answer(status, JSON, body.encode())

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 http.server's name
        """Keep quiet: probes come every few seconds."""


class Web:
    """The server of one worker. `find_user` is called on a thread of the server."""

    def __init__(
        self,
        bind: str,
        port: int,
        metrics: Metrics,
        health: Health,
        live: Live,
        token: str = "",
        find_user: FindUser = lambda _: {},
    ) -> None:
        self._address = (bind, port)
        self._parts = (metrics, health, live, token, find_user)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> str:
        """Listen and give http://host:port, or '' without a port. Raises WebError."""
        if self._address[1] == NO_PORT:
            return ""
        bind, port = self._address
        try:
            self._server = _Server(self._address, *self._parts)
        except OSError as error:
            raise WebError(
                f"cannot listen on {bind}:{port}: {error.strerror}; "
                "set web_port to another port, 0 (a free one) or -1 (none)"
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.2},
            name="forecart-web",
            daemon=True,
        )
        self._thread.start()
        return f"http://{bind}:{self._server.server_address[1]}"

    def stop(self) -> None:
        """Stop listening. May be called twice, or without start."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(STOP_TIMEOUT_S)
        self._server = None
        self._thread = None
