"""llama.cpp inside this process, reached over a socket that nobody else can open."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from cogenesis.closing import Closing
from cogenesis.errors import MissingExtraError, ModelFileError
from cogenesis.models.adapters import check_adapter
from cogenesis.models.distribution import Distribution
from cogenesis.models.gguf_file import check_gguf
from cogenesis.models.gguf_vocabulary import read_vocabulary
from cogenesis.models.in_process_wire import InProcessWire
from cogenesis.models.llama_server import LlamaServer, Usage
from cogenesis.models.local_wire import LocalWire
from cogenesis.models.protocol import (
    Capabilities,
    DeviceText,
    Message,
    Piece,
    Prompt,
    Sampling,
    TokenIds,
)
from cogenesis.models.threads import start_with_threads
from cogenesis.privacy.released import public
from cogenesis.wire import Deadline

DEFAULT_WINDOW: Final = 4096

_SOCKET: Final = "s.sock"  # llama.cpp takes an address for a socket by this ending
_MAX_SOCKET_PATH: Final = 100
"""Bytes. The kernel's limit is 108 on Linux and 104 on macOS, with the closing NUL."""

_NO_FLASH: Final = 0  # LLAMA_FLASH_ATTN_TYPE_DISABLED

_FIXED: Final = public("The quick brown fox jumps over the lazy dog.")
_FIXED_PROMPT: Final[Prompt[DeviceText]] = Prompt(
    messages=(Message("user", (_FIXED,)),), completion=(_FIXED,)
)


class LlamaCpp(Closing):
    """Implements `Model[DeviceText]` with a GGUF file and no open TCP port.

    llama.cpp listens on a UNIX socket in a new folder that only this user can enter, behind
    a random key, without its web page and slot endpoints, and writes nothing to the
    terminal. Where Python has no UNIX sockets (Windows) it listens on a free port of
    127.0.0.1, and the key alone keeps other users of the device out.

    Not covered: `/health` answers without the key (it says "ok" and nothing else), and the
    prompt's memory may be swapped to disk by the system.

    Use it with `with`, or call `close`; at the latest the end of the process frees it.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        name: str | None = None,
        context_tokens: int = DEFAULT_WINDOW,
        slots: int = 1,
        threads: int | None = None,
        adapter: Path | None = None,
    ) -> None:
        """Load the model: about a second for a small one, a minute for a large one.

        Args:
            path: a GGUF file.
            name: how to call it; the file's stem otherwise.
            context_tokens: window of each slot. llama.cpp caps it at what the model was
                trained on; `capabilities.context_tokens` says what it came to.
            slots: prompts whose caches are kept side by side.
            threads: None chooses cores - 1, and one where the cores turn out to be busy.
            adapter: a LoRA as a GGUF file, made for this model; used in all that it computes.

        Raises:
            ModelFileError: a file is missing, cut off, no GGUF, or llama.cpp refuses it; or the
                adapter was made for another model.
            MissingExtraError: `xllamacpp` is not installed.
        """
        self._path = Path(path)
        check_gguf(self._path)
        if adapter is not None:
            check_adapter(adapter, self._path)
        self._adapter = adapter
        self._name = name or self._path.stem
        self._vocabulary: tuple[bytes, ...] | None = None
        self._running = start_with_threads(
            lambda count: _start(
                self._path,
                self._name,
                context_tokens=context_tokens,
                slots=slots,
                threads=count,
                adapter=adapter,
            ),
            _time_token,
            model_bytes=self._path.stat().st_size,
            threads=threads,
        )
        self._model = self._running.model
        # Also runs at the end of the process, so that no folder is left behind.
        self._finalizer = weakref.finalize(self, self._running.close)

    @property
    def name(self) -> str:
        """The file's stem, or the name that was given."""
        return self._name

    @property
    def adapter(self) -> Path | None:
        """The LoRA that it computes with, if any."""
        return self._adapter

    @property
    def threads(self) -> int:
        """Threads that it computes with."""
        return self._running.threads

    @property
    def capabilities(self) -> Capabilities:
        """The last result of `probe`, which runs at first use."""
        return self._model.capabilities

    @property
    def last_usage(self) -> Usage | None:
        """Tokens of the last request."""
        return self._model.last_usage

    def __repr__(self) -> str:
        return f"LlamaCpp({self._name!r})"

    def encode(self, prompt: Prompt[DeviceText]) -> TokenIds:
        """Apply the model's own template and vocabulary."""
        return self._model.encode(prompt)

    def tokenise(self, text: str) -> tuple[tuple[int, ...], tuple[bytes, ...]]:
        """The ids and the bytes of a text's tokens: no opening token, markers stay text."""
        return self._model.tokenise(text)

    def vocabulary(self) -> tuple[bytes, ...]:
        """The bytes of all tokens in the order of their ids; special ones have none.

        Read from the file at the first call (0.2 s for 262,144 tokens), then kept.

        Raises:
            ModelFileError: the file is gone, or its tokenizer is of an unknown kind.
        """
        if self._vocabulary is None:
            self._vocabulary = read_vocabulary(self._path)
        return self._vocabulary

    def generate(
        self,
        prompt: Prompt[DeviceText] | TokenIds,
        sampling: Sampling,
        *,
        deadline: Deadline | None = None,
    ) -> Iterator[Piece]:
        """Stream a continuation. Closing the iterator stops the model."""
        return self._model.generate(prompt, sampling, deadline=deadline)

    def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
        """The K most probable next tokens, raw."""
        return self._model.next_distribution(prefix, k)

    def score_draft(
        self, prefix: TokenIds, draft: Sequence[int], k: int
    ) -> tuple[Distribution, ...]:
        """Distributions at every draft position and after the last, one request each."""
        return self._model.score_draft(prefix, draft, k)

    def probe(self) -> Capabilities:
        """Find out what the model can do, by fixed public text only."""
        return self._model.probe()

    def close(self) -> None:
        """Free the model's memory and remove its socket. Safe to call twice."""
        self._finalizer()


class _Running:
    """A loaded llama.cpp and the way to it."""

    def __init__(
        self, server: object, folder: Path | None, model: LlamaServer[DeviceText], threads: int
    ) -> None:
        self._server: object | None = server
        self._folder = folder
        self.model = model
        self.threads = threads

    def close(self) -> None:
        self.model.close()
        self._server = None  # its last reference: llama.cpp stops and frees its memory
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _start(
    path: Path,
    name: str,
    *,
    context_tokens: int,
    slots: int,
    threads: int,
    adapter: Path | None,
) -> _Running:
    try:
        import xllamacpp
    except ImportError:
        raise MissingExtraError("xllamacpp", "demo") from None
    key = secrets.token_urlsafe(32)
    params = xllamacpp.CommonParams()
    params.model.path = os.fspath(path)
    params.model_alias = {name}
    params.lora_adapters = [] if adapter is None else [_lora(adapter)]
    params.api_keys = [key]
    params.n_parallel = slots
    # Another prompt with the same template, or the same start, gets a slot of its own.
    params.slot_prompt_similarity = 0.5
    params.n_ctx = context_tokens * slots
    params.n_batch = 512  # it hears of a hang-up between batches only; 2,048 reads no faster
    # Models with a sliding window (Gemma) otherwise read the whole prompt again whenever a
    # prefix is not just the last one grown; costs memory for their skipped positions.
    params.swa_full = True
    params.warmup = False  # `_start` does it
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    _choose_attention(params)
    _keep_private(params)
    with contextlib.ExitStack() as undo:
        folder = _socket_folder() if _has_unix_sockets() else None
        if folder is not None:
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
        params.hostnames = ["127.0.0.1"] if folder is None else [os.fspath(folder / _SOCKET)]
        params.port = 0
        try:
            server = xllamacpp.Server(params)
        except RuntimeError:
            raise ModelFileError(
                f"llama.cpp cannot load {path}{_with(adapter)}. It may be damaged, need more "
                "memory than is free, or a newer llama.cpp. Check it with: cogenesis models check"
            ) from None
        wire = (
            LocalWire.loopback(server.listening_address, key)
            if folder is None
            else LocalWire.unix(folder / _SOCKET, key)
        )
        short = InProcessWire(server, wire, slots=slots)
        undo.callback(short.close)
        model = LlamaServer(short, name=name)
        # The first token reads the weights from disk. It also waits until llama.cpp's queue
        # runs: one that is told to stop before that starts afterwards and never stops, so
        # that an early `close` would hang.
        model.next_distribution(model.encode(_FIXED_PROMPT), 1)
        undo.pop_all()
    return _Running(server, folder, model, threads)


def _lora(adapter: Path) -> Any:
    """An adapter at its full scale.

    The scale never changes while the model runs: after a change, a request that does not name
    its scale would be answered from the old one's cache.
    """
    import xllamacpp

    return xllamacpp.CommonAdapterLoraInfo(os.fspath(adapter), 1.0)


def _with(adapter: Path | None) -> str:
    return "" if adapter is None else f" with the adapter {adapter}"


def _choose_attention(params: Any) -> None:
    if sys.platform == "darwin":
        return  # Macs compute on their GPU
    # On a processor llama.cpp's fused attention takes 20 % longer for a token after 1,000
    # others, 45 % after 3,500, and saves 10 to 20 % of their reading.
    params.flash_attn_type = _NO_FLASH
    params.n_ubatch = 128  # larger ones take more memory without it, and read no faster


def _keep_private(params: Any) -> None:
    params.ui = False
    params.endpoint_slots = False  # they show every prompt
    params.endpoint_props = False  # the one that changes settings; reading needs the key
    params.cache_ram_mib = 0  # by default up to 8 GiB of old prompts
    params.verbosity = -1  # its log quotes prompts


def _has_unix_sockets() -> bool:
    # Python on Windows has no socket.AF_UNIX, though Windows itself does.
    return hasattr(socket, "AF_UNIX")


def _socket_folder() -> Path:
    """A new folder of mode 0700 whose path is short enough for a socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="cogenesis-"))
    if len(os.fsencode(folder / _SOCKET)) <= _MAX_SOCKET_PATH:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="cogenesis-", dir="/tmp"))  # mode 0700 too


def _time_token(running: _Running) -> float:
    """Seconds for one token on a cached prefix (`_start` has read it): median of three."""
    model = running.model
    prefix = model.encode(_FIXED_PROMPT)
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        model.next_distribution(prefix, 1)
        times.append(time.perf_counter() - begin)
    return sorted(times)[1]
