"""`cogenesis evaluate judge`: the paper's three scores, and texts compared in pairs, by a model."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from cogenesis.cli.circumstances import when_and_where
from cogenesis.cli.device_model import AdapterOption, model_id
from cogenesis.cli.engine_options import (
    EngineOption,
    RayAddressOption,
    RequestsOption,
    TokensOption,
    WorkersOption,
    chosen_engine,
)
from cogenesis.cli.evaluate_progress import progress
from cogenesis.cli.evaluate_texts import (
    LEDGER,
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
    find_texts,
    open_published,
)
from cogenesis.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from cogenesis.engines.cloud import CloudAddress
    from cogenesis.engines.engine import Engine
    from cogenesis.engines.known_file import KnownFile
    from cogenesis.evaluation.judge import Answer, JudgeSettings, Question
    from cogenesis.evaluation.judge_asking import Refusals

_KEY_ENV: Final = "COGENESIS_JUDGE_KEY"


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
        int, typer.Option(min=1, max=4096, help="Questions that are asked at a time.")
    ] = 1,
    save: Annotated[
        Path | None,
        typer.Option(
            help="Where the answers are kept: what is there is not asked again. Default: a file "
            "in your CoGenesis folder for this data."
        ),
    ] = None,
    unsafe_send_context: UnsafeOption = False,
    engine: EngineOption = "local",
    ray_address: RayAddressOption = None,
    workers: WorkersOption = None,
    requests_per_minute: RequestsOption = None,
    tokens_per_minute: TokensOption = None,
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
    working = _engine_for(
        judge_url, engine, parallel, ray_address, workers, requests_per_minute, tokens_per_minute
    )
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
    asked = _Judging(settings, named, judge_kind, judge_key_env, working, quiet=as_json)
    found = find_texts(options)
    chosen = options.baseline(baseline)
    answers = asked.answers(found, data, chosen, save, with_reference=with_reference)
    told = _report(asked, found, answers, chosen, judge_billions)
    told["notes"] += options.gate_notes(found.digest)
    told |= {"settings": options.about() | asked.about(), **when_and_where()}
    _show(told, as_json=as_json)


def _engine_for(
    judge_url: str | None,
    name: Literal["local", "ray"],
    at_a_time: int,
    ray_address: str | None,
    workers: int | None,
    requests_per_minute: float | None,
    tokens_per_minute: float | None,
) -> AbstractContextManager[Engine]:
    """What schedules the questions. It is entered only if there is something to ask.

    Raises:
        InputError: its workers could not reach the judge, or as `open_engine`.
    """
    if name == "ray" and ray_address is not None and judge_url is None:
        raise InputError(
            "a judge on this machine cannot be reached from the other machines of a cluster: give "
            "--judge-url, or leave out --ray-address (and COGENESIS_RAY_ADDRESS)"
        )
    return chosen_engine(
        name,
        at_a_time=at_a_time,
        ray_address=ray_address,
        workers=workers,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
    )


class _Judging:
    """One judging: asks what the file of answers lacks."""

    def __init__(
        self,
        settings: JudgeSettings,
        judge: dict[str, str | None],
        kind: CloudKind,
        key_env: str,
        engine: AbstractContextManager[Engine],
        *,
        quiet: bool,
    ) -> None:
        self._settings, self._judge, self._kind, self._engine = settings, judge, kind, engine
        # No key where none is needed: only a variable that somebody named must be there.
        self._key_env = "" if key_env == _KEY_ENV and not os.environ.get(key_env) else key_env
        self._quiet = quiet
        if judge["url"] is None:
            self._id = model_id(judge["model"] or "", quiet=quiet)
        else:
            self._id = {"name": judge["name"] or judge["url"], "url": judge["url"]}
        self.systems: list[str] = []
        self.lost = 0

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
        *,
        with_reference: bool,
    ) -> list[Answer]:
        """All answers, those of the file first."""
        from cogenesis.engines.known_file import KnownFile
        from cogenesis.evaluation.generation import private_lines
        from cogenesis.evaluation.judge import FORM, Answer, answered, questions
        from cogenesis.evaluation.judge_asking import Refusals
        from cogenesis.evaluation.text_report import REFERENCE

        texts = {
            name: {number: each.text for number, each in by.items() if each.text is not None}
            for name, by in found.written.items()
        }
        if with_reference:
            texts[REFERENCE] = {
                number: sample.reference for number, sample in found.samples.items()
            }
        self.systems = list(texts)
        # Always there, because the command wants the flag; without it this is the refusal.
        proof = found.published or open_published(data, unsafe=False)
        asked = questions(proof, texts, found.digest, baseline, self._id, self._settings)
        place = save or found.place.with_name(f"answers-{found.digest[:16]}.jsonl")
        about = {"form": FORM, "data": found.digest}
        with private_lines(place, about, "judge", Answer.from_json, Answer.to_json) as file:
            said = {key for key, answer in file.done.items() if answer.is_final}
            lacking = list({each.key: each for each in asked if each.key not in said}.values())
            known = KnownFile(data.absolute(), found.digest)
            unsafe = found.published is not None
            refusals = Refusals(file.done.keys() - said)
            for answer in self._asked(lacking, known, refusals, unsafe=unsafe) if lacking else ():
                file.add(answer)
                file.done[answer.key] = answer
            return answered(asked, file.done)

    def _asked(
        self, lacking: Sequence[Question], data: KnownFile, refusals: Refusals, *, unsafe: bool
    ) -> Iterator[Answer]:
        from cogenesis.engines.engine import Lost
        from cogenesis.evaluation.judge_asking import Judging

        size = sum(each.size for each in lacking)
        typer.echo(
            f"{len(lacking):,} questions for {self.name}, about {size / 4_000:,.0f} thousand "
            "tokens to read, with profiles as they are.",
            err=True,
        )
        with ExitStack() as stack:
            opening = Judging(data, unsafe, self._address(stack), self._settings)
            engine = stack.enter_context(self._engine)
            bar = stack.enter_context(progress())
            step = bar.add_task("answers", total=len(lacking))
            outcomes: Any = engine.map(opening, ((each.key, each) for each in lacking))
            stack.enter_context(closing(outcomes))
            for outcome in outcomes:
                if isinstance(outcome, Lost):
                    self.lost += 1
                else:
                    yield outcome.result
                    refusals.look_at(outcome.result)
                bar.advance(step)
                bar.refresh()

    def _address(self, stack: ExitStack) -> CloudAddress:
        """Where the workers reach the judge: a real server, or one on this machine, started now."""
        from cogenesis.cli.connect import cloud_address
        from cogenesis.cli.models import fetch_model
        from cogenesis.cloud_server import DemoCloud
        from cogenesis.home import home

        url, name = self._judge["url"], self._judge["name"]
        if url is not None:
            return cloud_address(url, name, self._kind, self._key_env, None)
        model = fetch_model(self._judge["model"] or "", quiet=self._quiet)
        # One thread, as for a cloud on this machine.
        server = stack.enter_context(DemoCloud(model, threads=1))
        return cloud_address(server.url, server.model, "auto", "", home() / LEDGER)


def _report(
    asked: _Judging,
    found: Texts,
    answers: Sequence[Answer],
    baseline: str,
    billions: float | None,
) -> dict[str, Any]:
    from cogenesis.evaluation.judge import size_in_name
    from cogenesis.evaluation.judge_report import judge_report, notes

    told = judge_report(list(found.samples), asked.systems, answers, baseline)
    size = billions if billions is not None else size_in_name(asked.name)
    told |= {"judge": {"model": asked.name, "billions": size}, "data": found.digest}
    told |= {"notes": notes(told, size), "skipped": found.skipped, "lost": asked.lost}
    refused = sum(not each.is_final for each in answers)
    if refused:
        told["notes"].append(
            f"{refused} questions have no answer, because the server refused them: the same "
            "command asks again."
        )
    if asked.lost:
        told["notes"].append(
            f"{asked.lost} questions have no answer, because workers died on them: the same "
            "command asks again."
        )
    return told


def _show(told: dict[str, Any], *, as_json: bool) -> None:
    from rich.console import Console

    from cogenesis.cli.judge_tables import pair_table, score_table

    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
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
