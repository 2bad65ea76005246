"""Ray: starting it on this machine, or joining a cluster that is there.

Ray runs whatever code reaches its ports, as the user who started it. So what is started here
listens on loopback only, asks for a token that is made for this process and told to nobody, keeps
its files in a folder that other users cannot read, and sends no usage statistics; its dashboard
is off. That it really listens on loopback is checked, and without it nothing is started.

A cluster that is there is its owner's matter: how it is closed to others, and what it reports
to whom. What goes through it (items, results, errors) is not encrypted unless its owner has
Ray do so. Give it no data that its other users must not see.

Ray reads its settings when it is imported, and its token at the first use. A process that has
imported Ray before, without a token, or joins a cluster after it started one, fails to start
here and sends nothing: use another process.

Not covered: a program with the user's own rights; `/dev/shm`, where Ray keeps results of more
than 100 kB in a file that is open to its own processes only.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from cogenesis.errors import EngineError, InputError, MissingExtraError

OBJECT_STORE_BYTES: Final = 80_000_000
"""Close to the least that Ray takes. Items and results are small and seldom get there."""

_QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
    # What Ray warns of would be of no use to the user.
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

_LOOPBACK: Final = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray's own switch for "this machine only", on all systems. Read when Ray is imported."""

_KNOCK_S: Final = 5.0

_FOLDERS: Final = ("/tmp", None)  # noqa: S108  (names of UNIX sockets must be short)


@contextmanager
def started(processors: int) -> Iterator[Any]:
    """A cluster of this machine alone, while the block runs. Gives the module `ray`.

    Raises:
        MissingExtraError: Ray is not installed.
        EngineError: it does not start, is in use in this process, or would listen elsewhere.
    """
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _token()}
    with ExitStack() as stack:
        stack.enter_context(_environment(_QUIET | _LOOPBACK | token))
        ray = _unused_ray()
        folder = stack.enter_context(_folder())
        stack.callback(_end, ray)
        try:
            ray.init(
                address="local",
                num_cpus=processors,
                num_gpus=0,
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                _temp_dir=str(folder),
            )
        except (RuntimeError, OSError, ValueError, ConnectionError) as error:
            raise EngineError(f"Ray does not start here: {_first_line(error)}") from None
        _hush(ray)
        if not all(_is_loopback(node["NodeManagerAddress"]) for node in ray.nodes()):
            raise EngineError(
                "Ray was loaded before, by other code of this process, with settings that open it "
                "to the network: it is not used. Use --engine local, or --ray-address"
            )
        yield ray


@contextmanager
def joined(address: str) -> Iterator[Any]:
    """A cluster that is there, while the block runs. Gives the module `ray`.

    Raises:
        InputError: the address is none.
        MissingExtraError: Ray is not installed.
        EngineError: it cannot be reached from here, or Ray is in use in this process.
    """
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit():
        raise InputError(
            "--ray-address is HOST:PORT, as “ray start --head” tells it (port 6379), and this "
            "machine is one of the cluster's"
        )
    _knock(host.strip("[]"), int(port), address)
    with ExitStack() as stack:
        stack.enter_context(_environment(_QUIET | (_LOOPBACK if _is_loopback(host) else {})))
        ray = _unused_ray()
        stack.callback(_end, ray)
        try:
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level="ERROR",
            )
        except (RuntimeError, OSError, ValueError, ConnectionError) as error:
            raise EngineError(
                f"the Ray cluster at {address} cannot be joined: {_first_line(error)}. It must "
                "run, with the Ray and Python of this program; with a token, give RAY_AUTH_MODE "
                "and RAY_AUTH_TOKEN as there; and this machine must be one of its own"
            ) from None
        _hush(ray)
        yield ray


def _knock(host: str, port: int, address: str) -> None:
    """Ray itself would wait for minutes and say so in warnings of its own.

    Raises EngineError: nobody listens there.
    """
    try:
        socket.create_connection((host, port), timeout=_KNOCK_S).close()
    except OSError as error:
        raise EngineError(
            f"no Ray cluster answers at {address} ({error.strerror or error}): start one with "
            "“ray start --head --port=6379”, or leave out --ray-address to have one started here"
        ) from None


@cache
def _token() -> str:
    """One for this process: Ray reads it once, and keeps it for each cluster that follows."""
    return secrets.token_hex(32)


def _unused_ray() -> Any:
    try:
        import ray
    except ImportError:
        raise MissingExtraError("Ray", "scale") from None
    if ray.is_initialized():
        raise EngineError("this process uses Ray already: shut it down first, or start another")
    return ray


def _hush(ray: Any) -> None:
    """Keep Ray's messages off this program's standard output, which may be JSON.

    `log_to_driver` does not stop those of dying workers, and no other switch does (Ray 2.60).
    The engine tells what they mean to the user.
    """
    with suppress(AttributeError):
        ray._private.worker._worker_logs_enabled = False


def _end(ray: Any) -> None:
    if ray.is_initialized():
        ray.shutdown()


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables that Ray and the processes that it starts read; put back what was there."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for Ray's sockets and logs, in one that only this user can enter.

    Ray opens the folder that it is given to everybody (mode 0777, Ray 2.60).
    """
    parent = next(each for each in _FOLDERS if each is None or os.access(each, os.W_OK))
    folder = Path(tempfile.mkdtemp(prefix="cg-ray-", dir=parent))
    try:
        inner = folder / "r"
        inner.mkdir()
        yield inner
    finally:
        with suppress(OSError):
            shutil.rmtree(folder, ignore_errors=True)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300].rstrip(". ")
