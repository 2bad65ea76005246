"""What of a profile is found in a text, and what is said otherwise."""

from __future__ import annotations

import pytest

from cogenesis.context.private_context import Activity, PrivateContext, ProfileField, Writing
from cogenesis.context.reader import Sample
from cogenesis.evaluation.text_profile import Profile, Profiles

WREN = PrivateContext(
    [
        ProfileField("Name", "Maxine Aldous"),
        ProfileField("Age", "41"),
        ProfileField("Occupation", "Primary school teacher"),
        ProfileField("Location", "Lyndhurst, Hampshire"),
        ProfileField("Privacy_info", "Repairs antique barometers; Allergic to hazelnuts"),
    ],
    [Activity("calendar", "Bought 3 tickets for the regatta")],
    [Writing("A note", "Otters swim near Brockenhurst.")],
)
OTTO = PrivateContext([ProfileField("Name", "Otto Quist"), ProfileField("Occupation", "Nurse")])
REFERENCE = "I repair antique barometers, and I have tickets for the regatta."


@pytest.fixture(scope="module")
def profile() -> Profile:
    ours = Sample(WREN, "A note: tell the club about the regatta", REFERENCE, "1")
    other = Sample(OTTO, "A note: to all", "Hello.", "2")
    return Profiles([ours, other]).of(ours)


def test_coverage_counts_what_the_author_used_beyond_the_instruction(profile: Profile) -> None:
    assert profile.measure(REFERENCE).coverage == 1.0
    # "regatta" was typed: to repeat it is no use of the profile.
    assert profile.measure("The regatta is soon, dear club.").coverage == 0.0
    half = profile.measure("Barometers are what I love.")
    assert half.coverage is not None and 0.0 < half.coverage < 1.0
    assert half.facts >= 1.0
    # A fact that the author did not use here counts as a fact, not as coverage.
    other = profile.measure("I am allergic to hazelnuts.")
    assert other.coverage == 0.0 and other.facts >= 1.0


def test_without_relevant_facts_there_is_no_coverage() -> None:
    plain = Sample(WREN, "A note: say hello", "Hello to all of you.", "1")
    found = Profiles([plain]).of(plain).measure("Hello from Lyndhurst.")
    assert found.coverage is None and found.facts == 1.0


@pytest.mark.parametrize(
    ("text", "statements", "wrong"),
    [
        ("The club met.", 0, ()),
        ("My name is Maxine.", 1, ()),
        ("My name is Max.", 1, ()),
        ("My name is Sarah.", 1, ("name",)),
        ("I am Sarah Jones, and I write.", 1, ("name",)),
        ("I'm Maxine Aldous.", 1, ()),
        ("I am Italian.", 0, ()),
        ("Until then.\n\nBest regards,\nJohn Doe", 1, ("name",)),
        ("Until then.\n\nSincerely,\nMaxine", 1, ()),
        ("Until then.\n\nSincerely,\n[Your Name]", 0, ()),
        ("I live in Lyndhurst.", 1, ()),
        ("I live in Brockenhurst.", 1, ()),  # it stands in the history
        ("I live in Boston, Massachusetts.", 1, ("place",)),
        ("Here in Lyndhurst we met.", 1, ()),
        ("As a teacher, I know.", 1, ()),
        ("As a dedicated nurse, I know.", 1, ("job",)),
        ("I am a nurse in Leeds.", 1, ("job",)),
        ("As a keen reader, I know.", 0, ()),
        ("I am 41 years old.", 1, ()),
        ("As a 35-year-old I know.", 1, ("age",)),
        ("I have three tickets.", 1, ()),
        ("I have 12 tickets.", 1, ("number",)),
        ("I waited 12 years and two days.", 0, ()),
        ("My name is Sarah. I live in Boston.", 2, ("name", "place")),
    ],
)
def test_statements_about_the_author(
    text: str, statements: int, wrong: tuple[str, ...], profile: Profile
) -> None:
    found = profile.measure(text)
    assert (found.statements, found.kinds) == (statements, wrong)
    assert found.contradictions == len(wrong)


def test_two_numbers_in_the_context_leave_it_open() -> None:
    twice = PrivateContext([], [Activity("mail", "3 tickets and 5 tickets")])
    sample = Sample(twice, "A note: hello", "Hello", "1")
    assert Profiles([sample]).of(sample).measure("I have 9 tickets.").statements == 0.0
