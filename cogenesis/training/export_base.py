"""Whether an adapter is exported for the very GGUF that it was tuned on.

An adapter fits every file of the same shapes, and only makes it write worse. The file that an
export names as its base (`cogenesis.base.sha256`) is trusted by `write --adapter`, so it is
compared with what the run wrote down, wherever there is something to compare.

Not covered: an adapter of another program, or of a base that was a folder of `transformers`.
No sum of a GGUF is known of these, and the card says so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from cogenesis.errors import InputError
from cogenesis.models.wheels import DEMO_MODELS
from cogenesis.training.run_folder import CONFIG

_RESULTS: Final = frozenset({"adapter", "model"})


def check_base(tuned: Path, base: Path, sha256: str) -> bool:
    """Refuse another GGUF than the one that the adapter was tuned on.

    Args:
        tuned: folder of the adapter.
        base: the GGUF file that it is exported for.
        sha256: of that file.

    Returns:
        Whether it was compared, see above.

    Raises:
        InputError: it is another one, or what the run wrote down is damaged.
    """
    run = tuned.resolve().parent / CONFIG
    if tuned.resolve().name not in _RESULTS or not run.is_file():
        return False
    name, wanted, gguf = _recorded(run)
    if sha256 == wanted:
        return True
    if not gguf:
        return False
    raise InputError(
        f"{tuned} was tuned on “{name}” (sha256 {wanted[:12]}…), and {base.name} is another file "
        f"(sha256 {sha256[:12]}…): on other weights it would only make texts worse. Give the "
        "tuned one as --base, or tune again on this one"
    )


def _recorded(run: Path) -> tuple[str, str, bool]:
    """The base as the run names it, its sum, and whether it was a GGUF file."""
    try:
        told: dict[str, Any] = json.loads(run.read_bytes())
        wanted, base = told["asked"]["base"], told["base"]
        name, form = base["name"], base.get("form")
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        wanted = name = form = None
    if not isinstance(wanted, str) or not isinstance(name, str):
        raise InputError(
            f"{run} is damaged: it does not say which base was tuned. Tune again; or copy the "
            "folder of the adapter elsewhere, and export that for a base that you are sure of"
        )
    if form is None:  # a run of before this was written down
        return Path(name).name, wanted, name.endswith(".gguf") or name in DEMO_MODELS
    return Path(name).name, wanted, form == "gguf"
