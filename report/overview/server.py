"""`gome ui`: the runs of this machine as a page on a loopback port.

    with open_server(Path("runs"), is_driven, port=0) as server:
        print(server.address)
        server.serve_forever()

It shows what the run folders contain and changes nothing. A request is answered only if it is a
GET, its Host is this very address (a name that a stranger's DNS points here is refused), it comes
from this page or from the address bar, and the run it names is one of the listed folders. Reports
are rendered from the events; a report.html or any other file of a run folder is never served.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from report.html import csp_hash, load_template, read_assets, render_report
from report.overview.feed import IsAlive, RunsFeed
from report.overview.rows import compare_rows, describe_live_run

LOOPBACK = "127.0.0.1"
STYLES = ("base.css", "parts.css", "overview.css")
SCRIPTS = ("vendor/prism.js", "dom.js", "diff.js", "overview.js")
POLL_S, HEARTBEAT_S = 1.0, 15.0
REQUEST_TIMEOUT_S = 20
MAX_STREAMS = 24
MAX_COMPARED = 6
REFRESH_S = 5
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
FRAMES = "frame-ancestors 'none'"


class RequestError(Exception):
    """A request that is not answered: status and one sentence."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class OverviewServer(ThreadingHTTPServer):
    """The server; `serve_forever` answers until `shutdown`."""

    daemon_threads = True

    def __init__(self, port: int, feed: RunsFeed) -> None:
        self.feed = feed
        self.closing = threading.Event()
        self.streams = threading.BoundedSemaphore(MAX_STREAMS)
        super().__init__((LOOPBACK, port), OverviewHandler)
        self.hosts = {f"{name}:{self.server_port}" for name in (LOOPBACK, "localhost")}

    @property
    def address(self) -> str:
        """Address of the page."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    def server_close(self) -> None:
        """End the streams and close the port."""
        self.closing.set()
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a browser that closes its connection is no error."""


def open_server(runs_dir: Path, is_alive: IsAlive, port: int) -> OverviewServer:
    """Bind a loopback port (0: any free one). Raises OSError where it is taken."""
    return OverviewServer(port, RunsFeed(runs_dir, is_alive))


class OverviewHandler(BaseHTTPRequestHandler):
    """Answers one connection."""

    server: OverviewServer
    server_version, sys_version = "gome", ""
    timeout = REQUEST_TIMEOUT_S

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        """Answer a request, or refuse it in one sentence."""
        try:
            self._check_origin()
            self._answer()
        except RequestError as error:
            self._send(error.status, "text/plain; charset=utf-8", f"{error}\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def _check_origin(self) -> None:
        """Refuse what does not come from this page or the address bar. Raises RequestError."""
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or hosts[0] not in self.server.hosts:
            raise RequestError(
                HTTPStatus.MISDIRECTED_REQUEST, f"open {self.server.address} instead"
            )
        origin = self.headers.get("Origin")
        is_foreign = origin is not None and origin.removeprefix("http://") not in self.server.hosts
        if is_foreign or self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise RequestError(
                HTTPStatus.FORBIDDEN, f"another site asked; open {self.server.address} yourself"
            )

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        names = [unquote(name, errors="replace") for name in parts.path.split("/")[1:]]
        match names:
            case [""]:
                self._send_page()
            case ["runs"]:
                self._stream(lambda: {"runs": self.server.feed.list_rows()})
            case ["compare"]:
                self._send_comparison(parse_qs(parts.query, max_num_fields=20).get("run", []))
            case ["run", name, "report"]:
                self._send_report(name)
            case ["run", name, "follow"]:
                self._find_run(name)
                self._stream(lambda: describe_live_run(self._find_run(name), time.time()))
            case _:
                raise RequestError(HTTPStatus.NOT_FOUND, "there is no such page")

    def _find_run(self, name: str) -> Any:
        run = self.server.feed.find_run(name)
        if run is None:
            raise RequestError(HTTPStatus.NOT_FOUND, "there is no such run")
        return run

    def _send_page(self) -> None:
        style, script = read_assets(STYLES), read_assets(SCRIPTS)
        page = load_template("overview.html.j2").render(
            runs_dir=str(self.server.feed.runs_dir),
            style=style,
            script=script,
            index={"attempts": [], "rising": True},
        )
        policy = (
            f"default-src 'none'; style-src '{csp_hash(style)}'; script-src '{csp_hash(script)}';"
            f" connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; {FRAMES}"
        )
        self._send(HTTPStatus.OK, "text/html; charset=utf-8", page, policy)

    def _send_report(self, name: str) -> None:
        run = self._find_run(name)
        page = render_report(
            run.view, run.folder, alive=run.state == "running", refresh_s=REFRESH_S
        )
        self._send(HTTPStatus.OK, "text/html; charset=utf-8", page, FRAMES)

    def _send_comparison(self, names: list[str]) -> None:
        runs = [self._find_run(name) for name in dict.fromkeys(names)]
        if not 2 <= len(runs) <= MAX_COMPARED:
            raise RequestError(HTTPStatus.BAD_REQUEST, f"name two to {MAX_COMPARED} runs")
        body = json.dumps(compare_rows(runs, time.time()))
        self._send(HTTPStatus.OK, "application/json", body)

    def _stream(self, read: Callable[[], Any]) -> None:
        """Send server-sent events: `read()` whenever it changes, until either side closes."""
        if not self.server.streams.acquire(blocking=False):
            raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, "too many pages are open")
        try:
            self._send_head(HTTPStatus.OK, "text/event-stream", None)
            sent, beat = "", time.monotonic()
            while not self.server.closing.is_set():
                text = json.dumps(read())
                if text != sent:
                    self._write(f"data: {text}\n\n")
                    sent, beat = text, time.monotonic()
                elif time.monotonic() - beat > HEARTBEAT_S:
                    self._write(": still here\n\n")
                    beat = time.monotonic()
                self.server.closing.wait(POLL_S)
        except (OSError, RequestError):  # the page was closed, or the run removed
            return
        finally:
            self.server.streams.release()

    def _send_head(
        self, status: HTTPStatus, kind: str, length: int | None, policy: str = ""
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Security-Policy", policy or f"default-src 'none'; {FRAMES}")
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _send(self, status: HTTPStatus, kind: str, text: str, policy: str = "") -> None:
        body = text.encode("utf-8", "replace")
        self._send_head(status, kind, len(body), policy)
        self.wfile.write(body)

    def _write(self, text: str) -> None:
        self.wfile.write(text.encode("utf-8", "replace"))
        self.wfile.flush()
