"""A model without weights: for tests, examples and work on everything around the models.

It keeps the whole contract of `Model`. As text it answers from a script; as tokens it has a
small vocabulary and a fixed rule for what comes next. It can wait, fail, and be cut off at a
chosen step, and it remembers what it was asked.

    model = ScriptedModel(["- one\\n- two"], fail=CloudError("timeout", "too slow"), fail_at=3)
"""

from __future__ import annotations

import codecs
import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from cogenesis.closing import Closing
from cogenesis.errors import ModelError
from cogenesis.models.distribution import Distribution
from cogenesis.models.protocol import Capabilities, DeviceText, Piece, Prompt, Sampling, TokenIds
from cogenesis.models.reply_reader import ReplyReader, ServerRole
from cogenesis.privacy.released import Released
from cogenesis.wire import Deadline

BYTES: Final = tuple(bytes([value]) for value in range(256))
"""One token for each byte: whatever the vocabulary holds besides, every text has ids."""

WORDS: Final = (b" the", b" a", b" and", b" of", b" to", b" in", b" is", b" we", b"ing", b".\n")

Logits = npt.NDArray[np.float64]
Replies = Sequence[str] | Callable[[str], str]


class ScriptedModel(Closing):
    """Implements `Model[DeviceText]`, and so `Model[Released]`: it stands in for either role.

    Safe to use from several threads.

    Attributes:
        asked: every prompt that `generate` got, in order.
        written: pieces handed out so far, over all calls; it stops growing when an iterator
            is closed.
        closed: whether `close` was called.
        end_token: the id that ends a text; its bytes are empty.
    """

    def __init__(
        self,
        replies: Replies | None = None,
        *,
        name: str = "scripted",
        role: ServerRole = "device",
        chat: bool = True,
        tokens: Sequence[bytes] = WORDS,
        table: Mapping[tuple[int, ...], Mapping[int, float]] | None = None,
        seed: int = 0,
        context_tokens: int = 4096,
        first_piece_s: float = 0.0,
        piece_s: float = 0.0,
        fail: Exception | None = None,
        fail_at: int = 0,
        cut_at: int | None = None,
    ) -> None:
        """Nothing happens before the first use.

        Args:
            replies: texts that `generate` gives one after the other, or a function from the
                prompt's text to its answer. Without it the tokens decide.
            name: as every model's.
            role: whether its own errors are a cloud's or a device's.
            chat: whether prompts are read as chat turns or as one text to complete.
            tokens: longer tokens beside the 256 bytes, ids from 256 on; the token after the
                last of them ends a text.
            table: for a prefix of ids, the logit of each next id (all others impossible).
                For prefixes that it lacks, logits come from a hash of seed and prefix.
            seed: of the hashed logits.
            context_tokens: window that it claims; a longer prompt is refused.
            first_piece_s: seconds before the first piece.
            piece_s: seconds before each piece.
            fail: raised by `generate` instead of piece `fail_at` (counted from 0).
            fail_at: see `fail`.
            cut_at: raise "cut off in mid-stream" instead of this piece, as adapters do.
        """
        self._replies = replies
        self._name = name
        self._reader = ReplyReader(role, name)
        self._vocabulary = (*BYTES, *tokens, b"")
        self.end_token = len(self._vocabulary) - 1
        self._ids = {token: at for at, token in enumerate(self._vocabulary) if token}
        self._longest = max(len(token) for token in self._vocabulary)
        self._table = table or {}
        self._seed = seed
        self._first_piece_s, self._piece_s = first_piece_s, piece_s
        self._fail, self._fail_at, self._cut_at = fail, fail_at, cut_at
        self._capabilities = Capabilities(
            chat=chat,
            ids=True,
            logprobs=len(self._vocabulary),
            drafts=True,
            context_tokens=context_tokens,
            vocabulary=len(self._vocabulary),
        )
        self._lock = threading.Lock()
        self._given = 0
        self.asked: list[Prompt[DeviceText] | TokenIds] = []
        self.written = 0
        self.closed = False

    @property
    def name(self) -> str:
        """The name that was given."""
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        """Everything, with a K up to the whole vocabulary."""
        return self._capabilities

    def __repr__(self) -> str:
        return f"ScriptedModel({self._name!r})"

    def text_of(self, prompt: Prompt[DeviceText] | TokenIds) -> str:
        """The prompt as this model reads it: `role: content` lines, or one text."""
        if isinstance(prompt, TokenIds):
            return self.decode(prompt).decode("utf-8", "replace")
        if not self._capabilities.chat:
            return _join(prompt.completion)
        turns = [f"{message.role}: {_join(message.parts)}\n" for message in prompt.messages]
        return "".join(turns) + "assistant: "

    def encode(self, prompt: Prompt[DeviceText]) -> TokenIds:
        """The ids of `text_of(prompt)`: the longest token that fits, from left to right."""
        return self.encode_text(self.text_of(prompt))

    def encode_text(self, text: str) -> TokenIds:
        """The ids of a text."""
        data, at, ids = text.encode("utf-8", "replace"), 0, []
        while at < len(data):
            longest = range(min(self._longest, len(data) - at), 0, -1)
            size = next(size for size in longest if data[at : at + size] in self._ids)
            ids.append(self._ids[data[at : at + size]])
            at += size
        return TokenIds(tuple(ids))

    def decode(self, ids: TokenIds) -> bytes:
        """The bytes of ids."""
        return b"".join(self._vocabulary[each] for each in ids.ids)

    def generate(
        self,
        prompt: Prompt[DeviceText] | TokenIds,
        sampling: Sampling,
        *,
        deadline: Deadline | None = None,
    ) -> Iterator[Piece]:
        """Stream the next reply of the script, or sample tokens.

        Scripted pieces are words, `max_tokens` counts them, and `Prompt.stop` ends a
        completion. Sampled tokens honour temperature, top-k, top-p, min-p and seed; the
        penalties are not applied.
        """
        size = len(prompt) if isinstance(prompt, TokenIds) else len(self.encode(prompt))
        if size > (self._capabilities.context_tokens or size):
            raise self._reader.fault("refused the prompt: it does not fit the window")
        with self._lock:
            self.asked.append(prompt)
            reply = self._next_reply(prompt)
        if reply is None:
            ids = prompt if isinstance(prompt, TokenIds) else self.encode(prompt)
            return self._paced(self._sampled(ids, sampling), deadline)
        if isinstance(prompt, Prompt) and not self._capabilities.chat:
            for stop in prompt.stop:
                reply = reply.split(stop.text)[0]
        words = re.findall(r"\s*\S+|\s+$", reply)[: sampling.max_tokens]
        return self._paced((Piece(word) for word in words), deadline)

    def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
        """The K most probable next tokens of the table or the hash."""
        if k < 1:
            raise ModelError("k must be at least 1")
        logits = self._logits(prefix.ids)
        logprobs = logits - _log_sum_exp(logits)
        # Stable, so that equal logits are listed from the lowest id: as servers do it.
        best = [int(i) for i in np.argsort(-logprobs, kind="stable")[:k] if logprobs[i] > -np.inf]
        return Distribution.of(
            best, [float(logprobs[i]) for i in best], [self._vocabulary[i] for i in best]
        )

    def score_draft(
        self, prefix: TokenIds, draft: Sequence[int], k: int
    ) -> tuple[Distribution, ...]:
        """Distributions at every draft position and after the last: len(draft) + 1."""
        ends = range(len(draft) + 1)
        return tuple(self.next_distribution(TokenIds((*prefix.ids, *draft[:e])), k) for e in ends)

    def probe(self) -> Capabilities:
        """What the constructor was told."""
        return self._capabilities

    def close(self) -> None:
        """Remember it. Safe to call twice."""
        self.closed = True

    def _next_reply(self, prompt: Prompt[DeviceText] | TokenIds) -> str | None:
        if self._replies is None:
            return None
        if callable(self._replies):
            return self._replies(self.text_of(prompt))
        if self._given >= len(self._replies):
            raise self._reader.fault(f"was asked more than its {self._given} scripted replies")
        self._given += 1
        return self._replies[self._given - 1]

    def _paced(self, pieces: Iterator[Piece], deadline: Deadline | None) -> Iterator[Piece]:
        self._wait(self._first_piece_s, deadline)
        at = 0
        while True:
            self._wait(self._piece_s, deadline)
            if self._fail is not None and at == self._fail_at:
                raise self._fail
            if at == self._cut_at:
                raise self._reader.fault("was cut off in mid-stream")
            piece = next(pieces, None)
            if piece is None:
                return
            at += 1
            with self._lock:
                self.written += 1
            yield piece

    def _wait(self, seconds: float, deadline: Deadline | None) -> None:
        left = seconds if deadline is None else min(seconds, deadline.remaining())
        if left > 0.0:
            time.sleep(left)
        if deadline is not None and deadline.passed():
            raise self._reader.fault("took longer than it was given", "timeout")

    def _sampled(self, prefix: TokenIds, sampling: Sampling) -> Iterator[Piece]:
        ids = list(prefix.ids)
        random = np.random.default_rng(sampling.seed)
        characters = codecs.getincrementaldecoder("utf-8")("replace")
        for _ in range(sampling.max_tokens):
            token = _sample(self._logits(tuple(ids)), sampling, random)
            if token == self.end_token:
                break
            ids.append(token)
            whole = characters.getstate()[0] == b""
            text = characters.decode(self._vocabulary[token])
            if text:
                yield Piece(text, token if whole else None)
        rest = characters.decode(b"", final=True)
        if rest:
            yield Piece(rest)

    def _logits(self, prefix: tuple[int, ...]) -> Logits:
        row = self._table.get(prefix)
        if row is not None:
            logits = np.full(len(self._vocabulary), -np.inf)
            logits[list(row)] = list(row.values())
            return logits
        # Two tokens of context, so that the same words follow in many places.
        key = f"{self._seed}:{prefix[-2:]}".encode()
        random = np.random.default_rng(list(hashlib.blake2b(key, digest_size=16).digest()))
        return random.normal(scale=3.0, size=len(self._vocabulary))


def _join(parts: Sequence[DeviceText]) -> str:
    return "".join(part.text if isinstance(part, Released) else part for part in parts)


def _log_sum_exp(logits: Logits) -> float:
    top = float(logits.max())
    return top + float(np.log(np.exp(logits - top).sum()))


def _sample(logits: Logits, sampling: Sampling, random: np.random.Generator) -> int:
    """One id, by temperature, then top-k, top-p and min-p."""
    if sampling.temperature <= 0.0:
        return int(np.argmax(logits))
    scaled = logits / sampling.temperature
    probabilities = np.exp(scaled - _log_sum_exp(scaled))
    order = np.argsort(-probabilities, kind="stable")
    if sampling.top_k > 0:
        order = order[: sampling.top_k]
    kept = probabilities[order] / probabilities[order].sum()
    # The token that crosses top_p stays, so at least one does.
    enough = np.cumsum(kept) - kept < sampling.top_p
    enough &= kept >= sampling.min_p * kept[0]
    order, kept = order[enough], kept[enough]
    return int(random.choice(order, p=kept / kept.sum()))
