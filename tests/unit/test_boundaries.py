"""The boundaries of the design, held by reading the code and by watching it run."""

from __future__ import annotations

import ast
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import DOORS, PACKAGE

MODULES = sorted(PACKAGE.rglob("*.py"))
NETWORK = {"httpx2", "httpx", "requests", "urllib.request", "http.client", "socket", "aiohttp"}


def imports(path: Path, *, run_time_only: bool = True) -> Iterator[str]:
    """Full names of what a module imports, anywhere in it, TYPE_CHECKING blocks left out."""
    tree = ast.parse(path.read_text("utf-8"))
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            skipped.update(child for part in node.body for child in ast.walk(part))
    for node in ast.walk(tree):
        if run_time_only and node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_only_the_doors_import_a_network_library(path: Path) -> None:
    used = {found for found in imports(path) if found in NETWORK}
    # A socket module is no connection by itself: local_wire and replies only close one.
    allowed = name(path) in DOORS or (name(path) == "replies.py" and used <= {"socket"})
    assert not used or allowed, f"{name(path)} imports {used}"


@pytest.mark.parametrize("folder", ["context", "privacy", "fusion"])
def test_private_folders_import_no_model_adapter(folder: str) -> None:
    # The contract's types (Prompt, Message, Sampling) are no model code.
    allowed = {"cogenesis.models.protocol", "cogenesis.models.distribution"}
    for path in (PACKAGE / folder).rglob("*.py"):
        models = {n for n in imports(path) if n.startswith("cogenesis.models")} - allowed
        assert not models, f"{name(path)} imports {models}"


def test_privacy_imports_nothing_of_models_or_context() -> None:
    for path in (PACKAGE / "privacy").rglob("*.py"):
        for found in imports(path):
            assert not found.startswith(("cogenesis.models", "cogenesis.context")), name(path)


def test_only_the_command_line_imports_the_command_line() -> None:
    for path in MODULES:
        if name(path).startswith("cli/") or name(path) == "__main__.py":
            continue
        assert not any(n.startswith("cogenesis.cli") for n in imports(path)), name(path)


def test_releases_are_minted_by_the_guard_only() -> None:
    for path in MODULES:
        if name(path) in {"privacy/released.py", "privacy/guard.py"}:
            continue
        assert "_MINT" not in path.read_text("utf-8"), name(path)


def test_public_text_is_made_of_literals() -> None:
    """`public(...)` takes a string constant and nothing computed, so no data hides in it."""
    seen = 0
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "public":
                seen += 1
                (argument,) = node.args
                assert isinstance(argument, ast.Constant), f"{name(path)}:{node.lineno}"
    assert seen > 10


def test_public_is_not_renamed_or_passed_on() -> None:
    """Where `public` is imported, every use of the name is a call, so none goes unseen."""
    for path in MODULES:
        tree = ast.parse(path.read_text("utf-8"))
        imported = [
            alias
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "cogenesis.privacy.released"
            for alias in node.names
            if alias.name == "public"
        ]
        assert all(alias.asname is None for alias in imported), name(path)
        called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in ast.walk(tree):
            if imported and isinstance(node, ast.Name) and node.id == "public":
                assert node in called, f"{name(path)}:{node.lineno}"


def test_tls_verification_cannot_be_switched_off() -> None:
    for path in MODULES:
        text = path.read_text("utf-8")
        assert "CERT_NONE" not in text, name(path)
        assert "check_hostname = False" not in text, name(path)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.keyword) and node.arg == "verify":
                off = isinstance(node.value, ast.Constant) and node.value.value is not True
                assert not off, f"{name(path)}:{node.value.lineno}"


def test_the_package_imports_quickly_and_without_heavy_libraries() -> None:
    code = (
        "import sys, time; t = time.perf_counter(); import cogenesis; "
        "print(time.perf_counter() - t, *sorted(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, *modules = out.stdout.split()
    assert float(seconds) < 0.5
    heavy = {"torch", "transformers", "xllamacpp", "wordfreq", "httpx2", "apsw", "typer"}
    assert not heavy & set(modules)


def test_modules_are_small_rooms() -> None:
    for path in MODULES:
        lines = path.read_text("utf-8").splitlines()
        assert len(lines) <= 400, f"{name(path)} has {len(lines)} lines"
        assert path.stem not in {"utils", "util", "helpers", "common", "misc"}
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                reason = "long because" in (ast.get_docstring(node) or "")
                if length > 50 and not reason:
                    # Parameters with their help texts are a declaration, not code.
                    body = (node.end_lineno or 0) - node.body[0].lineno + 1
                    assert body <= 50, f"{name(path)}:{node.lineno} {node.name}: {length} lines"


def test_the_socket_watch_would_catch_a_leak() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe,
        pytest.raises(ConnectionRefusedError, match="tried to reach"),
    ):
        probe.connect(("192.0.2.1", 80))  # a documentation address: nobody is there
