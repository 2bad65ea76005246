"""What a build will take, before the first question: from the templates and what replies hold.

Our prompts are measured; of replies the usual lengths are taken (of the published people: a
profile 345 tokens, an instruction 40, a text 192 at the mean), and half as much again for the
JSON, the outline and what is thrown away. After the portraits the program has measured, and says
so again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from cogenesis.data.building.asking import MAX_TOKENS
from cogenesis.data.building.plan import Wanted
from cogenesis.data.building.templates import StepName, Template
from cogenesis.engines.cost import BYTES_A_TOKEN, Measured, Tokens

TOKENS_A_SECOND: Final = 40.0
"""At which one reply is taken to be written, where nothing was measured."""

_PORTRAIT, _PROFILE, _TASK, _TEXT = 200, 520, 60, 290
_OTHERS: Final = 8 * 45


def assumed(wanted: Wanted, templates: Mapping[StepName, Template]) -> Measured:
    """Calls, tokens and seconds of the whole build, if each question is asked once."""
    own = {
        step: math.ceil(sum(len(part.encode()) for part in template.fixed) / BYTES_A_TOKEN)
        for step, template in templates.items()
    }
    earlier = sum(min(at, 4) for at in range(wanted.texts)) * (_TEXT + _TASK)
    person_sent = (
        (own["profile"] + _PORTRAIT + 80)
        + (own["tasks"] + _PROFILE)
        + wanted.texts * (own["text"] + _PROFILE + _TASK)
        + earlier
    )
    person_received = _PROFILE + wanted.texts * (_TASK + _TEXT)
    sent = wanted.groups * (own["portrait"] + _OTHERS) + wanted.people * person_sent
    received = wanted.groups * _PORTRAIT + wanted.people * person_received
    most = wanted.groups * MAX_TOKENS["portrait"] + wanted.people * (
        MAX_TOKENS["profile"] + MAX_TOKENS["tasks"] + wanted.texts * MAX_TOKENS["text"]
    )
    return Measured(
        wanted.groups + wanted.people * (2 + wanted.texts),
        Tokens(sent, received),
        received / TOKENS_A_SECOND,
        sent + most,
    )
