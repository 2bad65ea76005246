"""The saved page: nothing in a text becomes markup, and nothing in the page leads out of it."""

from __future__ import annotations

import os
import re
import stat
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cogenesis.assistant import Degraded, Token
from cogenesis.cli.html_page import STYLE, check_place, page, save_page
from cogenesis.errors import InputError
from cogenesis.sketch.outline import Sketch
from tests.unit.cli.results import TOKENS, general, result

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></div></section><h1>",
    "<!--",
    "]]>&amp;&lt;$text $policy ${style} {0} %s \\",
    "&#60;b&#62;",
    "<a href='javascript:alert(1)'>",
    "<|im_end|>",
)
VOID = {"meta", "br"}


class Read(HTMLParser):
    """A page as a browser would see it: elements, their attributes and their text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.comments: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            classes = dict(attrs).get("class") or tag
            self._open.append(f"{tag} {classes}")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().split()[0] == tag

    def handle_data(self, data: str) -> None:
        for place in self._open:
            self.text[place] = self.text.get(place, "") + data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    @property
    def tokens(self) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if "title" in attributes]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_stays_text(hostile: str) -> None:
    """As a token, as a fallback, in the outline, in a message and in the instruction."""
    tokens = (Token(hostile, 0.5, "cloud", hostile), Token(" end"))
    plain = Read(page(result((Token("a", 0.5, "cloud", "b"),), degraded=Degraded("c", "d"))))
    read = Read(page(result(tokens, degraded=Degraded("fault", hostile))))
    assert read.text["div text"] == f"{hostile} end"
    assert read.tokens[0]["title"] is not None
    assert hostile in read.tokens[0]["title"]
    assert {tag for tag, _ in read.elements} == {tag for tag, _ in plain.elements}
    assert read.comments == []
    for _, attributes in read.elements:
        assert not any(name.startswith("on") or name in {"href", "src"} for name in attributes)
    sketched = Read(page(result(tokens, "sketch", sketch=Sketch((hostile,)))))
    assert sketched.text["div text"] == f"{hostile} end"
    assert hostile in sketched.text["dd dd"]


def test_characters_that_hide_or_turn_text_are_left_out() -> None:
    tokens = (Token("a\u202eb\x1b[31m\u200bc\x00d", 0.5, "both", "e\u2066"),)
    assert not re.search("[\x00\x1b\u200b\u202e\u2066]", page(result(tokens)))


def test_each_token_has_its_source_and_its_weight() -> None:
    read = Read(page(result()))
    assert [token["class"] for token in read.tokens] == [t.source for t in TOKENS]
    titles = [token["title"] for token in read.tokens]
    assert titles[0] == "decided by both, device's weight 0.50"
    assert titles[3] == "decided by device, device's weight 1.00, without the cloud: timeout"
    assert read.text["div text"] == "Dear Tobias,\ncome!"
    assert "legend" in read.text["p legend"] or "colour" in read.text["p legend"]


def test_under_the_text_stands_what_left() -> None:
    given = general("A note to Tobias Merrin about my divorce", allow=("Tobias", "Merrin"))
    facts = Read(page(result(general=given))).text["dd dd"]
    assert given.text in facts
    for fact in ("divorce", "Tobias, Merrin", "3, with 4,321 bytes", "0.40 round trips", "timeout"):
        assert fact in facts
    alone = Read(page(result((Token("Hi"),), "device", general=None, traffic=None)))
    assert alone.text["dd dd"] == "nothing left"
    assert alone.tokens == []


def test_the_page_needs_and_allows_nothing_but_its_own_style() -> None:
    source = page(result())
    read = Read(source)
    digest = b64encode(sha256(read.text["style style"].encode()).digest()).decode()
    policies = [a["content"] for _, a in read.elements if a.get("http-equiv")]
    assert policies == [
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    ]
    assert {tag for tag, _ in read.elements}.isdisjoint({"script", "link", "img", "iframe", "font"})
    assert not re.search(r"url\(|@import|https?:|//", source)
    assert not any("style" in attributes for _, attributes in read.elements)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_colour_can_be_read_on_its_paper(scheme: str) -> None:
    """Contrast of 4.5 to 1 at least, as WCAG 2.2 asks of text, in both colour schemes."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    colours = dict(re.findall(r"--(\w+): #(\w{6});", blocks[["light", "dark"].index(scheme)]))
    for name in ("ink", "quiet", "device", "cloud", "both"):
        light, dark = sorted((luminance(colours[name]), luminance(colours["paper"])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, name


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_page_is_private_and_replaces_an_older_one(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text("old")
    file.chmod(0o644)
    save_page(file, result())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text("utf-8") == page(result())
    assert list(tmp_path.iterdir()) == [file]


def test_a_page_that_cannot_be_made_leaves_the_older_one(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text("old")
    with pytest.raises(AttributeError):
        save_page(file, object())  # type: ignore[arg-type]
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_places_where_no_page_can_be(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe", tmp_path / "none" / "page.html", Path("/dev/null")):
        with pytest.raises(InputError, match="--save-html"):
            check_place(place)
        with pytest.raises(InputError, match="--save-html"):
            save_page(place, result())
    assert Path("/dev/null").is_char_device()
