"""The way to a cloud at several distances, in a process of its own.

One process holds a delayed way to the real demo cloud and a replayed cloud for each round-trip
time. In the process that writes, it would share Python's lock with what is measured.

    with Network(cloud.url, (0, 50)) as network:
        network.delayed[50]  # the real cloud, 50 ms away
        network.replayed[50]  # its earlier answers, 50 ms and a flat 10 ms away
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Final

from cogenesis.delay_proxy import DelayProxy
from cogenesis.errors import ModelError
from cogenesis.evaluation.replayed_cloud import (
    FLAT_MS,
    Counts,
    ReplayedCloud,
    address,
    connector,
    loopback_socket,
    precise_loop,
)

_COUNTS: Final = b"counts\n"


class Network:
    """Runs this module as a subprocess, which ends with this process, however it ends.

    Attributes:
        delayed: round-trip time in ms -> address of the real cloud at that distance.
        replayed: the same for its table.
    """

    def __init__(
        self, cloud_url: str, round_trips_ms: Sequence[float], flat_ms: float = FLAT_MS
    ) -> None:
        """Nothing runs yet. `cloud_url` is the real cloud's, on this machine."""
        self._times = list(round_trips_ms)
        order = {"cloud_url": cloud_url, "round_trips_ms": self._times, "flat_ms": flat_ms}
        self._order = json.dumps(order).encode() + b"\n"
        self._process: subprocess.Popen[bytes] | None = None
        self.delayed: dict[float, str] = {}
        self.replayed: dict[float, str] = {}

    def start(self) -> Network:
        """Start it and wait until all ports are open.

        Raises:
            ModelError: it did not start.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cogenesis.evaluation.speed_network"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is for the measuring process
        )
        opened = self._ask(self._order)
        self.delayed = dict(zip(self._times, opened["delayed"], strict=True))
        self.replayed = dict(zip(self._times, opened["replayed"], strict=True))
        return self

    def counts(self) -> Counts:
        """What the replayed cloud served so far.

        Raises:
            ModelError: it has ended.
        """
        return Counts(**self._ask(_COUNTS))

    def stop(self) -> None:
        """Stop it. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # it has died, with something left unread
                    pipe.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Network:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _ask(self, line: bytes) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise ModelError("the network between device and cloud is not running")
        try:
            process.stdin.write(line)
            process.stdin.flush()
            answer = process.stdout.readline()
        except OSError:
            answer = b""
        if not answer:
            raise ModelError("the imitated network has ended; its error stands above")
        found: dict[str, Any] = json.loads(answer)
        return found


async def _serve(order: dict[str, Any], lines: asyncio.Queue[bytes]) -> None:
    """Open all ports, then answer each line with the counts, until an empty one."""
    connect = connector(order["cloud_url"])
    replay = ReplayedCloud(connect, order["flat_ms"])
    proxies: list[DelayProxy] = []
    delayed, replayed = [], []
    for milliseconds in order["round_trips_ms"]:
        replayed.append(await replay.listen(milliseconds))
        if milliseconds <= 0:
            delayed.append(order["cloud_url"])  # a proxy would only cost time
            continue
        proxies.append(DelayProxy(connect, milliseconds))
        listening = loopback_socket()
        delayed.append(address(listening))
        await proxies[-1].start(listening)
    _say({"delayed": delayed, "replayed": replayed})
    while await lines.get():
        _say(asdict(replay.counts))
    for proxy in proxies:
        await proxy.close()
    await replay.close()


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve what the first line of standard input orders, until its end."""
    order = json.loads(sys.stdin.buffer.readline())
    lines: asyncio.Queue[bytes] = asyncio.Queue()
    with asyncio.Runner(loop_factory=precise_loop) as runner:
        loop = runner.get_loop()

        def read() -> None:
            while line := sys.stdin.buffer.readline():
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, b"")

        # A thread, because a pipe cannot be awaited on every system.
        threading.Thread(target=read, daemon=True).start()
        runner.run(_serve(order, lines))


if __name__ == "__main__":
    main()
