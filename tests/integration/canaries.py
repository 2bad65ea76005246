"""Invented words that stand nowhere else, planted in a private context, and a search for them.

The search looks at everything that a process leaves or shows while it runs: every file under
its folders (also deleted ones that it holds open), its arguments and environment and those of
its children, and what it said.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

IN_CONTEXT: Final = (
    "Zylthraquen",
    "Brommelquist",
    "Vexandrik",
    "Quorlimand",
    "Thrennifold",
    "Jaxopelier",
    "Wubberdunk",
)
IN_INSTRUCTION: Final = "Oggrimvelt"
CANARIES: Final = (*IN_CONTEXT, IN_INSTRUCTION)

INSTRUCTION: Final = f"Write a thank-you note: to {IN_INSTRUCTION}, for the cake on Friday"
CONTEXT: Final = {
    "cogenesis": 1,
    "profile": {"Name": f"Odalys {IN_CONTEXT[0]}", f"{IN_CONTEXT[1]} pump": IN_CONTEXT[2]},
    "activities": [{"source": "calendar", "text": f"Visit {IN_CONTEXT[3]}", "when": IN_CONTEXT[4]}],
    "writings": [{"title": IN_CONTEXT[5], "text": f"I baked bread with {IN_CONTEXT[6]} today."}],
}


def _forms(word: str) -> Iterator[bytes]:
    for text in (word, word.lower(), word.upper()):
        plain = text.encode()
        yield from (plain, text.encode("utf-16-le"), plain.hex().encode())
        for shift in range(3):
            # Whole groups of its base64: they do not depend on what stands around it.
            groups = base64.b64encode(b"x" * shift + plain)[: (shift + len(plain)) // 3 * 4]
            yield groups[4:] if shift else groups


_FORMS: Final = {word: tuple(_forms(word)) for word in CANARIES}


def found_in(data: bytes | str) -> list[str]:
    """The canaries in it: plain in any case, as UTF-16, hexadecimal or base64."""
    raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    return [word for word, forms in _FORMS.items() if any(form in raw for form in forms)]


def plant(path: Path) -> Path:
    """Write the context; its folder is not one of those that are searched."""
    path.write_text(json.dumps(CONTEXT), "utf-8")
    return path


@dataclass
class Ran:
    """What a process did: its output, and the canaries that were seen, with the place."""

    returncode: int
    stdout: str
    stderr: str
    traces: list[tuple[str, str]] = field(default_factory=list)
    looks: int = 0
    children: int = 0


@dataclass(frozen=True)
class Places:
    """Fresh folders for all that a process may write. `root` is searched."""

    root: Path

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """Everything that programs ask for a folder points into `root`."""
        chosen = {"HOME": "home", "COGENESIS_HOME": "cogenesis", "TMPDIR": "t"}
        chosen |= {f"XDG_{name}_HOME": name.lower() for name in ("CACHE", "CONFIG", "DATA")}
        for folder in chosen.values():
            (self.root / folder).mkdir(mode=0o700, exist_ok=True, parents=True)
        return {**base, **{name: str(self.root / folder) for name, folder in chosen.items()}}

    def search(self) -> Iterator[tuple[str, str]]:
        """The canaries in names and contents of files; links out of here are not followed."""
        for folder, _, names in os.walk(self.root):
            for path in (Path(folder) / name for name in names):
                told = str(path.relative_to(self.root))
                yield from ((f"name {told}", word) for word in found_in(path.name))
                if path.is_file():
                    with suppress(OSError):
                        yield from ((told, word) for word in found_in(path.read_bytes()))


def run(
    command: Sequence[str],
    places: Places,
    environment: Mapping[str, str],
    *,
    stdin: str = INSTRUCTION,
    disturb: Callable[[subprocess.Popen[bytes]], None] | None = None,
) -> Ran:
    """Run a command in `places`, looking at it all the time until it ends.

    `disturb` is called once it runs, in this thread.
    """
    process = subprocess.Popen(
        command,
        cwd=places.root,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    ran = Ran(0, "", "")
    stop = threading.Event()
    looker = threading.Thread(target=_look, args=(process.pid, places, ran, stop))
    looker.start()
    try:
        if process.stdin is not None:
            process.stdin.write(stdin.encode())
            process.stdin.close()
            process.stdin = None
        if disturb is not None:
            disturb(process)
        out, err = process.communicate(timeout=280)
    finally:
        stop.set()
        looker.join()
        if process.poll() is None:
            process.kill()
    ran.returncode, ran.stdout, ran.stderr = process.returncode, out.decode(), err.decode()
    ran.traces += places.search()
    ran.traces += [("standard error", word) for word in found_in(err)]
    return ran


def interrupt_when_writing(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C after the first byte of the text."""
    if process.stdout is not None:
        process.stdout.peek(1)  # type: ignore[attr-defined]  # waits for it, and leaves it there
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)


def _look(pid: int, places: Places, ran: Ran, stop: threading.Event) -> None:
    seen: set[tuple[str, str]] = set()
    children: set[int] = set()
    while not stop.wait(0.05):
        family = [pid, *_descendants(pid)]
        children.update(family[1:])
        for each in family:
            for name in ("cmdline", "environ"):
                with suppress(OSError):
                    data = Path(f"/proc/{each}/{name}").read_bytes()
                    seen.update((f"/proc/PID/{name}", word) for word in found_in(data))
            seen.update(_deleted_files(each))
        seen.update(places.search())
        ran.looks += 1
    ran.children = len(children)
    ran.traces += sorted(seen)


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError, ValueError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found


def _deleted_files(pid: int) -> Iterator[tuple[str, str]]:
    with suppress(OSError):
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                to = os.readlink(handle)
                if to.startswith("/") and to.endswith(" (deleted)") and handle.is_file():
                    yield from ((f"deleted {to}", word) for word in found_in(handle.read_bytes()))
