"""Of the private side the ledger keeps nothing: neither context, instruction, text nor reply."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cogenesis.assistant import Assistant, Task
from cogenesis.context.private_context import Activity, PrivateContext, ProfileField, Writing
from cogenesis.models.cloud_connection import CloudConnection
from cogenesis.models.scripted import ScriptedModel
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint
from cogenesis.privacy.ledger import Ledger
from tests.unit.models.loopback import Handler, Loopback
from tests.unit.privacy.ledger_samples import behind_its_back

CANARIES = (
    "Quokkazanzi Vrelmoort",
    "4417-9920-3381",
    "vrelmoort.q@example.org",
    "Blenkhorstraat",
    "gorfwimble",
    "splendiferoony",
)
NAME, NUMBER, MAIL, STREET, RARE, TEXT = CANARIES
CONTEXT = PrivateContext(
    fields=[ProfileField("Name", NAME), ProfileField("E-mail", MAIL)],
    activities=[Activity("calendar", f"Meet at 12 {STREET}, member number {NUMBER}")],
    writings=[Writing("An old note", f"The {RARE} roof stayed on, thank goodness.")],
)
INSTRUCTION = (
    "Write a letter to a neighbour about the garden fence: "
    f"sign it {NAME}, say that I live at 12 {STREET} and that my number is {NUMBER}"
)
REPLY_CANARY = "blorptastic"
OUTLINE = "\n".join(f"{n}. Say the {REPLY_CANARY} thing number {n}" for n in range(1, 7))


def outline(handler: Handler) -> None:
    if handler.command == "GET":
        handler.send_json({}, 404)
        return
    handler.send_json({"choices": [{"message": {"content": OUTLINE}, "finish_reason": "stop"}]})


def failing(handler: Handler) -> None:
    status = 404 if handler.command == "GET" else 500
    handler.send_json({"error": {"message": f"{REPLY_CANARY} broke"}}, status)


@pytest.mark.parametrize("answer", [outline, failing])
def test_after_a_write_the_export_shows_nothing_of_the_context(
    tmp_path: Path, answer: Callable[[Handler], None]
) -> None:
    path = tmp_path / "ledger.sqlite"
    device = ScriptedModel([f"Dear neighbour, the {TEXT} fence. {NAME}"] * 3)
    with Loopback(answer) as server, Ledger.open(path) as ledger:
        with Egress(CloudEndpoint.parse(server.url), ledger, first_wait_s=0.01) as egress:
            cloud = CloudConnection(egress, "some-model")
            result = Assistant(device, cloud=cloud).write(Task(INSTRUCTION, CONTEXT))
        assert TEXT in result.text
        out = io.StringIO()
        assert ledger.export(out) >= 2
        assert ledger.verify().ok
    records = [json.loads(line) for line in out.getvalue().splitlines()]
    bodies = [json.dumps(asked.body) for asked in server.asked]
    assert any("garden fence" in body for body in bodies)  # the write did reach the cloud
    connection = behind_its_back(path)
    pages = connection.serialize("main")
    connection.close()
    assert b"garden fence" in pages
    for canary in (*CANARIES, *NAME.split(), "Vrelmoort", REPLY_CANARY):
        # The export's bodies are base64: the decrypted pages show them as they are.
        assert canary.lower() not in out.getvalue().lower()
        assert canary.lower().encode() not in pages.lower()
    assert {record["kind"] for record in records} == {"request", "outcome"}
