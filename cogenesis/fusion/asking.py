"""Asking the cloud: one request scores a block of positions, and none can stop the text.

Every request runs beside the text with a deadline of its own. What goes wrong becomes a word in
the record of the tokens that went without it. A circuit breaker stops asking a cloud that
keeps failing, and tries it again later beside the running text.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol, runtime_checkable

from cogenesis.errors import CloudError, InputError, LedgerError, ModelError, PrivacyError
from cogenesis.fusion.pool import Listed
from cogenesis.fusion.target import Shaped, Target
from cogenesis.models.distribution import Distribution
from cogenesis.models.protocol import TokenIds
from cogenesis.wire import Deadline

FAILURES: Final = 3
"""So many failures in a row open the circuit breaker."""

PATIENCE_S: Final = 120.0
"""So long one text waits for the cloud in all: 400 tokens at 0.3 s, asked for one by one."""

FIRST_WAIT_S: Final = 2.0
LONGEST_WAIT_S: Final = 60.0
LONGEST_WISH_S: Final = 900.0
"""A server may ask to be left alone for so long, and is tried again then."""

MOST_THREADS: Final = 8
"""Requests that may hang at once, should the cloud's carrier ignore its deadline."""


class CloudRow(Protocol):
    """What the cloud said about one position."""

    def onto(self, device: Distribution) -> Listed | None:
        """Carry it over to the device's candidates; None if nothing can be said about them.

        Raises:
            CloudError: it is nonsense.
        """
        ...


class CloudView(Protocol):
    """The cloud model as decoding sees it: shield, vocabulary and egress are behind it.

    It is called from several threads, and a discarded call may still be running when the
    next one comes.
    """

    def score(
        self, generated: TokenIds, draft: TokenIds, deadline: Deadline
    ) -> Sequence[CloudRow | None]:
        """Score every position of a draft and the one after it, in one request.

        Args:
            generated: the device's text so far, without any prompt. Where requests overlap
                its last tokens are drafts too.
            draft: tokens that the device would add; may be empty.
            deadline: when the answer stops being of use; called off if the draft turns out
                wrong before.

        Returns:
            len(draft) + 1 rows: row i is about the token after `generated + draft[:i]`, and
            depends on nothing after that. None where the cloud may not be asked.

        Raises:
            CloudError: no answer, or one that cannot be right.
            PrivacyError: the request may not leave.
        """
        ...


@runtime_checkable
class Foresight(Protocol):
    """A `CloudView` that can tell by itself where the cloud may not be asked.

    Then nobody waits for an answer there, and no request is sent for such a position alone.
    """

    def holds(self, generated: TokenIds) -> bool:
        """Whether `score` gives None for the token after `generated`. Sends nothing.

        Raises:
            PrivacyError: the shield failed.
        """
        ...


class Look:
    """What is found out about one position without the cloud. `held` None: not known yet."""

    def __init__(self) -> None:
        self.held: bool | None = None


class Request:
    """One block on its way: positions `first` to `first + size - 1`."""

    def __init__(self, first: int, size: int, deadline: Deadline) -> None:
        self.first, self.size = first, size
        self.rows: Sequence[CloudRow | None] = ()
        self.failure: str | None = None
        self.retry_after_s: float | None = None
        self.deadline = deadline
        self.done = threading.Event()
        self.finished = False
        self.seconds: float | None = None

    @classmethod
    def refused(cls, first: int, size: int, reason: str) -> Request:
        """A block for which nothing is sent."""
        request = cls(first, size, Deadline(0.0))
        request.failure = reason
        request.done.set()
        return request

    @property
    def end(self) -> int:
        """The position after its last."""
        return self.first + self.size

    def settled(self) -> bool:
        """Whether it is known how it went. Once given up as too late it stays a failure."""
        if self.failure is None and not self.done.is_set() and self.deadline.passed():
            self.failure = "timeout"
        return self.failure is not None or self.done.is_set()


class Breaker:
    """Closed: ask. Open: do not. Half open: one request tries whether the cloud is back."""

    def __init__(
        self,
        failures: int = FAILURES,
        wait_s: float = FIRST_WAIT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit, self._first_wait_s, self._clock = failures, wait_s, clock
        self._in_a_row = 0
        self._wait_s = wait_s
        self._again_at = 0.0
        self.state: Literal["closed", "open", "half-open"] = "closed"

    def succeeded(self) -> None:
        """The cloud gave an answer that could be used."""
        self.state, self._in_a_row, self._wait_s = "closed", 0, self._first_wait_s

    def failed(self, retry_after_s: float | None = None) -> None:
        """It did not. Each failed trial doubles the wait; a server's own wish is respected."""
        self._in_a_row += 1
        if self.state == "half-open":
            self._wait_s = min(2.0 * self._wait_s, LONGEST_WAIT_S)
        elif self._in_a_row < self._limit and retry_after_s is None:
            return
        self.state = "open"
        wished = min(retry_after_s or 0.0, LONGEST_WISH_S)
        self._again_at = self._clock() + max(self._wait_s, wished)

    def gave_up_trying(self) -> None:
        """The trial ended without an answer, good or bad: the next text may try again."""
        if self.state == "half-open":
            self.state = "open"

    def may_try(self) -> bool:
        """Whether an open breaker has waited long enough; then it is half open."""
        if self.state != "open" or self._clock() < self._again_at:
            return False
        self.state = "half-open"
        return True


class Asking:
    """Sends requests, counts them, and knows when to leave the cloud alone. One for each text.

    A cloud that answers each time just before its deadline never fails. So the waits of one
    text have a sum, too: once it is used up, the device goes on alone to the end.
    """

    def __init__(
        self,
        cloud: CloudView,
        deadline_s: float,
        breaker: Breaker | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Nothing is sent yet.

        Args:
            cloud: is asked.
            deadline_s: seconds that one request may take.
            breaker: kept from text to text, so that a dead cloud stays known.
            patience_s: seconds that this text may wait in all.
        """
        self._cloud, self._deadline_s = cloud, deadline_s
        self._patience_s = patience_s
        self._breaker = breaker if breaker is not None else Breaker()
        self._arrived = threading.Event()
        self._running: list[Request] = []
        self._trial: Request | None = None
        self._workers = _Workers()
        self._beginning = threading.Lock()
        self._closed = False
        self._begun = 0
        self._unsent: list[Request] = []

    @property
    def round_trips(self) -> int:
        """Requests begun so far, also discarded, late and failed ones.

        One that is called off before a thread has taken it up is none. One that is called off
        in the moment between that and its first byte counts, although the carrier drops it.
        """
        with self._beginning:
            return self._begun - len(self._unsent)

    @property
    def paused(self) -> bool:
        """Whether the cloud is left alone for now, so that asking costs no time."""
        return self._breaker.state != "closed" or self._patience_s <= 0.0

    def look(self, generated: Sequence[int]) -> Look:
        """Find out beside the text whether the cloud may be asked after `generated`."""
        look, cloud = Look(), self._cloud
        if isinstance(cloud, Foresight):
            self._workers.begin(lambda: _look(look, cloud, TokenIds(tuple(generated))))
        return look

    def send(self, first: int, generated: Sequence[int], draft: Sequence[int]) -> Request:
        """Ask about `len(draft) + 1` positions from `first` on, or refuse at once."""
        if self._patience_s <= 0.0:
            return Request.refused(first, len(draft) + 1, "slow")
        if not self._reachable(first, generated):
            return Request.refused(first, len(draft) + 1, "paused")
        return self._start(first, generated, draft)

    def wait(self, request: Request) -> None:
        """Until any request is done, this one's deadline has passed, or patience is at an end."""
        if not request.settled():
            begun = time.monotonic()
            self._arrived.wait(min(request.deadline.remaining(), self._patience_s))
            self._patience_s -= time.monotonic() - begun
            if self._patience_s <= 0.0 and not request.settled():
                request.failure = "slow"
        self._arrived.clear()

    def finish(self, request: Request) -> None:
        """A block is used up, failed, or not wanted any more: stop it, remember how it went.

        Safe to call twice. A block that is called off before its answer says nothing.
        """
        if request.finished:
            return
        with self._beginning:
            request.finished = True
        done, failure = request.done.is_set(), request.failure
        request.deadline.call_off()
        if failure is None:
            if done and request not in self._unsent:
                self._breaker.succeeded()
        elif failure not in {"paused", "slow"}:
            self._breaker.failed(request.retry_after_s)

    def close(self) -> None:
        """Call off everything that still runs, and begin nothing more."""
        with self._beginning:
            self._closed = True
        for request in self._running:
            request.deadline.call_off()
        if self._trial is not None:
            self._breaker.gave_up_trying()
        self._workers.end()

    def _reachable(self, first: int, generated: Sequence[int]) -> bool:
        if self._trial is not None and self._trial.settled():
            trial, self._trial = self._trial, None
            self.finish(trial)
            self._breaker.gave_up_trying()  # where it sent nothing, because nothing may be asked
        if self._breaker.may_try():
            # The text does not wait for it: the cloud was dead a moment ago.
            self._trial = self._start(first, generated, ())
        return self._breaker.state == "closed"

    def _start(self, first: int, generated: Sequence[int], draft: Sequence[int]) -> Request:
        self._running = [each for each in self._running if not each.done.is_set()]
        if len(self._running) >= MOST_THREADS:
            return Request.refused(first, len(draft) + 1, "timeout")
        request = Request(first, len(draft) + 1, Deadline(self._deadline_s))
        self._running.append(request)
        before, drafted = TokenIds(tuple(generated)), TokenIds(tuple(draft))
        self._workers.begin(lambda: self._run(request, before, drafted))
        return request

    def _takes_up(self, request: Request) -> bool:
        """Whether a request is still wanted; from then on it counts."""
        with self._beginning:
            wanted = not (self._closed or request.finished)
            self._begun += wanted
        return wanted

    def _run(self, request: Request, generated: TokenIds, draft: TokenIds) -> None:
        if not self._takes_up(request):
            request.done.set()
            return
        started = time.perf_counter()
        failure: str | None = None
        try:
            request.rows = self._cloud.score(generated, draft, request.deadline)
            if len(request.rows) != request.size:
                failure = "bad-reply"  # it is about something else
            elif all(row is None for row in request.rows):
                self._unsent.append(request)  # nothing may be asked at any of its positions
        except CloudError as error:
            failure, request.retry_after_s = error.reason, error.retry_after_s
        except LedgerError:
            failure = "ledger"
        except PrivacyError:
            failure = "not-released"
        except Exception:  # noqa: BLE001  (whatever breaks here must not cost the text)
            failure = "fault"
        request.seconds = time.perf_counter() - started
        if failure is not None:
            request.failure = failure
        request.done.set()
        self._arrived.set()


class _Workers:
    """Threads that take one job after the other: to start one takes longer than a small job."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = self._idle = 0

    def begin(self, job: Callable[[], None]) -> None:
        """Do it in a thread that is free; there is always one, or one more."""
        with self._lock:
            free = self._idle > 0
            self._idle -= free
            self._threads += not free
        self._jobs.put(job)
        if not free:
            # A daemon: a carrier that hangs must not keep the program from ending.
            threading.Thread(target=self._work, name="fusion-request", daemon=True).start()

    def end(self) -> None:
        """No job follows: each thread ends when its own is done."""
        with self._lock:
            threads, self._threads = self._threads, 0
        for _ in range(threads):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            with self._lock:
                self._idle += 1


def _look(look: Look, cloud: Foresight, generated: TokenIds) -> None:
    # A shield that fails refuses the request, too: there it is recorded.
    with contextlib.suppress(Exception):
        look.held = cloud.holds(generated)


def fused(
    request: Request, target: Target, device: Distribution, step: int, generated: Sequence[int]
) -> Shaped | None:
    """The target at a position of an answered request; None if the answer is no use.

    Then the request has a `failure`, and is not looked at for its later positions either.
    """
    if request.failure is not None:
        return None
    try:
        row = request.rows[step - request.first]
        listed = None if row is None else row.onto(device)
        return target.at(device, listed, step, generated)
    except InputError:
        raise  # these two models and this gate never fit: nothing that the cloud said
    except CloudError as error:
        request.failure = error.reason
    except Exception as error:  # noqa: BLE001  (whatever breaks here must not cost the text)
        request.failure = "bad-reply" if isinstance(error, ModelError) else "fault"
    return None
