"""A publisher on this machine, who can be made to answer badly; and tiny sets with a manifest of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Publisher:
    """Serves ``content`` at any path, as badly as it is told to.

    Attributes:
        content: The file.
        etag: Its strong validator; empty to send none.
        ranges: Whether it honours Range.
        cut_at: Per request, the byte position in the file at which it hangs up; the last one stays.
        statuses: Per request, an HTTP status instead of the file; then the file.
        pause_s: Seconds of silence before the body.
        drip_s: Seconds between single bytes of the body; 0 sends it at once.
        declare_length: Whether it says how long the answer is.
        redirect: Address to send everyone to.
        asked: The Range header of each request, None where it had none.
    """

    content: bytes = b""
    etag: str = '"first"'
    ranges: bool = True
    cut_at: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    pause_s: float = 0.0
    drip_s: float = 0.0
    declare_length: bool = True
    redirect: str = ""
    wrong_range: bool = False
    asked: list[str | None] = field(default_factory=list)
    address: str = ""
    closing: threading.Event = field(default_factory=threading.Event)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.asked.append(asked)
        if self.redirect:
            request.send_response(302)
            request.send_header("Location", self.redirect)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        if self.statuses:
            request.send_error(self.statuses.pop(0))
            return
        start = 0
        if asked and self.ranges and request.headers.get("If-Range") == self.etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(self.content):
                request.send_response(416)
                request.send_header("Content-Range", f"bytes */{len(self.content)}")
                request.send_header("Content-Length", "0")
                request.end_headers()
                return
        request.send_response(206 if start else 200)
        if start:
            said = start + 1 if self.wrong_range else start
            request.send_header("Content-Range", f"bytes {said}-{len(self.content) - 1}/{len(self.content)}")
        if self.etag:
            request.send_header("ETag", self.etag)
        if self.declare_length:
            request.send_header("Content-Length", str(len(self.content) - start))
        request.end_headers()
        self.closing.wait(self.pause_s)
        end = len(self.content)
        if self.cut_at:
            end = self.cut_at.pop(0) if len(self.cut_at) > 1 else self.cut_at[0]
        body = self.content[start:end]
        try:
            if not self.drip_s:
                request.wfile.write(body)
            for at in range(len(body) if self.drip_s else 0):
                request.wfile.write(body[at : at + 1])
                if self.closing.wait(self.drip_s):
                    break
        except OSError:
            pass  # the other side had enough, which is what some tests are about


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    kept = Publisher()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kept.answer(self)
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    kept.address = f"http://127.0.0.1:{server.server_port}/set.zip"
    yield kept
    kept.closing.set()
    server.shutdown()
    server.server_close()
    thread.join()
