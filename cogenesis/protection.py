"""What stands between one person's context and the cloud: lexicon, guard, shield, session.

    protection = Protection(level_named("standard"), recogniser_named("presidio"))
    assistant = Assistant(device, cloud=cloud, protection=protection)

One of it serves all texts of an assistant. A preview asks the same object for its guard, so
that it says what the real thing would say.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cogenesis.context.private_context import ContextText, PrivateContext
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.policy import STRICT, PolicyLevel
from cogenesis.privacy.session import Session
from cogenesis.privacy.shield import Shield

if TYPE_CHECKING:
    from cogenesis.events import Task
    from cogenesis.privacy.recogniser import Recogniser
    from cogenesis.privacy.released import GeneralInstruction

PEOPLE: Final = 64
"""Sessions that are kept, at most 1 MB each; the one that was used longest ago is forgotten."""

_LEXICONS: Final = 4
"""Lexicons that are kept: one of a megabyte of context takes seconds and tens of megabytes."""


def lexicon_of(
    context: PrivateContext,
    instruction: str = "",
    *,
    level: PolicyLevel = STRICT,
    recogniser: Recogniser | None = None,
) -> Lexicon:
    """What counts as private in a context.

    With the instruction it is the lexicon of a shield: what the user typed is private, too,
    until it is released, and the device model will write some of it.
    """
    lexicon = Lexicon(context.texts(), level=level, recogniser=recogniser)
    return _with_instruction(lexicon, instruction)


def _with_instruction(lexicon: Lexicon, instruction: str) -> Lexicon:
    if not instruction:
        return lexicon
    return lexicon.extended((ContextText("writing", "instruction", instruction),))


def person_of(context: PrivateContext) -> Hashable:
    """Whose context it is: equal values, not hashes or names alone, make two one person's."""
    return context.fields if context.field("name") else context


class Protection:
    """The policy in force: its level, a recogniser if there is one, and what was said so far.

    There is one `Session` for each person, so that people who share an assistant do not mix.
    A person is a profile with a name, else a whole context. Sessions live as long as this
    object, the newest `PEOPLE` of them.

    Not covered: a person whose profile changes begins anew, and so does one whose session was
    forgotten because `PEOPLE` others came after.
    """

    def __init__(self, level: PolicyLevel = STRICT, recogniser: Recogniser | None = None) -> None:
        """Nothing is read yet. A recogniser reads each context once and each instruction."""
        self.level = level
        self._recogniser = recogniser
        self._earlier: tuple[str, ...] = ()
        self._sessions: dict[Hashable, Session] = {}
        self._lock = threading.Lock()

        def read(context: PrivateContext) -> Lexicon:
            return lexicon_of(context, level=level, recogniser=recogniser)

        self._lexicon = lru_cache(maxsize=_LEXICONS)(read)

    def __repr__(self) -> str:
        return f"Protection({self.level.name}, {len(self._sessions)} sessions)"

    def recall(self, earlier: Iterable[str]) -> None:
        """What other processes released, oldest first: each session from now on begins with it.

        The command line gives what its ledger holds. A ledger does not say for whom a text was,
        so people who share one share this much: it can only refuse more.
        """
        with self._lock:
            self._earlier = tuple(earlier)

    def begin(self, context: PrivateContext, earlier: Iterable[str]) -> None:
        """Let a person's session hold just these releases, oldest first, and nothing else.

        For evaluations: what may leave must not depend on which texts this process happened to
        write before, but on which ones came before in the data.
        """
        with self._lock:
            self._sessions[person_of(context)] = Session(earlier)

    def guard(self, task: Task) -> Guard:
        """The guard that releases: the session remembers what it mints."""
        return self._guard(task, self._session(task.context))

    def preview_guard(self, task: Task) -> Guard:
        """A guard that says the same now, and whose verdicts leave no trace."""
        return self._guard(task, self._session(task.context).copy())

    def shield(self, task: Task, general: GeneralInstruction) -> Shield:
        """The shield of a text. The context is read once, however many texts are written."""
        lexicon = _with_instruction(self._lexicon(task.context), task.instruction)
        return Shield(lexicon, general)

    def _guard(self, task: Task, session: Session) -> Guard:
        lexicon = self._lexicon(task.context)
        return Guard(lexicon, allow=task.allow, recogniser=self._recogniser, session=session)

    def _session(self, context: PrivateContext) -> Session:
        person = person_of(context)
        with self._lock:
            session = self._sessions.pop(person, None) or Session(self._earlier)
            self._sessions[person] = session
            while len(self._sessions) > PEOPLE:
                del self._sessions[next(iter(self._sessions))]
            return session
