"""`cogenesis ledger` shows what left, safely, and says plainly when it was tampered with."""

from __future__ import annotations

import json
import stat
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from cogenesis.cli.ledger import ledger_app, printable, text_fields
from cogenesis.errors import InputError, LedgerError
from cogenesis.privacy.ledger import Ledger, LedgerEntry, Outcome
from tests.unit.privacy.key_samples import forget_keys
from tests.unit.privacy.key_samples import quick as quick
from tests.unit.privacy.ledger_samples import tampering

LONG = "An outline for a letter to a friend. " * 20 + "The end."
EVIL = "\x1b[31mred\x1b]0;title\x07 [bold]no markup[/bold] \u202egnp.exe \x9b2J :smile:"


def body(*contents: str) -> bytes:
    messages = [{"role": "user", "content": content} for content in contents]
    return json.dumps({"model": "big", "messages": messages, "n": 1}, ensure_ascii=False).encode()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COGENESIS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def path(home: Path) -> Path:
    """The default ledger with three requests."""
    path = home / "ledger.sqlite"
    url = "https://cloud.example:8443/v1/chat/completions"
    headers = (("content-type", "application/json"), ("authorization", "<secret>"))
    with Ledger.open(path) as ledger:
        row = ledger.append(LedgerEntry("probe", "GET", url, headers, b"", 1))
        ledger.outcome(row, Outcome(200, "", 2048, 0.25))
        row = ledger.append(LedgerEntry("outline", "POST", url, headers, body(LONG, "größer"), 1))
        ledger.outcome(row, Outcome(None, "timeout", 0, 30.0))
        ledger.append(LedgerEntry("outline", "POST", url, headers, body(EVIL), 2, "allowed: Ada"))
    return path


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(ledger_app, [str(argument) for argument in arguments])


def test_show_lists_requests_newest_first_with_their_text(path: Path) -> None:
    result = invoke("show")
    assert result.exit_code == 0, result.output
    titles = [line for line in result.stdout.splitlines() if line.startswith("#")]
    assert [title.split()[0] for title in titles] == ["#5", "#3", "#1"]
    assert titles[0].endswith("UTC  outline (attempt 2) to cloud.example:8443")
    assert titles[2].endswith("UTC  probe to cloud.example:8443")
    assert f"{len(body(LONG, 'größer')):,} bytes sent; timeout, 0 bytes back in 30.00 s" in (
        result.stdout
    )
    assert "0 bytes sent; 200, 2,048 bytes back in 0.25 s" in result.stdout
    assert "what came back is not known" in result.stdout
    assert "note: allowed: Ada" in result.stdout
    assert "messages[1].content: größer" in result.stdout


def test_long_text_is_cut_unless_asked_for_in_full(path: Path) -> None:
    short = invoke("show").stdout
    assert f"messages[0].content: {LONG[:200]} … and {len(LONG) - 200} more characters" in short
    assert "The end." not in short
    full = invoke("show", "--full").stdout
    assert f"messages[0].content: {LONG}\n" in full
    assert "request: POST https://cloud.example:8443/v1/chat/completions" in full
    assert "header authorization: <secret>" in full


@pytest.mark.parametrize("option", ["--full", "--json", "--limit=9"])
def test_nothing_sent_can_steer_the_terminal(path: Path, option: str) -> None:
    shown = invoke("show", option).stdout
    assert {c for c in shown if unicodedata.category(c) in {"Cc", "Cf"}} == {"\n"}
    assert ("\\u001b[31mred" if option == "--json" else "\\x1b[31mred\\x1b]0;title\\x07") in shown
    assert "[bold]no markup[/bold]" in shown
    assert "\\u202egnp.exe" in shown
    assert ":smile:" in shown


def test_show_json_holds_the_exact_body(path: Path) -> None:
    rows = json.loads(invoke("show", "--json", "--limit", "2").stdout)
    assert [row["row"] for row in rows] == [5, 3]
    assert rows[0]["body"].encode() == body(EVIL)
    assert (rows[0]["bytes"], rows[0]["attempt"]) == (len(body(EVIL)), 2)
    assert (rows[0]["note"], rows[0]["outcome"]) == ("allowed: Ada", None)
    assert rows[1]["outcome"] == {
        "status": None, "error": "timeout", "received": 0, "seconds": 30.0
    }  # fmt: skip


def test_a_body_that_is_no_text_is_shown_all_the_same(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.append(LedgerEntry("outline", "POST", "https://h/", (), b"\xff\x00{", 1))
    assert "body: \\xff\\x00{" in invoke("show", "--limit", "1").stdout
    (row,) = json.loads(invoke("show", "--limit", "1", "--json").stdout)
    assert row["body_base64"] == "/wB7"


def test_verify_names_the_head_and_ends_with_zero(path: Path) -> None:
    with Ledger.open(path) as ledger:
        head = ledger.verify().head
    result = invoke("verify", "--ledger", path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "5 rows checked" in result.stdout
    assert f"row 5, {head}" in result.stdout


def test_verify_ends_with_three_and_names_the_row(path: Path) -> None:
    with tampering(path) as connection:
        connection.execute("UPDATE records SET note = '' WHERE row = 5")
    result = invoke("verify")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "row 5 was changed after it was written" in result.stderr
    assert "4 rows before that are good" in result.stderr


def test_verify_misses_a_removed_ledger(path: Path) -> None:
    path.unlink()
    result = invoke("verify")
    assert result.exit_code == 3
    assert "the last 5 of 5 rows are missing" in result.stderr


def test_export_writes_a_private_file_once(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "sent.jsonl"
    assert invoke("export", file).exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    written = file.read_text()
    assert [json.loads(line)["row"] for line in written.splitlines()] == [1, 2, 3, 4, 5]
    assert invoke("export").stdout == written
    again = invoke("export", file)
    assert isinstance(again.exception, InputError)
    assert "exists already" in str(again.exception)
    assert isinstance(invoke("export", tmp_path / "none" / "x").exception, InputError)
    assert file.read_text() == written


def test_no_ledger_yet_is_no_error_and_makes_none(home: Path) -> None:
    assert json.loads(invoke("show", "--json").stdout) == []
    for command in ("show", "verify", "export"):
        result = invoke(command)
        assert result.exit_code == 0
        assert "nothing was sent" in result.output.lower()
    assert list(home.iterdir()) == []


def test_an_empty_ledger_says_so(home: Path) -> None:
    Ledger.open(home / "ledger.sqlite").close()
    assert "Nothing was sent" in invoke("show").stdout
    assert "0 rows checked" in invoke("verify").stdout


@pytest.mark.parametrize("command", ["show", "verify", "export"])
def test_a_wrong_path_is_named(command: str, tmp_path: Path) -> None:
    result = invoke(command, "--ledger", tmp_path / "typo.sqlite")
    assert isinstance(result.exception, InputError)
    assert "typo.sqlite" in str(result.exception)
    diary = tmp_path / "diary.txt"
    diary.write_text("Dear diary, " * 100)
    for wrong in (diary, tmp_path):
        result = invoke(command, "--ledger", wrong)
        assert isinstance(result.exception, LedgerError)
    assert list(tmp_path.iterdir()) == [diary]


@pytest.mark.parametrize("command", ["show", "verify", "export"])
def test_help_gives_an_example(command: str) -> None:
    assert f"cogenesis ledger {command}" in invoke(command, "--help").stdout


def test_text_fields_finds_every_string_with_its_place() -> None:
    found = text_fields(
        b'{"a": ["x", {"b": "y"}], "a": "z", "c": {}, "d": [1, null, true], "e": ""}'
    )
    assert list(found) == [("a[0]", "x"), ("a[1].b", "y"), ("a", "z"), ("e", "")]
    assert list(text_fields(b'"alone"')) == [("body", "alone")]
    assert list(text_fields(b"not json")) == [("body", "not json")]
    assert list(text_fields(b"")) == []


@given(st.text(st.characters(), max_size=40))
def test_printable_leaves_nothing_that_is_obeyed_or_hidden(text: str) -> None:
    shown = printable(text)
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert not {unicodedata.category(c) for c in shown} & hidden
    if not {unicodedata.category(c) for c in text} & hidden:
        assert shown == text


# ---------------------------------------------------------------- forgetting and the key


def test_help_has_examples_of_every_kind_of_use() -> None:
    shown = invoke("--help").stdout
    for command in ("show", "verify", "export", "forget --before", "rekey --passphrase"):
        assert f"cogenesis ledger {command}" in shown
    for command in ("forget", "rekey"):
        assert f"cogenesis ledger {command}" in invoke(command, "--help").stdout


def test_forget_asks_first_and_verify_says_what_is_gone(path: Path) -> None:
    refused = CliRunner().invoke(ledger_app, ["forget", "--before", "2999-01-01"], input="n\n")
    assert refused.exit_code == 1
    assert len(json.loads(invoke("show", "--json").stdout)) == 3
    early = invoke("forget", "--before", "2001-01-01", "--yes")
    assert "nothing was forgotten" in early.stdout
    result = invoke("forget", "--before", "2999-01-01", "--yes")
    assert (result.exit_code, result.stdout) == (
        0, "Rows up to 5 are forgotten. Row 6 says so.\n"
    )  # fmt: skip
    assert invoke("show", "--json").stdout == "[]\n"
    checked = invoke("verify").stdout
    assert "Rows 1 to 5 were forgotten (all from before 2999-01-01T00:00:00.000Z)." in checked
    assert "1 rows checked" in checked
    assert invoke("forget", "--before", "yesterday", "--yes").exit_code == 2


@pytest.mark.parametrize("command", [["forget", "--before", "2999-01-01", "--yes"], ["rekey"]])
def test_upkeep_without_a_ledger_makes_none(home: Path, command: list[str]) -> None:
    result = invoke(*command)
    assert result.exit_code == 0
    assert "There is no ledger yet" in result.stdout
    assert list(home.iterdir()) == []


def test_rekey_takes_a_passphrase_from_the_terminal_or_the_environment_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    typed = CliRunner().invoke(
        ledger_app, ["rekey", "--passphrase"], input="first words\nfirst words\n"
    )
    assert typed.exit_code == 0, typed.output
    assert "locked with the passphrase, for ledger.sqlite" in typed.stdout
    assert "first words" not in typed.output
    forget_keys()
    assert isinstance(invoke("show").exception, LedgerError)
    monkeypatch.setenv("COGENESIS_PASSPHRASE", "first words")
    monkeypatch.setenv("COGENESIS_NEW_PASSPHRASE", "second words")
    assert invoke("rekey").exit_code == 0
    forget_keys()
    assert "is not that of the ledger" in str(invoke("show").exception)
    monkeypatch.setenv("COGENESIS_PASSPHRASE", "second words")
    assert "5 rows checked" in invoke("verify").stdout
    assert "in a file" in invoke("rekey", "--key-file").stdout
    both = invoke("rekey", "--key-file", "--keyring")
    assert isinstance(both.exception, InputError)


def test_no_option_takes_a_passphrase() -> None:
    """An argument would be in the list of processes, for every user of the device to read."""
    commands: dict[str, Any] = vars(typer.main.get_command(ledger_app))["commands"]
    assert "rekey" in commands
    for name, one in commands.items():
        for option in one.params:
            if "pass" in (option.name or "") or "key" in (option.name or ""):
                assert getattr(option, "is_flag", False), (name, option.name)
