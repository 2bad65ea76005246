"""The guard: the only place where an instruction becomes a general one.

It either mints a `GeneralInstruction` or refuses; there is no third way, and an error
inside it is a refusal. What it may release is DESIGN section 6:

* identifiers never, whoever typed them, unless the user allowed that very word;
* sensitive words only where the user gave the general part by itself (`--general`), or
  allowed that very word; then `.sensitive` lists them and every preview names them;
* any other word that the user typed in the general part (`--general`, or the title before
  the first ": ") is a topic word and may leave;
* from an instruction without a title, only words that are neither of the above nor
  rare words or runs of the context; plain role words stand in for the rest. Words that no
  dictionary knows and the frequency list hardly does are taken for names there;
* letters that are not Latin never: the rules cannot read them.

What counts as a title is settled in `privacy.title`, strictly: nobody has to look at it
before it leaves.

Not covered: what the general topic itself tells (`--general "My divorce"` is a topic),
paraphrase, and everything that `title`, `lexicon`, `identifiers`, `notations` and `normal`
list as not covered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from typing import Final, Literal

from cogenesis.errors import CogenesisError, GuardRefusedError, InstructionError
from cogenesis.privacy.derivation import (
    MIN_ENGLISH,
    content_left,
    general_text,
    not_english,
    roles_left,
    with_roles,
)
from cogenesis.privacy.disguises import Disguises
from cogenesis.privacy.identifiers import merge
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.normal import foreign, joined, tidy, words
from cogenesis.privacy.particulars import elsewhere, particulars
from cogenesis.privacy.recogniser import Recogniser, findings
from cogenesis.privacy.released import _MINT, Finding, GeneralInstruction, PublicText
from cogenesis.privacy.session import Session
from cogenesis.privacy.title import title_of
from cogenesis.privacy.words import content, english_share, families

MAX_INSTRUCTION: Final = 20_000
"""Characters of an instruction. Longer input is a file passed by mistake."""

MAX_GENERAL: Final = 600
"""Characters of a general instruction. A topic is short; a longer text is a pasted passage."""

MIN_CONTENT_WORDS: Final = 3
"""Content words of a derived instruction, role words that tell something among them."""

MIN_OWN_WORDS: Final = 2
"""So many of them are the user's own: "Write to someone about something personal" is no topic."""

PASTED_RUN: Final = 8
"""So many content words of the context in a row are a pasted passage, not a topic."""

Source = Literal["given", "title", "derived"]


def _fail_closed(
    method: Callable[[Guard, str], GeneralInstruction],
) -> Callable[[Guard, str], GeneralInstruction]:
    """Turn any error inside the guard into a refusal, without its message or its values."""

    @wraps(method)
    def closed(self: Guard, text: str) -> GeneralInstruction:
        try:
            return method(self, text)
        except CogenesisError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is: nothing may leave
            kind = type(error).__name__
        raise GuardRefusedError(
            f"the guard failed ({kind}), so nothing is sent: use --mode device, and report this"
        )

    return closed


class Guard:
    """Decides what may leave, for one private context.

    `allow` holds the words that the user lets through (`--allow WORD`): identifiers, and in
    an instruction without `--general` also sensitive and rare words. A `recogniser` is asked
    beside the guard's own rules and can only add to what they find. A `session` remembers what
    was released, and with it a name told in pieces over several requests is refused. How much
    of the context is private is the lexicon's level (`privacy.policy`).
    """

    __slots__ = ("_allowed", "_disguises", "_recogniser", "_session", "lexicon")

    def __init__(
        self,
        lexicon: Lexicon,
        *,
        allow: Iterable[str] = (),
        recogniser: Recogniser | None = None,
        session: Session | None = None,
    ) -> None:
        self.lexicon = lexicon
        self._disguises = Disguises(lexicon)
        self._recogniser = recogniser
        self._session = session
        keyed = (("".join(w.key for w in words(word)), word) for word in allow)
        self._allowed = {key: word for key, word in keyed if key}

    def __repr__(self) -> str:
        return f"Guard({self.lexicon!r}, {len(self._allowed)} allowed)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a guard is private and is never pickled")

    def check_instruction(self, instruction: str) -> None:
        """Refuse what is no instruction at all.

        Raises:
            InstructionError: empty, or longer than MAX_INSTRUCTION characters.
        """
        if not words(instruction):
            raise InstructionError("the instruction is empty: say what to write")
        if len(instruction) > MAX_INSTRUCTION:
            raise InstructionError(
                f"the instruction has {len(instruction):,} characters, more than "
                f"{MAX_INSTRUCTION:,}: put background into the context file (--context)"
            )

    @_fail_closed
    def release(self, general: str) -> GeneralInstruction:
        """Mint what the user gave as the general part (`--general`), or refuse it whole.

        Its sensitive words leave, because the user typed them there: `.sensitive` lists them.

        Raises:
            InstructionError: empty or too long.
            GuardRefusedError: it holds identifiers or a pasted passage; `.spans` names them.
        """
        text = tidy(general)
        if not words(text):
            raise InstructionError("the general instruction is empty: say what kind of text it is")
        if len(text) > MAX_GENERAL:
            raise InstructionError(
                f"the general instruction has {len(text):,} characters, more than {MAX_GENERAL}: "
                "name the topic only"
            )
        return self._mint(text, "given")

    @_fail_closed
    def derive(self, instruction: str) -> GeneralInstruction:
        """Make the general part of an instruction: its title, or what is left of its words.

        Sensitive words stay here either way, unless allowed: role words stand in for them.

        Raises:
            InstructionError: empty or too long.
            GuardRefusedError: too little is left, or the language has no word lists.
        """
        self.check_instruction(instruction)
        title = title_of(instruction)
        if title is not None:
            text = with_roles(tidy(title), self._personal)
            if content_left(text):
                return self._mint(text, "title")
        text = general_text(instruction, self._private, limit=MAX_GENERAL)
        self._need_content(text)
        self._need_short(text)
        return self._mint(text, "derived")

    def inspect(self, text: str) -> tuple[Finding, ...]:
        """Everything private in a text, of all classes, for showing it on the device."""
        return self._private(text)

    def audit(
        self,
        outgoing: str,
        general: GeneralInstruction | None,
        fixed: Iterable[PublicText] = (),
    ) -> tuple[Finding, ...]:
        """What is private in text that left, topic words of the released instruction excepted.

        An independent check of a whole request, used on what the ledger holds. `fixed` is
        the text around the instruction that is the same for everybody: it may hold a common
        word that the context happens to inflect ("book", "booked"), which tells nothing.
        Positions of findings count in the text without it. Disguises are not looked for: the
        instruction was read for them before it was released, and what the device model wrote
        was typed by nobody; a text that is still growing would often end like one.
        """
        for part in sorted((part.text for part in fixed), key=len, reverse=True):
            outgoing = outgoing.replace(part, "\n")
        topic = general.text if general is not None else ""
        topic_forms = frozenset().union(*(families(w.key) for w in words(topic)))
        topic_runs = {f.text.casefold() for f in self.lexicon.runs(topic)}
        found = [
            *self._undisguised(outgoing),
            *(
                f
                for f in self.lexicon.sensitive(outgoing)
                if any(topic_forms.isdisjoint(families(w.key)) for w in words(f.text))
            ),
            *(
                f
                for f in self.lexicon.rare(outgoing)
                if any(topic_forms.isdisjoint(families(w.key)) for w in words(f.text))
            ),
            *(f for f in self.lexicon.runs(outgoing) if f.text.casefold() not in topic_runs),
        ]
        return merge(outgoing, found)

    # -- the classes, less what the user allowed ------------------------------------------

    def _identifiers(self, text: str) -> tuple[Finding, ...]:
        found = [*self._undisguised(text), *self._disguises.find(text)]
        return tuple(f for f in merge(text, found) if not self._is_allowed(f))

    def _undisguised(self, text: str) -> tuple[Finding, ...]:
        found = [
            *self.lexicon.identifiers(text),
            *_unreadable(text),
            *(f for f in findings(self._recogniser, text) if f.kind == "identifier"),
        ]
        return tuple(f for f in merge(text, found) if not self._is_allowed(f))

    def _personal(self, text: str) -> tuple[Finding, ...]:
        """Classes 1 and 2, which only `--general` or `--allow` may let through."""
        recognised = (f for f in findings(self._recogniser, text) if f.kind == "sensitive")
        found = [*self.lexicon.sensitive(text), *recognised]
        return merge(
            text, [*self._identifiers(text), *(f for f in found if not self._is_allowed(f))]
        )

    def _private(self, text: str) -> tuple[Finding, ...]:
        """What a derived instruction may not hold: all classes, and what may be a name."""
        found = [
            *self._personal(text),
            *(f for f in self._disguises.find(text, particulars=True) if not self._is_allowed(f)),
            *(f for f in self.lexicon.rare(text) if not self._is_allowed(f)),
            *(f for f in particulars(text) if not self._is_allowed(f)),
            *(_last_words(text, self.lexicon.runs(text)) if self.lexicon.level.runs else ()),
        ]
        more = (f for f in elsewhere(text, found) if not self._is_allowed(f))
        return merge(text, [*found, *more])

    def _is_allowed(self, finding: Finding) -> bool:
        keys = [w.key for w in words(finding.text)]
        if not keys:
            return False
        return "".join(keys) in self._allowed or all(key in self._allowed for key in keys)

    # -- making the general text ----------------------------------------------------------

    def _mint(self, text: str, source: Source) -> GeneralInstruction:
        """The last verdict, on the very characters that would leave."""
        verdict = {"given": self._identifiers, "title": self._personal, "derived": self._private}
        completed = self._session.completed(text, self.lexicon) if self._session else ()
        told = [f for f in completed if not self._is_allowed(f)]
        spans = [*verdict[source](text), *self._pasted(text), *told]
        if spans:
            named = ", ".join(f"“{f.text}” ({f.role})" for f in spans)
            raise GuardRefusedError(
                f"the general instruction holds private matter: {named}. Say it in general "
                "words, or let a word through with --allow WORD",
                spans,
            )
        self._need_english(text)
        sensitive = tuple(dict.fromkeys(f.text for f in self.lexicon.sensitive(text)))
        found = words(text)
        keys = {w.key for w in found} | {key for _, _, key in joined(found)}
        allowed = tuple(word for key, word in self._allowed.items() if key in keys)
        if self._session is not None:
            self._session.remember(text)
        return GeneralInstruction(text, _MINT, source=source, sensitive=sensitive, allowed=allowed)

    def _pasted(self, text: str) -> tuple[Finding, ...]:
        """Passages of the context: PASTED_RUN content words in its order."""
        passages: list[Finding] = []
        for run in self.lexicon.runs(text):
            if passages and run.start < passages[-1].end:
                start, end = passages[-1].start, max(run.end, passages[-1].end)
                passages[-1] = Finding(start, end, "run", "words", text[start:end], "context")
            else:
                passages.append(run)
        return tuple(
            f for f in passages if sum(content(w.key) for w in words(f.text)) >= PASTED_RUN
        )

    def _need_english(self, text: str) -> None:
        """Names are in no dictionary of any language, so they do not count."""
        rest, at = "", 0
        for finding in self.lexicon.identifiers(text):
            rest, at = rest + text[at : finding.start] + " ", finding.end
        if english_share(rest + text[at:]) < MIN_ENGLISH:
            raise not_english()

    @staticmethod
    def _need_short(text: str) -> None:
        if len(text) > MAX_GENERAL:
            raise GuardRefusedError(
                "no short general part can be made of so long an instruction: give one with "
                "--general TEXT, or start the instruction with a title and a colon"
            )

    @staticmethod
    def _need_content(text: str) -> None:
        """Role words that tell something count too: "Invite someone to dinner" is a topic."""
        own = content_left(text)
        if own < MIN_OWN_WORDS or own + roles_left(text) < MIN_CONTENT_WORDS:
            raise GuardRefusedError(
                "too little is left of the instruction once the private words are out "
                f"(“{text}”): say what kind of text it is with --general TEXT"
            )


def _unreadable(text: str) -> Iterator[Finding]:
    for start, end in foreign(text):
        yield Finding(start, end, "identifier", "name", text[start:end])


def _last_words(text: str, runs: Sequence[Finding]) -> list[Finding]:
    """The last word of each run: without it the run is none."""
    out = []
    for run in runs:
        last = words(run.text)[-1]
        start = run.start + last.start
        out.append(Finding(start, run.end, "run", "words", text[start : run.end], "context"))
    return out
