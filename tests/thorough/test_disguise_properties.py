"""Rules R7 to R10 of docs/privacy-policy.md as properties: no way of writing passes the guard.

The people and the ways of writing are those of benchmarks/mutations.py, here in other pairs
than the benchmark draws, shrunk by hypothesis where one passes.
"""

from __future__ import annotations

import random

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from benchmarks.guard_mutations import CARRIERS, Outcome, is_ordinary, judge
from benchmarks.mutations import person, ways
from cogenesis.errors import CogenesisError
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.session import Session

PEOPLE = [person(random.Random(seed)) for seed in range(100, 120)]
GUARDS = [Guard(Lexicon(p.texts)) for p in PEOPLE]


@settings(max_examples=300, deadline=None)
@given(
    st.data(), st.sampled_from(range(len(PEOPLE))), st.sampled_from(CARRIERS), st.integers(0, 99)
)
def test_r7_to_r10_no_disguise_passes(data: st.DataObject, i: int, carrier: str, seed: int) -> None:
    span = data.draw(st.sampled_from(PEOPLE[i].spans))
    way = data.draw(st.sampled_from(sorted(ways(span.kind))))
    mutated = ways(span.kind)[way](span.text, random.Random(seed))
    assume(not is_ordinary(span, mutated))
    assume(span.kind != "name word" or way != "mixed case")
    outcome = Outcome()
    judge(GUARDS[i], span, way, carrier.format(mutated), mutated, outcome)
    assert outcome.shown == []


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_r11_a_name_in_two_requests_is_refused(data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(PEOPLE))
    name = one.spans[0].text.lower()
    cut = data.draw(st.integers(2, len(name) - 2))
    guard = Guard(Lexicon(one.texts), session=Session())
    left = 0
    for piece in (name[:cut], name[cut:]):
        try:
            guard.release(f"a friendly poem about {piece} and the sea")
        except CogenesisError:
            continue
        left += 1
    odd = any(len(p) > 3 for p in (name[:cut], name[cut:]))
    assert left < 2 or not odd
