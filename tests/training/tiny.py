"""A base model of 50,000 random weights that reads bytes, and people who write: in seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cogenesis.training.sketches_file import SketchLine

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def make_base(folder: Path, *, seed: int = 0) -> Path:
    """A Llama with a tokenizer of single bytes, as a folder of `transformers`."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: at for at, text in enumerate([*SPECIAL, *letters])}
    plain = Tokenizer(models.BPE(vocabulary, []))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    plain.add_special_tokens(list(SPECIAL))
    make: Any = PreTrainedTokenizerFast
    tokenizer = make(tokenizer_object=plain, eos_token=SPECIAL[0], chat_template=TEMPLATE)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2048,
        tie_word_embeddings=True, bos_token_id=None, eos_token_id=0,
    )  # fmt: skip
    model: Any = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\nNobody's model.\n")
    return folder


def people(count: int) -> list[dict[str, Any]]:
    """Samples in the published form, two to a group."""
    return [
        {
            "tid": f"1_{number // 2}_{number % 2}",
            "conversations": [
                {"from": "user", "value": f"Write a note {number}: Say what the choir sings."},
                {"from": "assistant", "value": f"Dear all, we sing song {number} at nine. Anna"},
            ],
            "profile": [{"title": "Thanks: to all", "text": f"Thank you for cake {number}."}],
            "additional_profile": f"Name: Anna\nAge: {30 + number}\nOccupation: Singer",
        }
        for number in range(count)
    ]


def write_people(path: Path, count: int = 6) -> Path:
    """The same as a file."""
    path.write_text(json.dumps(people(count)), "utf-8")
    return path


def write_sketches(path: Path, count: int) -> Path:
    """Outlines of the first people."""
    lines = [
        SketchLine(each["tid"], at, "Write a note", ("Say when", "Say what"), "none", 0, 1, 0.1)
        for at, each in enumerate(people(count), start=1)
    ]
    path.write_text("".join(json.dumps(line.to_json()) + "\n" for line in lines), "utf-8")
    return path
