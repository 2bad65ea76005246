"""`cogenesis train`: recipes that specialise the device model and learn how to mix two models.

One file a command, `cli/train_NAME.py`, and one line here.
"""

from __future__ import annotations

import typer

from cogenesis.cli.train_device import device
from cogenesis.cli.train_export import export
from cogenesis.cli.train_extract import extract
from cogenesis.cli.train_gate import gate
from cogenesis.cli.train_sketches import sketches

train_app = typer.Typer(
    no_args_is_help=True,
    help="Tune the device model on texts of people, and learn how to mix it with a cloud model.",
)
train_app.command("device")(device)
train_app.command("export")(export)
train_app.command("extract")(extract)
train_app.command("gate")(gate)
train_app.command("sketches")(sketches)
