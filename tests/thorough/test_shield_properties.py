"""What must hold of S for any text and any way to cut it into pieces.

The oracle is written without the lexicon: it takes out the placeholders, squashes what is
left to plain letters, and looks for the planted words and for their beginnings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import wordfreq
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.shield import Shield, View


@dataclass
class Item:
    label: str
    text: str


LEXICON = Lexicon(
    (
        Item("Name", "Odalys Fenwright"),
        Item("Nickname", "Zoraxel"),
        Item("Location", "Corvallis, Oregon"),
        Item("calendar", "Dinner at the Golden Thread, then Saltmarsh Clinic"),
        Item("mail", "Write to quillbakes@mail.example about sourdough fermentation"),
        Item("writing 1", "Every quiet winter morning begins with strong black coffee."),
    )
)
GENERAL = Guard(LEXICON).release("A long letter about the garden in spring")

PRIVATE = (
    "Odalys",
    "odalys",
    "Fenwright",
    "Odalys Fenwright",
    "Zoraxel",
    "Corvallis",
    "Golden Thread",
    "golden thread",
    "Saltmarsh Clinic",
    "quillbakes@mail.example",
    "sourdough",
    "fermentation",
    "555-0123",
    "March 14",
    "$4,500",
)
PLAIN_TEXT = (
    "the a of and we it was in to said people time house water went spring garden letter "
    "very good day after year little while they our what made around world began small"
)
PLAIN = PLAIN_TEXT.split()
SIGNS = (" ", " ", " ", " ", ", ", ". ", "\n", " (", "-", "'s ", " – ")
ENDS_OF_RUNS = ("morning", "begins", "black", "coffee")

PLACEHOLDER = re.compile(
    r"\[(?:person|group|place|name|contact|date|amount|number|address|word) \d+\]"
)


def squash(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


FORBIDDEN = tuple(squash(word) for word in PRIVATE)
SINGLE = tuple(squash(part) for word in PRIVATE for part in word.split())
"""The words that are private one by one, and those of names of several words."""


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Plain and private words in any order, with signs between them."""
    words = draw(
        st.lists(
            st.one_of(st.sampled_from(PLAIN), st.sampled_from(PRIVATE)), min_size=1, max_size=8
        )
    )
    out = ""
    for word in words:
        out += word + draw(st.sampled_from(SIGNS))
    return out


def left(view: View) -> list[str]:
    """What is shown as it stands, in stretches between placeholders."""
    return PLACEHOLDER.split(view.released.text)


def telling(stretch: str) -> str | None:
    """Three letters or more at the end that begin a private word, if they are no frequent one.

    "gold" is a complete word that may leave, though "golden" is held and "Golden Thread" private.
    """
    last = re.search(r"[^\W_]{3,}$", stretch)
    word = last.group().casefold() if last else ""
    if not word or wordfreq.zipf_frequency(word, "en") >= 4.5:
        return None
    return word if any(key.startswith(word) for key in SINGLE) else None


SHIELD = Shield(LEXICON, GENERAL)


@settings(max_examples=60, deadline=None)
@given(texts())
@example("Golden Golden Thread")
@example("golden-thread")
@example("to Odalys Fenwright's golden thread at Saltmarsh Clinic\n")
@example("on March 14, mail quillbakes@mail.example.")
def test_no_private_span_and_no_beginning_of_one_is_shown(text: str) -> None:
    before: View | None = None
    for end in range(1, len(text) + 1):
        view = SHIELD.view(text[:end])
        for stretch in left(view):
            for word in FORBIDDEN:
                assert word not in squash(stretch), (text[:end], view.released.text)
        assert telling(left(view)[-1]) is None, (text[:end], view.released.text)
        if view.asks:
            assert view.real_chars == end
        if before is not None:
            settled = before.released.text[: before.settled]
            assert view.released.text.startswith(settled), (text[:end], settled)
        before = view


@settings(max_examples=40, deadline=None)
@given(texts(), st.lists(st.integers(0, 200), min_size=1, max_size=6), texts())
def test_it_depends_on_the_text_alone(text: str, ends: list[int], other: str) -> None:
    """In any order, with other texts in between, and for somebody who has read nothing."""
    used = Shield(LEXICON, GENERAL)
    for end in ends:
        used.view(text[:end] + other[: end % 7])
        part = text[:end]
        assert used.view(part) == Shield(LEXICON, GENERAL).view(part)


@settings(max_examples=60, deadline=None)
@given(texts())
def test_positions_go_there_and_back(text: str) -> None:
    view = SHIELD.view(text)
    shown = view.released.text
    inside = {i for span in view.spans for i in range(span.start + 1, span.end)}
    for real in set(range(view.real_chars + 1)) - inside:
        there = view.real_to_shielded(real)
        assert view.shielded_to_real(there) == real
        if real < view.real_chars and real not in {span.start for span in view.spans}:
            assert shown[there] == text[real]
    for span in view.spans:
        there = view.real_to_shielded(span.start)
        assert shown[there:].startswith(span.placeholder)
        assert view.real_to_shielded(span.end) == there + len(span.placeholder)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([w for w in PLAIN if w not in ENDS_OF_RUNS]), max_size=20),
    st.sampled_from([" ", ", ", ".\n", " – ", "…  "]),
)
def test_a_text_without_private_words_is_shown_as_it_is(words: list[str], sign: str) -> None:
    text = sign.join(words)
    view = SHIELD.view(text)
    assert (view.released.text, view.asks, view.spans) == (text, True, ())


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40), st.text(max_size=10))
def test_any_characters_are_taken(text: str, more: str) -> None:
    view, later = SHIELD.view(text), SHIELD.view(text + more)
    assert later.released.text.startswith(view.released.text[: view.settled])
    assert view == Shield(LEXICON, GENERAL).view(text)
    if view.asks:
        assert view.real_chars == len(text)


def test_the_same_span_has_the_same_placeholder_everywhere() -> None:
    text = "Odalys and Zoraxel, then Zoraxel and Odalys, sourdough and sourdough."
    labels = {text[s.start : s.end]: set[str]() for s in SHIELD.view(text + "\n").spans}
    for span in SHIELD.view(text + "\n").spans:
        labels[text[span.start : span.end]].add(span.placeholder)
    assert [len(found) for found in labels.values()] == [1, 1, 1]
    assert len(set().union(*labels.values())) == 3


def test_a_long_text_is_the_same_however_it_was_reached() -> None:
    """Longer than the window that is read at once; drafts are taken back and grown again."""
    text = " ".join(
        f"{PLAIN[i % 31]} {PRIVATE[i % len(PRIVATE)] if i % 4 == 0 else PLAIN[i * 7 % 29]}"
        for i in range(70)
    )
    grown, jumping = Shield(LEXICON, GENERAL), Shield(LEXICON, GENERAL)
    ends = [len(text) * n // 9 for n in range(1, 10)]
    views = {}
    for end in range(0, len(text) + 1, 3):
        grown.view(text[:end])
        if end % 5 == 0:
            grown.view(text[: max(0, end - 40)] + " Golden")
    for end in ends:
        views[end] = grown.view(text[:end])
        assert views[end] == Shield(LEXICON, GENERAL).view(text[:end])
    for end in (ends[6], ends[1], ends[8], ends[7], ends[0]):
        assert jumping.view(text[:end]) == views[end]
    assert len(views[ends[-1]].spans) > 15
