"""An outline on its way, and how waiting for it ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from cogenesis.errors import CloudError
from cogenesis.models.protocol import Piece
from cogenesis.models.scripted import ScriptedModel
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.sketch.prompt import OUTLINE_SAMPLING
from cogenesis.sketch.request import SketchRequest
from cogenesis.wire import Deadline


class Deaf(ScriptedModel):
    """A cloud model that nobody can hang up on."""

    def __init__(self) -> None:
        super().__init__(seed=1)
        self.begun, self.end = threading.Event(), threading.Event()

    def generate(self, *_: Any, **__: Any) -> Iterator[Piece]:
        self.begun.set()
        self.end.wait(120)
        yield Piece("1. too late")


def test_whoever_cancels_does_not_wait_for_the_server() -> None:
    cloud = Deaf()
    general = Guard(Lexicon(())).release("Write a letter about a garden")
    request = SketchRequest(cloud, general, OUTLINE_SAMPLING, Deadline(120.0))
    assert cloud.begun.wait(20)
    threading.Timer(0.05, request.cancel).start()
    with pytest.raises(CloudError, match="cancelled"):
        request.result()
    assert not cloud.end.is_set()
    cloud.end.set()
