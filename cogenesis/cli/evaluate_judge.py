"""`cogenesis evaluate judge`: the paper's three scores, and texts compared in pairs, by a model."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cogenesis.cli.circumstances import when_and_where
from cogenesis.cli.device_model import AdapterOption, model_id
from cogenesis.cli.evaluate_progress import progress
from cogenesis.cli.evaluate_texts import (
    CloudKeyOption,
    CloudKind,
    CloudKindOption,
    CloudModelOption,
    CloudOption,
    CloudUrlOption,
    DataOption,
    DeviceOption,
    GateOption,
    JsonOption,
    LimitOption,
    MaxTokensOption,
    SeedOption,
    SystemOption,
    TextOptions,
    Texts,
    UnsafeOption,
    WindowOption,
    ZeroShotOption,
    cloud_of,
    find_texts,
    open_published,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from cogenesis.evaluation.judge import Answer, JudgeSettings, Question

_KEY_ENV: Final = "COGENESIS_JUDGE_KEY"
_COLUMNS: Final = {
    "overall_with": "Overall\n(with profile)",
    "personal": "Personal",
    "overall_without": "Overall\n(without)",
}


def judge(
    data: DataOption,
    limit: LimitOption = None,
    system: SystemOption = None,
    texts: Annotated[
        Path | None,
        typer.Option(
            help="The file of texts of “evaluate text”; texts that it lacks are written. Default: "
            "the one in your CoGenesis folder for this data."
        ),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="The system that the others are compared with.")
    ] = None,
    with_reference: Annotated[
        bool, typer.Option("--with-reference", help="Judge the authors' own texts, too.")
    ] = False,
    judge: Annotated[
        str,
        typer.Option(help="A judge to serve on this machine, as `models get` takes it."),
    ] = "demo-cloud",
    judge_url: Annotated[
        str | None, typer.Option(help="A judge behind an OpenAI-compatible server instead.")
    ] = None,
    judge_model: Annotated[str | None, typer.Option(help="Its name on that server.")] = None,
    judge_kind: Annotated[
        CloudKind, typer.Option(help="The server's kind; auto asks it.")
    ] = "auto",
    judge_key_env: Annotated[
        str, typer.Option(help="Environment variable that holds the judge's API key.")
    ] = _KEY_ENV,
    judge_billions: Annotated[
        float | None,
        typer.Option(min=0.001, help="The judge's parameters, if its name does not tell them."),
    ] = None,
    runs: Annotated[int, typer.Option(min=1, max=10, help="How often each question is asked.")] = 2,
    pairs: Annotated[
        bool, typer.Option(help="Also compare each text with the baseline's, in both orders.")
    ] = True,
    parallel: Annotated[
        int, typer.Option(min=1, max=64, help="Questions that are asked at a time.")
    ] = 1,
    save: Annotated[
        Path | None,
        typer.Option(
            help="Where the answers are kept: what is there is not asked again. Default: a file "
            "in your CoGenesis folder for this data."
        ),
    ] = None,
    unsafe_send_context: UnsafeOption = False,
    device: DeviceOption = "demo-device",
    adapter: AdapterOption = None,
    zero_shot_device: ZeroShotOption = None,
    cloud: CloudOption = "demo-cloud",
    cloud_url: CloudUrlOption = None,
    cloud_model: CloudModelOption = None,
    cloud_kind: CloudKindOption = "auto",
    cloud_key_env: CloudKeyOption = "COGENESIS_CLOUD_KEY",
    gate: GateOption = None,
    max_tokens: MaxTokensOption = 400,
    window: WindowOption = 4096,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Let a language model score the systems' texts, as the paper does.

    The judge sees profiles and earlier texts, so it takes published or made-up data only and
    needs --unsafe-send-context; every request is in the ledger. A judge with fewer than 30
    billion parameters means nothing, the default one too: it shows that everything works.

    Examples:

      cogenesis evaluate judge --data validation.json --limit 5 --unsafe-send-context

      cogenesis evaluate judge --data validation.json --texts texts.jsonl --unsafe-send-context
      --judge-url https://api.example.com/v1 --judge-model NAME --judge-billions 70 --parallel 8
    """
    from cogenesis.evaluation.judge import JudgeSettings
    from cogenesis.evaluation.systems import DEFAULT

    open_published(data, unsafe=unsafe_send_context)  # before any model is loaded
    options = TextOptions(
        data=data,
        limit=limit,
        systems=tuple(system or DEFAULT),
        texts=texts,
        unsafe=unsafe_send_context,
        device=device,
        adapter=adapter,
        zero_shot=zero_shot_device,
        cloud=cloud,
        cloud_url=cloud_url,
        cloud_model=cloud_model,
        cloud_kind=cloud_kind,
        cloud_key_env=cloud_key_env,
        gate=gate,
        max_tokens=max_tokens,
        window=window,
        seed=seed,
        quiet=as_json,
    )
    named = {"model": judge, "url": judge_url, "name": judge_model}
    settings = JudgeSettings(runs, pairs, seed)
    asked = _Judging(settings, named, judge_kind, judge_key_env, quiet=as_json)
    found = find_texts(options)
    chosen = options.baseline(baseline)
    answers = asked.answers(found, data, chosen, save, parallel, with_reference=with_reference)
    told = _report(asked, found, answers, chosen, judge_billions)
    told |= {"settings": options.about() | asked.about(), **when_and_where()}
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        _show(told)


class _Judging:
    """One judging: asks what the file of answers lacks."""

    def __init__(
        self,
        settings: JudgeSettings,
        judge: dict[str, str | None],
        kind: CloudKind,
        key_env: str,
        *,
        quiet: bool,
    ) -> None:
        self._settings, self._judge, self._kind = settings, judge, kind
        # No key where none is needed: only a variable that somebody named must be there.
        self._key_env = "" if key_env == _KEY_ENV and not os.environ.get(key_env) else key_env
        self._quiet = quiet
        if judge["url"] is None:
            self._id = model_id(judge["model"] or "", quiet=quiet)
        else:
            self._id = {"name": judge["name"] or judge["url"], "url": judge["url"]}
        self.systems: list[str] = []

    @property
    def name(self) -> str:
        """The judge's name."""
        return str(self._id["name"])

    def about(self) -> dict[str, Any]:
        """The settings, as the report tells them."""
        return {"runs": self._settings.runs, "pairs": self._settings.pairs, "judge": self.name}

    def answers(
        self,
        found: Texts,
        data: Path,
        baseline: str,
        save: Path | None,
        parallel: int,
        *,
        with_reference: bool,
    ) -> list[Answer]:
        """All answers, those of the file first."""
        from cogenesis.evaluation.generation import private_lines
        from cogenesis.evaluation.judge import FORM, Answer, answered, questions
        from cogenesis.evaluation.text_report import REFERENCE

        texts = {
            name: {number: each.text for number, each in by.items() if each.text is not None}
            for name, by in found.written.items()
        }
        if with_reference:
            texts[REFERENCE] = {number: sample.reference for number, sample in found.samples}
        self.systems = list(texts)
        # Always there, because the command wants the flag; without it this is the refusal.
        proof = found.published or open_published(data, unsafe=False)
        asked = questions(proof, texts, found.digest, baseline, self._id, self._settings)
        place = save or found.place.with_name(f"answers-{found.digest[:16]}.jsonl")
        about = {"form": FORM, "data": found.digest}
        with private_lines(place, about, "judge", Answer.from_json, Answer.to_json) as file:
            lacking = list({each.key: each for each in asked if each.key not in file.done}.values())
            for answer in self._asked(lacking, parallel) if lacking else ():
                file.add(answer)
                file.done[answer.key] = answer
            return answered(asked, file.done)

    def _asked(self, lacking: Sequence[Question], parallel: int) -> Iterator[Answer]:
        from cogenesis.evaluation.judge import Judge

        size = sum(sum(len(part) for part in _chat(each)) for each in lacking)
        typer.echo(
            f"{len(lacking):,} questions for {self.name}, about {size / 4_000:,.0f} thousand "
            "tokens to read, with profiles as they are.",
            err=True,
        )
        with ExitStack() as stack:
            model, _ = cloud_of(
                stack,
                self._judge["model"] or "",
                self._judge["url"],
                self._judge["name"],
                self._kind,
                self._key_env,
                quiet=self._quiet,
            )
            bar = stack.enter_context(progress())
            step = bar.add_task("answers", total=len(lacking))
            for answer in Judge(model, self._settings).ask_all(lacking, parallel=parallel):
                yield answer
                bar.advance(step)
                bar.refresh()


def _report(
    asked: _Judging,
    found: Texts,
    answers: Sequence[Answer],
    baseline: str,
    billions: float | None,
) -> dict[str, Any]:
    from cogenesis.evaluation.judge import size_in_name
    from cogenesis.evaluation.judge_report import judge_report, notes

    told = judge_report([number for number, _ in found.samples], asked.systems, answers, baseline)
    size = billions if billions is not None else size_in_name(asked.name)
    told |= {"judge": {"model": asked.name, "billions": size}, "data": found.digest}
    return told | {"notes": notes(told, size), "skipped": found.skipped}


def _chat(question: Question) -> list[str]:
    return [part.text for message in question.prompt.messages for part in message.parts]


def _show(told: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console()
    console.print(score_table(told))
    if told["pairs"]:
        console.print(pair_table(told))
    for row in told["runs_agreement"]:
        kappa = "not defined" if row["weighted_kappa"] is None else f"{row['weighted_kappa']:.2f}"
        console.print(
            f"Two runs on {row['score']}: weighted kappa {kappa}, the same rating in "
            f"{row['same']:.0%} of {row['texts']} texts.",
            style="dim",
            highlight=False,
        )
    first, *others = told["notes"]
    small = told["judge"]["billions"] is None or "mean nothing" in first
    console.print(first, style="bold yellow" if small else "dim", highlight=False)
    for note in others:
        console.print(note, style="dim", highlight=False)


def score_table(told: dict[str, Any]) -> Table:
    """The three scores, with their ranges."""
    from rich import box
    from rich.table import Table

    things = "sample" if told["samples"] == 1 else "samples"
    title = f"Scores from 1 to 10 by {told['judge']['model']} ({told['samples']} {things})"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("System", no_wrap=True)
    for column in _COLUMNS.values():
        table.add_column(column, justify="right", no_wrap=True)
    for row in told["systems"]:
        cells = []
        for score in _COLUMNS:
            found = row["measures"][score]
            value, low, high = found["value"], found["low"], found["high"]
            cells.append("" if value is None else f"{value:.2f} [dim]{low:.2f}–{high:.2f}[/dim]")
        table.add_row(row["name"], *cells)
    return table


def pair_table(told: dict[str, Any]) -> Table:
    """Who won against the baseline."""
    from rich import box
    from rich.table import Table

    title = f"Chosen over {told['baseline']}, in both orders"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("System", no_wrap=True)
    columns = ("Wins", "Ties", "Losses", "Net", "Range", "Same in\nboth orders", "Chose\nthe first")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for row in told["pairs"]:
        net = row["net"]
        known = net["value"] is not None
        table.add_row(
            row["systems"][0],
            *(str(row[each]) for each in ("wins", "ties", "losses")),
            f"{net['value']:+.2f}" if known else "",
            f"{net['low']:+.2f} to {net['high']:+.2f}" if known else "",
            *(
                "" if row[each] is None else f"{row[each]:.0%}"
                for each in ("same_in_both_orders", "first_place")
            ),
        )
    return table
