"""What gates see, and the files that they are kept in."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogenesis.errors import CogenesisError, InputError, ModelFileError
from cogenesis.fusion.gate_file import (
    SHIPPED,
    TrainedGate,
    load_gate,
    save_gate,
    vocabulary_hash,
)
from cogenesis.fusion.gate_input import (
    DIGIT,
    FEATURES,
    LETTER,
    LINE,
    MARK,
    PARTIAL,
    SEEN,
    SPACE,
    SPECIAL,
    UPPER,
    features,
    kind_of,
    most_probable,
    seen,
)
from cogenesis.fusion.gates import PaperGate, SmallGate
from cogenesis.fusion.pool import Listed, Pool, pooled
from cogenesis.fusion.settings import FusionSettings
from cogenesis.fusion.target import Target
from cogenesis.models.adapters import find_adapter
from cogenesis.models.distribution import Distribution
from cogenesis.models.fetch import sha256_of
from cogenesis.models.protocol import Sampling

VOCABULARY = tuple(f" w{at}".encode() for at in range(300))
DEVICE = {"name": "a small model", "vocabulary": vocabulary_hash(VOCABULARY), "tokens": 300}


def models(seed: int, size: int) -> tuple[Distribution, Listed]:
    """A device that lists `size` of 300 tokens, and a cloud that lists some of them."""
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.full(300, 0.05)) + 1e-9
    p /= p.sum()
    best = np.argsort(-p, kind="stable")[:size]
    device = Distribution.of(best.tolist(), np.log(p[best]).tolist(), [VOCABULARY[i] for i in best])
    q = random.dirichlet(np.full(302, 0.05))
    known = random.random(300) < 0.3
    mass = np.where(known, q[:300], 0.0)
    at = device.ids
    outside = float(mass.sum() - mass[at].sum())
    return device, Listed(mass[at], known[at], outside, float(1.0 - mass[at].sum() - outside))


def small(seed: int = 0) -> SmallGate:
    random = np.random.default_rng(seed)
    n = len(FEATURES)
    return SmallGate(
        random.normal(size=(4, n)), random.normal(size=4), random.normal(size=4),
        random.normal(size=n), 0.2,
    )  # fmt: skip


def paper(vocabulary: int = 300) -> PaperGate:
    random = np.random.default_rng(0)

    def some(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        return (random.normal(size=shape) * 0.05).astype(np.float32)

    return PaperGate(some(2 * vocabulary, 512), some(512), some(512, 16), some(16), some(16), 0.1)


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        (b"", SPECIAL),
        (b" ", SPACE),
        (b" the", SPACE | LETTER),
        (b"the", LETTER),
        (b" Dear", SPACE | UPPER),
        ("é".encode(), LETTER),
        (b"\xc3", PARTIAL),
        (b"7", DIGIT),
        (b"\n\n", LINE),
        (b",", MARK),
    ],
)
def test_what_tokens_begin_with(token: bytes, kind: int) -> None:
    assert kind_of(token) == kind


@given(st.integers(0, 10_000), st.integers(1, 300))
def test_fewer_tokens_keep_all_of_the_mass(seed: int, k: int) -> None:
    device, _ = models(seed, 300)
    best = most_probable(device, k)
    assert len(best) == k
    assert best.logprobs.min() >= np.sort(device.logprobs)[-k]
    assert np.exp(best.logprobs.astype(float)).sum() + best.rest == pytest.approx(1.0, abs=1e-5)


@given(st.integers(0, 10_000))
def test_gates_see_the_same_however_long_the_lists_are(seed: int) -> None:
    """What is known is spread alike only if the cloud lists all: then it is exact."""
    device, listed = models(seed, 300)
    listed = replace(listed, known=listed.mass >= 0.0)
    listed = replace(listed, mass=listed.mass / listed.mass.sum(), outside=0.0, unlisted=0.0)
    short = most_probable(device, SEEN)
    at = np.searchsorted(device.ids, short.ids)
    mass = listed.mass[at]
    cut = Listed(mass, listed.known[at], float(listed.mass.sum() - mass.sum()), 0.0)
    for gate in (small(), paper()):
        wide, narrow = (
            gate.weight(pooled(one, said), one, None, 5)
            for one, said in ((device, listed), (short, cut))
        )
        assert wide == pytest.approx(narrow, abs=1e-5)


def test_features_of_many_positions_are_those_of_each() -> None:
    pairs = [models(seed, SEEN) for seed in range(5)]
    pools = [pooled(*pair) for pair in pairs]
    kinds = np.stack(
        [seen(pool, one.tokens)[1] for pool, (one, _) in zip(pools, pairs, strict=True)]
    )
    device, cloud = (
        np.stack([getattr(pool, name) for pool in pools]) for name in ("device", "cloud")
    )
    steps = np.arange(5)
    together = features(device, cloud, kinds, steps)
    assert together.shape == (5, len(FEATURES))
    assert np.abs(together).max() < 30.0
    for at, pool in enumerate(pools):
        one = features(pool.device, pool.cloud, kinds[at], np.array(at))
        np.testing.assert_allclose(together[at], one)


def test_features_worked_out_by_hand() -> None:
    pool = Pool(np.arange(2), np.log([0.5, 0.25, 0.25]), np.log([0.25, 0.5, 0.25]))
    x = dict(
        zip(
            FEATURES,
            features(
                pool.device, pool.cloud, np.array([SPACE | UPPER, MARK], np.uint8), np.array(0)
            ),
            strict=True,
        )
    )
    assert x["device entropy"] == pytest.approx(1.5 * np.log(2) / np.log(65))
    assert x["same best token"] == 0.0
    assert x["device's best in the cloud"] == pytest.approx(np.log(0.25) / 10)
    assert x["rank of the device's best in the cloud"] == pytest.approx(np.log(2) / np.log(65))
    assert (x["device margin"], x["overlap"]) == pytest.approx((0.25, 0.75))
    assert (x["device mass of new words"], x["cloud mass of new words"]) == pytest.approx(
        (0.5, 0.25)
    )
    assert (x["device's best is a capital"], x["cloud's best is a mark"]) == (1.0, 1.0)
    assert (x["device's best is a mark"], x["cloud's best begins with a space"]) == (0.0, 0.0)
    assert x["position"] == 0.0


def test_the_papers_gate_looks_at_ten_entries_of_each() -> None:
    device, listed = models(3, SEEN)
    pool = pooled(device, listed)
    best = np.argsort(-pool.cloud[:-1], kind="stable")[:10]
    ids = np.sort(device.ids[best])
    logprobs = pool.cloud[np.sort(best)].astype(np.float32)
    cloud = Distribution(ids, logprobs, (b"",) * 10, 0.0)
    gate = paper()
    assert gate.weight(pool, device, None, 0) == pytest.approx(gate.dense(device, cloud), abs=1e-6)
    other, _ = models(4, SEEN)
    assert gate.weight(pool, device, other, 0) == gate.of(device, other)


@pytest.mark.parametrize(("kind", "gate"), [("small", small()), ("paper", paper())])
def test_a_gate_survives_its_file(tmp_path: Path, kind: Any, gate: SmallGate | PaperGate) -> None:
    file = tmp_path / "gate.npz"
    save_gate(file, TrainedGate(gate, "logits", kind, DEVICE, {"name": "far"}, {"seed": 3}))
    found = load_gate(file)
    assert (found.kind, found.rule, found.about) == (kind, "logits", {"seed": 3})
    assert len(found.digest) == 64
    device, listed = models(1, SEEN)
    pool = pooled(device, listed)
    weight = gate.weight(pool, device, None, 7)
    assert found.gate.weight(pool, device, None, 7) == pytest.approx(weight, abs=1e-6)
    assert list(tmp_path.iterdir()) == [file]
    settings = FusionSettings(rule="logits", gate=found)
    target = settings.target(Sampling())
    assert target.gate is found.gate
    shaped = target.at(device, listed, 7, ())
    assert shaped.weight == pytest.approx(weight, abs=1e-6)
    assert isinstance(target, Target)


def test_a_gate_is_for_its_rule_and_its_device_only() -> None:
    one = TrainedGate(small(), "logits", "small", DEVICE)
    with pytest.raises(InputError, match="fitted to the rule logits, not to mixture"):
        FusionSettings(gate=one)
    one.check_device("a tuned one", VOCABULARY)
    one.check_device("a server", None)
    with pytest.raises(InputError, match="fitted for a small model, and big has another"):
        FusionSettings(rule="logits", gate=one).check_device("big", VOCABULARY[1:])
    with pytest.raises(InputError, match="does not tell its vocabulary"):
        replace(one, gate=paper(), kind="paper").check_device("a server", None)


SUMS = ("a" * 64, "b" * 64)


@pytest.mark.parametrize(
    ("device", "adapter", "told"),
    [
        ({"sha256": ["c"], "adapter": SUMS[0]}, SUMS[0], None),
        ({"sha256": ["c"], "adapter": SUMS[0]}, SUMS[1], "with the adapter aaaaaaaaaaaa…, and is"),
        ({"sha256": ["c"], "adapter": SUMS[0]}, None, "used with it without an adapter"),
        ({"sha256": "c"}, SUMS[0], "fitted to the device model without an adapter"),
        ({"sha256": ["c"]}, None, None),
        ({}, SUMS[0], None),
        ({"sha256": [None], "vocabulary": None}, SUMS[0], None),
        # Fitted to one adapter a fold: the adapter of all folds is another.
        ({"sha256": ["c", "c"], "adapter": list(SUMS)}, SUMS[1], None),
        ({"sha256": ["c", "c"], "adapter": list(SUMS)}, "d" * 64, None),
        ({"sha256": ["c", "c"], "adapter": list(SUMS)}, None, "without an adapter"),
        ({"sha256": ["c", "d"]}, SUMS[0], None),
        ({"sha256": {"not": "ours"}, "adapter": [[]]}, SUMS[0], None),
        ({"sha256": [], "adapter": []}, SUMS[0], None),
    ],
)
def test_a_gate_tells_that_it_was_fitted_with_another_adapter(
    device: dict[str, Any], adapter: str | None, told: str | None
) -> None:
    found = TrainedGate(small(), "mixture", "small", device).adapter_warning(adapter)
    assert (found is None) is (told is None)
    assert (told or "") in (found or "")


def test_a_gate_knows_the_texts_that_it_was_fitted_to() -> None:
    gate = TrainedGate(
        small(), "mixture", "small", about={"data": [{"name": "d", "sha256": SUMS[0]}]}
    )
    assert gate.fitted_to(SUMS[0]) and not gate.fitted_to(SUMS[1])
    others: tuple[dict[str, Any], ...] = ({}, {"data": SUMS[0]}, {"data": [SUMS[0], None, {}]})
    for other in others:
        assert not TrainedGate(small(), "mixture", "small", about=other).fitted_to(SUMS[0])


def test_the_shipped_gate_is_for_the_shipped_adapter() -> None:
    shipped = find_adapter("demo-device", None)
    assert shipped is not None
    gate = load_gate(Path(SHIPPED))
    assert gate.adapter_warning(sha256_of(shipped)) is None
    assert gate.adapter_warning(None) is not None


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_a_gate_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "gate.npz"
    file.write_bytes(b"an older one")
    file.chmod(0o644)
    (tmp_path / "gate.npz.new").write_bytes(b"left by a sudden end")
    save_gate(file, TrainedGate(small(), "mixture", "small", DEVICE))
    assert file.stat().st_mode & 0o777 == 0o600
    assert load_gate(file).kind == "small"


def spoiled(**change: Any) -> dict[str, Any]:
    return change


@pytest.mark.parametrize(
    ("header", "arrays", "message"),
    [
        (spoiled(format="other"), {}, "no gate of"),
        (spoiled(version=9), {}, "gate of version 9"),
        (spoiled(kind="huge"), {}, "unknown kind"),
        (spoiled(device="a name"), {}, "no gate of"),
        (spoiled(rule="max-of-all"), {}, "mixing rule that is not known"),
        (spoiled(input={"features": ["entropy"], "candidates": 64}), {}, "other features"),
        ({}, {"u": np.full(len(FEATURES), np.nan)}, "not finite"),
        ({}, {"b": np.full(4, np.inf)}, "not finite"),
        ({}, {"u": np.zeros(3)}, "shape"),
        ({}, {"w": np.zeros((9, len(FEATURES)))}, "shape"),
        ({}, {"c": np.zeros(2)}, "wrong shapes"),
        ({}, {"b": np.float64(0.0)}, "wrong shapes"),
        ({}, {"v": np.array(["a"] * 4)}, "not finite"),
        ({}, {"extra": np.zeros(3)}, "does not hold the numbers"),
        ({}, {"w": None}, "does not hold the numbers"),
    ],
)
def test_bad_gates_are_told_when_they_are_read(
    tmp_path: Path, header: dict[str, Any], arrays: dict[str, Any], message: str
) -> None:
    file = tmp_path / "gate.npz"
    save_gate(file, TrainedGate(small(), "mixture", "small", DEVICE))
    with np.load(file) as held:
        told = {name: held[name] for name in held.files}
    changed = json.loads(told["header"].tobytes()) | header
    told |= arrays | {"header": np.frombuffer(json.dumps(changed).encode(), np.uint8)}
    np.savez(file, **{name: value for name, value in told.items() if value is not None})
    with pytest.raises(ModelFileError, match=message):
        load_gate(file)


def test_what_is_no_file_of_a_gate_is_told(tmp_path: Path) -> None:
    file = tmp_path / "gate.npz"
    with pytest.raises(InputError, match="no such gate"):
        load_gate(file)
    save_gate(file, TrainedGate(small(), "mixture", "small", DEVICE))
    whole = file.read_bytes()
    for data in (b"", b"nothing", whole[:200], whole[: len(whole) // 2], b"PK\x03\x04" + whole[9:]):
        file.write_bytes(data)
        with pytest.raises(ModelFileError, match="no gate of"):
            load_gate(file)
    np.savez(file, header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ModelFileError, match="no gate of"):
        load_gate(file)


def test_a_paper_gate_that_contradicts_its_header_is_told(tmp_path: Path) -> None:
    file = tmp_path / "gate.npz"
    save_gate(file, TrainedGate(paper(20), "mixture", "paper", DEVICE))
    with pytest.raises(ModelFileError, match="another vocabulary than its own header"):
        load_gate(file)


@pytest.mark.parametrize("flip", range(0, 4000, 401))
def test_a_damaged_file_is_an_error_or_a_gate_never_a_crash(tmp_path: Path, flip: int) -> None:
    file = tmp_path / "gate.npz"
    save_gate(file, TrainedGate(small(), "mixture", "small", DEVICE))
    data = bytearray(file.read_bytes())
    data[flip % len(data)] ^= 0xFF
    file.write_bytes(bytes(data))
    with contextlib.suppress(CogenesisError):
        assert load_gate(file).rule == "mixture"
