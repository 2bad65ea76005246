"""What somebody wrote in a mail: its subject, its date, and the body without what it quotes.

The standard library reads the mail. Attachments are left alone.

Not covered: quotations without a mark (a reply whose client copies the older mail without ">"
or a line that introduces it), forwarded mails, signatures that do not begin with "-- ".
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import parseaddr
from html.parser import HTMLParser
from typing import Final

_QUOTED: Final = re.compile(
    r"^(?:-{2,} ?Original Message ?-{2,}|_{10,}|On\b.{5,200}\bwrote:|Begin forwarded message:"
    r"|-{2,} ?Forwarded (?:message|by)\b.*|From: .*\n(?:Sent|Date|To): .*)[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
_WRAPPED_INTRODUCTION: Final = re.compile(r"^(On\b[^\n]{5,120})\n([^\n]{0,80}\bwrote:)", re.M)
_SIGNATURE: Final = re.compile(r"^-- ?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail.

    Attributes:
        sender_name, sender_address: as in its From line.
        when: None where the date is missing or broken.
    """

    subject: str = field(repr=False)
    body: str = field(repr=False)
    sender_name: str = field(repr=False)
    sender_address: str = field(repr=False)
    when: datetime | None


def parse_mail(data: bytes) -> Mail:
    """Read a mail. What is broken in it is left out; nothing is raised."""
    message = message_from_bytes(data, _class=EmailMessage, policy=default)
    name, address = parseaddr(_header(message, "From"))
    when: datetime | None = None
    with contextlib.suppress(ValueError, TypeError, AttributeError, IndexError):
        found = message["Date"].datetime
        when = found if found is None or found.tzinfo else found.replace(tzinfo=UTC)
    subject = re.sub(
        r"^(?:\s*(?:re|fwd?|aw|wg)\s*:\s*)+", "", _header(message, "Subject"), flags=re.I
    )
    return Mail(" ".join(subject.split()), own_words(_body(message)), name, address, when)


def own_words(body: str) -> str:
    """The body without quotations and signature."""
    body = body.replace("\r\n", "\n").replace("\xa0", " ")
    body = _WRAPPED_INTRODUCTION.sub(r"\1 \2", body)
    for mark in (_QUOTED, _SIGNATURE):
        found = mark.search(body)
        if found is not None:
            body = body[: found.start()]
    lines = [line.rstrip() for line in body.split("\n") if not line.lstrip().startswith(">")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _header(message: EmailMessage, name: str) -> str:
    # Broken headers raise all kinds of errors in the standard library's parser.
    with contextlib.suppress(ValueError, TypeError, AttributeError, IndexError, KeyError):
        return str(message[name] or "")
    return ""


def _body(message: EmailMessage) -> str:
    with contextlib.suppress(LookupError, ValueError, TypeError, AttributeError):
        part = message.get_body(preferencelist=("plain", "html"))
        if part is None:
            return ""
        text = part.get_content()
        if not isinstance(text, str):
            return ""
        return _Text.of(text) if part.get_content_type() == "text/html" else text
    return ""


class _Text(HTMLParser):
    """The text of an HTML mail: paragraphs as lines, no style, no script, no quotation."""

    _BREAKS = frozenset({"p", "div", "br", "tr", "li", "h1", "h2", "h3"})
    _SILENT = frozenset({"style", "script", "head", "title", "blockquote"})

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[str] = []
        self._silent = 0

    @classmethod
    def of(cls, markup: str) -> str:
        reader = cls()
        reader.feed(markup)
        reader.close()
        return re.sub(r"[ \t]*\n[ \t]*", "\n", "".join(reader._parts))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in self._SILENT
        if tag in self._BREAKS:
            self._parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag in {"p", "div"}:
            self._parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._parts.append(" ".join(data.split("\n")))
