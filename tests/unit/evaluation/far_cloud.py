"""A completions server that answers by what it is asked, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[Any], dict[str, Any]]
"""Prompt -> what its choice holds beside the index."""


def spelled(prompt: Any) -> dict[str, Any]:
    """A choice that names its prompt."""
    return {"text": json.dumps(prompt), "finish_reason": "length"}


class FarCloud:
    """What it was asked, in order; how it answers can be changed."""

    def __init__(self, answer: Answer = spelled) -> None:
        self.answer = answer
        self.prompts: list[Any] = []
        self.others: list[str] = []
        self.status = 200
        self.wait_s = 0.0
        self.url = ""

    def completions(self, body: dict[str, Any]) -> dict[str, Any]:
        prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
        if all(isinstance(each, int) for each in prompts):
            prompts = [prompts]
        self.prompts += prompts
        choices = [{"index": at, **self.answer(each)} for at, each in enumerate(prompts)]
        # Servers may answer in any order: the index says which prompt it is about.
        return {"choices": choices[::-1], "usage": {"prompt_tokens": len(prompts)}}


@contextmanager
def far_cloud(answer: Answer = spelled) -> Iterator[FarCloud]:
    cloud = FarCloud(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self.reply({"path": self.path})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(cloud.wait_s)
            if self.path == "/v1/completions":
                self.reply(cloud.completions(body))
            else:
                self.reply({"path": self.path, "body": body})

        def reply(self, value: dict[str, Any]) -> None:
            if self.path != "/v1/completions":
                cloud.others.append(f"{self.command} {self.path}")
            data = json.dumps(value).encode()
            self.send_response(cloud.status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    cloud.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield cloud
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
