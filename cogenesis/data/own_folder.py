"""A folder of somebody's own texts as samples, to tune their own device model.

Texts (.txt), Markdown (.md) and mails (.eml) are put in the order of their dates. Each text is
one sample: the task is its kind and its title, the context is the person's name and the texts
that came before it. The general part of the task is its kind alone ("Write an email"): a
subject is private.

Such samples are marked `"origin": "own"`: no command sends them with their context.

Not covered: PDF, Word, mailboxes of many mails in one file; texts that somebody else wrote,
unless they are mails (a mail counts only if the person sent it).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from cogenesis.data.mail import Mail, parse_mail
from cogenesis.data.repeats import digest
from cogenesis.errors import InputError

MIN_WORDS: Final = 20
"""A shorter text shows no voice."""

MAX_BYTES: Final = 2_000_000
"""A larger file is no text that somebody wrote at once. Mails have attachments."""

SUFFIXES: Final = frozenset({".txt", ".md", ".eml"})


@dataclass(frozen=True, slots=True)
class OwnText:
    """One text of the folder."""

    kind: str
    title: str = field(repr=False)
    text: str = field(repr=False)
    when: datetime


def from_folder(
    folder: Path, name: str, address: str | None, history: int, left_out: Counter[str]
) -> Iterator[dict[str, Any]]:
    """The samples of a folder, the oldest text first.

    Args:
        folder: it and the folders in it are read; hidden ones and links are not.
        name: of the person; a mail counts if its sender has this name.
        address: of the person; then a mail counts if it was sent from there.
        history: earlier texts of a sample.
        left_out: is told how many files were not used, by reason.

    Raises:
        InputError: no text in the folder can be used.
    """
    found = sorted(_texts(folder, name, address, left_out), key=lambda each: each.when)
    if not found:
        why = "; ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise InputError(
            f"{folder} holds no text to use: .txt, .md or .eml of at least {MIN_WORDS} words"
            + (f" ({why})" if why else "")
        )
    for number, each in enumerate(found):
        earlier = _before(found, number, history)
        general = f"Write {'an' if each.kind == 'email' else 'a'} {each.kind}"
        about = f"its {'subject' if each.kind == 'email' else 'title'} is “{each.title}”"
        yield {
            "origin": "own",
            "tid": f"own-{number + 1}",
            "general_instruction": general,
            "details": about,
            "conversations": [
                {"from": "user", "value": f"{general}: {about}"},
                {"from": "assistant", "value": each.text},
            ],
            "additional_profile": f"Name: {name}",
            "profile": [
                {"title": other.title, "text": other.text, "id": str(place)}
                for place, other in enumerate(earlier)
            ],
        }


def _before(found: list[OwnText], number: int, history: int) -> list[OwnText]:
    """The last texts before this one. A copy of it is none: it would hold the answer."""
    own = digest(found[number].text)
    others = (each for each in reversed(found[:number]) if digest(each.text) != own)
    return list(islice(others, history))[::-1]


def _texts(
    folder: Path, name: str, address: str | None, left_out: Counter[str]
) -> Iterator[OwnText]:
    for path in _files(folder):
        try:
            # At most one byte more than is allowed: a file may grow while it is read.
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
            changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except OSError:
            left_out["cannot be read"] += 1
            continue
        if len(data) > MAX_BYTES:
            left_out["larger than 2 MB"] += 1
            continue
        is_mail = path.suffix.lower() == ".eml"
        found = _mail(data, name, address, changed) if is_mail else _plain(data, path, changed)
        if isinstance(found, OwnText) and len(found.text.split()) < MIN_WORDS:
            found = f"shorter than {MIN_WORDS} words"
        if isinstance(found, OwnText):
            yield found
        else:
            left_out[str(found)] += 1


def _files(folder: Path) -> Iterator[Path]:
    """Files by name; no links, so that nothing outside of the folder is read."""
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder")
    for place, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for each in sorted(names):
            path = Path(place, each)
            wanted = path.suffix.lower() in SUFFIXES and not each.startswith(".")
            if wanted and not path.is_symlink():
                yield path


def _plain(data: bytes, path: Path, changed: datetime) -> OwnText | str:
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\x00", "").strip()
    except UnicodeDecodeError:
        return "not in UTF-8"
    title = path.stem.replace("_", " ").replace("-", " ").strip()
    first, _, rest = text.partition("\n")
    if path.suffix.lower() == ".md" and first.startswith("# "):
        title, text = first[2:].strip(), rest.strip()
    return OwnText("text", title, text, changed)


def _mail(data: bytes, name: str, address: str | None, changed: datetime) -> OwnText | str:
    mail = parse_mail(data)
    if not _sent_by(mail, name, address):
        return "mails that somebody else sent"
    return OwnText("email", mail.subject or "none", mail.body, mail.when or changed)


def _sent_by(mail: Mail, name: str, address: str | None) -> bool:
    if address is not None:
        return mail.sender_address.casefold() == address.casefold()
    return set(name.casefold().split()) <= set(
        mail.sender_name.casefold().replace(",", " ").split()
    )
