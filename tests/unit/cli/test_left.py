"""What left, read from the ledger: the check passes for the right reasons, and can fail."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from rich.console import Console

from cogenesis.assistant import Assistant, Task, lexicon_of
from cogenesis.cli.demo import _show_left
from cogenesis.cli.left import Left, earlier_instructions, fixed_parts, private_in, what_left
from cogenesis.cli.screen import Screen
from cogenesis.demo import DEMO_INSTRUCTION, demo_person
from cogenesis.fused_writing import SAMPLES
from cogenesis.fusion.opening import fusion_prompt
from cogenesis.models.scoring_probe import PROBE_TEXTS
from cogenesis.models.scripted import ScriptedModel
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.ledger import Ledger, LedgerEntry, Row
from cogenesis.privacy.shield import Shield
from cogenesis.sketch.prompt import outline_prompt
from tests.unit.cli.results import result

PERSON = demo_person()
GUARD = Guard(lexicon_of(PERSON))
GENERAL = GUARD.derive(DEMO_INSTRUCTION)
REAL = "Dear all,\n\nWe meet on Thursday 16 April. Tobias Merrin leads, as I see Dr. Halloway.\n"
SHIELDED = Shield(GUARD.lexicon, GENERAL).view(REAL).released.text
PROBES = max(PROBE_TEXTS, key=len)


def opening(mode: Literal["sketch", "fusion"]) -> str:
    prompt = fusion_prompt(GENERAL) if mode == "fusion" else outline_prompt(GENERAL)
    return "".join(part.text for part in prompt.completion)


def asked(*grown: str) -> dict[str, Any]:
    """A request of fusion, as the dialect of llama.cpp makes it."""
    prompts = [opening("fusion") + text for text in grown]
    return {"prompt": prompts, "logit_bias": [["a", 1e4]], "logprobs": 64, "stream": False}


class Written:
    """A ledger to write requests into."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def rows(self, *bodies: Mapping[str, Any] | bytes) -> Sequence[Row]:
        for body in bodies:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self._ledger.append(
                LedgerEntry("text", "POST", "http://127.0.0.1/v1/completions", (), data, 1)
            )
        return tuple(self._ledger.entries(newest_first=False))


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        yield Written(ledger)


def fusion(rows: Sequence[Row]) -> Left:
    return what_left(rows, GUARD, GENERAL, "fusion")


def test_a_shielded_text_passes_as_it_stands(written: Written) -> None:
    assert "[date 1]. [person 1] leads" in SHIELDED
    left = fusion(written.rows(b"", {"prompt": [PROBES]}, asked(""), asked("Dear", SHIELDED)))
    assert left.found == ()
    assert (len(left.asking), len(left.others)) == (2, 2)
    assert left.grown == SHIELDED.strip()
    assert "the shielded text as it grew" in left.kind()


@pytest.mark.parametrize(
    "leak",
    [
        "Dear Tobias",
        "Dear all,\nwe meet in Tidewell Hall",
        "my cardiology notes",
        "call 555-0142",
        "Dr. Halloway and [person 1]",
        "[person 1] and [Tobias 1]",
        "[name 1] has atrial",
        f"{SHIELDED} Anselm",
        "nobody fainted and the roof stayed on",
    ],
)
@pytest.mark.parametrize("place", ["last", "only a beginning is clean", "another field"])
def test_what_the_shield_let_through_would_be_found(
    leak: str, place: str, written: Written
) -> None:
    body = {
        "last": asked("Dear", SHIELDED, leak),
        "only a beginning is clean": asked(leak[:5], leak, leak + " and so on"),
        "another field": {**asked("Dear"), "stop": [leak]},
    }[place]
    assert fusion(written.rows(asked(""), body, asked("Dear"))).found


def test_no_probe_text_excuses_what_stands_beside_it(written: Written) -> None:
    """Only whole texts are excused: the places in a probe are none of this person's."""
    samples = [each.text for each in SAMPLES]
    assert fusion(written.rows({"prompt": sorted(PROBE_TEXTS)}, {"prompt": samples})).found == ()
    assert fusion(written.rows({"prompt": [PROBES + " Tobias"]})).found
    assert fusion(written.rows({"prompt": ["Lisbon"]})).found
    assert fusion(written.rows({"prompt": [samples[0], samples[1] + " Anselm"]})).found


def test_fixed_text_of_one_word_cannot_blind_the_check(written: Written) -> None:
    """The bias of a request names its token "a": without its every "a", "Anselm" is no name."""
    parts = fixed_parts(GENERAL, "fusion")
    assert any(len(part.text.split()) < 2 for part in parts)
    (row,) = written.rows(asked("Write to Anselm"))
    assert list(private_in(row.entry.body, GUARD, GENERAL, parts))


def test_a_sketch_sends_the_general_instruction_and_nothing_else(written: Written) -> None:
    chat = {
        "messages": [
            {"role": m.role, "content": "".join(part.text for part in m.parts)}
            for m in outline_prompt(GENERAL).messages
        ]
    }
    completion = {"prompt": opening("sketch"), "stop": ["\n16.", "\n\n", "\nTask"]}
    left = what_left(written.rows(b"", chat, completion), GUARD, GENERAL, "sketch")
    assert (left.found, left.grown) == ((), "")
    assert "and nothing else" in left.kind()
    more = what_left(
        written.rows({"prompt": opening("sketch") + "Dear all"}), GUARD, GENERAL, "sketch"
    )
    assert more.grown == "Dear all"
    assert "nothing else" not in more.kind()


def test_nothing_left_is_said_as_such(written: Written) -> None:
    assert fusion(written.rows(b"")).kind() == "nothing about this text"
    assert what_left((), GUARD, None, "fusion").kind() == "nothing about this text"


def told(rows: Sequence[Row], mode: Literal["sketch", "fusion"]) -> str:
    screen, out = Screen(), io.StringIO()
    screen.err = Console(file=out, highlight=False, width=600)  # no line is broken
    assistant = Assistant(ScriptedModel())
    task = Task(DEMO_INSTRUCTION, PERSON)
    _show_left(screen, assistant, task, result(general=GENERAL), rows, mode=mode)
    return out.getvalue()


def test_the_demo_shows_the_first_and_the_last_of_many_requests(written: Written) -> None:
    grown = [SHIELDED[:size] for size in (0, 12, 20)]
    rows = written.rows({"prompt": [PROBES]}, *map(asked, grown), asked(SHIELDED))
    shown = told(rows, "fusion")
    assert "4 requests asked about the text as it grew" in shown
    assert "1 more requests" in shown
    assert f"{sum(len(row.entry.body) for row in rows):,} bytes of bodies in all" in shown
    assert "none of them left" in shown
    assert [row.entry.body.decode() in shown for row in rows[1:]] == [True, False, False, True]


@pytest.mark.parametrize("mode", ["sketch", "fusion"])
def test_the_demo_says_so_if_something_private_left(
    mode: Literal["sketch", "fusion"], written: Written
) -> None:
    assert "1 LEFT: this is a fault" in told(written.rows(asked("Dear Tobias")), mode)


def test_r11_the_ledger_tells_which_instructions_left_before(written: Written) -> None:
    rows = []
    for number, mode in enumerate(("sketch", "fusion"), 1):
        said = [Guard(GUARD.lexicon).release(f"A {mode} note {n} on spring") for n in (1, 2)]
        prompts = [outline_prompt(g) if mode == "sketch" else fusion_prompt(g) for g in said]
        chat = [
            {"role": m.role, "content": "".join(p.text for p in m.parts)}
            for m in prompts[0].messages
        ]
        filled = f"<s>user\n{chat[-1]['content']}<|end|>\n<s>model\nDear all"
        plain = "".join(part.text for part in prompts[1].completion)
        written.rows({"messages": chat}, {"prompt": [filled]}, {"prompt": plain + "Dear all"})
        rows = list(written.rows(b"not JSON"))
        told = earlier_instructions(reversed(rows))
        assert told[-2:] == [said[0].text, said[1].text], f"{mode} {number}"
    assert len(told) == len(set(told))
    assert not any("\n" in text or "<" in text for text in told)
