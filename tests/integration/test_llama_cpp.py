"""llama.cpp in this process with the real demo models."""

from __future__ import annotations

import gc
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cogenesis.errors import ModelError, ModelFileError
from cogenesis.models import llama_cpp
from cogenesis.models.in_process_wire import InProcessWire
from cogenesis.models.llama_cpp import LlamaCpp
from cogenesis.models.llama_server import LlamaServer
from cogenesis.models.protocol import DeviceText, Message, Prompt, Sampling, TokenIds
from cogenesis.wire import Deadline

GREEDY = Sampling(temperature=0.0, top_p=1.0, max_tokens=24)
MIXED = "Weather: 🌧 🐧 🦊 ☀️ 🐻, наш мир, 世界, שלום, hello world 🌧"


def _chat(*parts: str) -> Prompt[DeviceText]:
    return Prompt(messages=(Message("user", parts),), completion=parts)


@pytest.fixture(scope="module")
def device(device_gguf: Path) -> Iterator[LlamaCpp]:
    with LlamaCpp(device_gguf, threads=1, context_tokens=2048) as model:
        yield model


@pytest.fixture(scope="module")
def base(cloud_gguf: Path) -> Iterator[LlamaCpp]:
    with LlamaCpp(cloud_gguf, threads=1, context_tokens=1024) as model:
        yield model


def _text(model: LlamaCpp, prompt: Prompt[DeviceText] | TokenIds, sampling: Sampling) -> str:
    return "".join(piece.text for piece in model.generate(prompt, sampling))


def test_probe_tells_the_instruct_model_from_the_base_model(
    device: LlamaCpp, base: LlamaCpp
) -> None:
    instruct, plain = device.capabilities, base.capabilities
    assert (instruct.chat, plain.chat) == (True, False)
    assert (instruct.vocabulary, plain.vocabulary) == (49_152, 262_144)
    assert (instruct.context_tokens, plain.context_tokens) == (2048, 1024)
    for found in (instruct, plain):
        assert found.ids
        assert found.drafts
        assert found.logprobs == 512


def test_greedy_text_is_the_same_each_time_and_nobody_writes_to_the_terminal(
    device: LlamaCpp, capfd: pytest.CaptureFixture[str]
) -> None:
    prompt = _chat("What is the capital of France?")
    first = _text(device, prompt, GREEDY)
    assert len(first.split()) > 5
    assert _text(device, prompt, GREEDY) == first
    assert capfd.readouterr() == ("", "")


def test_a_seed_repeats_and_another_differs(device: LlamaCpp) -> None:
    prompt = _chat("Tell me a story.")
    texts = [_text(device, prompt, Sampling(seed=seed, max_tokens=16)) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize("length", [34, 131])
def test_a_seed_means_the_same_whatever_the_model_has_read_before(
    device: LlamaCpp, length: int
) -> None:
    """Lengths at which a first token drawn right after reading differed, before it was not."""
    ids = device.encode(_chat("The bench stands by the pond, under two apple trees. " * 20)).ids
    prompt, other = TokenIds(ids[:length]), TokenIds(ids[150:180])
    part = TokenIds((*ids[: length // 2], *other.ids))
    for seed in (1, 2):
        texts = set()
        for before in (other, prompt, part):  # nothing, all, and half of it is in the cache
            _text(device, before, Sampling(max_tokens=1))
            texts.add(_text(device, prompt, Sampling(seed=seed, max_tokens=24)))
        assert len(texts) == 1


def test_no_beginning_of_text_is_doubled(device: LlamaCpp, base: LlamaCpp) -> None:
    # SmolLM2's is <|im_start|> (id 1), which its template writes before every turn.
    ids = device.encode(_chat("Hi")).ids
    assert ids[0] == 1
    assert ids[1] != 1
    assert ids.count(1) == 3  # system, user, assistant
    # Gemma's is <bos> (id 2); markers in a base model's text stay text.
    plain = base.encode(_chat("<bos>Hi<end_of_turn>")).ids
    assert plain[0] == 2
    assert plain.count(2) == 1
    assert 106 not in plain


@pytest.mark.parametrize(("which", "share"), [("device", 0.9), ("base", 0.6)])
def test_the_vocabulary_of_the_file_is_what_llama_cpp_writes(
    which: str, share: float, request: pytest.FixtureRequest
) -> None:
    """The tokens themselves are the text, so that most of them are met; others never follow."""
    model: LlamaCpp = request.getfixturevalue(which)
    vocabulary = model.vocabulary()
    assert len(vocabulary) == model.capabilities.vocabulary
    spelled = [token.decode("utf-8", "ignore") for token in vocabulary]
    step = 4_000
    texts = ["\x00".join(spelled[at : at + step]) for at in range(0, len(spelled), step)]
    met: set[int] = set()
    for text in (*texts, MIXED, "a  b\r\n\t\x7f\xa0\xad · <|im_end|><eos>"):
        ids, pieces = model.tokenise(text)
        assert tuple(vocabulary[each] for each in ids) == pieces
        assert b"".join(pieces) == text.encode()
        met.update(ids)
    assert len(met) > share * sum(token != b"" for token in vocabulary)


def test_tokens_that_end_a_text_have_no_bytes(device: LlamaCpp, base: LlamaCpp) -> None:
    for model in (device, base):
        prefix = model.encode(_chat("Say OK."))
        for _ in range(3):
            found = model.next_distribution(prefix, 512)
            listed = [model.vocabulary()[each] for each in found.ids]
            assert listed == list(found.tokens)
            prefix = TokenIds((*prefix.ids, found.best()))


def test_a_prompt_in_two_parts_is_encoded_as_one_and_read_once(device: LlamaCpp) -> None:
    long = "The garden behind the house has a pond, two apple trees and a wooden bench. " * 12
    assert device.encode(_chat(long, "Why?")) == device.encode(_chat(long + "Why?"))
    shared = device.encode(_chat(long)).ids[:200]
    device.next_distribution(TokenIds(shared), 1)
    whole = device.encode(_chat(long, "Describe the bench."))
    assert whole.ids[:200] == shared
    list(device.generate(whole, Sampling(max_tokens=2)))
    usage = device.last_usage
    assert usage is not None
    assert usage.cached >= 199
    assert usage.read + usage.cached == len(whole)


def test_a_shorter_prefix_reuses_the_cache_with_a_sliding_window_too(base: LlamaCpp) -> None:
    ids = base.encode(_chat("The city of Paris is known for its museums, its food and")).ids
    list(base.generate(TokenIds(ids), Sampling(max_tokens=8)))
    base.next_distribution(TokenIds(ids[:-2]), 4)
    usage = base.last_usage
    assert usage is not None
    assert usage.cached >= len(ids) - 4


def test_closing_the_iterator_stops_the_model(device: LlamaCpp) -> None:
    prompt = device.encode(_chat("Write a very long story about a fox."))
    endless = Sampling(temperature=1.5, top_p=1.0, max_tokens=1500)
    pieces = device.generate(prompt, endless)
    next(pieces)
    begin = time.monotonic()
    pieces.close()  # type: ignore[attr-defined]
    device.next_distribution(prompt, 1)  # waits for the only slot
    assert time.monotonic() - begin < 3  # 1500 tokens take 15 s and more


def test_a_deadline_stops_the_model(device: LlamaCpp) -> None:
    endless = Sampling(temperature=1.5, top_p=1.0, max_tokens=1500)
    prompt = device.encode(_chat("Count up for ever."))
    begin = time.monotonic()
    with pytest.raises(ModelError, match="longer than it was given"):
        list(device.generate(prompt, endless, deadline=Deadline(0.8)))
    assert time.monotonic() - begin < 2


def test_a_prompt_beyond_the_window_says_so(base: LlamaCpp) -> None:
    with pytest.raises(ModelError, match=r"does not fit the window.*1024"):
        list(base.generate(TokenIds((5,) * 1100), GREEDY))


@pytest.mark.parametrize("which", ["device", "base"])
def test_every_position_of_mixed_scripts_has_a_sane_distribution(
    which: str, request: pytest.FixtureRequest
) -> None:
    # At many of these the most probable token is only a part of a character: asked in the
    # plain way, the server leaves such a row out.
    model: LlamaCpp = request.getfixturevalue(which)
    ids = model.encode(Prompt(messages=(Message("user", (MIXED,)),), completion=(MIXED,))).ids
    for end in range(2, len(ids), 3):
        found = model.next_distribution(TokenIds(ids[:end]), 64)
        assert len(found) == 64
        mass = float(np.exp(found.logprobs.astype(np.float64)).sum())
        assert mass + found.rest == pytest.approx(1, abs=1e-3)
        assert mass > 0.02
        more = model.next_distribution(TokenIds(ids[:end]), 8)
        assert more.best() == found.best()
        assert more.rest >= found.rest - 1e-6


@pytest.mark.parametrize("which", ["device", "base"])
def test_the_short_way_gives_the_same_rows(which: str, request: pytest.FixtureRequest) -> None:
    """In process and over the socket, each position asked in both ways from the same cache."""
    model: LlamaCpp = request.getfixturevalue(which)
    short = model._running.model._wire
    assert isinstance(short, InProcessWire)
    over_the_socket = LlamaServer(short._wire)
    prefix = model.encode(_chat(f"Tell me about {MIXED}."))
    model.next_distribution(prefix, 1)
    for _ in range(6):
        near = model.next_distribution(prefix, 64)
        far = over_the_socket.next_distribution(prefix, 64)
        assert near.ids.tolist() == far.ids.tolist()
        assert near.logprobs.tolist() == far.logprobs.tolist()
        assert near.tokens == far.tokens
        prefix = TokenIds((*prefix.ids, near.best()))


def test_a_prefix_that_just_outgrew_the_window_says_so_on_the_short_way_too(
    device: LlamaCpp,
) -> None:
    device.next_distribution(TokenIds((5,) * 2040), 1)
    with pytest.raises(ModelError, match=r"does not fit the window.*2048"):
        device.next_distribution(TokenIds((5,) * 2050), 1)


def test_the_greedy_text_follows_the_distributions(device: LlamaCpp) -> None:
    prefix = device.encode(_chat("Name three fruits."))
    ids = [piece.token_id for piece in device.generate(prefix, GREEDY)][:10]
    draft = [each for each in ids if each is not None]
    assert len(draft) == 10
    scored = device.score_draft(prefix, draft, 16)
    assert len(scored) == 11
    assert [found.best() for found in scored[:10]] == draft
    for token, found in zip(draft, scored, strict=False):
        assert found.tokens[int(np.searchsorted(found.ids, token))]


def _listening() -> set[str]:
    """Addresses on which this process listens over TCP."""
    inodes = set()
    for entry in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{entry}")
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = set()
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.add(fields[1])
    return found


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@linux
def test_it_listens_on_a_private_socket_and_on_no_port(
    device_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", os.fspath(tmp_path))
    before = _listening()
    with LlamaCpp(device_gguf, threads=1) as model:
        (folder,) = tmp_path.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (listening,) = folder.iterdir()
        assert stat.S_ISSOCK(listening.stat().st_mode)
        assert model.next_distribution(model.encode(_chat("Hi")), 1)
        assert _listening() == before
    assert list(tmp_path.iterdir()) == []


@linux
def test_without_unix_sockets_it_listens_on_loopback_behind_its_key(
    device_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama_cpp, "_has_unix_sockets", lambda: False)
    before = _listening()
    with LlamaCpp(device_gguf, threads=1) as model:
        (address,) = _listening() - before
        assert address.startswith("0100007F:")  # 127.0.0.1
        assert _text(model, _chat("Hello!"), GREEDY).strip()
        from cogenesis.models.local_wire import LocalWire

        port = int(address.split(":")[1], 16)
        with LocalWire.loopback(f"http://127.0.0.1:{port}", "guess") as other:
            for endpoint in ("/props", "/slots", "/v1/models"):
                with pytest.raises(ModelError):
                    other.get(endpoint)
            with pytest.raises(ModelError, match="API key"):
                other.post("/completion", {"n_predict": 1})


def test_two_slots_keep_two_prompts(device_gguf: Path) -> None:
    with LlamaCpp(device_gguf, threads=1, context_tokens=512, slots=2) as model:
        assert model.capabilities.context_tokens == 512
        prompts = [model.encode(_chat(word * 100)) for word in ("apple ", "river ")]
        for prompt in prompts:
            model.next_distribution(prompt, 1)
        for prompt in prompts:
            model.next_distribution(prompt, 1)
            usage = model.last_usage
            assert usage is not None
            assert usage.read == 1


def test_a_closed_model_says_so_and_frees_its_memory(device_gguf: Path) -> None:
    model = LlamaCpp(device_gguf, threads=1)
    server = weakref.ref(model._running)
    model.close()
    model.close()
    with pytest.raises(ModelError, match="closed"):
        model.encode(_chat("Hi"))
    del model
    gc.collect()
    assert server() is None


def test_a_model_that_is_cut_off_is_refused(device_gguf: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.gguf"
    part.write_bytes(device_gguf.read_bytes()[:-4096])
    with pytest.raises(ModelFileError, match="cut off"):
        LlamaCpp(part)


@linux
def test_the_end_of_the_process_leaves_nothing_behind(device_gguf: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from cogenesis.models import LlamaCpp;"
        "model = LlamaCpp(sys.argv[1], threads=1); print(model)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, os.fspath(device_gguf)],
        env={**os.environ, "TMPDIR": os.fspath(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


@linux
def test_ctrl_c_while_it_writes_reaches_python(device: LlamaCpp) -> None:
    endless = Sampling(temperature=1.5, top_p=1.0, max_tokens=1500)
    prompt = device.encode(_chat("Tell me everything."))
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    written = ""
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        for piece in device.generate(prompt, endless):
            if not written:  # the prompt is read
                begin = time.monotonic()
                timer.start()
            written += piece.text
    assert written
    assert device.next_distribution(prompt, 1)
    assert time.monotonic() - begin < 4
