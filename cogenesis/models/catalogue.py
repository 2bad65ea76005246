"""Finding a model by name: the demo models, a path, or the hub.

`get_model` is what the rest of the program calls. It returns a file that is whole, and
whose sum is right where the right sum is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cogenesis.errors import CatalogueError, ModelFileError
from cogenesis.home import home
from cogenesis.models.fetch import Progress, fetch_demo, no_progress, sha256_of
from cogenesis.models.gguf_file import check_gguf
from cogenesis.models.hub import HubName, fetch_from_hub, find_local, parse_hub_name
from cogenesis.models.known import KNOWN_MODELS
from cogenesis.models.receipts import is_unchanged, read_receipt, write_receipt
from cogenesis.models.wheels import DEMO_MODELS, DemoModel

State = Literal["ok", "missing", "damaged"]

_KNOWN = {model.name: model.spec for model in KNOWN_MODELS}


@dataclass(frozen=True, slots=True)
class Installed:
    """A model file in our store. `name` is what `get_model` takes for it."""

    name: str
    path: Path
    size: int
    licence: str


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of hashing one installed model; `problem` says what to do, if anything."""

    name: str
    state: State
    path: Path
    problem: str = ""


def models_folder() -> Path:
    """Where fetched models are kept; created with mode 0700."""
    folder = home() / "models"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def get_model(name: str | Path, *, progress: Progress = no_progress, repair: bool = False) -> Path:
    """The GGUF file of a model, fetched first if need be.

    Args:
        name: `demo-device`, `demo-cloud`, a name from `models list`, the path of a .gguf
            file, or a hub model as `owner/name` or `owner/name:FILE-or-quant`.
        progress: told about a download.
        repair: fetch a damaged model again, where it would otherwise be an error.

    Raises:
        ModelFileError: the file is missing, not a whole GGUF, or has the wrong sum.
        CatalogueError: there is no such model or it cannot be fetched.
        MissingExtraError: a hub model is wanted and `huggingface_hub` is not installed.
    """
    text = str(name)
    if text in DEMO_MODELS:
        return _get_demo(DEMO_MODELS[text], progress, repair=repair)
    if not isinstance(name, Path) and text in _KNOWN:
        text = _KNOWN[text]
    hub_name = None if isinstance(name, Path) else parse_hub_name(text)
    if hub_name is not None and not _is_path(text):
        return _get_hub(hub_name, progress, repair=repair)
    if isinstance(name, Path) or _is_path(text) or "/" in text or "\\" in text:
        path = Path(text).expanduser()
        check_gguf(path)
        return path
    raise CatalogueError(
        f"there is no model named {text!r}. See the names with: cogenesis models list. "
        "Or give the path of a .gguf file, or a hub model as owner/name."
    )


def needs_fetching(name: str) -> bool:
    """Whether `get_model(name)` would download something."""
    if name in DEMO_MODELS:
        return not (models_folder() / DEMO_MODELS[name].file).exists()
    hub_name = parse_hub_name(_KNOWN.get(name, name))
    if hub_name is None or _is_path(name):
        return False
    return find_local(hub_name, models_folder()) is None


def list_installed() -> list[Installed]:
    """Every model file in the store, by name."""
    folder = models_folder()
    demo_files = {model.file: model for model in DEMO_MODELS.values()}
    found = []
    for path in sorted(folder.rglob("*.gguf")):
        inside = path.relative_to(folder)
        if any(part.startswith(".") for part in inside.parts):
            continue  # a download that is not complete
        receipt, demo = read_receipt(path), demo_files.get(str(inside))
        if demo:
            name, licence = demo.name, demo.licence
        else:
            name = receipt.source if receipt else str(path)
            licence = receipt.licence if receipt else "not known"
        found.append(Installed(name, path, path.stat().st_size, licence))
    return found


def check_model(name: str) -> Checked:
    """Hash one model, whatever its receipt says. Downloads nothing.

    Raises:
        CatalogueError: there is no such model.
    """
    folder = models_folder()
    if name in DEMO_MODELS:
        demo = DEMO_MODELS[name]
        return _check_file(name, folder / demo.file, demo.sha256, demo.licence)
    hub_name = parse_hub_name(_KNOWN.get(name, name))
    if hub_name is not None and not _is_path(name):
        path = find_local(hub_name, folder)
        if path is None:
            return Checked(name, "missing", folder, f"Run: cogenesis models get {name}")
    elif _is_path(name):
        path = Path(name).expanduser()
    else:
        raise CatalogueError(f"there is no model named {name!r}. Run: cogenesis models list")
    receipt = read_receipt(path)
    return _check_file(
        name, path, receipt.sha256 if receipt else None, receipt.licence if receipt else ""
    )


def _check_file(name: str, path: Path, sha256: str | None, licence: str) -> Checked:
    repair = f"Run: cogenesis models get {name}"
    if not path.exists():
        return Checked(name, "missing", path, repair)
    try:
        check_gguf(path)
    except ModelFileError as error:
        return Checked(name, "damaged", path, str(error))
    if sha256 is None:
        return Checked(name, "ok", path, "no sum is known for it; its form is whole")
    if sha256_of(path) != sha256:
        return Checked(name, "damaged", path, f"wrong sha256. {repair}")
    # The file may only have a new time (a restored backup): spare the next start the hashing.
    receipt = read_receipt(path)
    write_receipt(path, source=receipt.source if receipt else name, licence=licence, sha256=sha256)
    return Checked(name, "ok", path)


def _is_path(text: str) -> bool:
    return (text.lower().endswith(".gguf") and ":" not in text[2:]) or Path(text).exists()


def _get_demo(model: DemoModel, progress: Progress, *, repair: bool) -> Path:
    folder = models_folder()
    path = folder / model.file
    if path.exists():
        if is_unchanged(path, model.sha256):
            _note_demo(model, path)
            return path
        if not repair:
            raise _damaged(path, model.name)
    path = fetch_demo(model, folder, progress=progress)
    _note_demo(model, path)
    return path


def _note_demo(model: DemoModel, path: Path) -> None:
    receipt = read_receipt(path)
    if receipt is None or receipt.mtime_ns != path.stat().st_mtime_ns:
        write_receipt(path, source=model.name, licence=model.licence, sha256=model.sha256)


def _get_hub(name: HubName, progress: Progress, *, repair: bool) -> Path:
    folder = models_folder()
    path = find_local(name, folder)
    if path is not None:
        receipt = read_receipt(path)
        if receipt is None or is_unchanged(path, receipt.sha256):
            check_gguf(path)
            return path
        if not repair:
            raise _damaged(path, receipt.source)
        path.unlink()
    path = fetch_from_hub(name, folder, progress=progress)
    check_gguf(path)
    return path


def _damaged(path: Path, name: str) -> ModelFileError:
    return ModelFileError(
        f"{path} has changed since it was fetched (wrong sha256). Fetch it again with: "
        f"cogenesis models get {name}"
    )
