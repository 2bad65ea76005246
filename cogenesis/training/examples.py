"""What the device model learns from: prompts as it gets them, and the texts people wrote.

A sample becomes one example for each form that is asked for:

- `with-context`: the prompt of `write` without a cloud, cut to the window by the same code;
- `without-context`: the same prompt of somebody without profile, activities or past texts;
- `with-sketch`: the prompt of sketch mode. The outlines come from the file that
  `train sketches` writes, one JSON object a line: {"id", "general", "sketch": [points]}
  (see `sketches_file`), found by the sample's id.

A sample that cannot be used is no reason to stop: it is told, counted and left out.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cogenesis.context.private_context import PrivateContext
from cogenesis.context.prompt import Window, WritingPrompt, fitted_prompt
from cogenesis.context.reader import Sample, read_samples
from cogenesis.context.rendering import several_lines
from cogenesis.errors import InputError, InstructionError
from cogenesis.training.encoders import Encoder
from cogenesis.training.folds import group_of
from cogenesis.training.settings import FORMS, Form
from cogenesis.training.sketches_file import SketchLine
from cogenesis.untrusted import clean

MIN_WORDS: Final = 5
"""A shorter reference is a placeholder ("[Content for task 5]"), no text."""

LeftOut = Callable[[str], None]
"""Is told what is left out and why, without anything private."""


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt, and what the model should write.

    Attributes:
        sample: number of the sample in the list, the same for all its forms.
        form: of the prompt.
        prompt: token ids that only lead up to the text: nothing is learned from them.
        target: token ids of the text and the token that ends it, unless it was cut.
    """

    sample: int
    form: Form
    prompt: tuple[int, ...] = field(repr=False)
    target: tuple[int, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.prompt) + len(self.target)


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of samples, known again by its content."""

    path: Path
    sha256: str
    samples: tuple[Sample, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """What a model card calls it: a folder may be called after a person."""
        return self.path.name


def parse_forms(text: str) -> tuple[Form, ...]:
    """The forms of "with-context,with-sketch", each once.

    Raises:
        InputError: there is none, or one of another name.
    """
    wanted = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [name for name in wanted if name not in FORMS]
    if unknown or not wanted:
        problem = f"--forms does not know {', '.join(unknown)}" if unknown else "--forms is empty"
        raise InputError(f"{problem}. Choose of: {', '.join(FORMS)}; several with a comma")
    return tuple(form for form in FORMS if form in wanted)


def read_data(path: Path, left_out: LeftOut, *, limit: int | None = None) -> DataFile:
    """The samples of a file that have an instruction and a text: all of them, in memory.

    Raises:
        ContextError: the file cannot be read.
        InputError: no sample of it has a text to learn from.
    """

    from cogenesis.models.fetch import sha256_of

    def bad(number: int, why: str) -> None:
        left_out(f"{path.name}, sample {number}: {why}")

    samples = read_samples(path, on_bad=bad)[:limit]
    usable: list[Sample] = []
    for sample in samples:
        if len(sample.reference.split()) < MIN_WORDS:
            left_out(f"{path.name}, sample {sample.id}: its text is too short to be one")
        else:
            usable.append(sample)
    if not usable:
        raise InputError(
            f"{path} holds no text to learn from. Each sample needs its task and the text that "
            "was written: see docs/train-your-own.md"
        )
    return DataFile(path, sha256_of(path), tuple(usable))


def hold_out(
    samples: Sequence[Sample], share: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Samples to learn from, and samples to validate with, never of the same group.

    People of a group resemble one another. A sample names its group, or its published id does
    ("3_7_4" is of the group "3_7"). Others are groups of their own, see `folds`.
    """
    own = [group_of(each.id, number, each.group) for number, each in enumerate(samples, start=1)]
    groups = sorted(set(own))
    random.Random(f"hold out {seed}").shuffle(groups)  # noqa: S311  (a split, no secret)
    wanted = round(len(samples) * share)
    sizes, held = Counter(own), set[str]()
    count = 0
    for group in groups[:-1]:  # one group is always left to learn from
        if count >= wanted:
            break
        held.add(group)
        count += sizes[group]
    sides: tuple[list[Sample], list[Sample]] = ([], [])
    for sample, group in zip(samples, own, strict=True):
        sides[group in held].append(sample)
    return sides


def make_examples(
    encoder: Encoder,
    samples: Iterable[Sample],
    forms: Sequence[Form],
    sketches: Mapping[str, SketchLine],
    window: Window,
    left_out: LeftOut,
    tick: Callable[[], None] = lambda: None,
) -> list[Example]:
    """Every sample in every form; those that do not fit the window, or lack an outline, not."""
    made: list[Example] = []
    without = 0
    for number, sample in enumerate(samples):
        for form in forms:
            try:
                prompt = _prompt(encoder, sample, form, sketches, window)
            except InstructionError:
                left_out(f"sample {sample.id}: its instruction is too long for the window")
                break
            if prompt is None:
                without += 1
                continue
            ids = encoder.encode(prompt.prompt).ids
            made.append(Example(number, form, ids, _target(encoder, sample, window)))
        tick()
    if without:
        left_out(f"the form with-sketch of {without} samples that have no outline")
    return made


def _prompt(
    encoder: Encoder,
    sample: Sample,
    form: Form,
    sketches: Mapping[str, SketchLine],
    window: Window,
) -> WritingPrompt | None:
    context = PrivateContext() if form == "without-context" else sample.context
    if form != "with-sketch":
        return fitted_prompt(encoder.encode, context, sample.instruction, window)
    line = sketches.get(sample.id)
    if line is None or not line.sketch:
        return None
    prompt = fitted_prompt(encoder.encode, context, sample.instruction, window)
    return prompt.with_sketch(line.sketch)


def _target(encoder: Encoder, sample: Sample, window: Window) -> tuple[int, ...]:
    # In the form without chat turns a line that begins with "#" ends the text.
    text = clean(sample.reference).strip() if encoder.chat else several_lines(sample.reference)
    ids = encoder.ids(text)
    if len(ids) >= window.max_tokens:
        return ids[: window.max_tokens]  # cut: the model must not learn to end here
    return (*ids, encoder.end)
