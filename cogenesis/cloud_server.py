"""The demo cloud: a real llama.cpp server in a process of its own, on this machine.

It stands in for a cloud model so that everything can be tried without an account: it is
reached over HTTP as a real one is, and sees only what a real one would see.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from cogenesis.delay_proxy import Connect, DelayProxy, Streams
from cogenesis.errors import InputError, MissingExtraError, ModelError
from cogenesis.models.gguf_file import check_gguf
from cogenesis.privacy.endpoint import is_loopback

ALIAS = "demo-cloud"
DEFAULT_PORT = 8090


def default_threads() -> int:
    """Half of the cores, at least one: the other half is for the device model beside it.

    Two llama.cpp processes with more threads than cores between them wait for each other:
    one cached token took 2,050 ms instead of 21 ms on two cores.
    """
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)) // 2)
    return max(1, (os.cpu_count() or 1) // 2)


@dataclass(frozen=True, slots=True)
class CloudSettings:
    """How the demo cloud is served. `delay_ms` is added to every round trip."""

    model: Path
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    delay_ms: float = 0.0
    threads: int = field(default_factory=default_threads)
    context_tokens: int = 4096
    api_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        require_loopback(self.host)


def require_loopback(host: str) -> None:
    """Refuse a host that other machines could reach.

    Raises:
        InputError: it is not a loopback address.
    """
    if is_loopback(host):
        return
    raise InputError(
        f"the demo cloud does not listen on {host}: it has no encryption and is a stand-in for "
        "trying things out on one machine. Use --host 127.0.0.1."
    )


@dataclass(frozen=True, slots=True)
class Ready:
    """What a started server tells; never a path or a key."""

    url: str
    model: str
    delay_ms: float
    threads: int
    pid: int


def serve(
    settings: CloudSettings,
    on_ready: Callable[[Ready], None],
    *,
    until_stdin_closes: bool = False,
) -> NoReturn:
    """Serve until SIGTERM or SIGINT (or the end of standard input), then end the process.

    The process ends at once, without closing llama.cpp: its own close waits until open
    streams have ended (measured: 30 s), and nothing here is worth saving. The system
    frees the port.

    Raises:
        InputError: the port is taken.
        ModelError: the model cannot be loaded.
        MissingExtraError: `xllamacpp` is not installed.
    """
    # Kept until the end: letting go of llama.cpp's server closes it.
    _kept = asyncio.run(_serve(settings, on_ready, until_stdin_closes=until_stdin_closes))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


async def _serve(
    settings: CloudSettings, on_ready: Callable[[Ready], None], *, until_stdin_closes: bool
) -> Any:
    """Serve until asked to stop; return llama.cpp's server, still open."""
    stop = _stop_signal(until_stdin_closes=until_stdin_closes)
    listening = _bind(settings.host, settings.port)
    host, port = listening.getsockname()[:2]
    with _private_folder() as folder:
        proxy: DelayProxy | None = None
        if settings.delay_ms > 0:
            upstream = str(folder / "llama.sock") if os.name == "posix" else "127.0.0.1"
            server = _start_llama(settings, upstream, 0)
            proxy = DelayProxy(_connector(server.listening_address), settings.delay_ms)
            await proxy.start(listening)
        else:
            listening.close()
            server = _start_llama(settings, host, port)
        shown = f"[{host}]" if ":" in host else host
        on_ready(
            Ready(f"http://{shown}:{port}", ALIAS, settings.delay_ms, settings.threads, os.getpid())
        )
        await stop.wait()
        if proxy is not None:
            await proxy.close()
    return server


def _stop_signal(*, until_stdin_closes: bool) -> asyncio.Event:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def request_stop(*_: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(stop.set)

    signal.signal(signal.SIGTERM, request_stop)
    signal.signal(signal.SIGINT, request_stop)
    if until_stdin_closes:

        def watch() -> None:
            while os.read(0, 1024):
                pass
            request_stop()

        threading.Thread(target=watch, daemon=True).start()
    return stop


def _bind(host: str, port: int) -> socket.socket:
    """A bound socket, so that a taken port is found before a model is loaded."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix":  # elsewhere it would share the port with another program
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise InputError(
            f"cannot listen on {host}:{port} ({error.strerror}). Choose another --port, or "
            "--port 0 for a free one."
        ) from error
    return listening


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    """A folder of mode 0700 with a short path: a UNIX socket's path has about 100 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="cg-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start_llama(settings: CloudSettings, host: str, port: int) -> Any:
    """Load the model and listen. `host` may be the path of a UNIX socket."""
    check_gguf(settings.model)
    try:
        import xllamacpp
    except ImportError as error:
        raise MissingExtraError("xllamacpp", "demo") from error
    # /props shows the path of the model: give it one that says nothing about this machine.
    model = settings.model.resolve()
    os.chdir(model.parent)
    params = xllamacpp.CommonParams()
    params.model.path = model.name
    params.model_alias = {ALIAS}
    params.hostnames = [host]
    params.port = port
    params.n_ctx = settings.context_tokens
    params.n_parallel = 1
    # Drafts are scored as prefixes of one text, which go forward and, after a rejection, back.
    # Models with a sliding window (Gemma) keep only its last positions and would read the
    # prompt again whenever a prefix is shorter than the last one; all positions cost memory.
    params.swa_full = True
    params.cpuparams.n_threads = settings.threads
    params.cpuparams_batch.n_threads = settings.threads
    params.endpoint_slots = False
    params.ui = False
    params.cache_ram_mib = 0
    params.cors_origins = ""  # no web page may talk to it
    params.verbosity = 1
    if settings.api_key:
        params.api_keys = [settings.api_key]
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise ModelError(
            f"llama.cpp could not start with {model.name}. The lines above say why. Try a smaller "
            "--ctx, another --port or another model."
        ) from error


def _connector(address: str) -> Connect:
    """Opens connections to llama.cpp at `unix://PATH` or `http://HOST:PORT`."""
    scheme, _, place = address.partition("://")

    async def connect() -> Streams:
        if scheme == "unix":
            return await asyncio.open_unix_connection(place)
        host, _, port = place.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    return connect


class DemoCloud:
    """Runs `cogenesis cloud` as a subprocess: `with DemoCloud() as cloud: cloud.url`.

    It ends with this process, however this process ends. A model that is not installed yet
    is fetched by the subprocess without a progress bar and within `start_timeout_s`: to show
    one, call `get_model` first.
    """

    def __init__(
        self,
        model: str | Path = ALIAS,
        *,
        port: int = 0,
        delay_ms: float = 0.0,
        threads: int | None = None,
        context_tokens: int | None = None,
        start_timeout_s: float = 120.0,
    ) -> None:
        options: dict[str, object] = {
            "--model": model,
            "--port": port,
            "--delay-ms": delay_ms,
            "--threads": threads,
            "--ctx": context_tokens,
        }
        self._command = [sys.executable, "-m", "cogenesis", "cloud", "--json", "--with-parent"]
        for option, value in options.items():
            if value is not None:
                self._command += [option, str(value)]
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._ready: dict[str, Any] = {}

    @property
    def url(self) -> str:
        """Where it listens, as `http://127.0.0.1:PORT`."""
        return str(self._ready["url"])

    @property
    def model(self) -> str:
        """The name that requests give for the model."""
        return str(self._ready["model"])

    @property
    def pid(self) -> int:
        """Its process id."""
        return int(self._ready["pid"])

    def start(self) -> DemoCloud:
        """Start it and wait until it answers.

        Raises:
            ModelError: it did not start; the message holds its own last words.
        """
        with tempfile.TemporaryFile() as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                # A Ctrl-C in the terminal is for the writing, not for the cloud.
                start_new_session=True,
            )
            line = _first_line(self._process, self._start_timeout_s)
            if not line:
                self.stop()
                log.seek(0)
                words = log.read()[-2000:].decode(errors="replace").strip()
                raise ModelError(f"the demo cloud did not start. It said:\n{words or '(nothing)'}")
        self._ready = json.loads(line)
        return self

    def stop(self) -> None:
        """Stop it. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> DemoCloud:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _first_line(process: subprocess.Popen[bytes], timeout_s: float) -> bytes:
    """The first line of its output; empty if it ends or stays silent."""
    lines: queue.Queue[bytes] = queue.Queue()
    out = process.stdout
    if out is None:
        return b""
    # A thread, because a pipe cannot be read with a timeout on every system.
    threading.Thread(target=lambda: lines.put(out.readline()), daemon=True).start()
    try:
        return lines.get(timeout=timeout_s)
    except queue.Empty:
        return b""
