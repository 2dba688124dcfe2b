"""A file server on this machine that breaks off, lies and changes its mind."""

from __future__ import annotations

import http.server
import re
import threading

import pytest

BODY = bytes(range(256)) * 4000  # about 1 MB, larger than the socket's buffers


class Server:
    """Serves bytes by path; what goes wrong is set per path."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.break_after: dict[str, list[int]] = {}  # path: bytes after which each coming answer ends
        self.no_range: set[str] = set()
        self.etag = '"one"'
        self.endless = False
        self.ignores_if_range = False
        self.then: dict[str, tuple[bytes, str]] = {}  # path: what it is after the first answer, and its version
        self.leads_to = ""  # where every answer sends the client
        self.asked: list[tuple[str, str | None]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.answer(self)

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *args: None  # clients that hang up are part of the test
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.http.server_port}{path}"

    def answer(self, request) -> None:
        path, wanted = request.path, request.headers.get("Range")
        self.asked.append((path, wanted))
        if path not in self.files:
            request.send_error(404)
            return
        if self.leads_to:
            request.send_response(302)
            request.send_header("Location", self.leads_to)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        body, start = self.files[path], 0
        same = self.ignores_if_range or request.headers.get("If-Range") == self.etag
        if wanted and path not in self.no_range and same:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if start >= len(body):
                request.send_response(416)
                request.send_header("Content-Range", f"bytes */{len(body)}")
                request.send_header("Content-Length", "0")
                request.end_headers()
                return
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            request.send_response(200)
        if self.endless:
            request.end_headers()
            while True:
                request.wfile.write(body)
        request.send_header("Content-Length", str(len(body) - start))
        if self.etag:
            request.send_header("ETag", self.etag)
        request.end_headers()
        cuts = self.break_after.get(path)
        end = start + cuts.pop(0) if cuts else len(body)
        request.wfile.write(body[start:end])
        if end < len(body):
            request.close_connection = True
        if path in self.then:
            self.files[path], self.etag = self.then[path]


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("rsdet.data.fetch.time.sleep", lambda s: None)
    monkeypatch.setenv("no_proxy", "*")
    running = Server()
    running.files["/x.bin"] = BODY
    yield running
    running.http.shutdown()
    running.http.server_close()
