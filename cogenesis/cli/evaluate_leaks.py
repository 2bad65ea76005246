"""`cogenesis evaluate leaks`: what the server side learns of the people who write."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from cogenesis import __version__
from cogenesis.cli.circumstances import when_and_where
from cogenesis.cli.device_model import AdapterOption, adapter_id, model_sums
from cogenesis.cli.engine_options import (
    EngineOption,
    RayAddressOption,
    WorkersOption,
    chosen_engine,
)
from cogenesis.cli.evaluate_progress import progress
from cogenesis.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from cogenesis.context.reader import Sample
    from cogenesis.engines.engine import Engine
    from cogenesis.engines.known_file import KnownFile
    from cogenesis.evaluation.leaks import LeaksSample, LeaksSettings
    from cogenesis.evaluation.leaks_received import SentMode
    from cogenesis.evaluation.leaks_report import Heard
    from cogenesis.evaluation.leaks_work import LeaksWork

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
    engine: EngineOption = "local",
    ray_address: RayAddressOption = None,
    workers: WorkersOption = None,
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

      cogenesis evaluate leaks --data validation.json --mode sketch --engine ray --workers 4
    """
    from cogenesis.engines.known_file import KnownFile
    from cogenesis.evaluation.leaks import LeaksSettings
    from cogenesis.evaluation.leaks_people import crowd_of
    from cogenesis.evaluation.leaks_report import leaks_report

    _check(save, resume=resume, zipf=bool(zipf), written=text == "written", engine=engine)
    modes: list[SentMode] = [each.value for each in dict.fromkeys(mode or Attacked)]
    working = chosen_engine(engine, at_a_time=None, ray_address=ray_address, workers=workers)
    known = KnownFile.of(data)  # as it is now, however long the texts take
    crowd = crowd_of(data, limit, tuple(candidates or ()), train)
    models = {"device": device, "cloud": cloud} | adapter_id(device, adapter)
    run = _Run(known, LeaksSettings(max_tokens, seed), models, adapter, quiet=as_json)
    if text == "written":
        heard = run.written(crowd.samples, modes, working, save, resume=resume)
    else:
        heard = run.reference(crowd.samples, modes, zipf or [_DEFAULT_ZIPF])
    told = leaks_report(crowd, heard)
    told |= {"text": text, "models": run.models if text == "written" else None}
    told |= {"data_sha256": known.sha256, "settings": asdict(run.settings), **when_and_where()}
    told["skipped"] += run.lost
    if plot is not None:
        from cogenesis.evaluation.leaks_plot import draw

        draw(told, plot)
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        from cogenesis.cli.leaks_screen import show

        show(told)


def _check(save: Path | None, *, resume: bool, zipf: bool, written: bool, engine: str) -> None:
    """Raises InputError: options do not go together."""
    if resume and save is None:
        raise InputError("--resume goes on with a file: name it with --save")
    if zipf and written:
        raise InputError("--zipf is for --text reference: the product has its own threshold")
    if save is not None and not written:
        raise InputError("--save is for --text written: references take seconds")
    if engine != "local" and not written:
        raise InputError(
            "--engine ray is for --text written: references go through the shield in this process"
        )


class _Run:
    """One measurement of what is received; `lost` tells of texts that no worker could write."""

    def __init__(
        self,
        data: KnownFile,
        settings: LeaksSettings,
        models: dict[str, str],
        adapter: str | None,
        *,
        quiet: bool,
    ) -> None:
        """`models` names them, with the adapter's hash where there is one; `adapter` as chosen."""
        self._data, self.settings, self.models, self._adapter = data, settings, models, adapter
        self._quiet = quiet
        self.lost: list[dict[str, Any]] = []

    def written(
        self,
        samples: Sequence[tuple[int, Sample]],
        modes: Sequence[SentMode],
        engine: AbstractContextManager[Engine],
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
                self._about,
                resume=resume,
                kind="leaks",
                read=LeaksSample.from_json,
                write=LeaksSample.to_json,
                key=lambda each: (each.mode, each.sample),
            )

        wanted = [(mode, number) for mode in modes for number, _ in samples]
        with ExitStack() as stack:
            saved = stack.enter_context(file(save)) if save is not None else None
            done = saved.done if saved is not None else {}
            left = [each for each in wanted if each not in done]
            if left:
                work = self._work()
                for found in stack.enter_context(closing(self._measured(work, left, engine))):
                    done[found.mode, found.sample] = found
                    if saved is not None:
                        saved.add(found)
        return [Heard.of(done[each]) for each in wanted if each in done]

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

    def _work(self) -> LeaksWork:
        """What the workers do; the models are fetched here, where somebody sees it."""
        from cogenesis.cli.models import fetch_model
        from cogenesis.engines.known_model import KnownModel
        from cogenesis.evaluation.leaks_work import LeaksWork

        device, cloud = self.models["device"], self.models["cloud"]
        return LeaksWork(
            self.settings,
            self._data,
            KnownModel.of(device, fetch_model(device, quiet=self._quiet), self._adapter),
            KnownModel.of(cloud, fetch_model(cloud, quiet=self._quiet)),
        )

    def _measured(
        self,
        work: LeaksWork,
        wanted: Sequence[tuple[SentMode, int]],
        engine: AbstractContextManager[Engine],
    ) -> Generator[LeaksSample, None, None]:
        from cogenesis.engines.engine import Lost

        items = {f"{mode}-{number:08d}": (mode, number) for mode, number in wanted}
        with engine as working, progress() as bar:
            step = bar.add_task("texts", total=len(items))
            for outcome in working.map(work, items.items()):
                if isinstance(outcome, Lost):
                    self._lost(*items[outcome.key], outcome.deaths)
                else:
                    yield outcome.result
                bar.advance(step)
                bar.refresh()

    def _lost(self, mode: SentMode, number: int, deaths: int) -> None:
        why = f"{deaths} workers died of it: their machine may lack memory"
        self.lost.append({"sample": number, "mode": mode, "reason": why})
        line = f"warning: sample {number} is not measured in {mode} mode: {why}. With --save and "
        typer.echo(line + "--resume the same command tries again", err=True)

    def _about(self) -> dict[str, Any]:
        """All that what is received depends on; models are fetched for their sums."""
        models = self.models | model_sums(self.models, quiet=self._quiet)
        return {
            "data": self._data.sha256,
            "version": __version__,
            **models,
            **asdict(self.settings),
        }
