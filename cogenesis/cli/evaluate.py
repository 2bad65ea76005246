"""`cogenesis evaluate`: measurements that anybody can repeat."""

from __future__ import annotations

import typer

from cogenesis.cli.evaluate_bits import bits
from cogenesis.cli.evaluate_human import human
from cogenesis.cli.evaluate_judge import judge
from cogenesis.cli.evaluate_leaks import leaks
from cogenesis.cli.evaluate_report import report
from cogenesis.cli.evaluate_speed import speed
from cogenesis.cli.evaluate_text import text

evaluate_app = typer.Typer(
    no_args_is_help=True,
    help="Measure how fast, how well and how privately the two models write.",
)
evaluate_app.command("bits")(bits)
evaluate_app.command("human")(human)
evaluate_app.command("judge")(judge)
evaluate_app.command("leaks")(leaks)
evaluate_app.command("report")(report)
evaluate_app.command("speed")(speed)
evaluate_app.command("text")(text)
