"""Models from the Hugging Face hub, by `owner/name` or `owner/name:FILE-or-quant`.

The hub learns which public model is fetched, and nothing else: its telemetry is off. A
model that is on disk already is used without asking the hub.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cogenesis.errors import CatalogueError, MissingExtraError
from cogenesis.models.fetch import Progress, no_progress, sha256_of
from cogenesis.models.file_lock import file_lock
from cogenesis.models.receipts import read_receipt, write_receipt

_SPEC = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[\w.-]+)(?::(?P<want>[^:]+))?")
_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_DEFAULT_QUANT = "Q4_K_M"
_BY_HAND = "Or download a .gguf file by hand in a browser and give its path instead of the name."


@dataclass(frozen=True, slots=True)
class HubName:
    """A repository, and what is wanted of it: a file name, a quant such as Q4_K_M, or None."""

    repo: str
    want: str | None


def parse_hub_name(text: str) -> HubName | None:
    """Read `owner/name[:FILE-or-quant]`; None if the text has another form."""
    found = _SPEC.fullmatch(text)
    return HubName(found["repo"], found["want"]) if found else None


def choose_file(names: Iterable[str], name: HubName) -> str:
    """The one GGUF file that is meant.

    Without a wish: the only one, else the Q4_K_M. Image parts (`mmproj`) and files that are
    split into pieces are not offered: one file is one model here.

    Raises:
        CatalogueError: none or several fit; the message lists them.
    """
    files = sorted(
        n
        for n in names
        if n.lower().endswith(".gguf") and "mmproj" not in n.lower() and not _SPLIT.search(n)
    )
    if not files:
        raise CatalogueError(
            f"{name.repo} holds no single .gguf file. Look for a repository of the same model "
            "whose name ends in -GGUF."
        )
    if name.want is not None and name.want in files:
        return name.want
    fits = [f for f in files if _has_quant(f, name.want or _DEFAULT_QUANT)]
    if name.want is None and len(files) == 1:
        fits = files
    if len(fits) != 1:
        problem = "several files" if len(fits) > 1 else "no file"
        listed = "\n".join(f"  {name.repo}:{f}" for f in (fits or files)[:20])
        raise CatalogueError(
            f"{problem} of {name.repo} fit{'s' if not fits else ''} "
            f"{name.want or _DEFAULT_QUANT}. Choose one of:\n{listed}"
        )
    return fits[0]


def _has_quant(file: str, quant: str) -> bool:
    """Whether the quant stands in the file's name as a word: Q4_K is not Q4_K_M."""
    return bool(
        re.search(rf"(?<![A-Za-z0-9_]){re.escape(quant)}(?![A-Za-z0-9_])", file, re.IGNORECASE)
    )


def find_local(name: HubName, folder: Path) -> Path | None:
    """The file of an earlier download that fits, or None."""
    place = _place(name, folder)
    # Without a receipt the download was cut short before its sum was compared.
    have = [p.relative_to(place).as_posix() for p in place.rglob("*.gguf") if read_receipt(p)]
    try:
        return place / choose_file(have, name)
    except CatalogueError:
        return None


def fetch_from_hub(name: HubName, folder: Path, *, progress: Progress = no_progress) -> Path:
    """Download one GGUF file, verify its sha256 against the hub's, return its path.

    A run that is killed leaves its bytes for the next one. `$HF_ENDPOINT` names a mirror.

    Raises:
        MissingExtraError: `huggingface_hub` is not installed.
        CatalogueError: the hub cannot be reached, does not know the name, or sent other bytes.
    """
    # Read by the library when it is imported.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "hub") from error
    place = _place(name, folder)
    endpoint = os.environ.get("HF_ENDPOINT")
    with _explained(name, place):
        api = huggingface_hub.HfApi(endpoint=endpoint)
        info = api.model_info(name.repo, files_metadata=True, timeout=15)
        sums = {s.rfilename: s.lfs.sha256 if s.lfs else None for s in info.siblings or ()}
        file = choose_file(sums, name)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with file_lock(place / ".lock"):
            path = Path(
                huggingface_hub.hf_hub_download(
                    name.repo,
                    file,
                    revision=info.sha,
                    local_dir=place,
                    endpoint=endpoint,
                    tqdm_class=_reporting_bar(progress),
                )
            )
    _verify(path, f"{name.repo}:{file}", sums[file], _licence(info))
    return path


@contextmanager
def _explained(name: HubName, place: Path) -> Iterator[None]:
    """What the hub's library raises, as one error that says what to do."""
    from huggingface_hub import errors

    try:
        yield
    except (errors.RepositoryNotFoundError, errors.EntryNotFoundError) as error:
        if isinstance(error, errors.LocalEntryNotFoundError):
            raise _unreachable(name) from error
        raise CatalogueError(
            f"the hub has no open model {name.repo}. Check the spelling; for a model behind a "
            "licence form, accept the form on its page and run: hf auth login"
        ) from error
    except errors.HfHubHTTPError as error:
        raise CatalogueError(
            f"the hub answered {error.response.status_code} for {name.repo}. Try again later. "
            f"{_BY_HAND}"
        ) from error
    except errors.HFValidationError as error:
        raise CatalogueError(f"{name.repo} is not a name that the hub could have.") from error
    # The base of its HTTP library's errors, whichever library that is.
    except (errors.HTTPError, ConnectionError, TimeoutError) as error:  # type: ignore[attr-defined]
        raise _unreachable(name) from error
    except OSError as error:
        raise CatalogueError(
            f"cannot store {name.repo} in {place}: {error.strerror or error}. Free some space or "
            "set COGENESIS_HOME to another folder, then run the same command again."
        ) from error


def _place(name: HubName, folder: Path) -> Path:
    return folder / name.repo.replace("/", "--")


def _verify(path: Path, source: str, expected: str | None, licence: str) -> None:
    found = sha256_of(path)
    if expected and found != expected:
        path.unlink()
        raise CatalogueError(
            f"{source} arrived with the wrong sha256 and was deleted. Run the same command "
            "again; if it happens twice, check disk and network."
        )
    write_receipt(path, source=source, licence=licence, sha256=found)


def _licence(info: Any) -> str:
    card: Mapping[str, Any] = info.card_data or {}
    licence = card.get("license_name") or card.get("license")
    return str(licence) if licence else "not stated: see the model's page"


def _unreachable(name: HubName) -> CatalogueError:
    return CatalogueError(
        f"cannot reach a model hub to fetch {name.repo}. Connect to the internet and run the "
        f"same command again. {_BY_HAND}"
    )


def _reporting_bar(progress: Progress) -> Any:
    """A tqdm class that reports to `progress` and draws nothing."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    class Bar(tqdm):  # type: ignore[type-arg,misc,unused-ignore]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)  # a parameter of the hub's own class
            self._arrived = int(kwargs.get("initial") or 0)
            super().__init__(*args, **{**kwargs, "disable": True})
            self._size = int(kwargs.get("total") or 0)

        def update(self, n: float | None = 1) -> bool | None:
            self._arrived += int(n or 0)
            progress(self._arrived, max(self._size, self._arrived))
            return None

    return Bar
