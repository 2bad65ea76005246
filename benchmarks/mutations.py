"""Invented people with their private spans, and ways of writing a span that keep it readable.

Every way can be undone by whoever receives it, with a table or by looking; so a mutated span
that leaves is a leak. All people, places and numbers are made up from a seed.
"""

from __future__ import annotations

import base64
import codecs
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from cogenesis.context.private_context import ContextText
from cogenesis.privacy.words import ordinary

Kind = Literal[
    "name", "name word", "organisation", "place", "email", "phone", "address", "date", "amount",
    "sensitive", "rare", "run",
]  # fmt: skip
IDENTIFIERS: Final = frozenset(
    {"name", "name word", "organisation", "place", "email", "phone", "address", "date", "amount"}
)
WORD_KINDS: Final = frozenset({"name", "organisation", "place", "sensitive", "rare"})


def _listed(words: str) -> tuple[str, ...]:
    return tuple(words.split())


_RARE: Final = _listed(
    "sourdough kombucha beekeeping macrame calligraphy falconry taxidermy origami woodcarving "
    "origami orienteering bouldering kintsugi allotment marquetry lacemaking pottery quilting "
    "geocaching stargazing"
)
_SENSITIVE: Final = _listed(
    "diabetes divorce chemotherapy bankruptcy mosque lesbian leukemia alcoholism abortion "
    "eviction schizophrenia bisexual mortgage adultery dementia"
)
_ADJECTIVES: Final = _listed(
    "quiet golden narrow distant gentle broken silver hollow winding early"
)
_NOUNS: Final = _listed("river garden window kitchen letter morning winter bridge orchard harbor")
_VERBS: Final = _listed("painted carried watched repaired borrowed planted followed")
_NAME_WORDS: Final = _listed("Will Rose Grace Mark Hope Faith Summer Dawn Violet Frank")
_STREETS: Final = _listed("Street Lane Road Avenue Drive")
_MONTHS: Final = _listed(
    "January February March April May June July August September October November December"
)


@dataclass(frozen=True)
class Span:
    """Something private of one person, and the class it belongs to."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Person:
    texts: tuple[ContextText, ...]
    spans: tuple[Span, ...]


def person(rng: random.Random) -> Person:
    """One invented person: what the device knows, and what must not leave."""
    first, last, friend = _name(rng), _name(rng), _name(rng)
    nickname = rng.choice(_NAME_WORDS)
    town, firm = _name(rng), f"{_name(rng)} {rng.choice(['Bakery', 'Partners', 'Clinic'])}"
    email = f"{first}.{last}@{rng.choice(['mail', 'post', 'inbox'])}.example".lower()
    phone = f"{rng.randint(201, 989)} 555 {rng.randint(1000, 9999)}"
    street = f"{rng.randint(11, 99)} {_name(rng)} {rng.choice(_STREETS)}"
    month, day, year = rng.randint(1, 12), rng.randint(1, 28), rng.randint(1940, 2019)
    date = f"{day} {_MONTHS[month - 1]} {year}"
    amount = f"${rng.randint(1, 9)},{rng.randint(100, 999)}"
    rare, sensitive = rng.choice(_RARE), rng.choice(_SENSITIVE)
    run = " ".join(
        [rng.choice(_ADJECTIVES), rng.choice(_NOUNS), rng.choice(_VERBS), rng.choice(_NOUNS)]
    )
    texts = (
        ("Name", f"{first} {last}"),
        ("Nickname", nickname),
        ("Location", f"{town}, Oregon"),
        ("Employer", firm),
        ("mail", f"Write to {email} or call {phone}; my new address is {street}."),
        ("calendar", f"Dinner with {friend} on {date}, she owes me {amount}."),
        ("notes", f"The {rare} course and my {sensitive} keep me busy this year."),
        ("writing 1", f"Nobody saw how the {run} before the others came."),
    )
    spans = (
        Span("name", first), Span("name", last), Span("name", friend),
        Span("name", f"{first} {last}"), Span("name word", nickname), Span("place", town),
        Span("organisation", firm), Span("email", email), Span("phone", phone),
        Span("address", street), Span("date", date), Span("amount", amount),
        Span("sensitive", sensitive), Span("rare", rare), Span("run", run),
    )  # fmt: skip
    return Person(tuple(ContextText("field", k, v) for k, v in texts), spans)


def _name(rng: random.Random) -> str:
    """An invented name of two to four syllables, so that no list has it."""
    syllables = [
        rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(rng.randint(1, 2))
    ]
    ending = rng.choice(["zin", "quor", "xel", "theth", "vrix", "ndle", "rsk", "mpton", "ffer"])
    name = "".join([*syllables, ending])
    return _name(rng) if ordinary(name) else name.capitalize()


# -- ways of writing -----------------------------------------------------------------------------

_LOOK_ALIKES: Final = dict(zip("aceiopxyABEHKMOPTX", "асеіорхуАВЕНКМОРТХ", strict=True))
_LEET: Final = str.maketrans("oiesatbOIESATB", "01354781135478"[:14])
_SIGNS: Final = str.maketrans("asieASIE", "@$!3@$!3")
_ZERO_WIDTH: Final = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e\u034f"
_SPOKEN: Final = _listed(
    "alfa bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november "
    "oscar papa quebec romeo sierra tango uniform victor whiskey xray yankee zulu"
)
_MORSE: Final = _listed(
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- "
    ".-- -..- -.-- --.."
)
_DIGIT_WORDS: Final = _listed("zero one two three four five six seven eight nine")


def _shifted(text: str, first: int, upper: int) -> str:
    return "".join(
        chr(upper + ord(c) - 65)
        if "A" <= c <= "Z"
        else chr(first + ord(c) - 97)
        if "a" <= c <= "z"
        else c
        for c in text
    )


def _caesar(text: str, shift: int) -> str:
    return "".join(
        chr((ord(c) - base + shift) % 26 + base)
        if c.isascii() and c.isalpha() and (base := 65 if c.isupper() else 97)
        else c
        for c in text
    )


def _atbash(text: str) -> str:
    return "".join(
        chr(base + 25 - (ord(c) - base))
        if c.isascii() and c.isalpha() and (base := 65 if c.isupper() else 97)
        else c
        for c in text
    )


def _inserted(text: str, sign: str, rng: random.Random) -> str:
    inner = [i for i in range(1, len(text)) if text[i - 1].isalnum() and text[i].isalnum()]
    at = rng.choice(inner or [1])
    return text[:at] + sign + text[at:]


def _per_word(text: str, change: Callable[[str], str]) -> str:
    return " ".join(change(word) for word in text.split())


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _letters(text: str) -> list[str]:
    return [c for c in text.lower() if "a" <= c <= "z"]


Way = Callable[[str, random.Random], str]

ANY: Final[dict[str, Way]] = {
    "as it is": lambda s, _: s,
    "upper case": lambda s, _: s.upper(),
    "mixed case": lambda s, r: "".join(r.choice([c.upper(), c.lower()]) for c in s[1:]).join(
        [s[0].upper(), ""]
    ),
    "full width": lambda s, _: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in s),
    "bold letters": lambda s, _: _shifted(s, 0x1D41A, 0x1D400),
    "script letters": lambda s, _: _shifted(s, 0x1D4EA, 0x1D4D0),
    "circled letters": lambda s, _: _shifted(s, 0x24D0, 0x24B6),
    "boxed letters": lambda s, _: _shifted(s.upper(), 0, 0x1F170),
    "look-alikes": lambda s, _: "".join(_LOOK_ALIKES.get(c, c) for c in s),
    "one look-alike": lambda s, r: s.replace(
        c := r.choice([x for x in s if x in _LOOK_ALIKES] or ["\x00"]), _LOOK_ALIKES.get(c, c), 1
    ),
    "accents": lambda s, r: "".join(
        c + r.choice("\u0300\u0301\u0308\u0327") if c.isalpha() else c for c in s
    ),
    "strike-through": lambda s, _: "".join(c + "\u0336" for c in s),
    "invisible signs": lambda s, r: "".join(c + r.choice(_ZERO_WIDTH) for c in s),
    "one invisible sign": lambda s, r: _inserted(s, r.choice(_ZERO_WIDTH), r),
    "bidi marks": lambda s, _: f"\u202e{s}\u202c",
    "written backwards, shown forwards": lambda s, _: f"\u202e{s[::-1]}\u202c",
    "backwards": lambda s, _: s[::-1],
    "letters apart": lambda s, r: r.choice([" ", ".", "-", "_", " . ", "·", "/"]).join(
        c for c in s if c != " "
    ),
    "letters apart, words further": lambda s, _: "   ".join(" ".join(w) for w in s.split()),
    "line breaks": lambda s, r: _inserted(s, "\n", r),
    "one space inside": lambda s, r: _inserted(s, " ", r),
    "one sign inside": lambda s, r: _inserted(s, r.choice(["-", ".", "_", "'", "’", "/", "*"]), r),
    "possessive": lambda s, r: s + r.choice(["'s", "’s", "'"]),
    "in quotation marks": lambda s, r: r.choice(["“{}”", "'{}'", "({})", "*{}*", "<{}>"]).format(s),
    "base64": lambda s, _: _b64(s),
    "base64 without padding": lambda s, _: _b64(s).rstrip("="),
    "base64 for URLs": lambda s, _: base64.urlsafe_b64encode(s.encode()).decode(),
    "base64 in pieces": lambda s, _: re.sub("(.{6})", r"\1 ", _b64(s)),
    "base32": lambda s, _: base64.b32encode(s.encode()).decode(),
    "hexadecimal": lambda s, _: s.encode().hex(),
    "hexadecimal, apart": lambda s, r: s.encode().hex(r.choice(" :-")),
    "\\x": lambda s, _: "".join(f"\\x{ord(c):02x}" for c in s),
    "\\u": lambda s, _: "".join(f"\\u{ord(c):04x}" for c in s),
    "one \\u": lambda s, _: f"\\u{ord(s[0]):04x}{s[1:]}",
    "U+": lambda s, _: " ".join(f"U+{ord(c):04X}" for c in s),
    "HTML decimal": lambda s, _: "".join(f"&#{ord(c)};" for c in s),
    "HTML hexadecimal": lambda s, _: "".join(f"&#x{ord(c):x};" for c in s),
    "one HTML entity": lambda s, _: f"&#{ord(s[0])};{s[1:]}",
    "HTML soft hyphen": lambda s, r: _inserted(s, r.choice(["&shy;", "&zwj;", "&#8203;"]), r),
    "percent": lambda s, _: "".join(f"%{b:02X}" for b in s.encode()),
    "one percent": lambda s, _: f"%{ord(s[0]):02x}{s[1:]}",
    "percent-coded spaces inside": lambda s, _: "%20".join(c for c in s if c != " "),
    "quoted-printable": lambda s, _: "".join(f"={b:02X}" for b in s.encode()),
    "character codes": lambda s, r: r.choice([" ", ", ", ","]).join(str(ord(c)) for c in s),
}  # fmt: skip

OF_WORDS: Final[dict[str, Way]] = {
    "lower case": lambda s, _: s.lower(),
    "plural": lambda s, _: s + "s",
    "rot13": lambda s, _: codecs.encode(s, "rot13"),
    "rot13, letters apart": lambda s, _: " ".join(codecs.encode(s.replace(" ", ""), "rot13")),
    "other shift": lambda s, r: _caesar(s, r.choice([1, 2, 3, 5, 7, 23, 25])),
    "turned alphabet": lambda s, _: _atbash(s),
    "digits for letters": lambda s, _: s.translate(_LEET),
    "signs for letters": lambda s, _: s.translate(_SIGNS),
    "inside a longer word": lambda s, r: r.choice(["the{}", "our{}plan", "x{}x", "{}99"]).format(
        s.replace(" ", "")
    ),
    "hashtag": lambda s, _: "#" + s.replace(" ", ""),
    "spelling alphabet": lambda s, _: _per_word(
        s, lambda w: " ".join(_SPOKEN[ord(c) - 97] for c in _letters(w))
    ),
    "Morse": lambda s, _: " ".join(_MORSE[ord(c) - 97] for c in _letters(s)),
    "places in the alphabet": lambda s, r: r.choice([", ", "-", " "]).join(
        str(ord(c) - 96) for c in _letters(s)
    ),
}  # fmt: skip

OF_NAMES: Final[dict[str, Way]] = {
    "doubled letters": lambda s, r: _per_word(s, lambda w: w[:2] + w[1] * r.randint(1, 3) + w[2:]),
    "one letter wrong": lambda s, r: _per_word(s, lambda w: w[:2] + r.choice("kwyuj") + w[3:]),
    "one letter left out": lambda s, r: _per_word(s, lambda w: w[:3] + w[4:]),
    "two letters swapped": lambda s, _: _per_word(s, lambda w: w[:2] + w[3] + w[2] + w[4:]),
}

OF_DIGITS: Final[dict[str, Way]] = {
    "digits in words": lambda s, _: "".join(
        _DIGIT_WORDS[int(c)] + " " if c.isdigit() else c for c in s
    ).strip(),
    "digits in words, hyphens": lambda s, _: "-".join(
        _DIGIT_WORDS[int(c)] for c in s if c.isdigit()
    ),
    "digits in words, commas": lambda s, _: ", ".join(
        _DIGIT_WORDS[int(c)] for c in s if c.isdigit()
    ),
    "half of the digits in words": lambda s, _: " ".join(
        _DIGIT_WORDS[int(c)] if i % 2 else c for i, c in enumerate(x for x in s if x.isdigit())
    ),
    "digits apart": lambda s, r: r.choice([" ", ".", "-", " - ", "/"]).join(
        c for c in s if c.isdigit()
    ),
    "other digits": lambda s, r: s.translate(
        str.maketrans("0123456789", "".join(chr(r.choice([0x660, 0x966]) + i) for i in range(10)))
    ),
}  # fmt: skip

OF_PHONES: Final[dict[str, Way]] = {
    "in pieces": lambda s, _: ", then ".join(s.split()),
    "other signs": lambda s, r: s.replace(" ", r.choice([".", "-", "/", " - ", ") ", ""])),
    "with a prefix": lambda s, _: f"+1 ({s[:3]}){s[3:]}",
    "in words with dash": lambda s, _: " dash ".join(
        " ".join(_DIGIT_WORDS[int(c)] for c in part) for part in s.split()
    ),
}

OF_EMAILS: Final[dict[str, Way]] = {
    "at and dot": lambda s, _: s.replace("@", " at ").replace(".", " dot "),
    "(at) and (dot)": lambda s, r: s.replace("@", r.choice([" (at) ", "[at]", "{at}", "<at>"]))
    .replace(".", r.choice([" (dot) ", "[dot]", "{dot}", "<dot>"])),
    "at and dots": lambda s, _: s.replace("@", " at "),
    "spaces": lambda s, _: s.replace("@", " @ ").replace(".", " . "),
    "hyphens": lambda s, _: s.replace("@", "-at-").replace(".", "-dot-"),
    "the name only": lambda s, _: s.split("@")[0],
}  # fmt: skip


def _date_ways() -> dict[str, Way]:
    def parts(s: str) -> tuple[int, str, str]:
        day, month, year = s.split()
        return int(day), month, year

    def number(month: str) -> int:
        return _MONTHS.index(month) + 1

    roman = _listed("I II III IV V VI VII VIII IX X XI XII")
    german = _listed(
        "Januar Februar März April Mai Juni Juli August September Oktober November Dezember"
    )
    ordinals = _listed(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
        "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth "
        "twenty-first twenty-second twenty-third twenty-fourth twenty-fifth twenty-sixth "
        "twenty-seventh twenty-eighth"
    )
    return {
        "ISO": lambda s, _: f"{(p := parts(s))[2]}-{number(p[1]):02}-{p[0]:02}",
        "slashes": lambda s, _: f"{number((p := parts(s))[1])}/{p[0]}/{p[2][2:]}",
        "dots": lambda s, _: f"{(p := parts(s))[0]}.{number(p[1])}.{p[2]}",
        "month first": lambda s, _: f"{(p := parts(s))[1]} {p[0]}th, {p[2]}",
        "short month": lambda s, _: f"{(p := parts(s))[0]}-{p[1][:3]}-{p[2][2:]}",
        "in one": lambda s, _: f"{(p := parts(s))[0]}{p[1][:3]}{p[2]}",
        "digits only": lambda s, _: f"{(p := parts(s))[2]}{number(p[1]):02}{p[0]:02}",
        "Roman month": lambda s, _: f"{(p := parts(s))[0]}.{roman[number(p[1]) - 1]}.{p[2]}",
        "German month": lambda s, _: f"{(p := parts(s))[0]}. {german[number(p[1]) - 1]}",
        "day in words": lambda s, _: f"the {ordinals[(p := parts(s))[0] - 1]} of {p[1]}",
        "day and month": lambda s, _: f"{(p := parts(s))[1]} {p[0]}",
    }


OF_DATES: Final = _date_ways()


def ways(kind: Kind) -> dict[str, Way]:
    """Ways of writing that can be read back for a span of this kind."""
    out = dict(ANY)
    if kind in WORD_KINDS:
        out |= OF_WORDS
    if kind == "name":
        out |= OF_NAMES
    if kind in {"phone", "date"}:
        out |= OF_DIGITS
    out |= {"phone": OF_PHONES, "email": OF_EMAILS, "date": OF_DATES}.get(kind, {})
    return out
