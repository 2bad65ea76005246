"""The folder of paid replies: whole or not there, and the same for everybody."""

from __future__ import annotations

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cogenesis.data.cache import ReplyCache, question_key
from cogenesis.errors import CloudError, InputError

KEY = question_key("m", {"messages": ["hello"], "seed": 1})


def test_a_question_is_named_by_all_that_the_answer_depends_on() -> None:
    again = question_key("m", {"seed": 1, "messages": ["hello"]})
    others = [
        question_key("n", {"messages": ["hello"], "seed": 1}),
        question_key(None, {"messages": ["hello"], "seed": 1}),
        question_key("m", {"messages": ["hello "], "seed": 1}),
        question_key("m", {"messages": ["hello"], "seed": 2}),
    ]
    assert again == KEY
    assert len({KEY, *others}) == 5
    assert question_key("m", {"half a character": "\ud83d"}) != KEY


def test_a_reply_is_paid_for_once(tmp_path: Path) -> None:
    cache, calls = ReplyCache(tmp_path / "replies"), []

    def call() -> dict[str, Any]:
        calls.append(1)
        return {"text": "zwölf 🌻", "tokens": 3}

    first, second = cache.ask(KEY, call), ReplyCache(tmp_path / "replies").ask(KEY, call)
    assert (first.hit, second.hit) == (False, True)
    assert first.reply == second.reply == {"text": "zwölf 🌻", "tokens": 3}
    assert len(calls) == len(cache) == 1


def test_a_failed_call_keeps_nothing(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path)

    def fail() -> dict[str, Any]:
        raise CloudError("timeout", "slow")

    with pytest.raises(CloudError):
        cache.ask(KEY, fail)
    assert len(cache) == 0
    assert not cache.ask(KEY, lambda: {"text": "now"}).hit


def test_of_two_writers_the_first_wins_and_both_go_on_with_it(tmp_path: Path) -> None:
    first, second = ReplyCache(tmp_path), ReplyCache(tmp_path)
    assert first.put(KEY, {"text": "one"}) == {"text": "one"}
    assert second.put(KEY, {"text": "two"}) == {"text": "one"}
    assert [path.suffix for path in tmp_path.rglob("*.*")] == [".json"]  # nothing half-written


def test_threads_that_ask_the_same_pay_once(tmp_path: Path) -> None:
    cache, calls, kept = ReplyCache(tmp_path), [], []

    def call() -> dict[str, Any]:
        calls.append(1)
        time.sleep(0.02)
        return {"text": "once"}

    threads = [threading.Thread(target=lambda: kept.append(cache.ask(KEY, call))) for _ in "1234"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert sorted(each.hit for each in kept) == [False, True, True, True]


def test_different_questions_do_not_wait_for_one_another(tmp_path: Path) -> None:
    """As many as the user asks for at a time: each call waits until all of them are under way."""
    count = 150
    cache, all_there = ReplyCache(tmp_path), threading.Barrier(count, timeout=30)

    def call() -> dict[str, Any]:
        all_there.wait()
        return {"text": "together"}

    with ThreadPoolExecutor(count) as pool:
        keys = [question_key("m", {"seed": number}) for number in range(count)]
        kept = list(pool.map(lambda key: cache.ask(key, call), keys))
    assert len(kept) == len(cache) == count


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "other form", "no object"])
def test_a_damaged_file_is_no_reply_and_is_replaced(tmp_path: Path, damage: str) -> None:
    cache = ReplyCache(tmp_path)
    cache.put(KEY, {"text": "the reply"})
    (path,) = tmp_path.rglob("*.json")
    data = path.read_bytes()
    path.write_bytes(
        {
            "cut": data[:-4],
            "changed": data.replace(b"reply", b"lie!!"),
            "empty": b"",
            "other form": data.replace(b'"form": 1', b'"form": 2'),
            "no object": b"[]\n[]",
        }[damage]
    )
    kept = cache.ask(KEY, lambda: {"text": "asked again"})
    assert kept.reply == {"text": "asked again"}
    assert not kept.hit
    assert cache.get(KEY) == {"text": "asked again"}


@pytest.mark.skipif(os.name != "posix", reason="modes")
def test_others_cannot_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "replies"
    folder.mkdir(mode=0o755)
    ReplyCache(folder).put(KEY, {"text": "x"})
    for path in [folder, *folder.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0


def test_what_cannot_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot hold replies"):
        ReplyCache(tmp_path / "file")
    cache = ReplyCache(tmp_path / "folder")
    with pytest.raises(InputError, match="JSON"):
        cache.put(KEY, {"text": object()})
    with pytest.raises(InputError, match="JSON"):
        cache.put(KEY, {"text": "\ud83d"})
    with pytest.raises(InputError, match="64"):
        cache.get("../../etc/passwd")
    assert json.dumps(len(cache)) == "0"
