"""What a writing command shows: to people in colour on stderr, to programs as JSON.

The text itself goes to stdout, so that it can be piped; everything about it goes to stderr.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from cogenesis.untrusted import clean, visible

if TYPE_CHECKING:
    from cogenesis.assistant import Degraded, Result
    from cogenesis.privacy.released import Finding, GeneralInstruction
    from cogenesis.sketch.outline import Sketch

_COLOURS: Final = {
    "identifier": "bold white on red",
    "sensitive": "bold white on magenta",
    "rare": "black on yellow",
    "run": "black on yellow",
}
_LEGEND: Final = (
    "[bold white on red] names, places, dates, numbers [/]  "
    "[bold white on magenta] sensitive [/]  [black on yellow] rare words of your context [/]"
)


class Screen:
    """Prints events. `quiet` leaves only the text and errors.

    `about_is_output` sends what is about a text to stdout too: in a preview it is all there is.
    """

    def __init__(self, *, quiet: bool = False, about_is_output: bool = False) -> None:
        self.out = Console(highlight=False)
        self.err = Console(stderr=not about_is_output, highlight=False, quiet=quiet)

    def heading(self, text: str) -> None:
        """A line that begins a part."""
        self.err.print(f"\n[bold cyan]{escape(text)}[/]")

    def say(self, text: str, style: str = "") -> None:
        """Plain text on stderr; it may come from anybody, so it is cleaned."""
        self.err.print(clean(text), style=style, markup=False, soft_wrap=True)

    def marked(self, text: str, findings: Sequence[Finding]) -> None:
        """A text with its private spans marked, and what the colours mean."""
        shown = Text(text)
        for finding in findings:
            shown.stylize(_COLOURS[finding.kind], finding.start, finding.end)
        self.err.print(shown, soft_wrap=True)
        self.err.print(_LEGEND)

    def general(self, general: GeneralInstruction | None) -> None:
        """What leaves of the instruction."""
        if general is None:
            self.err.print("[green]Nothing leaves this device.[/]")
            return
        self.err.print("[bold]Leaves:[/] ", end="")
        self.say(f"“{general.text}”")
        if general.sensitive:
            self.say(f"  with sensitive words: {', '.join(general.sensitive)}", "magenta")
        if general.allowed:
            self.say(f"  let through by --allow: {', '.join(general.allowed)}", "yellow")

    def sketch(self, sketch: Sketch) -> None:
        """The cloud's outline."""
        self.err.print("[bold]Outline from the cloud:[/]")
        self.say("\n".join(f"  {line}" for line in sketch.render().splitlines()), "cyan")

    def degraded(self, degraded: Degraded) -> None:
        """Why the cloud's part is missing."""
        self.err.print("[yellow]The device writes alone:[/] ", end="")
        self.say(degraded.message)

    def piece(self, text: str) -> None:
        """A piece of the text itself, on stdout."""
        self.out.out("".join(c for c in text if visible(c)), end="", highlight=False)
        self.out.file.flush()

    def summary(self, result: Result) -> None:
        """One line of figures."""
        timing = result.timing
        parts = [f"{len(result.tokens)} tokens"]
        if timing.first_token_s is not None:
            parts.append(f"first after {timing.first_token_s:.1f} s")
        if timing.tokens_per_s is not None:
            parts.append(f"then {timing.tokens_per_s:.0f} a second")
        if result.traffic is not None:
            parts.append(f"{result.traffic.requests} requests, {result.traffic.bytes:,} bytes sent")
        self.say("  ".join(parts), "dim")


def result_json(result: Result) -> str:
    """The object of `write --json` (DESIGN section 7), on one line."""
    traffic = result.traffic
    fields: dict[str, Any] = {
        "text": result.text,
        "mode": result.mode,
        "general_instruction": None if result.general is None else result.general.text,
        "sketch": None if result.sketch is None else list(result.sketch.points),
        "tokens": [
            {"text": token.text, "weight": token.weight, "source": token.source}
            for token in result.tokens
        ],
        "egress": {
            "requests": traffic.requests if traffic else 0,
            "bytes": traffic.bytes if traffic else 0,
            "round_trips": traffic.round_trips if traffic else 0,
        },
        "timing": {
            "first_token_s": result.timing.first_token_s,
            "total_s": result.timing.total_s,
            "tokens_per_s": result.timing.tokens_per_s,
            "sketch_s": result.timing.sketch_s,
            "reading_s": result.timing.reading_s,
        },
        "degraded": None if result.degraded is None else result.degraded.reason,
        "degraded_detail": None if result.degraded is None else result.degraded.message,
        "notes": list(result.notes),
        "stopped": result.stopped,
    }
    return json.dumps(fields, ensure_ascii=False)


def preview_json(
    general: GeneralInstruction | None, findings: Iterable[Finding], fixed: str, reason: str | None
) -> str:
    """The object of `write --preview --json`, on one line. Nothing was sent."""
    fields: dict[str, Any] = {
        "general_instruction": None if general is None else general.text,
        "source": None if general is None else general.source,
        "sensitive": [] if general is None else list(general.sensitive),
        "allowed": [] if general is None else list(general.allowed),
        "prompt": fixed,
        "private": [
            {"start": f.start, "end": f.end, "text": f.text, "class": f.kind, "role": f.role}
            for f in findings
        ],
        "refused": reason,
    }
    return json.dumps(fields, ensure_ascii=False)
