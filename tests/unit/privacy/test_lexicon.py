"""What counts as private in one context. Everybody here is invented."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass

import pytest

from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.released import Finding


@dataclass
class Item:
    label: str
    text: str


PERSON = (
    Item("Name", "Odalys Fenwright-O'Brien"),
    Item("Nickname", "Rose"),
    Item("Age", "47"),
    Item("Children", "3"),
    Item("Location", "Reading, Oregon"),
    Item("Occupation", "Senior Bookkeeper; Part-time Choir Leader"),
    Item("calendar", "Dinner with Jo Quillfeather at the Golden Thread, 12 Maple Street"),
    Item("mail", "Write to quillbakes@mail.example about the sourdough fermentation course"),
    Item("mail", "My friend Mark says our allotment needs fertilizers before the harvest"),
    Item("notes", "We love event planning. Her Decade in Event Planning was a success."),
    Item("writing 1", "Every quiet winter morning begins with strong black coffee and a plan."),
)
LEXICON = Lexicon(PERSON)


def texts(found: tuple[Finding, ...]) -> list[str]:
    return [f.text for f in found]


@pytest.mark.parametrize(
    "hidden",
    [
        "Odalys",
        "odalys",
        "ODALYS'S",
        "Ｏdalys",
        "Оdаlуs",  # Cyrillic
        "o d a l y s",
        "O-d-a-l-y-s",
        "Oda lys",
        "Oda\u200blys",
        "Ódàlys",
        "0dalys",
        "Odalys99",
        "OdalysLetters",
        "myodalysletter",
        "Fenwrights",
        "fenwright",
        "OBrien",
        "o'brien",
        "Fenwright-OBrien",
        "FenwrightOBrien",
        "Quillfeather",
        "Jo Quillfeather",
        "quillbakes",
        "quillbakes@mail.example",
        "Maple Street",
        "maple-street",
        "12 Maple Street",
        "Golden Thread",
        "golden thread",
        "goldenthread",
        "golden threads",
        "maple streets",
        "Oregon",
        "rose",
    ],
)
def test_identifiers_in_every_spelling(hidden: str) -> None:
    found = LEXICON.identifiers(f"a short plan about {hidden} for the group")
    assert any(hidden.startswith(f.text) or f.text in hidden for f in found), texts(found)
    assert all(f.kind == "identifier" for f in found)


@pytest.mark.parametrize(
    "text",
    [
        "a reading list for the group",  # the town is Reading, with a capital
        "mark the date of the event planning workshop",  # the friend is Mark
        "3 ideas for 47 people",  # numbers beside no field's word
        "Advice for Senior Leaders",  # an occupation's capitals name nobody
        "golden autumn with a thread",
        "job offers for jogging",  # not "Jo"
    ],
)
def test_what_only_looks_like_an_identifier(text: str) -> None:
    assert texts(LEXICON.identifiers(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "turning 47 soon",
        "Age: 47",
        "a 47-year-old runner",
        "I'm 47 now",
        "my 47th birthday",
        "forty-seven years of music",
        "at the age of forty seven",
        "a 47yo teacher",
        "aged ４７",
        "with my 3 children",
        "the three children",
    ],
)
def test_small_numbers_beside_their_fields_word(text: str) -> None:
    assert [f.role for f in LEXICON.identifiers(text)] == ["number"]


def test_a_name_that_is_an_ordinary_word_counts_with_a_capital() -> None:
    assert texts(LEXICON.identifiers("a walk with Mark in Reading")) == ["Mark", "Reading"]


def test_a_phrase_in_small_letters_elsewhere_is_a_topic() -> None:
    assert texts(LEXICON.identifiers("a guide to event planning for the town")) == []
    alone = Lexicon([Item("notes", "Her Decade in Event Planning was a success.")])
    assert texts(alone.identifiers("a guide to event planning")) == ["event planning"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("my Diabetes plan", "health"),
        ("for diabetics", "health"),
        ("about h.i.v. tests", "health"),
        ("a di\u00advorce", "law"),
        ("we are divorcing", "law"),
        ("her self harm", "health"),
        ("our wed-ding was at the mosque", "religion"),
        ("ｌｅｓｂｉａｎ", "sexuality"),
        ("an election", "politics"),
        ("a mort gage", "money"),
        ("after my operation", "health"),
        ("his last trial", "law"),
    ],
)
def test_sensitive_words(text: str, kind: str) -> None:
    assert [(f.kind, f.role) for f in LEXICON.sensitive(text)] == [("sensitive", kind)]


@pytest.mark.parametrize(
    "text",
    [
        "streamline business operations and convert leads",
        "a free trial of the tennis court",
        "extra virgin olive oil",
        "current affairs and public strokes of luck",
        "release the party plan to the masses",
        "a so lid plan",
    ],
)
def test_harmless_senses_are_not_sensitive(text: str) -> None:
    assert texts(LEXICON.sensitive(text)) == []


@pytest.mark.parametrize(
    "word",
    [
        "fermentation",
        "FERMENTATION",
        "fermentations",
        "sour dough",
        "s o u r d o u g h",
        "fertilizer",
        "fertilizer's",
        "allotments",
        "ａllotment",
        "аllоtment",
        "bookkeepers",
        "harvesting",
    ],
)
def test_rare_words_in_any_inflection(word: str) -> None:
    found = LEXICON.rare(f"a short plan about {word} for the group")
    assert found
    assert all(f.kind == "rare" for f in found)
    assert found[0].text in word


def test_frequent_words_and_words_of_others_are_not_rare() -> None:
    assert texts(LEXICON.rare("coffee before winter, 300 photosynthesis experiments")) == []


@pytest.mark.parametrize(
    "text",
    [
        "quiet winter mornings",
        "Quiet, WINTER; morning!",
        "a quiet and wintry one",
        "strong black coffee",
        "the strongest black coffees",
        "begins with strong and black",
        "quiet 3 winter morning",
        "senior bookkeeper part",
    ],
)
def test_runs_of_three_content_words(text: str) -> None:
    found = LEXICON.runs(text)
    assert bool(found) is (text != "a quiet and wintry one")
    assert all(f.kind == "run" for f in found)


def test_two_words_or_another_order_make_no_run() -> None:
    assert LEXICON.runs("quiet winter, black morning coffee, strong plan") == ()


def test_the_threshold_is_the_callers() -> None:
    loose = Lexicon(PERSON, rare_below=3.5)
    assert texts(loose.rare("harvest fertilizer")) == ["fertilizer"]
    assert loose.size.rare_words < LEXICON.size.rare_words


def test_an_empty_context_has_an_empty_lexicon() -> None:
    assert (size := Lexicon([]).size).identifiers == size.rare_words == size.runs == 0
    assert texts(Lexicon([]).identifiers("a plan for Elena Voss")) == ["Elena Voss"]
    Lexicon([Item("", ""), Item("Name", "Dr. , ;"), Item("Age", "old"), Item("Name", "A")])


def test_nothing_shows() -> None:
    secrets = ("odalys", "fenwright", "47", "fermentation", "coffee")
    for shown in (repr(LEXICON), str(LEXICON), f"{LEXICON}", repr(LEXICON._entries)):
        assert not any(secret in shown.casefold() for secret in secrets)
    assert not hasattr(LEXICON, "__dict__")
    for action in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never pickled"):
            action(LEXICON)
    for held in (LEXICON, LEXICON._entries):
        with pytest.raises(TypeError, match="never"):
            held.__getstate__()
