"""`cogenesis data`: build, import, check, count and export data for training and evaluation.

One file a command, `cli/data_NAME.py`, and one line here.
"""

from __future__ import annotations

import typer

from cogenesis.cli.data_build import build, templates
from cogenesis.cli.data_check import check
from cogenesis.cli.data_export import export
from cogenesis.cli.data_import import import_
from cogenesis.cli.data_stats import stats

data_app = typer.Typer(
    no_args_is_help=True,
    help="Build, import, check, count and export data for training and evaluation.",
)
data_app.command("build")(build)
data_app.command("templates")(templates)
data_app.command("import")(import_)
data_app.command("check")(check)
data_app.command("stats")(stats)
data_app.command("export")(export)
