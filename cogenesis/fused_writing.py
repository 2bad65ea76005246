"""Fusion put together: a device model, a cloud that gives distributions, shield and target.

    tokens = DeviceTokens(device)
    link = connect(cloud, general, tokens, Deadline(60))
    writing = FusedWriting(tokens, link, Shield(lexicon, general), FusionSettings())
    for token in writing.tokens(prompt_ids, WRITING_SAMPLING):
        print(token.text, token.source)

What is learnt about a cloud (`CloudLink`) holds for one general instruction; what is learnt
about its speed holds for all texts (`Habits`).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeGuard, runtime_checkable

from cogenesis.errors import CloudError, CogenesisError, ModelFileError, PrivacyError
from cogenesis.events import FusionFigures
from cogenesis.fusion.asking import Breaker
from cogenesis.fusion.cloud_row import Vocabularies
from cogenesis.fusion.decoding import Decoding, FusedToken, Tally
from cogenesis.fusion.draft import DraftAndVerify
from cogenesis.fusion.lockstep import Lockstep
from cogenesis.fusion.opening import fusion_prompt
from cogenesis.fusion.pace import Pace
from cogenesis.fusion.settings import FusionSettings
from cogenesis.fusion.shielded_cloud import ShieldedCloud
from cogenesis.fusion.vocabulary import NO_TOKENS, Spelling, same_vocabulary
from cogenesis.models.distribution import Distribution
from cogenesis.models.draft_scoring import Prefix, Turns
from cogenesis.models.protocol import Capabilities, DeviceModel, Prompt, Sampling, TokenIds
from cogenesis.models.token_scorer import TokenScorer
from cogenesis.privacy.released import GeneralInstruction, Released, ShieldedText, public
from cogenesis.privacy.shield import Shield
from cogenesis.wire import Deadline, Text

CLOUD_K: Final = 128
"""Entries that the cloud is asked for: it does not know the device's candidates."""

SHORTEST_DEADLINE_S: Final = 2.0
LONGEST_DEADLINE_S: Final = 10.0
LONGEST_TEMPLATE: Final = 16_000
"""Characters: the general instruction, and what a template puts around it."""

_PATIENCE: Final = 10.0
"""A block may take so many times as long as the first small request did."""

_CONTRACTIONS: Final = frozenset({b"'s", b"'t", b"'re", b"'ve", b"'m", b"'ll", b"'d"})
"""Some tokenizers have them as tokens, others cut at the apostrophe."""

SAMPLES: Final = (
    public("The capital of France is"),
    public("def main():\n    return"),
    public("1 + 1 ="),
    public("Dear friends,\n\n"),
    public('He said: "'),
    public("Le chat est"),
    # Where each of _CONTRACTIONS comes next, if it is a token.
    public("I think that it"),
    public("I am sure that it isn"),
    public("Yesterday you said that you"),
    public("Tomorrow I"),
)
"""Texts that go on in different ways: what models list there shows their vocabulary."""


class FusionCloud(Protocol):
    """A cloud model that can be asked for distributions; `CloudConnection` is one."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def scorer(self, *, deadline: Deadline | None = None) -> TokenScorer: ...


def gives_distributions(cloud: object) -> TypeGuard[FusionCloud]:
    """Whether a cloud model is a `FusionCloud`, without asking it anything.

    `isinstance` with a Protocol reads every property, and `capabilities` asks the server.
    """
    return hasattr(cloud, "scorer")


@runtime_checkable
class _TellsVocabulary(Protocol):
    def vocabulary(self) -> tuple[bytes, ...]: ...


class DeviceTokens:
    """The device model's vocabulary: whole where it runs in this process, else as it comes.

    Attributes:
        whole: the bytes of all tokens by id; None where the model cannot tell.
        spelling: how it spells; None likewise.
    """

    def __init__(self, device: DeviceModel) -> None:
        """Reads the model's file once, a fraction of a second."""
        self.whole: tuple[bytes, ...] | None = None
        if isinstance(device, _TellsVocabulary):
            # A kind of vocabulary that we cannot read costs some quality, not the text.
            with contextlib.suppress(ModelFileError):
                self.whole = device.vocabulary()
        self.spelling = None if self.whole is None else Spelling(self.whole)
        self._known = dict(enumerate(self.whole or ()))
        self._device = device

    def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
        """The device model's; every token that it lists is known from then on."""
        found = self._device.next_distribution(prefix, k)
        if self.whole is None:
            self._known.update(zip(found.ids.tolist(), found.tokens, strict=True))
        return found

    def learn(self, ids: Sequence[int], pieces: Sequence[bytes]) -> None:
        """Know the tokens of a text that the device model did not write, and so may never list."""
        if self.whole is None:
            self._known.update(zip(ids, pieces, strict=True))

    def data(self, token_id: int) -> bytes:
        """The bytes of a token that was listed or learned."""
        return self._known[token_id]


@dataclass(frozen=True, slots=True)
class CloudLink:
    """A cloud that was found to serve fusion, for one general instruction.

    Attributes:
        scorer: asks it.
        begun: puts its prompt before the text so far.
        k: entries it gives at each position.
        same_vocabulary: it numbers its tokens as the device does.
        lacking: contractions that are no token of its.
        deadline_s: seconds that one block may take.
        drafts: a whole draft is scored in one request; else each token costs one.
    """

    scorer: TokenScorer
    begun: Callable[[ShieldedText], Prefix]
    k: int
    same_vocabulary: bool
    lacking: frozenset[bytes]
    deadline_s: float
    drafts: bool = True

    def vocabularies(self, device: DeviceTokens) -> Vocabularies:
        """What is known about both models' tokens."""
        return Vocabularies(device.data, device.spelling, self.same_vocabulary, self.lacking)


def connect(
    cloud: FusionCloud,
    general: GeneralInstruction,
    tokens: DeviceTokens,
    deadline: Deadline,
) -> CloudLink:
    """Find out how a cloud can be asked. Sends fixed public text and the general instruction.

    Raises:
        CloudError: it cannot be reached, or gives no log-probabilities that can be used.
        PrivacyError: nothing may be sent.
    """
    scorer = cloud.scorer(deadline=deadline)
    scoring = scorer.known(deadline)
    if not scoring.ways:
        raise CloudError("bad-request", f"{cloud.name}: {scoring.left}")
    parts = _opening(cloud, scorer, fusion_prompt(general), deadline)
    k = min(CLOUD_K, scoring.largest_k)
    if parts is None:  # such servers tell no ids, and write only what a chat would
        messages = fusion_prompt(general).messages
        return CloudLink(
            scorer,
            lambda shown: Turns(messages, Text((shown,))),
            k,
            same_vocabulary=False,
            lacking=NO_TOKENS,
            deadline_s=LONGEST_DEADLINE_S,
            drafts=scoring.drafts,
        )
    started = time.monotonic()
    told, lacking = _tokens_shown(scorer, k, deadline)
    seconds = time.monotonic() - started
    # Read the prompt now, while the device reads its own. It also makes the first position
    # like all others: what llama.cpp says depends a little on what it reads in one go.
    scorer.next_distribution(Text(parts), k, deadline=deadline)
    return CloudLink(
        scorer,
        lambda shown: Text((*parts, shown)),
        k,
        same_vocabulary(dict(enumerate(tokens.whole or ())), told),
        lacking,
        deadline_s=min(max(SHORTEST_DEADLINE_S, _PATIENCE * seconds), LONGEST_DEADLINE_S),
        drafts=scoring.drafts,
    )


def _opening(
    cloud: FusionCloud, scorer: TokenScorer, prompt: Prompt[Released], deadline: Deadline
) -> tuple[Released, ...] | None:
    """What stands before the text, in the model's own template if it has one; None in a chat."""
    if scorer.chat:
        return None
    if cloud.capabilities.chat:
        try:
            filled = scorer.fill_template(prompt, deadline=deadline)
            # It goes with every request: a longer one would cost the user each time.
            if len(filled.text) <= LONGEST_TEMPLATE:
                return (filled,)
        except CloudError as error:
            if error.reason not in {"bad-request", "bad-reply", "not-found"}:
                raise
    return prompt.completion


def _tokens_shown(
    scorer: TokenScorer, k: int, deadline: Deadline
) -> tuple[dict[int, bytes], frozenset[bytes]]:
    """What the cloud lists on public texts: bytes by id, and contractions that are no token."""
    rows = scorer.next_distributions([Text((each,)) for each in SAMPLES], k, deadline=deadline)
    told = {
        int(each): token
        for row in rows
        for each, token in zip(row.ids, row.tokens, strict=True)
        if token
    }
    return told, _CONTRACTIONS.difference(told.values())


class ConnectionRequest:
    """`connect` in the background, while the device reads. Starts at once."""

    def __init__(
        self,
        cloud: FusionCloud,
        general: GeneralInstruction,
        tokens: DeviceTokens,
        deadline: Deadline,
    ) -> None:
        self._call = (cloud, general, tokens, deadline)
        self._deadline = deadline
        self._name = cloud.name
        self._link: CloudLink | None = None
        self._error: Exception | None = None
        self.seconds = 0.0
        # A daemon: a carrier that hangs must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="fusion-link", daemon=True)
        self._thread.start()

    def result(self) -> CloudLink:
        """Wait for it, at most until the deadline. Raises as `connect` does."""
        self._thread.join(self._deadline.remaining())
        if self._thread.is_alive():
            self.cancel()
            raise CloudError("timeout", f"{self._name} took longer than the deadline")
        if self._error is not None:
            raise self._error
        if self._link is None:
            raise CloudError("timeout", "the request was cancelled")
        return self._link

    def cancel(self) -> None:
        """Hang up: nothing more is sent."""
        self._deadline.call_off()

    def _run(self) -> None:
        begun = time.monotonic()
        try:
            self._link = connect(*self._call)
        except (CloudError, PrivacyError) as error:
            self._error = error
        except CogenesisError as error:
            self._error = CloudError("bad-reply", str(error))
        except Exception as error:  # noqa: BLE001  (whatever breaks here must not cost the text)
            self._error = CloudError("bad-reply", f"unexpected {type(error).__name__}")
        finally:
            self.seconds = time.monotonic() - begun


@dataclass(slots=True)
class Habits:
    """What one text teaches the next about the same two models: is it there, how fast is it."""

    pace: Pace = field(default_factory=Pace)
    breaker: Breaker = field(default_factory=Breaker)


class FusedWriting:
    """Writes one text with both models.

    Attributes:
        cloud: what the cloud was asked, and where it was not.
    """

    def __init__(
        self,
        device: DeviceTokens,
        link: CloudLink,
        shield: Shield,
        settings: FusionSettings,
        habits: Habits | None = None,
    ) -> None:
        """Nothing is asked yet."""
        self._device, self._link, self._settings = device, link, settings
        self._habits = habits or Habits()
        self._decoder: Lockstep | DraftAndVerify | None = None
        self.cloud = ShieldedCloud(
            link.scorer,
            link.begun,
            shield,
            link.vocabularies(device),
            k=link.k,
            at_once=link.drafts,
        )

    @property
    def figures(self) -> FusionFigures:
        """What the text took so far."""
        tally = self._decoder.tally if self._decoder is not None else Tally()
        return FusionFigures(
            self._link.same_vocabulary, tally.acceptance, self.cloud.held, tally.fallbacks
        )

    def tokens(
        self, prompt: TokenIds, sampling: Sampling, stops: tuple[str, ...] = ()
    ) -> Generator[FusedToken, None, None]:
        """The text, token by token. Closing it stops both models.

        Raises:
            ModelError: the device model failed.
            InputError: the settings do not fit these two models.
        """
        target = self._settings.target(sampling)
        decoding = Decoding(
            seed=sampling.seed,
            max_tokens=sampling.max_tokens,
            stops=stops,
            deadline_s=self._link.deadline_s,
        )
        habits = self._habits
        # Read the prompt apart from its first position, for the reason that `connect` gives.
        self._device.next_distribution(prompt, 1)
        if self._settings.decoding == "lockstep" or not self._link.drafts:
            self._decoder = Lockstep(self._device, self.cloud, target, decoding, habits.breaker)
        else:
            self._decoder = DraftAndVerify(
                self._device,
                self.cloud,
                target,
                decoding,
                pace=habits.pace,
                breaker=habits.breaker,
            )
        yield from self._decoder.tokens(prompt)
