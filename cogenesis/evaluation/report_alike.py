"""Whether two sources tell of the same models and data, as far as they tell it.

Sources name a model or an adapter by its hash, or as it was asked for. What they do not tell in
the same way is not compared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from cogenesis.evaluation.report_inputs import Source, shown
from cogenesis.models.adapters import NO_ADAPTER, find_adapter

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_SOME: Final = "an adapter"
"""One whose hash is not told."""

_SHORT: Final = 12


def unlike(one: Source, other: Source) -> str:
    """A sentence for a caption that joins both, after a space; "" where nothing differs."""
    mine, its = _told(one), _told(other)
    differing = [
        f"{name} {_shown(mine[name])} in {one.label}, {_shown(its[name])} in {other.label}"
        for name in mine
        if name in its and _differ(mine[name], its[name])
    ]
    if not differing:
        return ""
    return (
        f" The two measurements are not of one system ({'; '.join(differing)}), so a point tells "
        "what one of them leaks and how well the other writes."
    )


def _told(source: Source) -> dict[str, str]:
    """What the source says of its device and cloud model, adapter and data."""
    models, settings = source.told.get("models"), source.told.get("settings")
    data = source.told.get("data_sha256", source.told.get("data"))
    found: dict[str, Any] = {"data": data} if isinstance(data, str) else {}
    if isinstance(models, Mapping):
        found |= {role: models[role] for role in ("device", "cloud") if role in models}
        if "device" in models:
            found["adapter"] = models.get("adapter", NO_ADAPTER)
    elif isinstance(settings, Mapping) and "adapter" in settings:
        found |= {role: settings[role] for role in ("device", "cloud") if settings.get(role)}
        found["adapter"] = _asked(settings)
    return {name: shown(value) for name, value in found.items() if isinstance(value, str)}


def _asked(settings: Mapping[str, Any]) -> str:
    """The adapter of options: a file's name, none, or null for the one that is shipped."""
    adapter, device = settings["adapter"], settings.get("device")
    if adapter == NO_ADAPTER or (adapter is None and find_adapter(str(device), None) is None):
        return NO_ADAPTER
    return _SOME


def _differ(one: str, other: str) -> bool:
    return one != other and (_SOME not in {one, other} or NO_ADAPTER in {one, other})


def _shown(value: str) -> str:
    return f"{value[:_SHORT]}…" if _HASH.fullmatch(value) else value
