"""What one assistant remembers of whom, and which policy it goes by. Everybody is invented."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from cogenesis.assistant import Assistant, Task
from cogenesis.context.private_context import Activity, PrivateContext, ProfileField, Writing
from cogenesis.errors import GuardRefusedError
from cogenesis.models.scripted import ScriptedModel
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.policy import IDENTIFIERS, STANDARD, STRICT, PolicyLevel
from cogenesis.privacy.recogniser import RecognisedSpan
from cogenesis.protection import PEOPLE, Protection, lexicon_of

BEGINS, ENDS = "A story that ends in golden", "Thread is the title"


def person(name: str, *more: Activity) -> PrivateContext:
    place = Activity("calendar", "Lunch at Golden Thread with Tobias Merrin")
    note = Writing("An old note", "We made pottery and ate on a quiet winter evening.")
    return PrivateContext([ProfileField("Name", name)], [place, *more], [note])


ODALYS, BARNABY = person("Odalys Fenwright"), person("Barnaby Quill")


def told(general: str, context: PrivateContext = ODALYS) -> Task:
    return Task("A note: about it", context, general=general)


def assistant(protection: Protection | None = None) -> Assistant:
    outlines = ScriptedModel(["1. Greet\n2. Close"] * 9, role="cloud")
    return Assistant(ScriptedModel(["Dear all."] * 9), cloud=outlines, protection=protection)


def test_r11_a_name_told_over_two_texts_of_one_assistant_is_refused() -> None:
    both = assistant()
    both.write(told(BEGINS))
    with pytest.raises(GuardRefusedError, match="Thread"):
        both.write(told(ENDS))
    assert both.write(told(BEGINS)).general is not None, "what left before may leave again"
    assert assistant().write(told(ENDS)).general is not None


def test_r11_two_people_who_share_an_assistant_do_not_mix() -> None:
    shared = assistant()
    shared.write(told(BEGINS, ODALYS))
    assert shared.write(told(ENDS, BARNABY)).general is not None


def test_r11_a_person_is_remembered_while_the_diary_grows() -> None:
    one = assistant()
    one.write(told(BEGINS))
    with pytest.raises(GuardRefusedError):
        one.write(told(ENDS, person("Odalys Fenwright", Activity("mail", "A new mail"))))


def test_r11_a_look_a_refusal_or_a_text_of_the_device_alone_is_not_remembered() -> None:
    one = assistant()
    one.guard(told(BEGINS)).release(BEGINS)
    with pytest.raises(GuardRefusedError):
        one.write(told(f"{BEGINS} for Tobias"))
    one.write(Task(f"{BEGINS}: yes", ODALYS, mode="device"))
    assert one.write(told(ENDS)).general is not None


def test_r11_a_look_says_what_the_real_thing_would_say() -> None:
    one = assistant()
    one.write(told(BEGINS))
    for _ in range(2):
        with pytest.raises(GuardRefusedError, match="Thread"):
            one.guard(told(ENDS)).release(ENDS)


def test_r11_what_an_earlier_process_released_is_remembered() -> None:
    protection = Protection()
    protection.recall([BEGINS])
    with pytest.raises(GuardRefusedError, match="Thread"):
        assistant(protection).write(told(ENDS))


def test_sessions_are_bounded_and_show_nothing() -> None:
    protection = Protection()
    protection.guard(told(BEGINS)).release(BEGINS)
    for number in range(PEOPLE):
        protection.preview_guard(told("x", PrivateContext([ProfileField("Name", f"N{number}")])))
    assert repr(protection) == f"Protection(strict, {PEOPLE} sessions)"
    assert protection.guard(told(ENDS)).release(ENDS).text == ENDS


@pytest.mark.parametrize(("level", "kept"), [(STRICT, 0), (STANDARD, 1), (IDENTIFIERS, 2)])
def test_the_level_is_that_of_every_guard_and_shield(level: PolicyLevel, kept: int) -> None:
    protection = Protection(level)
    task = Task("please tell our school about pottery on a quiet winter evening", ODALYS)
    result = assistant(protection).write(task)
    assert result.general is not None
    shown = ["pottery" in result.general.text, "winter evening" in result.general.text]
    assert sum(shown) == kept
    assert protection.preview_guard(task).derive(task.instruction).text == result.general.text
    text = "She made kilns of pottery."
    shield = protection.shield(told("x"), protection.guard(told("x")).release("A day"))
    assert ("pottery" in shield.view(text + "\n").released.text) == (level is not STRICT)


@dataclass
class Typed:
    label: str
    text: str


@dataclass
class Counting:
    """Knows a name that no list knows, and counts what it is asked."""

    asked: list[str] = field(default_factory=list)

    def recognise(self, text: str) -> Iterator[RecognisedSpan]:
        self.asked.append(text)
        for m in re.finditer(r"\bstone\b|\bwhittle crew\b", text, re.IGNORECASE):
            yield RecognisedSpan(m.start(), m.end(), "person")
        for m in re.finditer(r"\bgardeners\b", text):
            yield RecognisedSpan(m.start(), m.end(), "politics")
        for m in re.finditer(r"\b12\b", text):
            yield RecognisedSpan(m.start(), m.end(), "number")


def test_what_a_recogniser_finds_in_the_context_is_masked_by_the_shield() -> None:
    told_mail = Activity("mail", "i met stone and the whittle crew, gardeners all, by 12")
    context = person("Odalys Fenwright", told_mail)
    text = "Then Stone left at 12 o clock. Some gardeners came. We like the whittle crew.\n"
    task, shown = Task("A note: x", context), {}
    for name, recogniser in {"without": None, "with": Counting()}.items():
        protection = Protection(IDENTIFIERS, recogniser)
        general = protection.guard(task).release("A note on spring")
        shown[name] = protection.shield(task, general).view(text).released.text
    assert shown["without"] == text
    for private in ("Stone", "whittle crew", "gardeners"):
        assert private not in shown["with"]
    assert "at 12 o clock" in shown["with"]


def test_a_context_is_read_once_however_many_texts_are_written() -> None:
    recogniser = Counting()
    protection = Protection(recogniser=recogniser)
    for number in range(3):
        task = Task(f"A note: part {number}", ODALYS)
        protection.shield(task, protection.guard(task).release("A note on spring"))
    mails = [text for text in recogniser.asked if "Golden Thread" in text]
    assert len(mails) == 1
    assert sum("part 2" in text for text in recogniser.asked) == 1


def test_a_lexicon_that_grew_holds_what_one_made_at_once_holds() -> None:
    typed = "Tell Bertrand of Quellwood Partners Inc. about our Golden Thread on 4 March 2024"
    alone = lexicon_of(ODALYS)
    size = alone.size
    grown = lexicon_of(ODALYS, typed).entries
    made = Lexicon([*ODALYS.texts(), Typed("instruction", typed)]).entries
    assert alone.size == size, "the first one stays as it is"
    for held in ("keys", "capital_keys", "numbers", "rare", "families", "runs", "sequences"):
        assert getattr(grown, held) == getattr(made, held)
    assert "bertrand" in grown.keys
