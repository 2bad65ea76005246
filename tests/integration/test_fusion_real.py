"""Fusion with real models, through a real server, the egress and the ledger.

Short: `benchmarks/exactness.py` compares the same on 50 prompts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.exactness import Compared, Pair, compare
from cogenesis.assistant import Assistant, Task
from cogenesis.cli.ledger import text_fields
from cogenesis.cli.left import what_left
from cogenesis.cloud_server import DemoCloud
from cogenesis.context.private_context import Activity, PrivateContext, ProfileField
from cogenesis.demo import DEMO_INSTRUCTION, demo_person
from cogenesis.evaluation.speed_prompts import SpeedPrompt, SpeedTask, speed_prompts
from cogenesis.fused_writing import DeviceTokens, connect
from cogenesis.models.cloud_connection import CloudConnection
from cogenesis.models.llama_cpp import LlamaCpp
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint
from cogenesis.privacy.ledger import Ledger
from cogenesis.wire import Deadline

TOKENS = 18
CONTEXT = PrivateContext(
    fields=[ProfileField("Name", "Odalys Fenwright")],
    activities=[
        Activity("calendar", "Dinner with Jo Quillfeather at the Golden Thread on Friday"),
        Activity("mail", "The sourdough fermentation course begins in the old mill in May"),
    ],
)
TASKS = (
    "Write a thank-you note: to Jo, for dinner at the Golden Thread on Friday",
    "Write an invitation to a baking course: the sourdough course in the old mill begins in May",
    "Write a letter to a new neighbour about the street: Odalys lives beside the mill",
)

BATCH_NOISE = 0.4
"""Gemma's log-probabilities move by up to 0.27 with what is read in one go (DESIGN, section 5);
divided by a temperature of 0.7. A difference between tokens that lie further apart is a bug."""


@pytest.fixture(scope="module")
def device(device_gguf: Path) -> Iterator[LlamaCpp]:
    with LlamaCpp(device_gguf, threads=1, context_tokens=2048) as model:
        yield model


@pytest.fixture(scope="module")
def prompts(device: LlamaCpp) -> list[SpeedPrompt]:
    tasks = [SpeedTask(CONTEXT, task, at) for at, task in enumerate(TASKS, start=1)]
    found = speed_prompts(device, tasks, 3, TOKENS, lambda number, why: pytest.fail(why))
    assert len(found) == len(TASKS)
    return found


def compared(
    stack: ExitStack, device: LlamaCpp, served: Path, folder: Path, prompts: list[SpeedPrompt]
) -> tuple[list[Compared], bool]:
    """All ways of drafting at all temperatures, and whether the vocabularies are one."""
    server = stack.enter_context(DemoCloud(served, threads=1, context_tokens=1024))
    ledger = stack.enter_context(Ledger.open(folder / "ledger.sqlite"))
    egress = stack.enter_context(Egress(CloudEndpoint.parse(server.url), ledger))
    cloud, tokens = CloudConnection(egress, server.model), DeviceTokens(device)
    same = connect(cloud, prompts[0].general, tokens, Deadline(60)).same_vocabulary
    found = compare(Pair(device, tokens, cloud), prompts, TOKENS)
    return [one for ways in found.values() for one in ways.values()], same


@pytest.mark.timeout(300)
def test_drafts_write_locksteps_text_where_both_models_are_one(
    device: LlamaCpp, device_gguf: Path, prompts: list[SpeedPrompt], tmp_path: Path
) -> None:
    """Greedily and at temperature 0.7: no token differs, none was decided for lack of an answer."""
    with ExitStack() as stack:
        found, same = compared(stack, device, device_gguf, tmp_path, prompts)
    assert same
    assert len(found) == 4
    for one in found:
        assert (one.identical, one.texts, one.fallbacks) == (len(prompts), len(prompts), 0)
        assert one.tokens > 4 * len(prompts)  # those at which the shield let the cloud be asked
        assert one.noise < 1e-4
        # Context matters, so the cloud, which has none, disagrees at times.
        assert 0.5 < sum(one.accepted) / len(one.accepted) < 1.0


@pytest.mark.timeout(300)
def test_drafts_write_locksteps_text_up_to_batch_noise_where_they_are_two(
    device: LlamaCpp, cloud_gguf: Path, prompts: list[SpeedPrompt], tmp_path: Path
) -> None:
    with ExitStack() as stack:
        found, same = compared(stack, device, cloud_gguf, tmp_path, prompts)
    assert not same
    for one in found:
        assert one.fallbacks == 0
        assert len(one.apart) == one.texts - one.identical
        assert all(gap <= max(one.noise, BATCH_NOISE) for gap in one.apart)
        assert one.tokens > 4 * len(prompts)
    # Counted: most texts do not meet such a place at all.
    assert sum(len(one.apart) for one in found) <= sum(one.texts for one in found) / 2


@pytest.mark.timeout(300)
def test_a_text_from_end_to_end_and_every_byte_that_left(
    device: LlamaCpp, cloud_gguf: Path, tmp_path: Path
) -> None:
    person = demo_person()
    with (
        DemoCloud(cloud_gguf, threads=1) as server,
        Ledger.open(tmp_path / "ledger.sqlite") as ledger,
        Egress(CloudEndpoint.parse(server.url), ledger) as egress,
    ):
        cloud = CloudConnection(egress, server.model)
        assistant = Assistant(device, cloud=cloud, traffic=lambda: egress.traffic)
        task = Task(DEMO_INSTRUCTION, person, mode="fusion", seed=4, max_tokens=40)
        result = assistant.write(task)
        guard = assistant.guard(task)
        rows = tuple(ledger.entries(newest_first=False))
        assert ledger.verify().ok
    assert (result.mode, result.degraded) == ("fusion", None)
    assert len(result.tokens) > 20
    assert {"cloud", "both"} & {token.source for token in result.tokens}
    assert result.traffic is not None
    assert result.traffic.requests == len(rows)
    assert result.traffic.bytes == sum(len(row.entry.body) for row in rows)
    left = what_left(rows, guard, result.general, "fusion")
    assert left.found == ()
    assert left.grown  # something of the text was shown
    assert len(left.asking) + len(left.others) == len(rows)
    # And without the guard's own rules: what the person typed and has in the context.
    told = " ".join(text for row in rows for _, text in text_fields(row.entry.body)).casefold()
    for name in ("tobias", "merrin", "tidewell", "anselm", "halloway", "net loft"):
        assert name not in told
