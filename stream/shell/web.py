"""`/metrics`, `/healthz` and `/readyz`, served from a thread of their own.

Rules of the room: the answer must come while the event loop is busy or stuck, so nothing here
touches it; GET and HEAD only; nothing of a user is shown. /healthz and /readyz answer 200 or 503
with {"ok": ..., "reasons": {probe: reason}}.
"""

import json
import logging
import socket
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from stream.shell.health import Health, Verdict
from stream.shell.metrics import CONTENT_TYPE, Metrics

logger = logging.getLogger(__name__)

NO_PORT: Final = -1
REQUEST_TIMEOUT_S: Final = 10.0  # a client that is silent for longer is dropped
STOP_TIMEOUT_S: Final = 5.0


class WebError(OSError):
    """The port cannot be listened on. The message is for the user."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a slow client never holds the process back
    request_queue_size = 32
    allow_reuse_address = True  # a restart need not wait for old connections; a listener still wins

    def __init__(self, address: tuple[str, int], metrics: Metrics, health: Health) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)
        self.metrics = metrics
        self.health = health

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
        """Answer one of the three pages."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            ready = self.server.health.ready().well
            self._answer(HTTPStatus.OK, CONTENT_TYPE, self.server.metrics.render(ready))
        elif path == "/healthz":
            self._verdict(self.server.health.live())
        elif path == "/readyz":
            self._verdict(self.server.health.ready())
        else:
            text = b"/metrics /healthz /readyz\n"
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", text)

    do_HEAD = do_GET  # noqa: N815 http.server's name

    def _verdict(self, verdict: Verdict) -> None:
        status = HTTPStatus.OK if verdict.well else HTTPStatus.SERVICE_UNAVAILABLE
        body = json.dumps({"ok": verdict.well, "reasons": verdict.reasons}) + "\n"
        self._answer(status, "application/json", body.encode())

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 http.server's name
        """Keep quiet: probes come every few seconds."""


class Web:
    """The server of one worker."""

    def __init__(self, bind: str, port: int, metrics: Metrics, health: Health) -> None:
        self._address = (bind, port)
        self._metrics = metrics
        self._health = health
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> str:
        """Listen and give http://host:port, or '' without a port. Raises WebError."""
        if self._address[1] == NO_PORT:
            return ""
        bind, port = self._address
        try:
            self._server = _Server(self._address, self._metrics, self._health)
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
