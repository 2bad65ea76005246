"""The prompt by which the device model writes, from the private context and a sketch.

The order is fixed: profile, activities, past texts, instruction, sketch, a short ending.
In the chat form the profile is the system message, the activities open the first turn, and
each past text is a turn of its own: its title as the task, the text as the answer. A small
model then goes on in that voice instead of talking about the text, and copies far less than
from texts that it is shown.

Everything before the sketch is byte-identical whatever the sketch says, and without one.
So the device model reads the private part while the cloud still writes, and its cache
holds when the sketch arrives.

The sketch is untrusted: its points are cleaned to one line each and cut to the reserve.
Not covered: what a point says in plain words. It can bend the text, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from cogenesis.context.budget import Count, Omission, Selection, Window, explain, select
from cogenesis.context.private_context import Private, PrivateContext
from cogenesis.context.rendering import (
    one_line,
    several_lines,
    show_activity,
    show_field,
    show_title,
)
from cogenesis.errors import InstructionError
from cogenesis.models.protocol import DeviceText, Message, Prompt, Sampling, TokenIds
from cogenesis.privacy.released import public

__all__ = [
    "WRITING_SAMPLING",
    "Count",
    "Omission",
    "Window",
    "WritingPrompt",
    "fitted_prompt",
    "writing_prompt",
]

WRITING_SAMPLING: Final = Sampling(
    temperature=0.4, top_p=0.95, min_p=0.1, repeat_penalty=1.05, presence_penalty=0.2
)
"""Settings for the filling prompt, chosen on SmolLM2-135M-Instruct.

Without the presence penalty it repeats its sentences; at temperature 0.3 it copies a past
text, at 0.6 it leaves the topic more often; a repeat penalty of 1.1 yields lists of fragments.
"""

_STOP: Final = public("\n#")
"""A base model begins the next section when the text is done; no text may begin so."""


class WritingPrompt(Private):
    """A prompt of the device model, and what did not fit into it.

    Attributes:
        prompt: in both forms; every part of it is private.
        omitted: what was left out or cut, without private text.
        notes: the same as lines for the screen.
        sketch: the points as they stand in the prompt; empty without a sketch.
    """

    __slots__ = ("_count", "_frame", "_window", "notes", "omitted", "prompt", "sketch")
    prompt: Prompt[DeviceText]
    omitted: tuple[Omission, ...]
    notes: tuple[str, ...]
    sketch: tuple[str, ...]
    _frame: _Frame
    _count: Count
    _window: Window

    def __init__(self, frame: _Frame, sketch: Sequence[str], count: Count, window: Window) -> None:
        points = [point for point in map(one_line, sketch) if point]
        fitting = _fitting(points, count, window.sketch_reserve)
        omitted = frame.selection.omitted + tuple(
            Omission("sketch point", number, len(points), "window")
            for number in range(len(fitting) + 1, len(points) + 1)
        )
        self._set(
            prompt=frame.prompt(fitting),
            omitted=omitted,
            notes=explain(omitted, window),
            sketch=tuple(fitting),
            _frame=frame,
            _count=count,
            _window=window,
        )

    def __repr__(self) -> str:
        return f"WritingPrompt({len(self.sketch)} points, {len(self.omitted)} left out)"

    def with_sketch(self, sketch: Sequence[str]) -> WritingPrompt:
        """The same prompt with this sketch; nothing is chosen or counted anew before it."""
        return WritingPrompt(self._frame, sketch, self._count, self._window)


def writing_prompt(
    context: PrivateContext,
    instruction: str,
    *,
    sketch: Sequence[str] | None = None,
    count: Count,
    window: Window,
) -> WritingPrompt:
    """Build the prompt, choosing what of the context fits the window (see `budget`).

    `count` tells the number of tokens of a text by the device model's own vocabulary.
    Prepare without a sketch, let the model read it, then use `with_sketch`.

    Raises:
        InstructionError: the instruction is empty, or does not fit the window whole.
    """
    task = several_lines(instruction)
    if not task:
        raise InstructionError("The instruction is empty. Say what you want to have written.")
    nothing = Selection((), (), (), ())
    frame = _Frame(context.field("name"), task, nothing)
    room = window.room - max(count(frame.chat_text()), count(frame.completion_text()))
    if room < 0:
        raise InstructionError(
            f"The instruction does not fit: {-room} tokens too many for a window of "
            f"{window.context_tokens} with {window.max_tokens} kept for the text. "
            "Shorten it, ask for a shorter text, or use a device model with a larger window."
        )
    selection = select(context, task, count=count, room=room, window=window)
    frame = _Frame(context.field("name"), task, selection)
    return WritingPrompt(frame, sketch or (), count, window)


def fitted_prompt(
    encode: Callable[[Prompt[DeviceText]], TokenIds],
    context: PrivateContext,
    instruction: str,
    window: Window,
) -> WritingPrompt:
    """The prompt without a sketch, counted by `encode` of the model that will read it.

    Writing, measuring and training all build their prompts here, so they cannot differ.

    Raises:
        InstructionError: the instruction is empty, or does not fit the window whole.
    """

    def tokens(text: str) -> int:
        return len(encode(Prompt((Message("user", (text,)),), (text,))))

    frame = tokens("")  # turn marks and the like: counted once, in the window's margin
    return writing_prompt(
        context, instruction, count=lambda text: max(0, tokens(text) - frame), window=window
    )


def _fitting(points: Sequence[str], count: Count, reserve: int) -> list[str]:
    """The first points that fit the reserve, each counted with its number and line break."""
    fitting: list[str] = []
    left = reserve - count(_POINTS)
    for point in points:
        # A point longer than this cannot be honest: do not even count it.
        cost = count(point) + 4 if len(point) <= 400 else left + 1
        if cost > left:
            break
        left -= cost
        fitting.append(point)
    return fitting


_ENDING: Final = "Write the text itself, in first person. No preface."
_POINTS: Final = "Points to cover, in this order, in flowing sentences:\n"


class _Frame(Private):
    """The fixed wording around what was chosen."""

    __slots__ = ("name", "selection", "task")
    name: str | None
    task: str
    selection: Selection

    def __init__(self, name: str | None, task: str, selection: Selection) -> None:
        self._set(name=one_line(name) if name else None, task=task, selection=selection)

    def prompt(self, points: Sequence[str]) -> Prompt[DeviceText]:
        """Both forms, with the points last."""
        outline = _outline(points)
        turns: list[Message[DeviceText]] = [Message("system", (self._person(),))]
        opening = self._opening()
        for writing in self.selection.writings:
            turns.append(Message("user", (f"{opening}Task: {show_title(writing)}",)))
            turns.append(Message("assistant", (several_lines(writing.text),)))
            opening = ""
        turns.append(Message("user", (f"{opening}Task: {self.task}\n\n", outline, _ENDING)))
        return Prompt(
            messages=tuple(turns),
            completion=(self._sections(), outline, "# The text\n"),
            stop=(_STOP,),
        )

    def chat_text(self) -> str:
        """The chat form without past texts as one text, for counting."""
        return f"{self._person()}\n{self._opening()}Task: {self.task}\n\n{_ENDING}"

    def completion_text(self) -> str:
        """The completion form as one text, for counting."""
        return f"{self._sections()}# The text\n"

    def _person(self) -> str:
        who = f"You are {self.name}." if self.name else "You are a person who writes."
        system = f"{who} You write your own texts, in your own voice."
        if self.selection.fields:
            system += "\n\nAbout you:\n" + "\n".join(map(show_field, self.selection.fields))
        return system

    def _opening(self) -> str:
        # Not in the system message: others wrote some of these lines.
        if not self.selection.activities:
            return ""
        lines = "\n".join(map(show_activity, self.selection.activities))
        return f"What I did or plan:\n{lines}\n\n"

    def _sections(self) -> str:
        sections = []
        if self.selection.fields:
            sections.append("# The author\n" + "\n".join(map(show_field, self.selection.fields)))
        if self.selection.activities:
            lines = "\n".join(map(show_activity, self.selection.activities))
            sections.append("# The author's calendar and mail\n" + lines)
        for writing in self.selection.writings:
            head = f"# A text by the author: {show_title(writing)}"
            sections.append(f"{head}\n{several_lines(writing.text)}")
        sections.append(f"# What the author writes now\n{self.task}")
        return "\n\n".join(sections) + "\n\n"


def _outline(points: Sequence[str]) -> str:
    if not points:
        return ""
    lines = (f"{number}. {point}\n" for number, point in enumerate(points, start=1))
    return _POINTS + "".join(lines) + "\n"
