"""`cogenesis write` without a model: previews, refusals, bad input, exit codes."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints

import pytest

from cogenesis import events
from cogenesis.cli import main, privacy_options, write
from cogenesis.demo import DEMO_INSTRUCTION
from cogenesis.fusion.mixing import RULES
from cogenesis.fusion.settings import SCHEDULES, FusionSettings
from cogenesis.models import cloud_connection
from cogenesis.privacy.policy import LEVELS

PERSON = Path(__file__).resolve().parents[3] / "cogenesis" / "demo" / "person.json"


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.setenv("COGENESIS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "argv", ["cogenesis", *arguments])
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 1, captured.out, captured.err)

    return call


def test_a_preview_shows_what_would_leave_and_what_is_private(run: Run) -> None:
    done = run("write", DEMO_INSTRUCTION, "-c", str(PERSON), "--preview", "--json")
    assert done.code == 0
    preview = done.json
    assert preview["general_instruction"] == (
        "Write an e-mail to my choir to move next week's rehearsal"
    )
    assert preview["source"] == "title"
    private = {DEMO_INSTRUCTION[f["start"] : f["end"]] for f in preview["private"]}
    assert {"Tobias Merrin", "Saltmarsh Clinic"} <= private
    assert preview["general_instruction"] in preview["prompt"]
    assert "Tobias" not in preview["prompt"]


def test_a_preview_for_people_marks_and_says_that_nothing_was_sent(run: Run) -> None:
    done = run("write", DEMO_INSTRUCTION, "-c", str(PERSON), "--preview")
    assert done.code == 0
    assert "nothing was sent" in done.out
    assert "Leaves:" in done.out


def test_a_preview_of_fusion_says_that_the_text_leaves_too(run: Run) -> None:
    arguments = ("write", DEMO_INSTRUCTION, "-c", str(PERSON), "--mode", "fusion", "--preview")
    preview = run(*arguments, "--json").json
    assert preview["general_instruction"] in preview["prompt"]
    assert "Title" in preview["prompt"] or "Write this text" in preview["prompt"]
    assert "Tobias" not in preview["prompt"]
    done = run(*arguments)
    assert done.code == 0
    for told in (preview["also_sends"], " ".join(done.out.split())):
        assert "the text itself leaves too, as it grows" in told
        assert "placeholders" in told
        assert "Number, order and position of these spans stay visible" in told
    assert "in fusion mode (nothing was sent)" in done.out
    sketch = run("write", DEMO_INSTRUCTION, "-c", str(PERSON), "--preview", "--json").json
    assert sketch["also_sends"] is None


@pytest.mark.parametrize(
    ("mode", "kind", "forms"),
    [
        ("sketch", "auto", "both"),
        ("fusion", "llama-server", "both"),
        ("sketch", "vllm", "turns"),
        ("fusion", "vllm", "both"),
        ("fusion", "openai-chat", "turns"),
        ("fusion", "openai-echo", "text"),
        ("sketch", "openai-completion", "text"),
    ],
)
def test_a_preview_shows_each_form_that_the_server_may_get(
    mode: str, kind: str, forms: str, run: Run
) -> None:
    arguments = ("write", DEMO_INSTRUCTION, "--mode", mode, "--cloud-kind", kind, "--preview")
    prompt = run(*arguments, "--json").json["prompt"]
    begins = {"both": "To an instruct model, as turns:\nuser: ", "turns": "user: "}
    text = "Title: " if mode == "fusion" else "Each text below has"
    assert prompt.startswith(begins.get(forms, text))
    assert (text in prompt) == (forms != "turns")
    assert ("depends on the model" in prompt) == (forms == "both")


def test_the_level_of_the_policy_decides_what_a_preview_shows(run: Run, tmp_path: Path) -> None:
    mine = tmp_path / "me.json"
    mine.write_text(json.dumps({"profile": [{"title": "Notes", "text": "I made some pottery."}]}))
    told = ("write", "please tell our school about pottery and the garden", "-c", str(mine))
    assert "pottery" not in run(*told, "--preview", "--json").json["general_instruction"]
    loose = run(*told, "--policy", "standard", "--preview")
    assert "pottery and the garden”" in " ".join(loose.out.split())
    assert "Policy “standard”: No identifier" in loose.out
    unknown = run(*told, "--policy", "loose", "--preview")
    assert unknown.code == 2
    assert "'strict', 'standard', 'identifiers'" in unknown.err


def test_a_recogniser_that_cannot_be_had_says_what_to_do(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr("cogenesis.privacy.presidio.import_module", missing)
    done = run("write", "A note: x", "--preview", "--recogniser", "presidio")
    assert done.code == 5
    assert "pip install 'cogenesis[recogniser]'" in done.err
    done = run("write", "A note: x", "--preview", "--recogniser", "oracle")
    assert done.code == 2
    assert "give presidio" in done.err


def test_fusion_that_is_refused_sends_nothing_and_says_so(run: Run) -> None:
    preview = run("write", "Tobias Merrin", "-c", str(PERSON), "--mode", "fusion", "--preview")
    assert "Nothing leaves this device" in preview.out
    assert "leaves too" not in preview.out


def test_sensitive_words_leave_only_by_general_and_are_named(run: Run) -> None:
    instruction = "A letter about my divorce: to Anselm"
    titled = run("write", instruction, "--preview", "--json").json
    assert titled["general_instruction"] == "A letter about something personal"
    assert titled["sensitive"] == []
    given = ("write", instruction, "--general", "A letter about my divorce", "--preview")
    done = run(*given, "--json").json
    assert done["general_instruction"] == "A letter about my divorce"
    assert done["sensitive"] == ["divorce"]
    assert "with sensitive words: divorce" in run(*given).out


def test_a_refused_instruction_says_so_in_the_preview(run: Run) -> None:
    done = run("write", "Tobias Merrin", "-c", str(PERSON), "--preview", "--json")
    assert done.code == 0
    assert done.json["general_instruction"] is None
    assert "--general" in done.json["refused"]


def test_a_private_general_part_is_refused_and_named_on_the_screen(run: Run) -> None:
    done = run(
        "write", "A note", "--general", "A note to Tobias Merrin", "-c", str(PERSON), "--preview"
    )
    assert done.code == 3
    assert "Tobias Merrin" in done.err
    assert done.out == ""


def test_an_allowed_word_is_let_through_and_shown(run: Run) -> None:
    arguments = ("write", "x", "--general", "A note to Tobias Merrin", "-c", str(PERSON))
    done = run(*arguments, "--allow", "Tobias", "--allow", "Merrin", "--preview", "--json")
    assert done.code == 0
    assert done.json["general_instruction"] == "A note to Tobias Merrin"
    assert done.json["allowed"] == ["Tobias", "Merrin"]


def test_the_instruction_from_standard_input(run: Run) -> None:
    done = run("write", "-", "--preview", "--json", stdin="A toast: für Jürgen".encode())
    assert done.json["general_instruction"] == "A toast"
    assert run("write", "-", "--preview", stdin=b"\xff\xfe\x00").code == 2


def test_a_gate_with_another_adapter_is_told(run: Run) -> None:
    """The address is refused before anything is loaded; the warning comes before."""
    line = ("write", "A note: x", "--mode", "fusion", "--gate", "demo", "--cloud-url", "http://x.y")
    assert "warning" not in run(*line).err
    for more in ((), ("--json",)):
        assert "warning: this gate was fitted" in run(*line, "--adapter", "none", *more).err
    assert "warning" not in run(*line, "--adapter", "none", "--quiet").err
    assert "warning" not in run(*line, "--device", "http://127.0.0.1:9").err


@pytest.mark.parametrize("instruction", ["", "  ", "word " * 20_000])
def test_impossible_instructions(instruction: str, run: Run) -> None:
    done = run("write", instruction, "--preview")
    assert done.code == 2
    assert "error:" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no"),
        (b"", "empty"),
        (b"not json CANARY", "JSON"),
        (b"[1, 2]", ""),
        (b'{"cogenesis": 1, "profil": {"Name": "CANARY"}}', "profil"),
    ],
)
def test_bad_context_files(content: bytes | None, says: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "context.json"
    if content is not None:
        path.write_bytes(content)
    done = run("write", "A note: x", "-c", str(path), "--preview")
    assert done.code == 2
    assert says.lower() in done.err.lower()
    assert "CANARY" not in done.err


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://example.com", 3),
        ("https://user:secret@example.com", 3),
        ("nonsense", 3),
    ],
)
def test_cloud_addresses_are_checked_before_anything_is_loaded(
    url: str, code: int, run: Run
) -> None:
    done = run("write", "A note: x", "--cloud-url", url)
    assert done.code == code
    assert "error:" in done.err
    assert "secret" not in done.err


def test_a_named_key_that_is_not_set_is_a_mistake(run: Run) -> None:
    done = run(
        "write", "A note: x", "--cloud-url", "http://127.0.0.1:9", "--cloud-key-env", "NO_KEY"
    )
    assert done.code == 2
    assert "NO_KEY" in done.err


@pytest.mark.parametrize("mode", ["sketch", "fusion"])
def test_both_modes_with_a_cloud_need_one(mode: str, run: Run) -> None:
    done = run("write", "A note: x", "--mode", mode)
    assert done.code == 2
    assert f"{mode} mode needs a cloud model" in done.err
    assert "--cloud-url" in done.err


def test_the_choices_of_options_are_those_of_the_library() -> None:
    """They are written out once more, so that --help loads no model code."""
    settings = get_type_hints(FusionSettings)
    assert set(get_args(write.Mode)) == set(get_args(events.Mode))
    assert get_args(write.CloudKind) == get_args(cloud_connection.CloudKind)
    assert list(get_args(privacy_options.Level)) == list(LEVELS)
    assert set(get_args(write.Rule)) == set(RULES)
    assert set(get_args(write.Schedule)) == set(SCHEDULES)
    assert get_args(write.Decoding) == get_args(settings["decoding"])


@pytest.mark.parametrize(
    "option",
    [
        ("--weight", "0.7"),
        ("--rule", "product"),
        ("--decoding", "lockstep"),
        ("--schedule", "paper"),
    ],
)
def test_settings_of_fusion_are_no_wishes_of_other_modes(option: tuple[str, str], run: Run) -> None:
    done = run("write", "A note: x", *option, "--preview")
    assert done.code == 2
    assert f"{option[0]} belongs to fusion: add --mode fusion" in done.err
    assert run("write", "A note: x", *option, "--preview", "--mode", "fusion").code == 0


@pytest.mark.parametrize(
    "option", [("--weight", "1.1"), ("--weight", "-0.1"), ("--rule", "magic"), ("--schedule", "x")]
)
def test_impossible_settings_of_fusion(option: tuple[str, str], run: Run) -> None:
    assert run("write", "A note: x", "--mode", "fusion", "--preview", *option).code == 2


def test_a_page_that_cannot_be_saved_is_told_before_anything_is_written(
    run: Run, tmp_path: Path
) -> None:
    done = run("write", "A note: x", "--save-html", str(tmp_path / "no" / "page.html"))
    assert done.code == 2
    assert "--save-html" in done.err
    done = run("write", "A note: x", "--save-html", str(tmp_path / "page.html"), "--preview")
    assert done.code == 2
    assert "--preview" in done.err


@pytest.mark.parametrize("content", [None, b"", b"GGUF", b"<html>"])
def test_a_device_model_that_cannot_be_loaded(
    content: bytes | None, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    done = run("write", "A note: x", "--device", str(path))
    assert done.code == 4
    assert "error:" in done.err
    assert "Traceback" not in done.err


def test_an_unexpected_fault_shows_lines_of_code_but_no_private_text(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path, **options: object) -> None:
        private = "CANARY"
        raise ValueError(f"something with {private}")

    monkeypatch.setattr("cogenesis.context.reader.read_context", broken)
    done = run("write", "A note: x", "-c", str(PERSON), "--preview")
    assert done.code == 1
    assert "ValueError" in done.err
    assert "CANARY" not in done.err.replace('private = "CANARY"', "")


@pytest.mark.parametrize("command", [[], ["write"], ["demo"], ["cloud"], ["models"], ["ledger"]])
def test_every_command_has_help_with_examples(command: list[str], run: Run) -> None:
    done = run(*command, "--help")
    assert done.code == 0
    if command in (["write"], ["demo"], ["cloud"]):
        assert "Examples" in done.out


def test_the_version(run: Run) -> None:
    assert run("--version").out.startswith("cogenesis 0.")
