"""Which samples are measured, what the two models get of them, and what only lists may do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cogenesis.evaluation.bits_pair import LONGEST_BLOCK, block_of, shield_of
from cogenesis.evaluation.bits_samples import (
    BitsSample,
    BitsTask,
    bits_sample,
    bits_task,
)
from cogenesis.evaluation.numbered_samples import first_samples
from cogenesis.models.scripted import ScriptedModel

MODEL = ScriptedModel(seed=1)
TEXT = "Dear all, the Marigold sails on Friday. Idris brings the coffee."
PERSON = {
    "additional_profile": "Name: Wren Ashdown\nOccupation: ferry pilot on the Marigold",
    "profile": [{"title": "A note", "text": "Dear all, Idris made soup. Wren"}],
    "tid": "a_1",
}


def sample(instruction: str = "Write a note to my crew: we leave", text: str = TEXT) -> Any:
    turns = [{"from": "user", "value": instruction}, {"from": "assistant", "value": text}]
    return {**PERSON, "conversations": turns}


class Cuts:
    """A device model that tells its tokens."""

    def __init__(self, extra: bytes = b"") -> None:
        self._extra = extra

    def tokenise(self, text: str) -> tuple[tuple[int, ...], tuple[bytes, ...]]:
        ids = MODEL.encode_text(text).ids
        pieces = tuple(MODEL.decode(type(MODEL.encode_text(""))((each,))) for each in ids)
        return ids, (self._extra + pieces[0], *pieces[1:])


def read(
    tmp_path: Path, value: object, *, limit: int | None = None, device: Cuts | None = None
) -> tuple[list[BitsSample], dict[int, str]]:
    path = tmp_path / "data.json"
    path.write_text(json.dumps(value))
    told: dict[int, str] = {}
    samples = first_samples(path, limit, lambda number, why: told.update({number: why}))
    found = []
    for number, each in samples.items():
        cut = bits_sample(number, each, device or Cuts(), 20)
        if isinstance(cut, str):
            told[number] = cut
        else:
            found.append(cut)
    return found, told


def test_bad_samples_are_told_and_left_out(tmp_path: Path) -> None:
    values = [PERSON, sample(), sample(text="  "), sample(text="Short."), 7]
    found, told = read(tmp_path, values)
    assert [(each.number, each.sample.reference) for each in found] == [(2, TEXT), (4, "Short.")]
    assert sorted(told) == [1, 3, 5]
    assert "one of the assistant (the reference text)" in told[1]
    assert told[3] == told[1]


def test_the_limit_counts_samples_of_the_file_bad_ones_too(tmp_path: Path) -> None:
    found, told = read(tmp_path, [PERSON, sample(), sample(), PERSON], limit=2)
    assert ([each.number for each in found], list(told)) == ([2], [1])


def test_long_texts_are_cut(tmp_path: Path) -> None:
    (long, short), _ = read(tmp_path, [sample(), sample(text="Short.")])
    assert (long.cut, short.cut) == (True, False)
    assert len(long.ids) == len(long.pieces) == 20
    assert TEXT.encode().startswith(b"".join(long.pieces))
    assert b"".join(short.pieces) == b"Short."


def test_a_text_that_the_tokens_do_not_spell_cannot_be_measured(tmp_path: Path) -> None:
    found, told = read(tmp_path, [sample()], device=Cuts(b" "))
    assert found == []
    assert "do not spell" in told[1]


def task(tmp_path: Path, value: object) -> BitsTask | str:
    (found,), _ = read(tmp_path, [value])
    return bits_task(MODEL, found, 20)


def test_the_device_reads_the_context_and_the_cloud_a_general_instruction(tmp_path: Path) -> None:
    found = task(tmp_path, sample())
    assert isinstance(found, BitsTask)
    assert "Marigold" in MODEL.decode(found.reference.prompt).decode()
    assert found.general.text == "Write a note to my crew"


def test_what_the_guard_refuses_is_left_out_without_its_words(tmp_path: Path) -> None:
    told = task(tmp_path, sample("Wren Ashdown"))
    assert isinstance(told, str)
    assert told.startswith("the guard releases no general instruction")
    assert "Ashdown" not in told


def test_an_instruction_that_does_not_fit_is_left_out(tmp_path: Path) -> None:
    told = task(tmp_path, sample("Write a note to my crew: " + "we sail, " * 600))
    assert isinstance(told, str)
    assert "too long" in told


def test_the_shield_hides_the_person_and_off_hides_what_looks_private_anyway(
    tmp_path: Path,
) -> None:
    found = task(tmp_path, sample())
    assert isinstance(found, BitsTask)
    text = "The Marigold sails, so write to idris@example.org about the soup. "
    on = shield_of("on", found).view(text).released.text
    off = shield_of("off", found).view(text).released.text
    assert "Marigold" not in on
    assert "Marigold" in off
    for shown in (on, off):
        assert "idris@example.org" not in shown


def test_blocks_stay_small_enough_for_one_reply() -> None:
    assert block_of(5) == block_of(128) == LONGEST_BLOCK
    assert block_of(512) == 4
    assert block_of(100_000) == 1


def test_nothing_shows_the_text(tmp_path: Path) -> None:
    (found,), _ = read(tmp_path, [sample()])
    made = task(tmp_path, sample())
    assert repr(found) == "BitsSample(1, 20 tokens)"
    assert "Marigold" not in repr(made)
    assert "Ashdown" not in repr(made)
