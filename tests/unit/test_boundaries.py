"""The boundaries of the design, held by reading the code and by watching it run."""

from __future__ import annotations

import ast
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import DOORS, LEAKS, PACKAGE

MODULES = sorted(PACKAGE.rglob("*.py"))
NETWORK = {"httpx2", "httpx", "requests", "urllib.request", "http.client", "socket", "aiohttp"}

RELEASED = "cogenesis.privacy.released"
MAKERS = {"public", "Setting"}
"""What turns a plain string into a released one without the guard."""

# The modules that may call `Setting.of`, and with what.
SETTINGS = {"models/cloud_connection.py": "the model's name from the configuration"}


@pytest.fixture(scope="module", autouse=True)
def trees_are_forgotten() -> Iterator[None]:
    """Else the garbage collector goes through them in all later tests."""
    yield
    nodes.cache_clear()


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All of a module's syntax tree, the module first. Read once for all tests."""
    return tuple(ast.walk(ast.parse(path.read_text("utf-8"))))


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Full names of what a module imports, anywhere in it, TYPE_CHECKING blocks left out."""
    found: list[str] = []
    skipped: set[ast.AST] = set()
    for node in nodes(path):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            skipped.update(child for part in node.body for child in ast.walk(part))
    for node in nodes(path):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
    return tuple(found)


def name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_only_the_doors_import_a_network_library() -> None:
    used = {name(path): NETWORK & set(imports(path)) for path in MODULES}
    # A socket module is no connection by itself: local_wire and lines only close one.
    used["lines.py"] -= {"socket"}
    assert {module: found for module, found in used.items() if found and module not in DOORS} == {}
    assert used["privacy/egress.py"]


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


def test_releases_are_minted_by_guard_and_shield_only() -> None:
    for path in MODULES:
        if name(path) in {"privacy/released.py", "privacy/guard.py", "privacy/shield.py"}:
            continue
        assert "_MINT" not in path.read_text("utf-8"), name(path)


def test_public_text_is_made_of_literals() -> None:
    """`public(...)` takes a string constant and nothing computed, so no data hides in it."""
    seen = 0
    for path in MODULES:
        for node in nodes(path):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "public":
                seen += 1
                (argument,) = node.args
                assert isinstance(argument, ast.Constant), f"{name(path)}:{node.lineno}"
    assert seen > 10


def ways_around(tree: tuple[ast.AST, ...]) -> Iterator[str]:
    """Uses of `public` and `Setting` that the tests below would not see as what they are.

    Not covered: strings put together at run time (`getattr(module, "pub" + "lic")`), `exec`.
    """
    imported: set[str] = set()
    for node in tree:
        if isinstance(node, ast.Import):
            yield from (f"import {a.name}" for a in node.names if a.name.startswith(RELEASED))
        elif isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            renamed = {a.name for a in node.names if a.asname not in {None, a.name}}
            if node.level or (node.module == "cogenesis.privacy" and "released" in names):
                yield f"from {'.' * node.level}{node.module or ''} import {names}"
            if node.module == RELEASED and "*" in names:
                yield "import of everything"
            if MAKERS & names and (node.module != RELEASED or MAKERS & renamed):
                yield f"from {node.module} import {MAKERS & names} by another way or name"
            imported |= MAKERS & names
        elif isinstance(node, ast.Attribute) and node.attr in MAKERS:
            yield f"line {node.lineno}: .{node.attr}"
        elif isinstance(node, ast.Constant) and node.value in MAKERS:
            yield f"line {node.lineno}: the name {node.value!r} as a string"
    seen = plain_uses(tree)
    for node in tree:
        if isinstance(node, ast.Name) and node.id in imported and node not in seen:
            yield f"line {node.lineno}: {node.id} is passed on"


def plain_uses(tree: tuple[ast.AST, ...]) -> set[ast.AST]:
    """The names in `public(...)` and `Setting.of(...)`, and those in annotations."""
    plain: set[ast.AST] = set()
    for node in tree:
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id == "public":
                plain.add(node.func)
            elif isinstance(node.func, ast.Attribute) and node.func.attr == "of":
                plain.add(node.func.value)
        annotation = getattr(node, "annotation", None) or getattr(node, "returns", None)
        if annotation is not None:
            plain |= set(ast.walk(annotation))
    return plain


def test_releases_are_made_in_plain_sight() -> None:
    found = {name(path): list(ways_around(nodes(path))) for path in MODULES}
    assert {module for module, ways in found.items() if ways} <= {"privacy/released.py"}, found


@pytest.mark.parametrize(
    "code",
    [
        "import cogenesis.privacy.released",
        "import cogenesis.privacy.released as r",
        "from cogenesis.privacy import released",
        "from cogenesis.privacy import released as r",
        "from cogenesis.privacy.released import *",
        "from cogenesis.privacy.released import public as p",
        "from cogenesis.privacy.released import Setting as S",
        "from cogenesis.sketch.prompt import public",
        "from cogenesis.wire import Setting",
        "from .released import public",
        "from . import released",
        "import cogenesis\ncogenesis.privacy.released.public(x)",
        "module.Setting.of(x)",
        "getattr(module, 'public')(x)",
        "vars(module)['Setting']",
        "from cogenesis.privacy.released import public\np = public",
        "from cogenesis.privacy.released import public\nmap(public, texts)",
        "from cogenesis.privacy.released import Setting\nmake = Setting.of",
        "from cogenesis.privacy.released import Setting\nclass Mine(Setting): pass",
        "from cogenesis.privacy.released import Setting\nf(Setting)",
    ],
)
def test_each_way_around_would_be_seen(code: str) -> None:
    assert list(ways_around(tuple(ast.walk(ast.parse(code)))))


def test_settings_are_made_where_a_model_is_named() -> None:
    found: dict[str, list[str]] = {}
    for path in MODULES:
        for node in nodes(path):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Setting.of":
                found.setdefault(name(path), []).extend(map(ast.unparse, node.args))
    assert found == {"models/cloud_connection.py": ["model"]}
    assert set(found) == set(SETTINGS)


def test_tls_verification_cannot_be_switched_off() -> None:
    for path in MODULES:
        text = path.read_text("utf-8")
        assert "CERT_NONE" not in text, name(path)
        assert "check_hostname = False" not in text, name(path)
        for node in nodes(path):
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


def test_each_core_dependency_has_its_reason() -> None:
    root = PACKAGE.parent
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    needed = [re.split(r"[<>=~!\[; ]", entry)[0] for entry in project["dependencies"]]
    page = (root / "CONTRIBUTING.md").read_text("utf-8")
    section = page.split("## Why each core dependency is one\n")[1].split("\n## ")[0]
    assert re.findall(r"^- `([\w.-]+)`: \w", section, re.MULTILINE) == needed


def test_modules_are_small_rooms() -> None:
    for path in MODULES:
        lines = path.read_text("utf-8").splitlines()
        assert len(lines) <= 400, f"{name(path)} has {len(lines)} lines"
        assert path.stem not in {"utils", "util", "helpers", "common", "misc"}
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                reason = "long because" in (ast.get_docstring(node) or "")
                if length > 50 and not reason:
                    # Parameters with their help texts are a declaration, not code.
                    body = (node.end_lineno or 0) - node.body[0].lineno + 1
                    assert body <= 50, f"{name(path)}:{node.lineno} {node.name}: {length} lines"


def connect(host: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.connect((host, 80))


def send(host: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.sendto(b"x", (host, 53))


def send_message(host: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.sendmsg([b"x"], [], 0, (host, 53))


def look_up(host: str) -> None:
    socket.getaddrinfo(host, 80)


def look_up_bytes(host: str) -> None:
    socket.getaddrinfo(host.encode(), 80)


LOOK_UPS = [look_up, look_up_bytes, socket.gethostbyname]


@pytest.mark.parametrize(
    ("reach", "host"),
    # A documentation address and name: nobody is there, should the watch be broken.
    [(reach, "192.0.2.1") for reach in [connect, send, send_message, *LOOK_UPS]]
    + [(look_up, "secret.example.com") for look_up in LOOK_UPS],
)
def test_the_socket_watch_would_catch_a_leak(reach: Callable[[str], object], host: str) -> None:
    with pytest.raises(ConnectionRefusedError, match=f"tried to reach {host}"):
        reach(host)
    assert f"a test tried to reach {host}" in LEAKS
    LEAKS.clear()


def test_this_machine_may_be_looked_up() -> None:
    for host in ("localhost", b"localhost", "127.0.0.1", "::1", None):
        assert socket.getaddrinfo(host, 80)
    assert LEAKS == []
