"""Models on this machine that have read the same before each text, whichever text came before.

llama.cpp keeps what it read last and reads only the rest of a new prompt, and what some models
say (Gemma 3 270M in four bits, by up to 0.27 in a log-probability) depends a little on what is
read in one go. So the same text with the same seed came out otherwise after another one. After a
fixed text, nothing but the beginning of the template is kept.

Not covered: a server that is not ours, which is asked nothing for this.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from cogenesis.errors import CloudError
from cogenesis.models import LlamaCpp, LlamaServer
from cogenesis.models.protocol import CloudModel, DeviceModel, Message, Prompt, Sampling
from cogenesis.privacy.released import public

_FIXED: Final = public("The quick brown fox jumps over the lazy dog.")
_PROMPT: Final[Prompt[Any]] = Prompt(messages=(Message("user", (_FIXED,)),), completion=(_FIXED,))
_ONE: Final = Sampling(temperature=0.0, top_p=1.0, top_k=1, max_tokens=1)


def even_device(device: DeviceModel) -> None:
    """Have a device model read a fixed text: a fraction of a second.

    Raises:
        ModelError: it failed.
    """
    if isinstance(device, LlamaCpp | LlamaServer):
        device.next_distribution(device.encode(_PROMPT), 1)


def even_cloud(cloud: CloudModel) -> None:
    """Have a cloud model of this machine do the same, through egress and ledger as always.

    Raises:
        PrivacyError: nothing may be sent.
    """
    with suppress(CloudError):  # the text that follows will tell
        for _ in cloud.generate(_PROMPT, _ONE):
            pass
