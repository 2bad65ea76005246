from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cogenesis.context.budget import (
    MISSES,
    Omission,
    Selection,
    Window,
    explain,
    select,
)
from cogenesis.context.private_context import Activity, PrivateContext, ProfileField, Writing
from cogenesis.context.relevance import bm25
from cogenesis.context.rendering import show_activity, show_field, show_writing

WINDOW = Window(context_tokens=2048, max_tokens=400)


def words(text: str) -> int:
    """A token counter that is easy to reason about: words and line breaks."""
    return len(text.split()) + text.count("\n")


def size(context: PrivateContext) -> int:
    shown = [show_field(item) for item in context.fields]
    shown += [show_activity(item) for item in context.activities]
    shown += [show_writing(item) for item in context.writings]
    return sum(words(text) for text in shown)


CONTEXT = PrivateContext(
    [
        ProfileField("Hobbies", "rowing " * 30),
        ProfileField("Writing_style", "short " * 20),
        ProfileField("Name", "Ann Example"),
    ],
    [
        Activity("search", f"entry {n} " + ("choir " if n in {3, 7} else "boat ") * 4)
        for n in range(20)
    ],
    [Writing(f"Text {n}", "A sentence about boats here. " * 20) for n in range(6)],
)


def test_all_is_taken_where_there_is_room() -> None:
    small = PrivateContext(CONTEXT.fields, CONTEXT.activities[:3], CONTEXT.writings[:2])
    chosen = select(small, "boats", count=words, room=10_000, window=WINDOW)
    assert chosen.fields == small.fields
    assert chosen.activities == small.activities
    assert set(chosen.writings) == set(small.writings)
    assert chosen.omitted == ()


def test_name_and_style_come_before_the_rest_of_the_profile() -> None:
    chosen = select(CONTEXT, "anything", count=words, room=45, window=WINDOW)
    assert [field.name for field in chosen.fields] == ["Writing_style", "Name"]
    assert Omission("field", 1, 3, "window") in chosen.omitted


def test_activities_near_the_instruction_are_taken_and_keep_their_order() -> None:
    chosen = select(CONTEXT, "a letter to the choir", count=words, room=10_000, window=WINDOW)
    texts = [item.text for item in chosen.activities]
    assert len(texts) == WINDOW.max_activities
    assert [text for text in texts if "choir" in text] == [
        CONTEXT.activities[3].text,
        CONTEXT.activities[7].text,
    ]
    # Of equals the latest.
    assert CONTEXT.activities[19] in chosen.activities
    assert CONTEXT.activities[0] not in chosen.activities
    reasons = Counter(o.reason for o in chosen.omitted if o.kind == "activity")
    assert reasons == {"relevance": 20 - WINDOW.max_activities}


def test_activities_leave_room_for_a_past_text() -> None:
    chosen = select(CONTEXT, "choir", count=words, room=350, window=WINDOW)
    assert chosen.activities
    assert chosen.writings


def test_the_nearest_writing_comes_first() -> None:
    writings = [
        Writing("a", "about trains"),
        Writing("b", "about cats"),
        Writing("c", "about dogs"),
    ]
    chosen = select(
        PrivateContext((), (), writings), "my cats", count=words, room=500, window=WINDOW
    )
    assert [item.title for item in chosen.writings] == ["b", "c", "a"]  # of equals the latest


def test_a_long_writing_is_cut_at_the_end_of_a_sentence() -> None:
    long = Writing("Long", "One two three four five. " * 200)
    chosen = select(PrivateContext((), (), [long]), "x", count=words, room=100, window=WINDOW)
    (cut,) = chosen.writings
    assert cut.text.endswith("five.")
    assert long.text.startswith(cut.text)
    assert 60 <= words(cut.text) <= 100
    assert chosen.omitted == (Omission("writing", 1, 1, "shortened"),)


def test_a_writing_without_a_sentence_that_fits_is_left_out() -> None:
    endless = Writing("Endless", "word " * 5000)
    chosen = select(PrivateContext((), (), [endless]), "x", count=words, room=100, window=WINDOW)
    assert chosen.writings == ()
    assert chosen.omitted == (Omission("writing", 1, 1, "window"),)


texts = st.text(alphabet="ab .\n", max_size=300)
contexts = st.builds(
    PrivateContext,
    st.lists(st.builds(ProfileField, st.sampled_from(["Name", "x"]), texts), max_size=4),
    st.lists(st.builds(Activity, st.just("email"), texts), max_size=12),
    st.lists(st.builds(Writing, texts, texts), max_size=6),
)


@given(contexts, st.integers(-50, 400))
def test_what_is_chosen_fits_and_what_is_not_is_told(context: PrivateContext, room: int) -> None:
    chosen = select(context, "a b", count=words, room=room, window=WINDOW)
    kept = PrivateContext(chosen.fields, chosen.activities, chosen.writings)
    assert size(kept) <= max(room, 0)
    assert len(chosen.writings) <= WINDOW.max_writings
    gone = Counter(o.kind for o in chosen.omitted if o.reason != "shortened")
    assert gone["field"] == len(context.fields) - len(chosen.fields)
    assert gone["activity"] == len(context.activities) - len(chosen.activities)
    assert gone["writing"] == len(context.writings) - len(chosen.writings)


def counts(context: PrivateContext, *, room: int = 3500) -> tuple[Selection, int]:
    """What is chosen, and how many counts (each may be a request) that took."""
    calls = 0

    def count(text: str) -> int:
        nonlocal calls
        calls += 1
        return words(text)

    return select(context, "boats", count=count, room=room, window=WINDOW), calls


def test_after_a_dozen_items_in_a_row_that_do_not_fit_the_rest_is_not_counted() -> None:
    long = "word " * 1550
    many = 500
    for context in (
        PrivateContext([ProfileField(f"f{n}", long) for n in range(many)]),
        PrivateContext((), [Activity("email", long) for _ in range(many)]),
        PrivateContext((), (), [Writing("Endless", long) for _ in range(many)]),
    ):
        chosen, calls = counts(context, room=1500)
        assert MISSES <= calls < 2 * MISSES
        assert Counter(o.reason for o in chosen.omitted) == {"window": many}


def test_a_long_item_costs_the_short_ones_after_it_nothing() -> None:
    fields = [ProfileField(f"f{n}", "word " * (2000 if n % 10 == 9 else 3)) for n in range(40)]
    chosen, calls = counts(PrivateContext(fields), room=1500)
    assert chosen.fields == tuple(field for n, field in enumerate(fields) if n % 10 != 9)
    assert [o.number for o in chosen.omitted] == [10, 20, 30, 40]
    assert calls < 40


def test_fields_that_fit_together_are_counted_together() -> None:
    chosen, calls = counts(PrivateContext(CONTEXT.fields))
    assert chosen.fields == CONTEXT.fields
    assert calls == 1


def test_omissions_read_well_and_name_no_text() -> None:
    omitted = [
        Omission("writing", 3, 5, "window"),
        Omission("writing", 1, 5, "window"),
        Omission("writing", 2, 5, "shortened"),
        Omission("activity", 9, 12, "relevance"),
    ]
    assert omitted[0].label == "writing 3 of 5"
    assert explain(omitted, Window(2048, 400)) == (
        "left out 2 of 5 writings: the window holds 2048 tokens",
        "shortened 1 of 5 writings: the window holds 2048 tokens",
        "left out 1 of 12 activities: others are nearer to the instruction",
    )


def test_bm25_agrees_with_the_formula_worked_out_by_hand() -> None:
    # Two documents of two words; "cat" is in one: idf = ln(1 + 1.5/1.5) = ln 2; length = mean,
    # so the term weight is 1 * 2.2 / (1 + 1.2) = 1.
    assert bm25("cats", ["a cat", "a dog"]) == [0.6931471805599453, 0.0]


def test_bm25_of_nothing() -> None:
    assert bm25("cat", []) == []
    assert bm25("", ["cat"]) == [0.0]
    assert bm25("cat", ["", ""]) == [0.0, 0.0]


def test_bm25_ranks_scripts_without_spaces() -> None:
    scores = bm25("合唱の練習", ["来週の合唱の練習を変更します", "猫が好きです"])
    assert scores[0] > scores[1]
