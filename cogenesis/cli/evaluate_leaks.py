"""`cogenesis evaluate leaks`: what the server side learns of the people who write."""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from cogenesis import __version__
from cogenesis.cli.circumstances import when_and_where
from cogenesis.cli.device_model import AdapterOption, adapter_id
from cogenesis.cli.evaluate_progress import progress
from cogenesis.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cogenesis.context.reader import Sample
    from cogenesis.evaluation.leaks import LeaksSample, LeaksSettings
    from cogenesis.evaluation.leaks_received import SentMode
    from cogenesis.evaluation.leaks_report import Heard

_DEFAULT_ZIPF: Final = 4.5


class Attacked(StrEnum):
    """A mode that sends something. (Typer takes no list of literals.)"""

    SKETCH = "sketch"
    FUSION = "fusion"


def leaks(
    data: Annotated[
        Path, typer.Option(help="People, their tasks and their texts, in the published form.")
    ],
    mode: Annotated[
        list[Attacked] | None,
        typer.Option(help="A mode to attack (repeatable). Default: both."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first samples of the file.")
    ] = None,
    candidates: Annotated[
        list[Path] | None,
        typer.Option(help="More people whom the attackers must tell apart (repeatable)."),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(
            help="People on whom the attackers are tuned; they are candidates, too. Without it "
            "the attackers use the settings that were found on the published training split."
        ),
    ] = None,
    text: Annotated[
        Literal["written", "reference"],
        typer.Option(
            help="written: the assistant writes with two real models. reference: the reference "
            "texts go through the shield instead; no model runs, and it takes seconds."
        ),
    ] = "written",
    zipf: Annotated[
        list[float] | None,
        typer.Option(
            min=0,
            max=8,
            help="With --text reference: words of the context that are rarer are private "
            "(repeatable). Default: 4.5, as the product has it.",
        ),
    ] = None,
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Length of the texts in fusion, at most.")
    ] = 120,
    seed: Annotated[int, typer.Option(help="Of the texts that are written.")] = 0,
    device: Annotated[
        str, typer.Option(help="Another device model, as `models get` takes it.")
    ] = "demo-device",
    adapter: AdapterOption = None,
    cloud: Annotated[str, typer.Option(help="Another cloud model likewise.")] = "demo-cloud",
    save: Annotated[
        Path | None,
        typer.Option(help="Write here what the server received for each text when it is done."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the texts that --save lacks.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw floor, sent and ceiling into this .png or .svg.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Attack the assistant: who wrote this, and which private things can be read?

    The assistant writes the texts of the data with a cloud model in a process of its own, and a
    relay keeps what that server receives. Private things of each person are looked for in it,
    and attackers say which of all people it is about. They do the same with the title alone
    (floor) and with the whole context (ceiling, computed here: it is sent nowhere). About half
    a minute a text.

    Examples:

      cogenesis evaluate leaks --data validation.json --train train.json --limit 10

      cogenesis evaluate leaks --data validation.json --train train.json --text reference
      --zipf 3.5 --zipf 4 --zipf 4.5 --zipf 5

      cogenesis evaluate leaks --data validation.json --train train.json --save leaks.jsonl
      --resume --plot leaks.png --json
    """
    from cogenesis.evaluation.leaks import LeaksSettings
    from cogenesis.evaluation.leaks_people import crowd_of
    from cogenesis.evaluation.leaks_report import leaks_report

    if resume and save is None:
        raise InputError("--resume goes on with a file: name it with --save")
    if zipf and text == "written":
        raise InputError("--zipf is for --text reference: the product has its own threshold")
    if save is not None and text == "reference":
        raise InputError("--save is for --text written: references take seconds")
    modes: list[SentMode] = [each.value for each in dict.fromkeys(mode or Attacked)]
    crowd = crowd_of(data, limit, tuple(candidates or ()), train)
    models = {"device": device, "cloud": cloud} | adapter_id(device, adapter)
    run = _Run(LeaksSettings(max_tokens, seed), models, adapter, quiet=as_json)
    if text == "written":
        heard = run.written(data, crowd.samples, modes, save, resume=resume)
    else:
        heard = run.reference(crowd.samples, modes, zipf or [_DEFAULT_ZIPF])
    told = leaks_report(crowd, heard)
    told |= {"text": text, "models": run.models if text == "written" else None}
    told |= {"settings": asdict(run.settings), **when_and_where()}
    if plot is not None:
        from cogenesis.evaluation.leaks_plot import draw

        draw(told, plot)
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        from cogenesis.cli.leaks_screen import show

        show(told)


class _Run:
    """One measurement of what is received."""

    def __init__(
        self, settings: LeaksSettings, models: dict[str, str], adapter: str | None, *, quiet: bool
    ) -> None:
        """`models` names them, with the adapter's hash where there is one; `adapter` as chosen."""
        self.settings, self.models, self._adapter = settings, models, adapter
        self._quiet = quiet

    def written(
        self,
        data: Path,
        samples: Sequence[tuple[int, Sample]],
        modes: Sequence[SentMode],
        save: Path | None,
        *,
        resume: bool,
    ) -> list[Heard]:
        """What the server received for each text, mode by mode."""
        from cogenesis.evaluation.leaks import LeaksSample
        from cogenesis.evaluation.leaks_report import Heard
        from cogenesis.evaluation.saved_lines import SavedLines

        def file(path: Path) -> SavedLines[LeaksSample]:
            return SavedLines(
                path,
                self._about(data),
                resume=resume,
                kind="leaks",
                read=LeaksSample.from_json,
                write=LeaksSample.to_json,
                key=lambda each: (each.mode, each.sample),
            )

        wanted = [(mode, number, sample) for mode in modes for number, sample in samples]
        with ExitStack() as stack:
            saved = stack.enter_context(file(save)) if save is not None else None
            done = saved.done if saved is not None else {}
            left = [each for each in wanted if each[:2] not in done]
            for found in self._measured(left, stack) if left else ():
                done[found.mode, found.sample] = found
                if saved is not None:
                    saved.add(found)
        return [Heard.of(done[mode, number]) for mode, number, _ in wanted]

    def reference(
        self, samples: Sequence[tuple[int, Sample]], modes: Sequence[SentMode], zipf: list[float]
    ) -> list[Heard]:
        """What it would receive if the device wrote the references."""
        from cogenesis.evaluation.leaks_reference import shielded_reference
        from cogenesis.evaluation.leaks_report import Heard

        wanted = [(each, mode) for each in dict.fromkeys(zipf) for mode in modes]
        found = []
        with progress() as bar:
            step = bar.add_task("texts", total=len(wanted) * len(samples))
            for rare_below, mode in wanted:
                for number, sample in samples:
                    told = shielded_reference(sample, mode, rare_below=rare_below)
                    found.append(Heard.of_reference(number, mode, told, rare_below))
                    bar.advance(step)
                    bar.refresh()
        return found

    def _measured(
        self, wanted: Sequence[tuple[SentMode, int, Sample]], stack: ExitStack
    ) -> Iterator[LeaksSample]:
        from cogenesis.cli.models import fetch_model
        from cogenesis.evaluation.leaks import LeaksStage
        from cogenesis.models import LlamaCpp
        from cogenesis.models.adapters import find_adapter

        device, cloud = (
            fetch_model(self.models[role], quiet=self._quiet) for role in ("device", "cloud")
        )
        # One thread, because the cloud model has a core of its own.
        adapter = find_adapter(self.models["device"], self._adapter)
        model = stack.enter_context(LlamaCpp(device, threads=1, adapter=adapter))
        stage = stack.enter_context(LeaksStage(model, cloud, self.settings))
        with progress() as bar:
            step = bar.add_task("texts", total=len(wanted))
            for mode, number, sample in wanted:
                yield stage.measure(number, sample, mode)
                bar.advance(step)
                bar.refresh()

    def _about(self, data: Path) -> dict[str, Any]:
        """All that what is received depends on.

        The adapter only where there is one: files of runs without stay good.
        """
        digest = hashlib.sha256(data.read_bytes()).hexdigest()
        return {"data": digest, "version": __version__, **self.models, **asdict(self.settings)}
