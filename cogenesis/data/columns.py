"""Samples as rows of a table, and back: what Parquet files and `datasets` folders hold.

    id, group, origin, general_instruction, details, instruction, text, profile,
    history: list of {title, text}, more: JSON of all other keys

Nothing is lost: `from_columns(to_columns(sample))` is the sample in the published form.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pyarrow

_PLAIN: Final = ("group", "origin", "general_instruction", "details")
_OWN: Final = frozenset({"tid", "conversations", "profile", "additional_profile", *_PLAIN})


def to_columns(sample: dict[str, Any]) -> dict[str, Any]:
    """The row of a sample in the published form, which has been validated."""
    turns = {turn["from"]: turn["value"] for turn in reversed(sample["conversations"])}
    tid = sample.get("tid")
    more = {key: value for key, value in sample.items() if key not in _OWN}
    earlier = [
        {"title": each.get("title", ""), "text": each["text"]}
        for each in sample.get("profile") or []
    ]
    return {
        "id": None if tid is None else str(tid),
        **{key: sample.get(key) for key in _PLAIN},
        "instruction": turns.get("user", turns.get("human")),
        "text": turns.get("assistant", turns.get("gpt")),
        "profile": sample.get("additional_profile") or "",
        "history": earlier,
        "more": json.dumps(more, ensure_ascii=False) if more else None,
    }


def from_columns(row: dict[str, Any]) -> dict[str, Any] | None:
    """The sample of a row, in the published form; None if the row is of another table."""
    if not {"instruction", "text", "history"} <= row.keys():
        return None
    sample: dict[str, Any] = {} if row.get("id") is None else {"tid": row["id"]}
    sample |= {key: row[key] for key in _PLAIN if row.get(key) is not None}
    sample["conversations"] = [
        {"from": "user", "value": row["instruction"]},
        {"from": "assistant", "value": row["text"]},
    ]
    if row.get("profile"):
        sample["additional_profile"] = row["profile"]
    if row["history"]:
        sample["profile"] = [
            {"title": each["title"], "text": each["text"], "id": str(number)}
            for number, each in enumerate(row["history"])
        ]
    return sample | (json.loads(row["more"]) if row.get("more") else {})


def schema() -> pyarrow.Schema:
    """The table's types; needs pyarrow."""
    import pyarrow as pa

    text = pa.string()
    return pa.schema(
        [
            *((name, text) for name in ("id", *_PLAIN, "instruction", "text", "profile")),
            ("history", pa.list_(pa.struct([("title", text), ("text", text)]))),
            ("more", text),
        ]
    )
