"""Replies that were paid for, so that nothing is asked twice: also after a crash.

A reply is kept under the SHA-256 of what was asked: model, messages, settings, seed.
The same question has the same answer in every run, in every process, until the folder is
removed. Each reply is a file of its own:

    FOLDER/ab/ab34…ef.json     two lines: {"form": 1, "sha256": of the second line}, the reply

It is written beside its place, synced and linked into it, so a file is whole or is not there,
whenever the program dies. Of two processes that got different replies to the same question
the first one wins, and both go on with its reply. There is no lock and no index, so any number
of processes may use the folder, on a network folder too.

The folder gets mode 0700, the files 0600: what a model wrote may be about the user's texts.

Not covered: a reply that was on its way when the program died was paid for and is not here;
two processes that ask the same at the same time both pay; a user who changes the files; another
model behind the same name. Addresses and keys of servers are no part of the question.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cogenesis.errors import InputError

FORM: Final = 1
"""Of the files. Another form is another cache: its replies are not found."""

MAX_ENTRY_BYTES: Final = 8_000_000
"""No reply that the egress lets in is longer."""


def question_key(model: str | None, question: Mapping[str, Any]) -> str:
    """The name of a question: 64 hexadecimal digits, the same for the same question.

    Where the server is does not count: a model that moved to another address is the same.

    Args:
        model: its name.
        question: all else that the answer depends on, as JSON: messages, sampling, seed, schema.
    """
    whole = {"form": FORM, "model": model, "question": question}
    told = json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Kept:
    """A reply; `hit` tells that it was there before and cost nothing now."""

    reply: dict[str, Any]
    hit: bool


@dataclass(slots=True)
class _Turn:
    """The lock of a question that is being asked, and how many threads hold it or wait for it."""

    lock: threading.Lock
    threads: int = 0


class ReplyCache:
    """A folder of replies. Safe to use from several threads and several processes at once."""

    def __init__(self, folder: Path) -> None:
        """Use the folder, creating it if there is none.

        Raises:
            InputError: it cannot be used.
        """
        self.folder = folder
        self._taking_turns = threading.Lock()
        self._turns: dict[str, _Turn] = {}
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.name == "posix" and folder.stat().st_mode & 0o077:
                folder.chmod(0o700)
        except OSError as error:
            raise InputError(
                f"the folder {folder} cannot hold replies: {error.strerror}. Name another one"
            ) from None

    def ask(self, key: str, call: Callable[[], dict[str, Any]]) -> Kept:
        """The reply of this key; `call` gets it where it is not here, and it is kept.

        An error of `call` is raised and nothing is kept. A call that a schema or a parser
        refuses later was paid for all the same: keep the reply first, then check it.

        Raises:
            InputError: the reply cannot be written. It was paid for: the caller should stop.
        """
        with self._turn(key):
            found = self.get(key)
            if found is not None:
                return Kept(found, hit=True)
            return Kept(self.put(key, call()), hit=False)

    @contextmanager
    def _turn(self, key: str) -> Iterator[None]:
        """One thread of this process at a time for this question; others do not wait for it."""
        with self._taking_turns:
            turn = self._turns.setdefault(key, _Turn(threading.Lock()))
            turn.threads += 1
        try:
            with turn.lock:
                yield
        finally:
            with self._taking_turns:
                turn.threads -= 1
                if not turn.threads:
                    del self._turns[key]

    def get(self, key: str) -> dict[str, Any] | None:
        """The reply of this key; None if there is none, or its file is damaged."""
        path = self._path(key)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_ENTRY_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from None
        found = _whole(data)
        if found is None:
            # A disk that lost what it had promised to keep: asked again, and replaced.
            with suppress(OSError):
                path.unlink()
        return found

    def put(self, key: str, reply: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a reply; return the one that is kept, which an earlier writer may have won.

        Raises:
            InputError: it cannot be written, or is no JSON.
        """
        path = self._path(key)
        try:
            body = json.dumps(reply, ensure_ascii=False, separators=(",", ":")).encode()
        except (TypeError, ValueError):
            raise InputError("only JSON in UTF-8 can be kept as a reply") from None
        head = json.dumps({"form": FORM, "sha256": hashlib.sha256(body).hexdigest()}).encode()
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            won = _write(path, head + b"\n" + body + b"\n")
        except OSError as error:
            raise InputError(
                f"the reply cannot be kept in {self.folder}: {error.strerror}. Make room, then go "
                "on with the same command"
            ) from None
        found = None if won else self.get(key)
        kept: dict[str, Any] = json.loads(body) if found is None else found
        return kept

    def __bool__(self) -> bool:
        """Whether there is any."""
        return next(self.folder.glob("??/*.json"), None) is not None

    def __len__(self) -> int:
        """How many replies there are: reads the folder."""
        return sum(1 for _ in self.folder.glob("??/*.json"))

    def _path(self, key: str) -> Path:
        if len(key) != 64 or not set(key) <= set("0123456789abcdef"):
            raise InputError("a reply is kept under 64 hexadecimal digits")
        return self.folder / key[:2] / f"{key}.json"


def _write(path: Path, data: bytes) -> bool:
    """Put a file in its place whole, unless one is there. Returns whether it was put there."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(partial, path)  # fails where there is one; a rename would replace it
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            partial.replace(path)
        _sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)
    return True


def _sync_folder(folder: Path) -> None:
    """Put the folder's list of names on the disk, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _whole(data: bytes) -> dict[str, Any] | None:
    head, _, body = data.partition(b"\n")
    try:
        told, body = json.loads(head), body.removesuffix(b"\n")
        if told != {"form": FORM, "sha256": hashlib.sha256(body).hexdigest()}:
            return None
        reply = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return reply if isinstance(reply, dict) else None
