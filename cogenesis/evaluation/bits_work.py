"""What each text costs, as the work of an engine.

    work = BitsWork(Pairing(data, device, cloud, settings), gates)
    for found in worked(engine, work, numbers, left_out): ...

Numbers of samples go to the workers, figures come back. A sample's figures do not depend on which
worker had it, nor after which other one.

Not covered: a device model server that several workers ask at once (which of its caches a text
finds is its matter).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic

from cogenesis.engines.engine import Engine, Lost, Opening, Place, ResultT
from cogenesis.evaluation.bits import ZERO_SHOT, System, systems
from cogenesis.evaluation.bits_pair import bits_alone
from cogenesis.evaluation.bits_pairing import GateFile, Pair, Pairing
from cogenesis.evaluation.bits_report import SampleCost
from cogenesis.evaluation.numbered_samples import LeftOut


@dataclass(frozen=True, slots=True)
class BitsWork:
    """How a worker of `evaluate bits` gets ready. Item: a sample's number. Result: what its text
    costs, or why the sample is left out."""

    pairing: Pairing
    gates: tuple[GateFile, ...] = ()

    @contextmanager
    def open(self, place: Place) -> Iterator[Callable[[int], SampleCost | str]]:
        """Raises: as `Pairing.open`."""
        gates = {each.system: each.load(place) for each in self.gates}
        chosen = systems(self.pairing.settings.weights, gates)
        # A model does one thing at a time, whatever the engine is asked for.
        one = threading.Lock()
        with self.pairing.open(place) as pair:

            def work(number: int) -> SampleCost | str:
                with one:
                    return _cost(pair, number, chosen)

            yield work


def _cost(pair: Pair, number: int, chosen: Sequence[System]) -> SampleCost | str:
    found = pair.task(number)
    if isinstance(found, str):
        return found
    sample, task = found
    text = pair.running.cost(task, chosen)
    if pair.bare is not None:
        paid = bits_alone(pair.bare, task, pair.settings)
        for state in text.costs.values():
            state.bits[ZERO_SHOT] = paid
    return SampleCost(number, sample.sample.id, sample.cut, text)


@dataclass(frozen=True, slots=True)
class Worked(Generic[ResultT]):
    """What came of a sample; `result` is None if it was left out."""

    number: int
    result: ResultT | None
    seconds: float = 0.0


def worked(
    engine: Engine,
    opening: Opening[int, ResultT | str],
    numbers: Iterable[int],
    left_out: LeftOut,
) -> Iterator[Worked[ResultT]]:
    """Have an engine work on samples; they come in the order in which they are done.

    Args:
        opening: gives a result for a sample's number, or in words why there is none.
        numbers: of the samples.
        left_out: is told of those without a result, also of those whose workers died.

    Raises: as `Engine.map`.
    """
    for outcome in engine.map(opening, ((f"{number:08d}", number) for number in numbers)):
        number = int(outcome.key)
        if isinstance(outcome, Lost):
            left_out(number, f"{outcome.deaths} workers died at it: their machine may lack memory")
            yield Worked(number, None)
        elif isinstance(outcome.result, str):
            left_out(number, outcome.result)
            yield Worked(number, None, outcome.seconds)
        else:
            yield Worked(number, outcome.result, outcome.seconds)
