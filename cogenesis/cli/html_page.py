"""A written text as one HTML file: who decided each token, and what left the device.

The page needs nothing but itself: no script, no font, no picture, no address. Its content
security policy allows its own style sheet, named by hash, and nothing else; so even if a mark
of the text got through as markup, it could load and run nothing.

Everything that a model, the user or a server wrote goes through `plain`: invisible and
direction characters out, markup escaped, also in attributes.

Not covered: the page holds the whole text, private words included. It is written for its
owner alone (mode 0600), and who hands it on hands the text on.
"""

from __future__ import annotations

import html
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

from cogenesis.cli.decided import who_decided
from cogenesis.errors import InputError
from cogenesis.pages import PALETTE, content_policy, plain, write_private

if TYPE_CHECKING:
    from cogenesis.assistant import Result, Token

# Not by colour alone: what the cloud decided is underlined, what both decided is dotted.
STYLE: Final = (
    PALETTE
    + """body {
  background: var(--paper); color: var(--ink); max-width: 44rem; margin: 2.5rem auto;
  padding: 0 1.25rem; font: 1.0625rem/1.6 system-ui, sans-serif;
}
h1, h2 { font-size: 1rem; margin: 0 0 .75rem; }
h1, .legend, dt { color: var(--quiet); font-weight: normal; }
.text { white-space: pre-wrap; overflow-wrap: break-word; margin: 1.5rem 0 2rem; }
.device { color: var(--device); }
.cloud { color: var(--cloud); text-decoration: underline; text-underline-offset: .2em; }
.both { color: var(--both); text-decoration: underline dotted; text-underline-offset: .2em; }
section { border-top: 1px solid var(--line); padding-top: 1.25rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.25rem; margin: 0; }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .5rem; } }
"""
)

_PAGE: Final = Template(
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A text written with CoGenesis</title>
<style>$style</style>
</head>
<body>
<main>
<h1>Written with CoGenesis, mode: $mode</h1>
$legend<div class="text">$text</div>
</main>
<section>
<h2>What left this device</h2>
<dl>
$facts</dl>
</section>
</body>
</html>
"""
)

_LEGEND: Final = """<p class="legend">Each token in the colour of the model that decided it:
<span class="device">the device</span>, <span class="cloud">the cloud</span>,
<span class="both">both</span>. Point at one to see the device's weight.</p>
"""


def page(result: Result) -> str:
    """The whole page. Tokens are marked in fusion only: elsewhere the device decided them all."""
    fusion = result.mode == "fusion"
    facts = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{plain(value)}</dd>\n" for name, value in _facts(result)
    )
    # `substitute` puts in each value once: a "$" in one of them means nothing.
    return _PAGE.substitute(
        policy=content_policy(STYLE),
        style=STYLE,
        mode=plain(result.mode),
        legend=_LEGEND if fusion else "",
        text="".join(map(_marked, result.tokens)) if fusion else plain(result.text),
        facts=facts,
    )


def check_place(path: Path) -> None:
    """Refuse a place that no page can be written to, before a text is written for it.

    Raises:
        InputError: there is no such folder, or something that is no file is there.
    """
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is no folder: give --save-html another place")
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is there already and no file: give --save-html another name")


def save_page(path: Path, result: Result) -> None:
    """Write the page, readable by its owner alone; an older one is replaced whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    check_place(path)
    write_private(path, page(result))


def _marked(token: Token) -> str:
    """One token; the class is one of three words, everything else is escaped."""
    source = token.source if token.source in {"device", "cloud", "both"} else "device"
    title = f"decided by {source}, device's weight {token.weight:.2f}"
    if token.fallback is not None:
        title += f", without the cloud: {token.fallback}"
    return f'<span class="{source}" title="{plain(title)}">{plain(token.text)}</span>'


def _facts(result: Result) -> list[tuple[str, str]]:
    """What left, and what there is to know about it; nothing here is escaped yet."""
    general, fusion = result.general, result.mode == "fusion"
    facts = [("general instruction", "nothing left" if general is None else f"“{general.text}”")]
    if general is not None and general.sensitive:
        facts.append(("with sensitive words", ", ".join(general.sensitive)))
    if general is not None and general.allowed:
        facts.append(("let through by --allow", ", ".join(general.allowed)))
    if fusion:
        facts.append(("also", "the text itself as it grew, with placeholders for private spans"))
    traffic = result.traffic
    if traffic is not None:
        facts.append(("requests", f"{traffic.requests:,}, with {traffic.bytes:,} bytes"))
    if result.sketch is not None:
        facts.append(("outline that came back", " · ".join(result.sketch.points)))
    if fusion:
        facts.append(("tokens", who_decided(result).line()))
    if result.degraded is not None:
        name = "what went wrong" if fusion else "why the device wrote alone"
        facts.append((name, result.degraded.message))
    return facts
