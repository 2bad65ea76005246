"""Personalised title-to-text sets as samples: earlier titles and texts, one new title, its text.

Two forms are read:

- prompts that were put together already (`rendered`), as the published paper abstracts;
- the LaMP benchmark's own files: questions `[{"id", "input", "profile": [{"title", "text" or
  "abstract"}]}]` and outputs `{"task", "golds": [{"id", "output"}]}`. LaMP asks for the title of
  a text ("Generate a title for the following abstract of a paper: ..."); here it is turned
  round: the title is given and the text is to be written. Tasks 4 (news), 5 (papers) and 6
  (e-mails) have that form; the others are refused.

LaMP 6 is made of the Avocado collection (LDC2015T03), which only licence holders have. LaMP
ships file names in place of its texts; `avocado` puts the texts in from a licence holder's own
copy, in the form that LaMP's documentation gives: a folder with zip files (`data/text`), in
them one mail a file with its header. Only tested on a hand-made miniature of that form: nobody
here has the collection. Nothing is unpacked to the disk; the mails that are named are held in
memory. Such samples are marked `"origin": "licensed"` and are never sent with their context.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from cogenesis.context.private_context import Writing
from cogenesis.data.mail import parse_mail
from cogenesis.data.reading import entries
from cogenesis.data.rendered import Rendered
from cogenesis.data.repeats import digest
from cogenesis.errors import InputError

HISTORY: Final = 5
"""Earlier texts of a sample, as in the published abstracts."""

_TASKS: Final = {
    "abstract": "Write the abstract of the paper “{}”",
    "email": "Write the email with the subject “{}”",
    "news": "Write the news article “{}”",
    "text": "Write the text “{}”",
}
_LAMP: Final = {"paper": "abstract", "email": "email", "article": "news"}
_MAX_MAIL: Final = 1 << 20
"""Bytes of one mail."""


def sample(
    identity: str, kind: str, title: str, text: str, history: tuple[Writing, ...], origin: str
) -> dict[str, Any]:
    """One sample in the published form.

    A colon in the title would end the general part of the instruction, so a dash stands for it.
    Of `history` no text is used that is `text` itself: it would hold the answer.
    """
    asked = _TASKS[kind].format(" ".join(title.replace(": ", " – ").split()))
    return {
        **({"origin": origin} if origin else {}),
        "tid": identity,
        "form": "title-to-text",
        "general_instruction": asked,
        "conversations": [{"from": "user", "value": asked}, {"from": "assistant", "value": text}],
        "profile": [
            {"title": each.title, "text": each.text, "id": str(number)}
            for number, each in enumerate(_others(history, text))
        ],
        "additional_profile": "",
    }


def _others(history: Iterable[Writing], text: str) -> Iterator[Writing]:
    """The writings that are not this text, case and punctuation aside."""
    own = digest(text)
    return (each for each in history if digest(each.text) != own)


def from_rendered(
    identity: str, found: Rendered, text: str, history: int, origin: str
) -> dict[str, Any]:
    """The sample of a prompt that was put together already.

    E-mails are `licensed` whatever the user calls them: the sets of this form are made of
    Avocado. Only `own` stays, which may be sent as little.
    """
    heading = found.kind.casefold()
    kind = "abstract" if "abstract" in heading else "email" if "mail" in heading else "text"
    if kind == "email" and origin != "own":
        origin = "licensed"
    return sample(identity, kind, found.title, text, found.history[:history], origin)


def is_lamp(value: dict[str, Any]) -> bool:
    """Whether a sample is a question of LaMP."""
    return {"id", "input", "profile"} <= value.keys()


def outputs_beside(questions: Path) -> Path:
    """The file of the outputs, by LaMP's own names.

    Raises:
        InputError: it is not there.
    """
    path = questions.with_name(questions.name.replace("questions", "outputs"))
    if path == questions or not path.exists():
        raise InputError(
            f"{questions} holds LaMP's questions, and the outputs belong to them: name their "
            "file with --outputs"
        )
    return path


def from_lamp(
    questions: Path, outputs: Path | None, history: int, avocado: Path | None
) -> Iterator[dict[str, Any] | str]:
    """The samples of LaMP's files, or why one is left out.

    Args:
        questions: the file of the questions.
        outputs: the file of the titles; not needed with `avocado`, where the mails have them.
        history: earlier texts of a sample.
        avocado: the folder of the licence holder's zip files; the questions name mails then.

    Raises:
        InputError: a file or the folder cannot be used.
    """
    golds = {} if outputs is None or avocado is not None else _golds(outputs)
    mails = None if avocado is None else _mails(questions, avocado, history)
    for entry in entries(questions):
        value = entry.value
        if value is None or not is_lamp(value) or not isinstance(value["profile"], list):
            yield f"sample {entry.number}: {entry.mistake or 'no question of LaMP'}"
        elif mails is None:
            yield _lamp_sample(value, golds.get(str(value["id"]), ""), history)
        else:
            yield _avocado_sample(value, mails, history)


def _golds(path: Path) -> dict[str, str]:
    try:
        told = json.loads(path.read_text("utf-8"))
        return {str(each["id"]): str(each["output"]) for each in told["golds"]}
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f'{path} is no file of LaMP\'s outputs: {{"golds": [...]}}') from None


def _lamp_sample(value: dict[str, Any], title: str, history: int) -> dict[str, Any] | str:
    asked, colon, text = str(value["input"]).partition(": ")
    kind = next((kind for word, kind in _LAMP.items() if word in asked), None)
    if kind is None or not colon:
        return f"question {value['id']}: it asks for no title of a text"
    if not title.strip() or not text.strip():
        return f"question {value['id']}: it has no title or no text"
    earlier = (
        Writing(str(each.get("title") or ""), str(each.get("abstract") or each.get("text") or ""))
        for each in value["profile"]
        if isinstance(each, dict)
    )
    # LaMP's profiles of some tasks hold the very text that is asked about.
    usable = [each for each in _others(earlier, text) if each.text.strip()]
    origin = "licensed" if kind == "email" else "published"
    return sample(str(value["id"]), kind, title, text.strip(), tuple(usable[:history]), origin)


def _named_mails(value: dict[str, Any], history: int) -> list[str]:
    """The mail that is asked about, then the earlier ones."""
    target = str(value["input"])
    named = (each.get("text") for each in value["profile"] if isinstance(each, dict))
    others = [str(name) for name in named if name and name != target]
    return [target, *others[:history]]


def _mails(questions: Path, folder: Path, history: int) -> dict[str, Writing]:
    """The mails that the questions name, subject as the title."""
    wanted = {
        name
        for entry in entries(questions)
        if entry.value is not None and is_lamp(entry.value)
        for name in _named_mails(entry.value, history)
    }
    archives = sorted(folder.glob("*.zip")) if folder.is_dir() else []
    if not archives:
        raise InputError(f"{folder} holds no zip files: name the collection's folder data/text")
    found: dict[str, Writing] = {}
    for archive in archives:
        try:
            with zipfile.ZipFile(archive) as opened:
                for info in opened.infolist():
                    name = info.filename.rpartition("/")[2]
                    if name in wanted and info.file_size <= _MAX_MAIL:
                        mail = parse_mail(opened.read(info))
                        found[name] = Writing(mail.subject, mail.body)
        except (OSError, zipfile.BadZipFile):
            raise InputError(f"{archive} cannot be read as a zip file") from None
    return found


def _avocado_sample(
    value: dict[str, Any], mails: dict[str, Writing], history: int
) -> dict[str, Any] | str:
    first, *others = _named_mails(value, history)
    target = mails.get(first)
    if target is None or not target.title.strip() or not target.text.strip():
        return f"question {value['id']}: its mail is not in the collection, or has no text"
    earlier = tuple(mails[name] for name in others if name in mails and mails[name].text.strip())
    identity = str(value["id"])
    return sample(identity, "email", target.title, target.text, earlier, "licensed")
