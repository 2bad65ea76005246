"""A report as blocks, and the two ways to write it down: Markdown and one HTML file.

All text in a block is text of anybody: it is escaped here, for either form, and nowhere else.
In HTML pictures are inside of the page; as images, so that nothing in them can run. Markdown
names them as files beside it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cogenesis.pages import PALETTE, content_policy, plain
from cogenesis.untrusted import visible


@dataclass(frozen=True, slots=True)
class Heading:
    """A section begins."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Some sentences."""

    text: str


@dataclass(frozen=True, slots=True)
class Cell:
    """What a table's cell says, and from which of the report's sources (numbers from 1)."""

    text: str
    sources: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of equal length; the first column names each row."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing, and what it shows in words.

    Attributes:
        name: of its file, without ending.
        caption: below it.
        svg: the drawing.
    """

    name: str
    caption: str
    svg: bytes


@dataclass(frozen=True, slots=True)
class Listed:
    """Where the numbers come from: an item for each source, counted from 1."""

    items: tuple[tuple[str, str, str], ...]
    """Label, command, remark."""


Block = Heading | Paragraph | Table | Picture | Listed

STYLE: Final = (
    PALETTE
    + """
body {
  background: var(--paper); color: var(--ink); max-width: 64rem; margin: 2.5rem auto;
  padding: 0 1.25rem; font: 1.0625rem/1.6 system-ui, sans-serif;
}
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
p, li { max-width: 46rem; overflow-wrap: anywhere; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .9375rem; }
caption, figcaption { text-align: left; color: var(--quiet); padding: .35rem 0; }
th, td { text-align: right; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
thead th { vertical-align: bottom; }
td { white-space: nowrap; font-variant-numeric: tabular-nums; }
sup a { text-decoration: none; }
a { color: var(--device); }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; background: #ffffff; }
code { font-size: .9em; }
:focus-visible { outline: 3px solid var(--both); outline-offset: 2px; }
"""
)


def as_markdown(title: str, blocks: Sequence[Block], stem: str) -> str:
    """Markdown for GitHub. Pictures are files called `STEM-NAME.svg`."""
    parts = [f"# {_mark(title)}"]
    for block in blocks:
        match block:
            case Heading(text):
                parts.append(f"## {_mark(text)}")
            case Paragraph(text):
                parts.append(_mark(text))
            case Table():
                parts.append(_markdown_table(block))
            case Picture(name, caption, _):
                parts.append(f"![{_mark(caption)}]({picture_file(stem, name)})")
            case Listed(items):
                parts.append(
                    "\n".join(
                        f"{number}. {_mark(label)}: {_code(command)} ({_mark(remark)})"
                        for number, (label, command, remark) in enumerate(items, start=1)
                    )
                )
    return "\n\n".join(parts) + "\n"


def picture_file(stem: str, name: str) -> str:
    """The file of a picture, beside the Markdown."""
    return f"{stem}-{name}.svg"


def as_html(title: str, blocks: Sequence[Block]) -> str:
    """One page that needs nothing but itself."""
    # Pictures are the only thing that may load, and only from inside of the page.
    policy = content_policy(STYLE) + "; img-src data:"
    body = "\n".join(map(_html, blocks))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{plain(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{plain(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _html(block: Block) -> str:
    match block:
        case Heading(text):
            return f"<h2>{plain(text)}</h2>"
        case Paragraph(text):
            return f"<p>{plain(text)}</p>"
        case Picture(_, caption, svg):
            data = b64encode(svg).decode("ascii")
            return (
                f'<figure><img src="data:image/svg+xml;base64,{data}" alt="{plain(caption)}">'
                f"<figcaption>{plain(caption)}</figcaption></figure>"
            )
        case Listed(items):
            listed = "\n".join(
                f'<li id="source-{number}">{plain(label)}: <code>{plain(command)}</code> '
                f"({plain(remark)})</li>"
                for number, (label, command, remark) in enumerate(items, start=1)
            )
            return f"<ol>\n{listed}\n</ol>"
        case Table():
            return _html_table(block)


def _html_table(table: Table) -> str:
    head = "".join(f'<th scope="col">{plain(each)}</th>' for each in table.columns)
    rows = []
    for first, *cells in table.rows:
        named = f'<th scope="row">{plain(first.text)}</th>'
        rows.append(f"<tr>{named}{''.join(map(_html_cell, cells))}</tr>")
    body = "\n".join(rows)
    # Tables are wider than phones: they scroll by themselves, by keyboard too.
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{plain(table.caption)}">'
        f"<table>\n<caption>{plain(table.caption)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _html_cell(cell: Cell) -> str:
    links = " ".join(f'<a href="#source-{number}">{number}</a>' for number in cell.sources)
    return f"<td>{plain(cell.text)}{f' <sup>{links}</sup>' if links else ''}</td>"


def _markdown_table(table: Table) -> str:
    lines = [
        f"**{_mark(table.caption)}**\n",
        "| " + " | ".join(_mark(each) for each in table.columns) + " |",
        "|---|" + "---:|" * (len(table.columns) - 1),
    ]
    for row in table.rows:
        cells = [f"{_mark(c.text)}{''.join(f' [{n}]' for n in c.sources)}" for c in row]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


_SPECIAL: Final = re.compile(r"[\\`*_\[\]<>|#~$&]")
"""Characters that Markdown may take for something else."""


def _mark(text: str) -> str:
    """Text of anybody, so that Markdown shows it as it is, on one line."""
    line = " ".join("".join(char for char in text if visible(char)).split())
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", line)


def _code(command: str) -> str:
    """A command between as many backticks as none in it can close."""
    line = " ".join("".join(char for char in command if visible(char)).split())
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {line} {fence}" if longest else f"`{line}`"
