"""What a writing command shows: to people in colour on stderr, to programs as JSON.

The text itself goes to stdout, so that it can be piped; everything about it goes to stderr.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from cogenesis.cli.decided import who_decided
from cogenesis.untrusted import clean, visible

if TYPE_CHECKING:
    from cogenesis.assistant import Degraded, Result, Token
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

# The colours of the paper's Figure 6; legible on dark and on light terminals.
_SOURCES: Final = {"device": "dodger_blue1", "cloud": "red1", "both": "medium_orchid"}


class Screen:
    """Prints events. `quiet` leaves only the text and errors; `text` false leaves that out too.

    `about_is_output` sends what is about a text to stdout too: in a preview it is all there is.
    """

    def __init__(
        self, *, quiet: bool = False, text: bool = True, about_is_output: bool = False
    ) -> None:
        self.out = Console(highlight=False)
        self.err = Console(stderr=not about_is_output, highlight=False, quiet=quiet)
        self._text = text

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

    def degraded(self, degraded: Degraded, *, late: bool = False) -> None:
        """Why the cloud's part is missing; `late` if it went missing in the running text."""
        lead = "Not all went well" if late else "The device writes alone"
        self.err.print(f"[yellow]{lead}:[/] ", end="")
        self.say(degraded.message)

    def legend(self) -> None:
        """What the colours of the tokens mean; nothing where stdout shows none."""
        if self._text and self.out.color_system is not None and not self.out.no_color:
            names = {"device": "the device", "cloud": "the cloud", "both": "both"}
            colours = ", ".join(f"[{_SOURCES[key]}]{name}[/]" for key, name in names.items())
            self.err.print(f"Each token in the colour of the model that decided it: {colours}.")

    def piece(self, text: str, style: str | None = None) -> None:
        """A piece of the text itself, on stdout. A style shows on terminals only."""
        if self._text:
            shown = "".join(c for c in text if visible(c))
            self.out.out(shown, style=style, end="", highlight=False)
            self.out.file.flush()

    def token(self, token: Token, *, by_source: bool) -> None:
        """A token of the text, `by_source` in the colour of the model that decided it."""
        self.piece(token.text, _SOURCES[token.source] if by_source else None)

    def summary(self, result: Result) -> None:
        """One line of figures; in fusion a second one about the two models."""
        timing = result.timing
        parts = [f"{len(result.tokens)} tokens"]
        if timing.first_token_s is not None:
            parts.append(f"first after {timing.first_token_s:.1f} s")
        if timing.tokens_per_s is not None:
            parts.append(f"then {timing.tokens_per_s:.0f} a second")
        if result.traffic is not None:
            parts.append(f"{result.traffic.requests} requests, {result.traffic.bytes:,} bytes sent")
        self.say("  ".join(parts), "dim")
        if result.mode == "fusion":
            self.say(who_decided(result).line(), "dim")


def result_json(result: Result) -> str:
    """The object of `write --json` (DESIGN section 7), on one line."""
    return json.dumps(result_object(result), ensure_ascii=False)


def result_object(result: Result) -> dict[str, Any]:
    """The same before it is written as JSON."""
    traffic = result.traffic
    return {
        "text": result.text,
        "mode": result.mode,
        "general_instruction": None if result.general is None else result.general.text,
        "sketch": None if result.sketch is None else list(result.sketch.points),
        "tokens": [_token_object(token) for token in result.tokens],
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
        "fusion": None if result.fusion is None else asdict(result.fusion),
        "degraded": None if result.degraded is None else result.degraded.reason,
        "degraded_detail": None if result.degraded is None else result.degraded.message,
        "notes": list(result.notes),
        "stopped": result.stopped,
    }


def _token_object(token: Token) -> dict[str, Any]:
    fields: dict[str, Any] = {"text": token.text, "weight": token.weight, "source": token.source}
    return fields if token.fallback is None else {**fields, "fallback": token.fallback}


def preview_json(
    general: GeneralInstruction | None,
    findings: Iterable[Finding],
    fixed: str,
    reason: str | None,
    also_sends: str | None = None,
) -> str:
    """The object of `write --preview --json`, on one line. Nothing was sent.

    `also_sends` says what else would leave and cannot be shown yet; null if nothing.
    """
    fields: dict[str, Any] = {
        "general_instruction": None if general is None else general.text,
        "source": None if general is None else general.source,
        "sensitive": [] if general is None else list(general.sensitive),
        "allowed": [] if general is None else list(general.allowed),
        "prompt": fixed,
        "also_sends": also_sends,
        "private": [
            {"start": f.start, "end": f.end, "text": f.text, "class": f.kind, "role": f.role}
            for f in findings
        ],
        "refused": reason,
    }
    return json.dumps(fields, ensure_ascii=False)
