"""A local web server that misbehaves as the path of a request asks: errors, delays, redirects, broken content."""

from __future__ import annotations

import contextlib
import http.server
import io
import re
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from tests.sample_images import ENCODED

IMAGE = ENCODED["RGB.jpg"]()
CROWD = 16
"""How many requests `/busy` waits for before it answers any."""


class WebServer(http.server.ThreadingHTTPServer):
    """Counts requests, and how many come at once.

    Attributes:
        requests: "GET /path" -> how many.
        crowd: the most requests for `/busy` at once.
        user_agents: what each request gave as its User-Agent.
        location: where `/redirect` leads.
        private: what a request must carry in its header Authorization for paths under /private/.
    """

    daemon_threads = True
    request_queue_size = 64
    private = "Bearer key"
    location = "/a.jpg"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: Counter[str] = Counter()
        self.user_agents: list[str | None] = []
        self.crowd = self.busy = 0
        self.changed = threading.Condition()
        self.closing = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def handle_error(self, *_: object) -> None:
        """Ignore clients that have disconnected: some tests do."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WebServer

    def do_GET(self) -> None:
        with self.server.changed:
            self.server.requests[f"{self.command} {self.path}"] += 1
            number = self.server.requests[f"{self.command} {self.path}"]
            self.server.user_agents.append(self.headers.get("User-Agent"))
        path = unquote(urlsplit(self.path).path)
        bare = path.removesuffix(".jpg")
        behaviour = getattr(self, f"_{bare[1:].replace('-', '_')}", None)
        if path.startswith("/private/") and self.headers.get("Authorization") != self.server.private:
            self.send_error(403)
        elif match := re.fullmatch(r"/(\d+)-then-ok/(\d+)", bare):
            if number > int(match[2]):
                return self._answer(IMAGE)
            self._status(int(match[1]))
        elif match := re.fullmatch(r"/always/(\d+)", bare):
            self._status(int(match[1]))
        elif match := re.fullmatch(r"/drop/(\d+)", bare):
            if number > int(match[1]):
                return self._answer(IMAGE)
            self.close_connection = True
        elif behaviour is not None:
            behaviour()
        elif path.endswith(".zip"):
            self._archive(path)
        elif path.endswith(".jpg"):
            self._answer(IMAGE)
        else:
            self.send_error(404)
        return None

    def do_HEAD(self) -> None:
        self.server.requests[f"HEAD {self.path}"] += 1
        self.send_error(405)

    def _answer(self, content: bytes, *, length: int | None = None, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        with contextlib.suppress(OSError):  # the client has disconnected
            self.wfile.write(content)

    def _status(self, status: int) -> None:
        _, _, after = unquote(self.path).partition("?after=")
        self._answer(b"no", status=status, Retry_After=after)

    def _archive(self, path: str) -> None:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("a.jpg", IMAGE)
        content = archive.getvalue()
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if match is None or path.startswith("/whole"):
            return self._answer(content)
        start, end = int(match[1]), min(int(match[2]) + 1, len(content))
        content_range = f"bytes {start}-{end - 1}/{len(content)}"
        return self._answer(content[start:end], status=206, Content_Range=content_range)

    def _stalled(self) -> None:
        self._answer(IMAGE[:1000], length=len(IMAGE))
        self.server.closing.wait()

    def _silent(self) -> None:
        self.server.closing.wait()

    def _dripping(self) -> None:
        self._answer(b"", length=len(IMAGE))
        with contextlib.suppress(OSError):
            while not self.server.closing.wait(0.05):
                self.wfile.write(b"x")

    def _truncated(self) -> None:
        self._answer(IMAGE[: len(IMAGE) // 2], length=len(IMAGE))
        self.close_connection = True

    def _truncated_chunks(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(IMAGE), IMAGE))
        self.close_connection = True

    def _endless(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(OSError):
            while not self.server.closing.is_set():
                self.wfile.write(b"10000\r\n%s\r\n" % bytes(0x10000))

    def _inflated(self) -> None:
        import gzip

        self._answer(gzip.compress(bytes(64 << 20)), Content_Encoding="gzip")

    def _huge(self) -> None:
        self._answer(b"", length=1 << 40)

    def _redirect(self) -> None:
        self._answer(b"", status=302, Location=self.server.location)

    def _redirect_loop(self) -> None:
        self._answer(b"", status=302, Location="/redirect-loop")

    def _redirect_to_file(self) -> None:
        self._answer(b"", status=302, Location=f"file://{__file__}")

    def _busy(self) -> None:
        server = self.server
        with server.changed:
            server.busy += 1
            server.crowd = max(server.crowd, server.busy)
            server.changed.notify_all()
            server.changed.wait_for(lambda: server.crowd >= CROWD, timeout=20)
            server.changed.wait_for(lambda: server.crowd > CROWD, timeout=0.1)  # to notice one too many
            server.busy -= 1
        self._answer(IMAGE)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def web_server() -> Iterator[WebServer]:
    """The server, until the end of the context."""
    with WebServer() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.closing.set()
        server.shutdown()
