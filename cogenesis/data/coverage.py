"""Whom and what a data set covers: age, field of work, region, register of the texts.

Read off the profile and the instruction by lists of words, so that any data set in the
published form can be counted. Evenness says in one number how spread out a dimension is: 1 if
all its values are equally frequent, 0 if all samples have the same (entropy over its maximum
for the number of values that occur).

Not covered: occupations, places and kinds of text that no list here knows count as "other" or
as they stand; a place is what stands after the last comma.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from cogenesis.data.rows import Row

UNSAID: Final = "not said"
OTHER: Final = "other"

DIMENSIONS: Final = ("age", "field", "region", "register")

_AGES: Final = ((18, "under 18"), (25, "18-24"), (35, "25-34"), (45, "35-44"), (55, "45-54"))
_OLDER: Final = ((65, "55-64"), (200, "65 and over"))

# Field -> beginnings of words in an occupation. The first field that fits is taken.
_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "study": ("student", "major", "undergraduate", "graduate", "phd"),
    "health": (
        *("cardiolog", "doctor", "nurs", "physician", "surgeon", "psycholog", "therap", "medic"),
        *(
            "epidemiolog",
            "general practitioner",
            "pharmac",
            "dentist",
            "health",
            "nutrition",
            "veterinar",
            "pediatric",
            "wellness",
        ),
    ),
    "education": ("teacher", "professor", "lecturer", "tutor", "principal", "librarian", "educat"),
    "law": ("lawyer", "attorney", "judge", "legal", "paralegal", "solicitor"),
    "politics and administration": (
        *(
            "senator",
            "member of parliament",
            "mayor",
            "polit",
            "diplomat",
            "council",
            "govern",
            "policy",
            "ambassador",
        ),
        *("planner specializing", "city planner", "urban planner", "public s"),
    ),
    "technology": (
        *("software", "developer", "data ", "programm", "cyber", "tech ", "it ", "ux", "game"),
        *("ai ", "robotic", "web ", "cloud", "computer", "devops", "machine learning"),
    ),
    "arts and media": (
        *("artist", "musician", "singer", "vocalist", "actor", "photograph", "journalist"),
        *("writer", "author", "film", "designer", "illustrator", "blogger", "influencer"),
        *(
            "music",
            "editor",
            "dance",
            "composer",
            "podcast",
            "novelist",
            "curator",
            "poet",
            "animator",
        ),
    ),
    "science and engineering": (
        *("scientist", "engineer", "research", "biolog", "chemist", "physic", "architect"),
        *("astronom", "geolog", "archaeolog", "historian", "mathematic", "sustainab"),
    ),
    "community and environment": (
        *("nonprofit", "non-profit", "volunteer", "social worker", "environment", "activis"),
        *("conservation", "community", "charity", "executive director", "development"),
    ),
    "food, events and travel": (
        *("chef", "cook", "baker", "barista", "restaurant", "event", "travel", "hotel", "wedding"),
        *("sommelier", "hospitality", "tour", "pilot", "flight"),
    ),
    "sport": ("fitness", "coach", "athlete", "yoga", "trainer", "sport", "personal train"),
    "business": (
        *("manager", "ceo", "founder", "entrepreneur", "marketing", "sales", "real estate"),
        *("account", "financ", "banker", "consultant", "analyst", "executive", "investor"),
        *("capitalist", "human resources", "director", "realtor", "e-commerce", "broker"),
    ),
    "agriculture and trades": (
        *("farm", "carpent", "electric", "plumb", "mechanic", "gardener", "welder", "driver"),
        *("winemaker", "rancher", "fisher", "builder", "contractor"),
    ),
}

_REGISTERS: Final[dict[str, tuple[str, ...]]] = {
    "email": ("email", "e-mail", "mail to"),
    "letter": ("letter", "thank-you", "thank you note", "invitation", "card"),
    "social media": (
        *("social media", "instagram", "linkedin", "twitter", "tweet", "facebook", "tiktok"),
        *("caption", "forum", "reddit"),
    ),
    "blog or article": ("blog", "article", "column", "op-ed", "essay", "exposé", "editorial"),
    "newsletter or announcement": (
        *("newsletter", "announcement", "press release", "bulletin", "flyer", "brochure"),
        *("advert", "promotion", "listing", "description", "marketing"),
    ),
    "speech or script": (
        *("speech", "script", "talk", "presentation", "toast", "podcast", "lecture", "webinar"),
        *("address", "video", "sermon", "workshop"),
    ),
    "report or proposal": (
        *("report", "proposal", "summary", "analysis", "white paper", "grant", "memo", "abstract"),
        *("statement", "pitch", "paper", "brief", "agenda", "minutes"),
    ),
    "guide or plan": (
        *("guide", "plan", "outline", "itinerary", "checklist", "manual", "curriculum", "recipe"),
        *("list", "module", "lesson", "schedule", "template", "tutorial", "tips", "steps"),
    ),
    "story or memoir": (
        *("story", "memoir", "narrat", "chapter", "poem", "novel", "fiction", "tale", "lyrics"),
        *("biography", "storyline"),
    ),
    "diary or reflection": ("reflect", "journal", "diary", "review", "experience", "memories"),
}

_STATES: Final = dict(
    re.findall(
        r"(\S+)=(\S+)",
        "AL=Alabama AK=Alaska AZ=Arizona AR=Arkansas CA=California CO=Colorado CT=Connecticut "
        "DE=Delaware FL=Florida GA=Georgia HI=Hawaii ID=Idaho IL=Illinois IN=Indiana IA=Iowa "
        "KS=Kansas KY=Kentucky LA=Louisiana ME=Maine MD=Maryland MA=Massachusetts MI=Michigan "
        "MN=Minnesota MS=Mississippi MO=Missouri MT=Montana NE=Nebraska NV=Nevada OH=Ohio "
        "OK=Oklahoma OR=Oregon PA=Pennsylvania TN=Tennessee TX=Texas UT=Utah VT=Vermont "
        "VA=Virginia WA=Washington WI=Wisconsin WY=Wyoming NY=New_York NJ=New_Jersey "
        "NC=North_Carolina ND=North_Dakota SC=South_Carolina SD=South_Dakota NH=New_Hampshire "
        "NM=New_Mexico RI=Rhode_Island WV=West_Virginia D.C.=Washington_D.C. DC=Washington_D.C.",
    )
)


class Coverage:
    """Counts of the values of each dimension."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {name: Counter() for name in DIMENSIONS}

    def add(self, row: Row) -> None:
        """Count one sample."""
        self.counts["age"][age_of(row.context.field("Age") or "")] += 1
        self.counts["field"][field_of(row.context.field("Occupation") or "")] += 1
        self.counts["region"][region_of(row.context.field("Location") or "")] += 1
        self.counts["register"][register_of(row)] += 1

    def told(self) -> dict[str, Any]:
        """As JSON: values by number, and how even each dimension is."""
        return {
            name: {"evenness": evenness(counts), "values": dict(counts.most_common())}
            for name, counts in self.counts.items()
        }


def age_of(value: str) -> str:
    """The age group of "47" or "58 years"."""
    found = re.search(r"\d{1,3}", value)
    if found is None:
        return UNSAID
    age = int(found.group())
    return next((name for below, name in (*_AGES, *_OLDER) if age < below), OTHER)


def field_of(occupation: str) -> str:
    """The field of work."""
    if not occupation.strip():
        return UNSAID
    padded = f" {occupation.casefold()} "
    for name, beginnings in _FIELDS.items():
        if any(f" {beginning}" in padded for beginning in beginnings):
            return name
    return OTHER


def region_of(location: str) -> str:
    """What stands after the last comma, states of the USA by their names."""
    last = location.rpartition(",")[2].strip() or location.strip()
    return _STATES.get(last, last).replace("_", " ") or UNSAID


def register_of(row: Row) -> str:
    """The kind of text, by the words of the title, else of the whole instruction."""
    if row.form == "title-to-text":
        return "titled text"
    title, _, details = row.instruction.partition(": ")
    for part in (title, details):
        padded = f" {part.casefold()} "
        places = {
            name: min((at for word in words if (at := padded.find(word)) >= 0), default=-1)
            for name, words in _REGISTERS.items()
        }
        found = {name: at for name, at in places.items() if at >= 0}
        if found:
            return min(found, key=lambda name: found[name])
    return OTHER


def evenness(counts: Mapping[str, int]) -> float:
    """Entropy over its maximum for this number of values; what is not said does not count."""
    said = [n for name, n in counts.items() if n and name != UNSAID]
    if len(said) < 2:
        return 0.0
    total = sum(said)
    entropy = -sum(n / total * math.log(n / total) for n in said)
    return round(entropy / math.log(len(said)), 3)


def field_names() -> tuple[str, ...]:
    """The fields of work that are known."""
    return tuple(_FIELDS)
