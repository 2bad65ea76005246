"""Good real models for people with internet access, and what they need.

Repositories, file names, sizes and licences are as found on 2026-11-23 in public sources
that quote the hub; the hub itself could not be reached from where this was written.
A file that has moved since gives an error that lists what the repository holds now.
"""

from __future__ import annotations

from dataclasses import dataclass

FACTS_DATE = "2026-11-23"
WINDOW_TOKENS = 4096
"""The context window for which needed memory is reckoned."""
OVERHEAD_BYTES = 400_000_000
"""Compute buffers, Python and this program. Beside file and KV cache, the demo models took
90 and 110 MB while they read 3,500 tokens; larger models have larger buffers, so this is
a guess on the safe side."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model on the hub.

    `layers`, `kv_heads` and `head_dim` give the size of its KV cache. `first_choice` marks
    what `recommend` may name: models that answer at once, without thinking first.
    """

    name: str
    title: str
    repo: str
    file: str
    file_bytes: int
    layers: int
    kv_heads: int
    head_dim: int
    licence: str
    advice: str
    first_choice: bool = False

    @property
    def kv_bytes(self) -> int:
        """Keys and values of every layer, 2 bytes each, for `WINDOW_TOKENS` tokens.

        An upper bound for models with a sliding window (Gemma 3).
        """
        return 2 * 2 * self.layers * self.kv_heads * self.head_dim * WINDOW_TOKENS

    @property
    def memory_bytes(self) -> int:
        """File + KV cache + overhead."""
        return self.file_bytes + self.kv_bytes + OVERHEAD_BYTES

    @property
    def spec(self) -> str:
        """What to write for it: `owner/name:FILE`."""
        return f"{self.repo}:{self.file}"


# fmt: off
KNOWN_MODELS = (
    KnownModel("qwen2.5-0.5b", "Qwen2.5 0.5B Instruct", "bartowski/Qwen2.5-0.5B-Instruct-GGUF",
               "Qwen2.5-0.5B-Instruct-Q4_K_M.gguf", 397_808_192, 24, 2, 64, "Apache-2.0",
               "2 GB of memory: simple notes", first_choice=True),
    KnownModel("gemma3-1b", "Gemma 3 1B it", "ggml-org/gemma-3-1b-it-GGUF",
               "gemma-3-1b-it-Q4_K_M.gguf", 806_058_240, 26, 1, 256, "Gemma",
               "4 GB: small, many languages", first_choice=True),
    KnownModel("llama3.2-1b", "Llama 3.2 1B Instruct", "bartowski/Llama-3.2-1B-Instruct-GGUF",
               "Llama-3.2-1B-Instruct-Q4_K_M.gguf", 807_694_464, 16, 8, 64, "Llama 3.2",
               "4 GB: mostly English"),
    KnownModel("qwen3-1.7b", "Qwen3 1.7B", "ggml-org/Qwen3-1.7B-GGUF",
               "Qwen3-1.7B-Q4_K_M.gguf", 1_282_439_264, 28, 8, 128, "Apache-2.0",
               "4 to 8 GB: may think first, which is slow"),
    KnownModel("smollm3-3b", "SmolLM3 3B", "ggml-org/SmolLM3-3B-GGUF",
               "SmolLM3-Q4_K_M.gguf", 1_915_305_312, 36, 4, 128, "Apache-2.0",
               "8 GB: open data and training; may think first, which is slow"),
    KnownModel("llama3.2-3b", "Llama 3.2 3B Instruct", "bartowski/Llama-3.2-3B-Instruct-GGUF",
               "Llama-3.2-3B-Instruct-Q4_K_M.gguf", 2_019_377_696, 28, 8, 128, "Llama 3.2",
               "8 GB: mostly English"),
    KnownModel("gemma3-4b", "Gemma 3 4B it", "ggml-org/gemma-3-4b-it-GGUF",
               "gemma-3-4b-it-Q4_K_M.gguf", 2_489_757_856, 34, 4, 256, "Gemma",
               "8 GB: many languages"),
    KnownModel("phi4-mini", "Phi-4 mini Instruct", "unsloth/Phi-4-mini-instruct-GGUF",
               "Phi-4-mini-instruct-Q4_K_M.gguf", 2_491_874_272, 32, 8, 128, "MIT",
               "8 GB: mostly English, a permissive licence"),
    KnownModel("qwen3-4b", "Qwen3 4B Instruct 2507", "bartowski/Qwen_Qwen3-4B-Instruct-2507-GGUF",
               "Qwen_Qwen3-4B-Instruct-2507-Q4_K_M.gguf", 2_497_280_736, 36, 8, 128, "Apache-2.0",
               "8 GB: the one to start with on most laptops", first_choice=True),
    KnownModel("qwen3-8b", "Qwen3 8B", "Qwen/Qwen3-8B-GGUF",
               "Qwen3-8B-Q4_K_M.gguf", 5_027_783_488, 36, 8, 128, "Apache-2.0",
               "16 GB: the largest here, wants a GPU; may think first"),
)
# fmt: on


def recommend(memory_bytes: int) -> KnownModel | None:
    """The largest first choice that leaves half of the memory to everything else."""
    fits = [m for m in KNOWN_MODELS if m.first_choice and m.memory_bytes * 2 <= memory_bytes]
    return max(fits, key=lambda m: m.file_bytes, default=None)
