"""Work for the engines that is like that of a pipeline: ask a cloud model, keep what was paid.

It goes the whole way: egress, ledger, cache. The prompts are fixed text and a number (the
seed), so there is nothing to guard. The server waits as long as a model would write and
answers with a text that depends on the question alone, so that runs can be compared.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cogenesis.data.cache import ReplyCache, question_key
from cogenesis.engines.cloud import CloudAddress
from cogenesis.engines.engine import Place
from cogenesis.models.protocol import Message, Prompt, Sampling
from cogenesis.privacy.released import Released, public
from cogenesis.wire import Deadline


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of one number, and which process worked on it."""

    text: str
    hit: bool
    process: int


@dataclass(frozen=True, slots=True)
class Asking:
    """An opening: each item is a number, and the reply to it is the result."""

    cloud: CloudAddress
    cache: Path

    @contextmanager
    def open(self, place: Place) -> Iterator[Callable[[int], Answered]]:
        """A connection and a cache of this process."""
        cache = ReplyCache(self.cache)
        with self.cloud.open(place) as (model, _):

            def work(number: int) -> Answered:
                sampling = Sampling(max_tokens=64, seed=number)
                key = question_key(self.cloud.model, {"seed": number})

                def call() -> dict[str, Any]:
                    place.pace.wait(tokens=80)
                    pieces = model.generate(PROMPT, sampling, deadline=Deadline(60.0))
                    return {"text": "".join(piece.text for piece in pieces)}

                kept = cache.ask(key, call)
                return Answered(kept.reply["text"], kept.hit, os.getpid())

            yield work


PROMPT: Prompt[Released] = Prompt(
    messages=(Message("user", (public("Write one line about the weather."),)),),
    completion=(public("The weather:"),),
)


class SlowServer:
    """A chat server on loopback that takes `seconds` for each answer; use it with `with`.

    Attributes:
        asked: the seeds that it was asked for, in the order in which they came.
    """

    def __init__(self, seconds: float) -> None:
        self.asked: list[int] = []
        self._server = _Server(("127.0.0.1", 0), _handler(self.asked, seconds))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> SlowServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: a worker that is killed hangs up."""


def _handler(asked: list[int], seconds: float) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append(body["seed"])
            time.sleep(seconds)
            text = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
            chunk = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
            end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
            data = f"data: {json.dumps(chunk)}\n\ndata: {json.dumps(end)}\n\ndata: [DONE]\n\n"
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data.encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    return Handler
