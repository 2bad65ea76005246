"""A device and a cloud that write plain words, the cloud behind a real server.

Every word is frequent, so the shield lets the cloud see nearly all positions, and a test of
fusion does not become one of the shield.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from cogenesis.models.distribution import Distribution
from cogenesis.models.protocol import TokenIds
from cogenesis.models.scripted import Logits, ScriptedModel
from tests.unit.models.loopback import Handler

SPACED = (
    "the we go and day good is to it in of that you for on with as this be at or have from one "
    "had but not what all were when your can said there use an each which she do how their if "
    "will up other about out many then them these so some her would make like him into time "
    "has look two more write see number no way could people my than first water been"
)
WORDS = (*(f" {word}".encode() for word in SPACED.split()), b".", b"'s")
LEAN = 0.8


class WordModel(ScriptedModel):
    """Writes WORDS only. Those of other seeds lean to the first one, so that drafts hold."""

    def __init__(self, seed: int = 1, words: tuple[bytes, ...] = WORDS, **options: Any) -> None:
        super().__init__(tokens=words, seed=seed, **options)
        self._words = words
        self._kept: dict[tuple[int, int], Distribution] = {}

    def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
        """By the last token; kept, because tests ask often."""
        key = (prefix.ids[-1], k)
        if key not in self._kept:
            self._kept[key] = super().next_distribution(prefix, k)
        return self._kept[key]

    def _logits(self, prefix: tuple[int, ...]) -> Logits:
        # By the text, not by ids: other vocabularies then say the same.
        last = self._vocabulary[prefix[-1]] if prefix else b""
        own, parent = (self._hashed(seed, last) for seed in (self._seed, 1))
        logits = np.full(len(self._vocabulary), -np.inf)
        mixed = LEAN * parent + (1.0 - LEAN) * own
        for at, word in enumerate(self._words, 256):
            logits[at] = mixed[WORDS.index(word)]
        logits[self.end_token] = -9.0
        return logits

    def _hashed(self, seed: int, last: bytes) -> Logits:
        key = [seed, *last]
        return np.random.default_rng(key).normal(scale=3.0, size=len(WORDS))


class WithVocabulary(WordModel):
    """A device model that can tell all its tokens, as one in this process can."""

    def vocabulary(self) -> tuple[bytes, ...]:
        return self._vocabulary


Reply = dict[str, Any]
Fault = Callable[[Handler, Reply], object]
"""Answers instead of the reply: sends something else, or gives another reply to send."""


class WordCloud:
    """llama.cpp's server as fusion knows it, with a `WordModel` behind it.

    Attributes:
        fault: what becomes of each answer about next tokens; may be set at any time.
        template: whether the model has one, and whether the server fills it in.
        wait_s: before each answer about next tokens.
        texts: every text that it was asked about.
    """

    def __init__(self, model: ScriptedModel, template: tuple[bool, bool] = (False, False)) -> None:
        self.model, self.template = model, template
        self.fault: Fault | None = None
        self.wait_s = 0.0
        self.texts: list[str] = []

    def __call__(self, handler: Handler) -> None:
        path, body = handler.asked.path, handler.asked.body
        if path == "/props":
            chat = "{{ messages }}" if self.template[0] else ""
            settings = {"n_ctx": 4096}
            handler.send_json({"default_generation_settings": settings, "chat_template": chat})
        elif path == "/v1/models":
            handler.send_json({"data": []})
        elif path == "/apply-template" and self.template[1]:
            said = "".join(each["content"] for each in body["messages"])
            handler.send_json({"prompt": f"<turn>{said}<answer>"})
        elif path == "/v1/completions":
            self._score(handler, body)
        else:
            handler.send_json({"error": {"message": "not found"}}, 404)

    def _score(self, handler: Handler, body: dict[str, Any]) -> None:
        self.texts += body["prompt"]
        reply: Reply = {
            "choices": [
                {"index": at, "logprobs": {"content": [self._row(text, body["logprobs"])]}}
                for at, text in enumerate(body["prompt"])
            ]
        }
        time.sleep(self.wait_s)
        answer: object = reply if self.fault is None else self.fault(handler, reply)
        if answer is not None:
            handler.send_json(answer)

    def _row(self, text: str, k: int) -> dict[str, Any]:
        told = self.model.next_distribution(self.model.encode_text(text[-60:]), k)
        listed = zip(told.ids.tolist(), told.logprobs.tolist(), told.tokens, strict=True)
        return {"top_logprobs": [{"id": i, "logprob": lp, "bytes": [*t]} for i, lp, t in listed]}


def rows(reply: Reply) -> list[list[dict[str, Any]]]:
    """The lists of a reply, to be changed."""
    return [each["logprobs"]["content"][0]["top_logprobs"] for each in reply["choices"]]
