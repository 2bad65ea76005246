"""Samples as rows of a table, and back: what Parquet files and `datasets` folders hold.

    id, group, origin, general_instruction, details, instruction, text, profile,
    history: list of {title, text}, more: JSON of what these columns cannot hold

Nothing is lost: `from_columns(to_columns(sample))` is the sample. A key whose value the columns
would not give back as it was stands in `more` whole, too: a conversation with a system turn,
with further turns or of "human" and "gpt", earlier texts whose ids are not their places, an id
that is a number. `more` goes before the columns when the sample is read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pyarrow

_PLAIN: Final = ("group", "origin", "general_instruction", "details")


def to_columns(sample: dict[str, Any]) -> dict[str, Any]:
    """The row of a sample in the published form, which has been validated."""
    tid, turns = sample.get("tid"), sample["conversations"]
    row = {
        "id": None if tid is None else str(tid),
        **{key: sample.get(key) for key in _PLAIN},
        "instruction": _said(turns, "user", "human"),
        "text": _said(turns, "assistant", "gpt"),
        "profile": sample.get("additional_profile") or "",
        "history": [
            {"title": each.get("title", ""), "text": each["text"]}
            for each in sample.get("profile") or []
        ],
        "more": None,
    }
    fits = from_columns(row) or {}
    more = {key: value for key, value in sample.items() if key not in fits or fits[key] != value}
    return row | {"more": json.dumps(more, ensure_ascii=False) if more else None}


def _said(turns: list[dict[str, Any]], *speakers: str) -> str:
    """The first thing that one of them says: a blank turn beside one with words is none."""
    said = [turn["value"] for turn in turns if turn["from"] in speakers]
    return next((value for value in said if value.strip()), said[0] if said else "")


def from_columns(row: dict[str, Any]) -> dict[str, Any] | None:
    """The sample of a row, in the published form; None if the row is of another table."""
    if not {"instruction", "text", "history"} <= row.keys():
        return None
    try:
        return _sample_of(row)
    except (ValueError, TypeError, KeyError):  # columns of these names that hold something else
        return None


def _sample_of(row: dict[str, Any]) -> dict[str, Any]:
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
