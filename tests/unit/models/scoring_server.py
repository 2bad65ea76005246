"""Servers that score drafts, on loopback: every dialect's form, one small model behind them.

Its tokens are single characters and their ids code points, so every text's ids are a
beginning of a longer text's ids. What comes next depends on the text so far and nothing else.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cogenesis.models.draft_scoring import Dialect
from cogenesis.models.token_scorer import TokenScorer
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint
from cogenesis.privacy.ledger import Ledger
from tests.unit.models.loopback import Handler, Loopback

ALPHABET = [*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,;:!?-", "7"]
VOCABULARY = {ord(each): each.encode() for each in map(chr, range(32, 127))}
REPLIES = Path(__file__).parent / "replies"

Row = list[tuple[str, float]]
Change = Callable[[str, dict[str, Any], dict[str, Any]], Any]


def recorded(name: str) -> dict[str, Any]:
    """The content of a file of replies; `about` says whether it was recorded."""
    content: dict[str, Any] = json.loads((REPLIES / name).read_text("utf-8"))
    assert content["about"].startswith(("recorded from", "written after the documented form"))
    return content


def row_after(text: str, k: int) -> Row:
    """The K most probable characters after a text, most probable first."""
    return _ranked(text[-8:])[:k]


@functools.cache
def _ranked(text: str) -> Row:
    names = sorted(set(ALPHABET))
    digests = [hashlib.sha256(f"{text}|{each}".encode()).digest() for each in names]
    logits = [4.0 * digest[0] / 255.0 for digest in digests]
    if text.endswith("6,"):
        logits[names.index("7")] = 12.0
    total = math.log(sum(map(math.exp, logits)))
    ranked = sorted(zip(names, logits, strict=True), key=lambda pair: (-pair[1], pair[0]))
    return [(name, logit - total) for name, logit in ranked]


class Scores:
    """Answers as llama.cpp, vLLM, SGLang or an OpenAI-style server would.

    `largest` is the most entries it lists; `change` may replace a reply, given the path and
    the body of its request.
    """

    def __init__(
        self, kind: str, *, largest: int = 128, cached: int | None = 5, change: Change | None = None
    ) -> None:
        self._answer = getattr(self, f"_{kind}")
        self._largest = largest
        self._cached = cached
        self._change = change

    def __call__(self, handler: Handler) -> None:
        path, body = handler.asked.path, handler.asked.body
        if path == "/tokenize":
            text = body.get("content", body.get("prompt"))
            ids = [ord(each) for each in text]
            pieces = [{"id": ord(each), "piece": each} for each in text]
            reply: Any = {"tokens": pieces if body.get("with_pieces") else ids}
        else:
            reply = self._answer(body)
        if self._change is not None:
            reply = self._change(path, body, reply)
        if reply is None:
            handler.send_json({"error": "no"}, status=400)
        else:
            handler.send_json(reply)

    def _row(self, text: str, k: int) -> Row:
        return row_after(text, min(k, self._largest))

    def _usage(self) -> dict[str, Any]:
        if self._cached is None:
            return {}
        return {"prompt_tokens_details": {"cached_tokens": self._cached}}

    def _choices(self, told: list[Any]) -> dict[str, Any]:
        choices = [{"index": at, "logprobs": each} for at, each in enumerate(told)]
        return {"choices": choices[::-1], "usage": self._usage()}

    def _llama(self, body: dict[str, Any]) -> dict[str, Any]:
        def listed(text: str) -> dict[str, Any]:
            row = self._row(text, body["logprobs"])
            top = [{"id": ord(c), "bytes": [*c.encode()], "logprob": lp} for c, lp in row]
            return {"content": [{"id": ord("a"), "top_logprobs": top}]}

        return self._choices([listed(each) for each in _texts(body["prompt"])])

    def _vllm(self, body: dict[str, Any]) -> dict[str, Any]:
        ids = body["return_tokens_as_token_ids"]

        def listed(text: str) -> dict[str, Any]:
            row = self._row(text, body["logprobs"])
            named = {f"token_id:{ord(c)}" if ids else c: lp for c, lp in row}
            return {"top_logprobs": [named]}

        return self._choices([listed(each) for each in _texts(body["prompt"])])

    def _sglang(self, body: dict[str, Any]) -> dict[str, Any]:
        text = body["text"] if "text" in body else _texts([body["input_ids"]])[0]

        def listed(end: int) -> list[Any]:
            return [[lp, ord(c), c] for c, lp in self._row(text[:end], body["top_logprobs_num"])]

        start = body.get("logprob_start_len", len(text))
        meta: dict[str, Any] = {"output_top_logprobs": [listed(len(text))]}
        meta["input_top_logprobs"] = [
            None if at == start else listed(at) for at in range(start, len(text))
        ]
        if self._cached is not None:
            meta["cached_tokens"] = self._cached
        return {"meta_info": meta}

    def _completions(self, body: dict[str, Any]) -> dict[str, Any]:
        prompt, k = body["prompt"], body["logprobs"]

        def listed(text: str) -> dict[str, Any]:
            begin = 0 if body.get("echo") else len(text) - body.get("echo_last", 0)
            tokens, rows = [*text[begin:], "a"], []
            for at in range(begin, len(text) + 1):
                row = dict(self._row(text[:at], k))
                if at < len(text):
                    row.setdefault(text[at], -9.0)  # the drafted token is added
                rows.append(row)
            return {"tokens": tokens, "top_logprobs": rows}

        return self._choices([listed(each) for each in _texts(prompt)])

    def _chat(self, body: dict[str, Any]) -> dict[str, Any]:
        row = self._row(body["messages"][-1]["content"], body["top_logprobs"])
        top = [{"token": c, "bytes": [*c.encode()], "logprob": lp} for c, lp in row]
        return self._choices([{"content": [{"token": "a", "top_logprobs": top}]}])


def _texts(prompt: Any) -> list[str]:
    prompts = [prompt] if isinstance(prompt, str) else prompt
    return [each if isinstance(each, str) else "".join(map(chr, each)) for each in prompts]


@contextmanager
def scorer(
    dialect: Dialect, scores: Callable[[Handler], None]
) -> Iterator[tuple[TokenScorer, Loopback]]:
    """A scorer on a server, through the real egress."""
    memory = Path("/dev/shm")  # the ledger syncs each row
    with (
        tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder,
        Loopback(scores) as server,
        Ledger.open(Path(folder) / "ledger.db") as ledger,
        Egress(CloudEndpoint.parse(server.url), ledger, attempts=1) as egress,
    ):
        yield TokenScorer(egress, dialect), server
