"""A server that invents people, well or badly, for the tests of `data build`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from tests.unit.models.loopback import Handler

WORDS = [
    "harbour",
    "lantern",
    "bridge",
    "orchard",
    "violin",
    "ladder",
    "copper",
    "meadow",
    "ticket",
    "kettle",
    "marble",
    "window",
    "garden",
    "saddle",
    "ribbon",
    "cellar",
    "pepper",
    "candle",
    "anchor",
    "basket",
    "mirror",
    "pillow",
    "thunder",
    "feather",
    "gravel",
    "blanket",
    "compass",
    "drawer",
    "hammer",
    "needle",
    "parcel",
    "quarry",
    "rocket",
    "shovel",
    "tunnel",
    "velvet",
]

Step = str
Answer = Callable[[Step, str, int], Any]
"""From step, prompt and a number of the question to the reply: JSON, or a text as it is."""


def good(step: Step, prompt: str, number: int) -> Any:
    """Replies of the right form, other ones for other questions."""
    if step == "portrait":
        return {
            "occupation": f"{word(number)} maker",
            "description": f"They work {line(number, 20)}. They live {line(number + 1, 12)}.",
            "traits": ["patient", "loud"],
        }
    if step == "profile":
        return {
            "personal_traits": ["patient", "loud"],
            "writing_style": ["short sentences", "begins with the weather"],
            "private_facts": [f"Hides the {line(number + at, 5)}." for at in range(5)],
            "device_activity": [f"Monday: {line(number + 7 * at, 4)}" for at in range(4)],
            "ai_assistant": ["asked for a recipe"],
        }
    if step == "tasks":
        kinds = ["an e-mail", "a letter", "a speech", "an article", "a report", "a note", "a plan"]
        topics = ["a change of shifts", "an old friend", "good neighbours", "slow cooking"]
        topics += ["the year behind us", "a broken fence", "a summer feast"]
        return {
            "tasks": [
                {
                    "task": f"Write {kind} about {topic}",
                    "details": f"Tell them about the {line(number + at, 6)}.",
                }
                for at, (kind, topic) in enumerate(zip(kinds, topics, strict=True))
            ]
        }
    return {"outline": ["begin", "end"], "text": text(number), "facts_used": [1, 2, 77]}


def text(number: int) -> str:
    """Some sentences that no other number gives."""
    return " ".join(f"I saw {line(number + 31 * at, 9)}." for at in range(8))


def line(number: int, count: int) -> str:
    """Words that depend on the number."""
    return " ".join(word(number * 131 + at) for at in range(count))


def word(number: int) -> str:
    """One word."""
    digest = hashlib.sha256(str(number).encode()).digest()
    return WORDS[int.from_bytes(digest[:4], "big") % len(WORDS)]


def step_of(body: dict[str, Any]) -> Step:
    """Which step asks: by the first line of our templates."""
    first = body["messages"][0]["content"]
    for step, mark in {
        "portrait": "group portrait",
        "profile": "You invent one person",
        "tasks": "occasions for writing",
    }.items():
        if mark in first:
            return step
    return "text"


def server(answer: Answer = good) -> Callable[[Handler], None]:
    """For `Loopback`: a chat server that answers so."""

    def handle(handler: Handler) -> None:
        body = handler.asked.body
        prompt = body["messages"][-1]["content"]
        told = json.dumps([body["messages"], body.get("seed")])
        number = int.from_bytes(hashlib.sha256(told.encode()).digest()[:4], "big")
        value = answer(step_of(body), prompt, number)
        content = value if isinstance(value, str) else json.dumps(value)
        handler.send_json(
            {
                "choices": [{"message": {"content": content}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 100, "completion_tokens": 50},
            }
        )

    return handle
