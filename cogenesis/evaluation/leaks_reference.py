"""What would be received, had the device written the reference text: no model is needed.

The text that the person really wrote goes through the shield word by word, as any text does.
It tells more of its writer than what a small model writes, and it takes seconds; so it serves
to tune attackers, and to see what another threshold of the lexicon would change.
"""

from __future__ import annotations

from dataclasses import dataclass

from cogenesis.context.private_context import ContextText
from cogenesis.context.reader import Sample
from cogenesis.errors import GuardRefusedError, InstructionError
from cogenesis.evaluation.leaks_received import TOO_LONG, Received, SentMode
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import RARE_BELOW, Lexicon
from cogenesis.privacy.normal import words
from cogenesis.privacy.shield import Shield


@dataclass(frozen=True, slots=True)
class Shielded:
    """What would be received of one text.

    Attributes:
        received: all of it; nothing where nothing is sent.
        missing: why nothing is, in one word: the guard refuses, or the instruction is too long.
        words, masked: of the text, and those inside a private span.
    """

    received: Received
    missing: str | None = None
    words: int = 0
    masked: int = 0


def shielded_reference(
    sample: Sample, mode: SentMode, *, rare_below: float = RARE_BELOW
) -> Shielded:
    """The general instruction and, in fusion, the whole shielded reference.

    Args:
        sample: the person, the task, the text.
        mode: in which it would be written.
        rare_below: Zipf frequency under which a word of the context is private.

    Raises:
        PrivacyError: the shield failed.
    """
    texts = tuple(sample.context.texts())
    try:
        general = Guard(Lexicon(texts, rare_below=rare_below)).derive(sample.instruction)
    except GuardRefusedError:
        return Shielded(Received(), "refused")
    except InstructionError:
        return Shielded(Received(), TOO_LONG)
    if mode == "sketch":
        return Shielded(Received(general.text))
    typed = ContextText("writing", "instruction", sample.instruction)
    shield = Shield(Lexicon((*texts, typed), rare_below=rare_below), general)
    # A line break after the last word, so that it is known to end.
    view = shield.view(sample.reference + "\n")
    found = words(sample.reference)
    masked = sum(any(s.start <= w.start < s.end for s in view.spans) for w in found)
    received = Received(general.text, (view.released.text,))
    return Shielded(received, words=len(found), masked=masked)
