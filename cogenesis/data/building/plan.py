"""Who is made up: drawn from a seed alone, so that a run that is repeated makes the same people.

Diversity is steered. Field of work, age and region of the groups, and the kinds of texts of
each person, go round in shuffled circles: in any run each value comes as often as any other,
give or take one. What is left to the model is what a list cannot hold.

Names and contact details come from Faker, under seeds of their own. Mail addresses end in
`example.org`, telephone numbers are of the range 555-01xx that is kept for fiction, so that no
real person is described by more than the chance of a name.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Final, Literal

from cogenesis.data.coverage import field_names
from cogenesis.errors import InputError, MissingExtraError

AGES: Final = ((18, 24), (25, 34), (35, 44), (45, 54), (55, 64), (65, 84))

# Regions whose names Faker writes in Latin letters, with its locale, and some of their cities
# (Faker's cities are not the same for the same seed in every locale). All texts are English.
REGIONS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "United States": ("en_US", ("Tucson", "Duluth", "Savannah", "Spokane", "Dayton", "Boise")),
    "United Kingdom": ("en_GB", ("Leeds", "Swansea", "Inverness", "Norwich", "Derby", "Bristol")),
    "Canada": ("en_CA", ("Halifax", "Regina", "Kingston", "Kelowna", "Moncton", "Guelph")),
    "Australia": ("en_AU", ("Hobart", "Cairns", "Geelong", "Bendigo", "Darwin", "Albany")),
    "Ireland": ("en_IE", ("Cork", "Galway", "Sligo", "Waterford", "Ennis", "Dundalk")),
    "India": ("en_IN", ("Mysuru", "Nagpur", "Kochi", "Jaipur", "Pune", "Shillong")),
    "New Zealand": ("en_NZ", ("Dunedin", "Napier", "Nelson", "Rotorua", "Timaru", "Whanganui")),
    "Nigeria": ("yo_NG", ("Ibadan", "Abeokuta", "Akure", "Ilorin", "Lagos", "Osogbo")),
    "Germany": ("de_DE", ("Bremen", "Erfurt", "Kassel", "Freiburg", "Rostock", "Ulm")),
    "France": ("fr_FR", ("Nantes", "Dijon", "Pau", "Rennes", "Limoges", "Reims")),
    "Mexico": ("es_MX", ("Puebla", "Oaxaca", "Toluca", "Morelia", "Saltillo", "Colima")),
    "Italy": ("it_IT", ("Bologna", "Trieste", "Bari", "Perugia", "Modena", "Lecce")),
    "Brazil": ("pt_BR", ("Recife", "Curitiba", "Goiania", "Belem", "Santos", "Londrina")),
    "Netherlands": ("nl_NL", ("Utrecht", "Zwolle", "Breda", "Leiden", "Arnhem", "Groningen")),
    "Poland": ("pl_PL", ("Lublin", "Gdansk", "Opole", "Torun", "Rzeszow", "Kielce")),
    "Philippines": ("en_PH", ("Iloilo", "Baguio", "Davao", "Cebu", "Naga", "Dumaguete")),
}

KINDS: Final = (
    "an e-mail to a colleague",
    "a letter to a friend or relative",
    "a post for social media",
    "an article for a blog",
    "an announcement or newsletter",
    "a short speech",
    "a report or proposal",
    "a guide or plan",
    "a page of a memoir",
    "a review or reflection",
    "an invitation or thank-you note",
    "a complaint or request to an office",
)

Screening = Literal["full", "leaks"]
"""How closely replies are looked at."""

MAX_PEOPLE: Final = 10_000_000

_NAMING: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to build: together with model and templates it decides every question.

    Attributes:
        people: so many.
        tasks: samples of each person.
        history: earlier texts of each sample.
        group: people made from one portrait.
        seed: of everything.
        screening: "full", or "leaks" for the form, placeholders, an answer that the sample's
            earlier texts hold, and what the guard keeps.
    """

    people: int
    tasks: int
    history: int
    group: int
    seed: int
    screening: Screening = "full"

    def __post_init__(self) -> None:
        if not 1 <= self.people <= MAX_PEOPLE:
            raise InputError(f"--people is 1 to {MAX_PEOPLE:,}")
        if not (self.tasks >= 1 and self.history >= 0 and self.tasks + self.history <= 12):
            raise InputError("--tasks and --history are at most 12 texts of a person together")
        if self.group < 1:
            raise InputError("a group has one person at least")

    @property
    def groups(self) -> int:
        """How many portraits."""
        return -(-self.people // self.group)

    @property
    def texts(self) -> int:
        """Texts of each person: the earlier ones, and those of the samples."""
        return self.tasks + self.history


@dataclass(frozen=True, slots=True)
class Group:
    """What is given of a group; the portrait is the model's."""

    number: int
    field: str
    ages: tuple[int, int]
    region: str


@dataclass(frozen=True, slots=True)
class Person:
    """What is given of a person.

    Attributes:
        number: from 0.
        group: of the portrait.
        name, age, city, region, mail, phone: of the person.
        known: names of others, for the model to use.
        kinds: of the texts, in their order.
    """

    number: int
    group: int
    name: str
    age: int
    city: str
    region: str
    mail: str
    phone: str
    known: tuple[str, ...]
    kinds: tuple[str, ...]

    @property
    def key(self) -> str:
        """As Ray and the record name it."""
        return f"p{self.number:08d}"

    def lines(self) -> list[str]:
        """For the prompt."""
        return [
            f"- name: {self.name}",
            f"- age: {self.age}",
            f"- lives in: {self.city}, {self.region}",
            f"- e-mail: {self.mail}",
            f"- telephone: {self.phone}",
            f"- people around: {', '.join(self.known)}",
        ]

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def group_of(wanted: Wanted, number: int) -> Group:
    """The given part of group `number`."""
    ages = AGES[_round(wanted.seed, "ages", len(AGES), number)]
    fields, regions = field_names(), tuple(REGIONS)
    return Group(
        number,
        fields[_round(wanted.seed, "field", len(fields), number)],
        ages,
        regions[_round(wanted.seed, "region", len(regions), number)],
    )


def person_of(wanted: Wanted, number: int) -> Person:
    """The given part of person `number`.

    Raises:
        MissingExtraError: Faker is not installed.
    """
    group = group_of(wanted, number // wanted.group)
    locale, cities = REGIONS[group.region]
    draw = random.Random(f"{wanted.seed}:person:{number}")  # noqa: S311  (no secret)
    name, *known = _names(locale, f"{wanted.seed}:{number}")
    told = "".join(c for c in name.casefold().replace(" ", ".") if c.isalnum() or c == ".")
    kinds = _circle(wanted.seed, f"kinds {number}", KINDS, wanted.texts)
    return Person(
        number,
        group.number,
        name,
        draw.randint(*group.ages),
        draw.choice(cities),
        group.region,
        f"{told}@example.org",
        f"555-01{draw.randrange(100):02d}",
        tuple(dict.fromkeys(known)),
        tuple(kinds),
    )


def _names(locale: str, seed: str) -> list[str]:
    """A person's name and four others: they depend on the seed alone, not on earlier draws."""
    with _NAMING:  # the generator of a locale is shared, and a draw begins with its seed
        made = _generator(locale)
        made.seed_instance(seed)
        return [_plain_name(made) for _ in range(5)]


@cache
def _generator(locale: str) -> Any:
    """Faker of a locale. It takes 7 ms to make one, a draw a hundredth of that."""
    try:
        from faker import Faker
    except ImportError as error:
        raise MissingExtraError("faker", "data") from error
    return Faker(locale)


def _plain_name(made: Any) -> str:
    return " ".join(f"{made.first_name()} {made.last_name()}".split())


def _circle(seed: int, name: str, values: Sequence[str], count: int) -> list[str]:
    return [values[_round(seed, name, len(values), at)] for at in range(count)]


def _round(seed: int, name: str, size: int, at: int) -> int:
    """The place at step `at` of circles through 0 to size - 1, each shuffled anew."""
    order = list(range(size))
    random.Random(f"{seed}:{name}:{at // size}").shuffle(order)  # noqa: S311  (no secret)
    return order[at % size]
