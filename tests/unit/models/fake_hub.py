"""A loopback server that speaks as much of the hub's protocol as a download needs."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """Serves `files` as the repository `owner/name`; remembers what was asked.

    `lie` is a file whose published sum is wrong; `status` answers every question if set.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.lie: str | None = None
        self.status: int | None = None
        self.asked: list[str] = []

    def info(self) -> dict[str, Any]:
        """The answer of the model-info endpoint."""
        siblings = []
        for name, raw in self.files.items():
            digest = "0" * 64 if name == self.lie else hashlib.sha256(raw).hexdigest()
            lfs = {"sha256": digest, "size": len(raw), "pointerSize": 130}
            siblings.append({"rfilename": name, "size": len(raw), "lfs": lfs, "blobId": "b"})
        return {
            "id": "owner/name",
            "modelId": "owner/name",
            "sha": COMMIT,
            "private": False,
            "gated": False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "cardData": {"license": "apache-2.0"},
            "siblings": siblings,
        }


@contextmanager
def running(hub: FakeHub) -> Iterator[str]:
    """Serve it; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def _answer(self, *, body: bool) -> None:
            path = self.path.partition("?")[0]
            hub.asked.append(f"{self.command} {path}")
            status, raw, headers = _reply(hub, path)
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            if body:
                self.wfile.write(raw)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _reply(hub: FakeHub, path: str) -> tuple[int, bytes, dict[str, str]]:
    if hub.status is not None:
        return hub.status, b"{}", {}
    if path == "/api/models/owner/name":
        return 200, json.dumps(hub.info()).encode(), {"Content-Type": "application/json"}
    start = f"/owner/name/resolve/{COMMIT}/"
    raw = hub.files.get(path.removeprefix(start)) if path.startswith(start) else None
    if raw is None:
        return 404, b"{}", {"X-Error-Code": "RepoNotFound"}
    digest = hashlib.sha256(raw).hexdigest()
    return 200, raw, {"X-Repo-Commit": COMMIT, "ETag": f'"{digest}"'}
